//! An addon that reads memory which it has freed, for `npm run test:asan` to see that this would be noticed.
#![allow(missing_docs, unsafe_code)]

use napi_derive::napi;

/// Says what is there after a box was freed.
#[napi]
pub fn use_after_free() -> u8 {
    let freed = Box::into_raw(Box::new(42_u8));
    // SAFETY: none. The second line is the planted error.
    unsafe {
        drop(Box::from_raw(freed));
        std::ptr::read_volatile(freed)
    }
}
