//! People who wait, each no longer than they said.

use std::convert::Infallible;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Calls `late` whenever the deadline that `next` gives has come, for ever. `changed` says that `next` may give another.
pub async fn expire<T>(
    changed: &watch::Sender<T>,
    next: impl Fn() -> Option<Instant>,
    late: impl Fn(Instant),
) -> Infallible {
    let mut changed = changed.subscribe();
    loop {
        changed.mark_unchanged();
        let next = next();
        let due = async {
            match next {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => late(Instant::now()),
            // It fails when the sender is gone, and that is borrowed.
            _ = changed.changed() => {}
        }
    }
}
