//! What all functions of the binding take and give: failures, times, and callbacks.

use std::time::{Duration, SystemTime};

use napi::bindgen_prelude::*;
use napi::threadsafe_function::ThreadsafeFunction;
use napi_derive::napi;

use crate::error::Error as CoreError;

/// Does not keep the event loop alive: a running listener must not keep a process from ending.
pub(super) type WeakCallback<T> = ThreadsafeFunction<T, (), T, Status, false, true>;
/// Keeps the event loop alive until it is dropped: for an answer that is waited for.
pub(super) type StrongCallback<T> = ThreadsafeFunction<T, (), T, Status, false, false>;

/// Why something failed.
#[napi(object, object_from_js = false)]
pub struct Failure {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// PostgreSQL's five characters, if the server reported the error.
    pub sql_state: Option<String>,
}

impl From<CoreError> for Failure {
    fn from(error: CoreError) -> Self {
        Self {
            code: error.code().into(),
            message: error.to_string(),
            sql_state: error.sql_state().map(str::to_owned),
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn epoch_ms(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, ms)
}

pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(super) fn duration(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::MAX)
}
