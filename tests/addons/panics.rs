//! The addon with functions that panic, for `npm run test:panics`.
//!
//! It links the package's own binding, and what it makes can be handed to the functions that the package calls. So
//! the package needs no hook for being tested.
#![allow(missing_docs, unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use pg_generations::feed::{Feed, FeedOptions, OnGap};
use pg_generations::queue::Answer;

const MESSAGE: &str = "planted by the test";

/// Panics on the thread of JavaScript.
#[napi(catch_unwind)]
pub fn panic_here() {
    panic!("{MESSAGE}");
}

static PANICS: AtomicBool = AtomicBool::new(false);

/// Has a feed panic when it wakes JavaScript the next time.
#[napi(catch_unwind)]
pub fn panic_at_next_wake() {
    PANICS.store(true, Ordering::Relaxed);
}

/// An answer that went well.
#[napi(object, object_from_js = false)]
pub struct Settled {
    /// The number that it was asked under.
    pub id: u32,
}

/// A feed for the package's own functions. It panics as `panic_at_next_wake` says: on the thread of the listener or of
/// JavaScript, whichever has something to tell.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn feed_that_panics(wake: Function<'_, Option<Settled>, ()>) -> Result<External<Arc<Feed>>> {
    let options =
        FeedOptions { counters: None, queue_calls: true, max_queued_calls: 10, on_gap: OnGap::Discard };
    let wake: ThreadsafeFunction<Option<Settled>, (), Option<Settled>, Status, false, true> =
        wake.build_threadsafe_function().weak::<true>().build()?;
    let wake = move |ahead: Option<Answer>| {
        assert!(!PANICS.swap(false, Ordering::Relaxed), "{MESSAGE}");
        wake.call(ahead.map(|Answer { id, .. }| Settled { id }), ThreadsafeFunctionCallMode::NonBlocking);
    };
    Ok(External::new(Arc::new(Feed::new(options, wake))))
}

/// Panics when it becomes a value of JavaScript. It has a size, since napi passes nothing for what has none.
pub struct Unconvertible(#[allow(dead_code)] u8);

impl ToNapiValue for Unconvertible {
    unsafe fn to_napi_value(_: sys::napi_env, _: Self) -> Result<sys::napi_value> {
        panic!("{MESSAGE}");
    }
}

impl TypeName for Unconvertible {
    fn type_name() -> &'static str {
        "Unconvertible"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

/// Panics after its end, while what it gives is converted.
#[napi(catch_unwind, ts_return_type = "void")]
pub fn give_unconvertible() -> Unconvertible {
    Unconvertible(0)
}

/// Calls back with what cannot be converted.
#[napi(catch_unwind)]
pub fn call_back_unconvertible(
    #[napi(ts_arg_type = "() => void")] callback: Function<'_, Unconvertible, ()>,
) -> Result<()> {
    let callback: ThreadsafeFunction<Unconvertible, (), Unconvertible, Status, false> =
        callback.build_threadsafe_function().build()?;
    callback.call(Unconvertible(0), ThreadsafeFunctionCallMode::NonBlocking);
    Ok(())
}
