//! The Node binding: conversions, and no rules. The TypeScript above it is the public face.
//!
//! A panic in a plain `#[napi]` function aborts the process, so every function carries `catch_unwind`.

mod client;
mod codec;
mod connection;
mod counters;
mod feed;
mod listener;
mod probe;
mod shared_memory;
mod small_string;
mod values;
