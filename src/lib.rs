//! Generation counters for cache invalidation, kept in step across processes by PostgreSQL LISTEN/NOTIFY.
//!
//! # Layout
//!
//! Data flows one way: socket → session → feed → counters → JavaScript.
//!
//! * [`generations`]: the clock, the three scopes and their bounded memory. Knows nothing else.
//! * [`payload`]: the wire format of an invalidation. Knows nothing else.
//! * [`listen`]: a connection that LISTENs for ever on a thread of its own. Does not know what a payload means.
//! * [`feed`]: what a listener hears, decoded and bumped; the rules for gaps.
//! * `malformed_throttle`: keeps a flood of junk from becoming a flood of reports.
//! * [`queue`]: what JavaScript has yet to hear: calls, reports and answers, and notifications.
//! * [`error`]: one error for everything that can go wrong between a listener and its server.
//! * `node`: the Node binding (cargo feature `node`): conversions only.

#![warn(clippy::disallowed_methods)]

pub mod error;
pub mod feed;
pub mod generations;
pub mod listen;
mod malformed_throttle;
pub mod payload;
pub mod queue;

// Not in the unit tests' build, where napi registers nothing and the binding would be dead code.
#[cfg(all(feature = "node", not(test)))]
mod node;
