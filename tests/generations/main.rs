//! The counters as their users see them: against models without bounds, and under threads.
#![cfg(not(pg_generations_loom))]
#![allow(clippy::unwrap_used)]

mod model;
mod proof;
mod scopes;
mod threads;

use std::sync::Arc;

use pg_generations::generations::{Clock, GenerationCounters, Options};

const REALM: &str = "http://localhost:4201/test/";
const FOO: &str = "http://localhost:4201/test/foo.gts";
const BAR: &str = "http://localhost:4201/test/bar.gts";

/// Counters on a clock of their own, so that a test knows every stamp.
fn counters(capacity: usize) -> Arc<GenerationCounters> {
    counters_with(Options::default().with_capacity(capacity).unwrap())
}

fn counters_with(options: Options) -> Arc<GenerationCounters> {
    Arc::new(GenerationCounters::with_clock(options, Box::leak(Box::new(Clock::new()))))
}
