//! Strings from JavaScript that are only looked at.
#![allow(unsafe_code)]

use std::str;

use napi::bindgen_prelude::*;
use napi::sys;

/// More than nearly every URL has, in bytes.
const SHORT: usize = 256;

/// A string that is copied by one call and into no memory of its own if it is short; a `String` takes two calls and an
/// allocation, which together cost more than a look-up in the counters.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack, for one call")]
pub enum SmallString {
    Short { bytes: [u8; SHORT], len: usize },
    Long(String),
}

impl SmallString {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Short { bytes, len } => str::from_utf8(&bytes[..*len]).expect("Node writes UTF-8"),
            Self::Long(text) => text,
        }
    }
}

impl FromNapiValue for SmallString {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let (mut bytes, mut len) = ([0; SHORT], 0);
        // SAFETY: `env` and `value` are the caller's responsibility. No more than `SHORT` bytes are written, a NUL at
        // the end included.
        let status = unsafe {
            sys::napi_get_value_string_utf8(env, value, bytes.as_mut_ptr().cast(), SHORT, &mut len)
        };
        // What does not fit is cut off before a whole character, which takes up to four bytes. Less room than this may
        // be left by what is whole as well; then it is read once more.
        if status == sys::Status::napi_ok && len < SHORT - 16 {
            return Ok(Self::Short { bytes, len });
        }
        // SAFETY: as above.
        unsafe { String::from_napi_value(env, value) }.map(Self::Long)
    }
}
