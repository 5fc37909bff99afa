//! The Node binding: conversions, and no rules. The TypeScript above it is the public face.
//!
//! A panic in a plain `#[napi]` function aborts the process, so every function carries `catch_unwind`.

mod client;
mod codec;
mod counters;
mod date;
mod examine;
mod feed;
mod listener;
mod text;
mod words;
