//! What a listener's events do to a feed.

use std::sync::Arc;

use super::{Feed, OnGap};
use crate::error::Error;
use crate::generations::ListenerGuard;
use crate::listen::{Event, Observer};
use crate::queue::Report;

/// The observer of one listener that feeds it.
pub(super) struct FeedObserver {
    pub feed: Arc<Feed>,
    /// None if there are no counters.
    pub guard: Option<ListenerGuard>,
}

impl FeedObserver {
    fn leave(&self) {
        if let Some(guard) = &self.guard {
            guard.leave();
        }
    }
}

impl Observer for FeedObserver {
    fn event(&self, event: Event<'_>) {
        let Self { feed, guard } = self;
        match event {
            Event::Stopped => {
                feed.disconnected();
                feed.flush_malformed();
                feed.queue.report(Report::Stopped);
            }
            Event::Notification { payload, .. } => match feed.dispatch(payload) {
                Ok(invalidation) if feed.queue_calls => feed.queue.call(invalidation.into_owned()),
                Ok(_) => {}
                Err(report) => feed.report_if_any(report),
            },
            Event::Echo { round_trip, at } => {
                let mut tally = feed.tally.lock();
                tally.last_echo = Some(at);
                tally.echo_round_trip = Some(round_trip);
            }
            Event::Listening { backend_pid, server } => {
                feed.resync(guard.as_ref());
                feed.connected(backend_pid, server);
                feed.queue.report(Report::Listening);
            }
            Event::Resynced { gap, backend_pid, server } => {
                feed.resync(guard.as_ref());
                feed.connected(backend_pid, server);
                feed.tally.lock().reconnects += 1;
                feed.queue.report(Report::Resynced { gap });
            }
            Event::Lost { error } => {
                if let Some(guard) = guard
                    && feed.on_gap == OnGap::Discard
                {
                    guard.lost();
                }
                feed.disconnected();
                let undecodable = u64::from(matches!(error, Error::Undecodable { .. }));
                {
                    let mut tally = feed.tally.lock();
                    tally.gaps += 1;
                    tally.undecodable += undecodable;
                }
                feed.queue.report(lost(error));
            }
            Event::Retrying { attempt, error } => {
                feed.queue.report(Report::Retrying { attempt, cause: error.to_string() });
            }
            Event::Failed { error } => {
                self.leave();
                feed.queue.report(lost(error));
            }
            Event::Stopping => self.leave(),
        }
    }
}

fn lost(error: &Error) -> Report {
    Report::Lost { cause: error.to_string(), code: error.code() }
}
