//! Connection settings for JavaScript: maps by libpq's keywords.

use std::collections::HashMap;

use napi::bindgen_prelude::{Error, Result, Status};
use napi_derive::napi;

use super::listener::ListenerTimings;
use crate::error::Error as CoreError;
use crate::listen::{Conninfo, Settings, keywords};

/// One of libpq's settings.
#[napi(object, object_from_js = false)]
pub struct ConnectionSetting {
    /// Its name.
    pub keyword: &'static str,
    /// The variable that gives it.
    pub variable: Option<&'static str>,
}

/// All of libpq's settings.
#[napi(catch_unwind)]
pub fn connection_settings() -> Vec<ConnectionSetting> {
    keywords().map(|(keyword, variable)| ConnectionSetting { keyword, variable }).collect()
}

/// The settings that a `postgres://` URL gives, by libpq's keywords. Throws if it is none, and repeats nothing of it.
#[napi(catch_unwind)]
pub fn parse_connection_url(url: String) -> Result<HashMap<&'static str, String>> {
    let settings = Conninfo::from_url(&url);
    let settings = settings.map_err(|error| Error::new(Status::InvalidArg, error.to_string()))?;
    Ok(settings.into_iter().collect())
}

/// Merges layers of settings, of which the first goes before the second, and checks them.
pub(super) fn settings(
    layers: Vec<HashMap<String, String>>,
    timings: ListenerTimings,
) -> std::result::Result<Settings, CoreError> {
    let layers = layers.into_iter().map(Conninfo::from_iter);
    Settings::new(&layers.fold(Conninfo::default(), Conninfo::or), timings.into())
}
