//! Points in time and spans of it, as JavaScript has them.
#![allow(unsafe_code)]

use std::ptr;
use std::time::{Duration, SystemTime};

use napi::bindgen_prelude::*;
use napi::{check_status, sys};

/// A `Date`.
pub struct Date(pub SystemTime);

impl ToNapiValue for Date {
    unsafe fn to_napi_value(env: sys::napi_env, Self(time): Self) -> Result<sys::napi_value> {
        let mut value = ptr::null_mut();
        // SAFETY: `env` is the caller's responsibility, and `value` is written to and nothing else.
        check_status!(unsafe { sys::napi_create_date(env, epoch_ms(time), &mut value) })?;
        Ok(value)
    }
}

/// Milliseconds since 1970.
pub(super) fn epoch_ms(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, ms)
}

pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
