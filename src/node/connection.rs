//! Connection settings for JavaScript: maps by libpq's keywords.

use std::collections::HashMap;

use napi::bindgen_prelude::{Error, Result, Status};
use napi_derive::napi;

use super::values::duration;
use crate::error::Error as CoreError;
use crate::listen::{Conninfo, Settings, Timings, keywords};

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

/// How long to wait for what, in milliseconds.
#[napi(object, object_to_js = false)]
pub struct ListenerTimings {
    /// Between echoes.
    pub heartbeat_interval_ms: f64,
    /// For an echo.
    pub heartbeat_timeout_ms: f64,
    /// For the first LISTEN.
    pub connect_timeout_ms: f64,
    /// Between two attempts.
    pub reconnect_max_delay_ms: f64,
}

impl From<ListenerTimings> for Timings {
    fn from(timings: ListenerTimings) -> Self {
        Self {
            heartbeat_interval: duration(timings.heartbeat_interval_ms),
            heartbeat_timeout: duration(timings.heartbeat_timeout_ms),
            connect_timeout: duration(timings.connect_timeout_ms),
            reconnect_max_delay: duration(timings.reconnect_max_delay_ms),
        }
    }
}

/// Merges layers of settings, of which the first goes before the second, and checks them.
pub(super) fn settings(
    layers: Vec<HashMap<String, String>>,
    timings: ListenerTimings,
) -> std::result::Result<Settings, CoreError> {
    let layers = layers.into_iter().map(Conninfo::from_iter);
    Settings::new(&layers.fold(Conninfo::default(), Conninfo::or), timings.into())
}
