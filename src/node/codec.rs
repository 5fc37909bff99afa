//! `payload`, for JavaScript.
//!
//! Strings cross as UTF-8, in which a lone surrogate becomes U+FFFD: whoever calls must rule them out before.

use std::borrow::Cow;

use napi::bindgen_prelude::{Error, Result, Status};
use napi_derive::napi;

use crate::payload::{self, EmptyUrl, Invalidation};

/// The channel that invalidations are sent on.
#[napi]
pub const CHANNEL: &str = payload::CHANNEL;

/// What became stale.
#[napi(discriminant = "kind", discriminant_case = "lowercase", object_from_js = false)]
pub enum ModuleCacheInvalidation {
    Module {
        #[napi(js_name = "resolvedRealmURL")]
        realm: String,
        #[napi(js_name = "moduleURLs")]
        modules: Vec<String>,
    },
    Realm {
        #[napi(js_name = "resolvedRealmURL")]
        realm: String,
    },
    Global,
}

impl From<Invalidation<'_>> for ModuleCacheInvalidation {
    fn from(invalidation: Invalidation<'_>) -> Self {
        match invalidation {
            Invalidation::Module { realm, modules } => Self::Module {
                realm: realm.into_owned(),
                modules: modules.into_iter().map(Cow::into_owned).collect(),
            },
            Invalidation::Realm { realm } => Self::Realm { realm: realm.into_owned() },
            Invalidation::Global => Self::Global,
        }
    }
}

/// The payloads that invalidate modules of a realm.
#[napi(catch_unwind)]
pub fn encode_modules(realm: String, modules: Vec<String>) -> Result<Vec<String>> {
    payload::encode_modules(&realm, &modules).map_err(refuse)
}

/// The payload that invalidates a realm.
#[napi(catch_unwind)]
pub fn encode_realm(realm: String) -> Result<String> {
    payload::encode_realm(&realm).map_err(refuse)
}

/// The payload that invalidates everything.
#[napi(catch_unwind)]
pub fn encode_global() -> String {
    payload::encode_global()
}

fn refuse(error: EmptyUrl) -> Error {
    Error::new(Status::InvalidArg, error.to_string())
}
