//! The two words that tell whether anything moved, as memory that JavaScript reads without a call.
//!
//! A call costs several times what the reading does, and nearly every check finds that nothing moved.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::counters::CountersHandle;
use crate::generations::Clock;

/// The clock's word; null where the engine shares no memory. Ask for it once in each thread.
#[napi(catch_unwind)]
pub fn clock_word(env: &Env) -> Result<Option<BigUint64ArraySlice<'_>>> {
    share(env, Clock::process().word(), ())
}

/// The word of these counters: their latest stamp, with the highest bit set while they are unproven. Null where the
/// engine shares no memory. Ask for it once in each thread.
#[napi(catch_unwind)]
pub fn head_word<'a>(env: &'a Env, counters: &CountersHandle) -> Result<Option<BigUint64ArraySlice<'a>>> {
    let owner = Arc::clone(counters);
    share(env, counters.head_word(), owner)
}

/// `owner` keeps the word where it is, until JavaScript has no more use for it.
fn share<'a, T: 'static>(
    env: &'a Env,
    word: &AtomicU64,
    owner: T,
) -> Result<Option<BigUint64ArraySlice<'a>>> {
    let address = word.as_ptr();
    // SAFETY: the word is valid for as long as its owner lives, and the owner is dropped by the buffer's finalizer, or is
    // nothing and the word static. Rust accesses it atomically, and so does TypeScript, by `Atomics.load`; nobody writes
    // to the array, which no user of the package ever sees.
    let array =
        unsafe { BigUint64ArraySlice::from_external(env, address, 1, owner, |_, owner| drop(owner)) }?;
    // An engine that takes no memory from outside is given a copy, in which nothing would ever move.
    Ok((array.as_ptr() == address.cast_const()).then_some(array))
}
