//! Timers of the listener's thread, which knows them when it sleeps [past the runtime](super::park).
#![allow(clippy::disallowed_methods)]

use std::cell::RefCell;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{self, Instant, error::Elapsed};

thread_local! {
    /// What this thread waits for, the runtime's timers being unknown to those who keep it from them.
    static PENDING: RefCell<Vec<Instant>> = const { RefCell::new(Vec::new()) };
}

/// The next of this thread's deadlines.
pub fn next() -> Option<Instant> {
    PENDING.with_borrow(|pending| pending.iter().min().copied())
}

struct Pending(Instant);

impl Pending {
    fn new(at: Instant) -> Self {
        PENDING.with_borrow_mut(|pending| pending.push(at));
        Self(at)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        PENDING.with_borrow_mut(|pending| {
            if let Some(index) = pending.iter().rposition(|at| *at == self.0) {
                pending.swap_remove(index);
            }
        });
    }
}

// These are no `async fn`s, which would hold what they are given twice.

/// As the runtime's.
pub fn sleep_until(at: Instant) -> impl Future<Output = ()> {
    let pending = Pending::new(at);
    time::sleep_until(at).map(move |()| drop(pending))
}

/// As the runtime's.
pub fn sleep(limit: Duration) -> impl Future<Output = ()> {
    sleep_until(after(limit))
}

/// As the runtime's.
pub fn timeout_at<T>(at: Instant, work: impl Future<Output = T>) -> impl Future<Output = Result<T, Elapsed>> {
    let pending = Pending::new(at);
    time::timeout_at(at, work).map(move |outcome| {
        drop(pending);
        outcome
    })
}

/// As the runtime's.
pub fn timeout<T>(
    limit: Duration,
    work: impl Future<Output = T>,
) -> impl Future<Output = Result<T, Elapsed>> {
    timeout_at(after(limit), work)
}

/// A limit that is too long for the clock is none, about.
fn after(limit: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(limit).unwrap_or(now + LONG)
}
