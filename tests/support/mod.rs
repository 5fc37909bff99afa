//! What the integration tests stand on: a real PostgreSQL, someone who acts on it, and a network that can fail.
//!
//! Everything here blocks, with a deadline, so it is for plain `#[test]` functions. Waits are for events; only what
//! has no event (a row of `pg_stat_activity`, say) is polled, by [`until`].

#![allow(dead_code, unused_imports, reason = "every test binary uses a part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a failed assumption here is a failed test"
)]

mod admin;
mod pooler;
mod postgres;
mod proxy;
mod tool;

pub use admin::Admin;
pub use pooler::{PgBouncer, Pooler};
pub use postgres::{Database, PostgresServer, QUEUE_PAGES, StopMode, major};
pub use proxy::{Direction, Proxy};

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long anything may take before the test is called failed: generous, since a deadline is not a measurement.
pub const DEADLINE: Duration = Duration::from_secs(20);

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// Asks `probe` again and again until it is true.
pub fn until(what: &str, mut probe: impl FnMut() -> bool) {
    let started = Instant::now();
    while !probe() {
        assert!(started.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says that a test is not run here, and why. Not by a macro: what those print is kept back unless the test fails.
pub fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED {name}: {why}\n").as_bytes());
}

/// Runs a future of the tests' own runtime to its end.
fn block_on<F: Future>(what: &str, future: F) -> F::Output {
    RUNTIME.block_on(async {
        tokio::time::timeout(DEADLINE, future)
            .await
            .unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
    })
}
