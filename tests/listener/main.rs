//! The listener on a real PostgreSQL, over a network that fails.

#![allow(clippy::unwrap_used, reason = "a failed assumption here is a failed test")]

mod channel_losses;
mod channels;
mod chaos;
mod encodings;
mod examine;
mod failover;
mod faults;
mod fences;
mod harness;
mod lifecycle;
mod listening;
mod names;
mod poolers;
mod queue;
mod settings;
mod slow;
mod stalls;
mod tls;
mod unavailable;
