//! Generation counters for cache invalidation, kept in step across processes by PostgreSQL LISTEN/NOTIFY.
//!
//! # Layout
//!
//! * [`generations`]: the clock, the three scopes and their bounded memory. Knows nothing else.
//! * [`payload`]: the wire format of an invalidation. Knows nothing else.
//! * `listen`: a connection that LISTENs for ever on a thread of its own. Does not know what a payload means.
//! * `feed`: what a listener hears, decoded and bumped; the rules for gaps.
//! * `node`: the Node binding (cargo feature `node`): conversions only.

pub mod generations;
pub mod payload;

// Not in the unit tests' build, where napi registers nothing and the binding would be dead code.
#[cfg(all(feature = "node", not(test)))]
mod node;
