//! What the tests stand on: a real PostgreSQL, another session that acts on it, and a network that can fail.
//!
//! Everything here blocks, with a deadline, so it is for plain `#[test]` functions. Waits are for events; only what
//! has no event (a row of `pg_stat_activity`, say) is polled, by [`until`]. A failed assumption panics, for it is a
//! failed test. The tests in JavaScript have the proxy and the pooler by way of this crate's program.

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

fn host_and_port(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5432))
}

fn by_way_of(port: u16, url: &str) -> url::Url {
    let mut url = url::Url::parse(url).unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(port)).unwrap();
    url
}

/// Runs a future of the tests' own runtime to its end.
fn block_on<F: Future>(what: &str, future: F) -> F::Output {
    RUNTIME.block_on(async {
        tokio::time::timeout(DEADLINE, future)
            .await
            .unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
    })
}
