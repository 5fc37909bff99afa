//! The bounded queue of what JavaScript has yet to hear. Knows nothing of threads or of Node.
//!
//! Reports are few by construction. Calls are as many as the wire brings, while the event loop may be busy: past the
//! bound they collapse into one global invalidation, which covers them all.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::payload::Invalidation;

/// Something that happened, for whoever operates the process.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// First LISTEN after a start, proven.
    Listening,
    /// The session is lost, or a start failed.
    Lost {
        /// The reason, for people.
        cause: String,
        /// The reason, for programs.
        code: &'static str,
    },
    /// Attempts keep failing.
    Retrying {
        /// How many in a row.
        attempt: u32,
        /// Why the latest did.
        cause: String,
    },
    /// Listening again; everything was invalidated.
    Resynced {
        /// How long nothing was heard.
        gap: Duration,
    },
    /// Payloads that are no invalidation.
    Malformed {
        /// One of them, truncated.
        payload: String,
        /// How many since the last such report.
        count: u64,
    },
    /// Queued calls collapsed into one global invalidation.
    Overflow {
        /// How many calls it stands for.
        dropped: u64,
    },
    /// The listener ended.
    Stopped,
}

/// One thing for JavaScript to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Tell the user.
    Report {
        /// When it happened.
        at: SystemTime,
        /// What happened.
        report: Report,
    },
    /// Replay an invalidation.
    Call(Invalidation<'static>),
}

/// The queue. Any thread may push; one drains.
pub struct Outbox {
    queue: Mutex<Queue>,
    /// The most calls (module URLs, realms, globals) that wait at a time.
    max_calls: usize,
    /// Called when the queue was empty and is no longer.
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    calls: usize,
}

impl Outbox {
    /// A queue of at most `max_calls` calls; `wake` is called whenever there is something to drain again.
    pub fn new(max_calls: usize, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { queue: Mutex::default(), max_calls, wake: Box::new(wake) }
    }

    /// Queues a report.
    pub fn report(&self, report: Report) {
        self.push(|queue| queue.items.push_back(Item::Report { at: SystemTime::now(), report }));
    }

    /// Queues the calls that replay `invalidation`.
    pub fn call(&self, invalidation: Invalidation<'static>) {
        self.push(|queue| {
            let calls = calls(&invalidation);
            if queue.calls + calls <= self.max_calls {
                queue.calls += calls;
                queue.items.push_back(Item::Call(invalidation));
            } else {
                queue.collapse(calls);
            }
        });
    }

    /// Takes everything, oldest first.
    pub fn drain(&self) -> VecDeque<Item> {
        std::mem::take(&mut *self.queue.lock()).items
    }

    fn push(&self, change: impl FnOnce(&mut Queue)) {
        let was_empty = {
            let mut queue = self.queue.lock();
            let was_empty = queue.items.is_empty();
            change(&mut queue);
            was_empty
        };
        if was_empty {
            (self.wake)();
        }
    }
}

impl Queue {
    /// Replaces all calls, and `more` that did not fit, by one that covers them.
    fn collapse(&mut self, more: usize) {
        let mut dropped = (self.calls + more) as u64;
        self.items.retain(|item| match item {
            Item::Call(_) => false,
            // A queue that overflows again before anyone looked says so once. The call that stood for the earlier
            // ones was counted among those that waited.
            Item::Report { report: Report::Overflow { dropped: earlier }, .. } => {
                dropped += earlier - 1;
                false
            }
            Item::Report { .. } => true,
        });
        self.items.push_back(Item::Call(Invalidation::Global));
        self.items.push_back(Item::Report { at: SystemTime::now(), report: Report::Overflow { dropped } });
        self.calls = 1;
    }
}

fn calls(invalidation: &Invalidation<'_>) -> usize {
    match invalidation {
        Invalidation::Module { modules, .. } => modules.len(),
        Invalidation::Realm { .. } | Invalidation::Global => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn module(urls: &[&'static str]) -> Invalidation<'static> {
        Invalidation::Module { realm: "r".into(), modules: urls.iter().map(|&url| url.into()).collect() }
    }

    fn reports(outbox: &Outbox) -> Vec<Report> {
        let only = |item| match item {
            Item::Report { report, .. } => Some(report),
            Item::Call(_) => None,
        };
        outbox.drain().into_iter().filter_map(only).collect()
    }

    #[test]
    fn items_come_out_in_order() {
        let outbox = Outbox::new(10, || {});
        outbox.call(module(&["a"]));
        outbox.report(Report::Listening);
        outbox.call(Invalidation::Global);
        let items = outbox.drain();
        assert_eq!(items[0], Item::Call(module(&["a"])));
        assert!(matches!(items[1], Item::Report { report: Report::Listening, .. }));
        assert_eq!(items[2], Item::Call(Invalidation::Global));
        assert!(outbox.drain().is_empty());
    }

    #[test]
    fn it_wakes_once_for_each_time_it_fills() {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let outbox = Outbox::new(10, move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        outbox.report(Report::Listening);
        outbox.report(Report::Stopped);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        outbox.drain();
        outbox.call(Invalidation::Global);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn exactly_the_bound_fits() {
        let outbox = Outbox::new(3, || {});
        outbox.call(module(&["a", "b"]));
        outbox.call(module(&["c"]));
        assert_eq!(outbox.drain().len(), 2);
    }

    #[test]
    fn past_the_bound_one_global_call_stands_for_all() {
        let outbox = Outbox::new(3, || {});
        outbox.report(Report::Listening);
        outbox.call(module(&["a", "b"]));
        outbox.call(module(&["c", "d"]));
        let items = outbox.drain();
        assert_eq!(items.len(), 3);
        assert_eq!(items[1], Item::Call(Invalidation::Global));
        assert!(matches!(items[2], Item::Report { report: Report::Overflow { dropped: 4 }, .. }));
        // Drained, it has its whole room back.
        outbox.call(module(&["a", "b", "c"]));
        assert_eq!(outbox.drain().len(), 1);
    }

    #[test]
    fn a_flood_nobody_drains_stays_one_call_and_one_report_and_counts_on() {
        let outbox = Outbox::new(2, || {});
        for _ in 0..1000 {
            outbox.call(module(&["a", "b", "c"]));
        }
        let items = outbox.drain();
        assert_eq!(items.len(), 2);
        assert!(matches!(items[1], Item::Report { report: Report::Overflow { dropped: 3000 }, .. }));
    }

    #[test]
    fn after_a_collapse_later_calls_still_queue_behind_it() {
        let outbox = Outbox::new(2, || {});
        outbox.call(module(&["a", "b", "c"]));
        outbox.call(module(&["d"]));
        let items: Vec<_> = outbox.drain().into_iter().filter(|item| matches!(item, Item::Call(_))).collect();
        assert_eq!(items, [Item::Call(Invalidation::Global), Item::Call(module(&["d"]))]);
        assert_eq!(reports(&outbox), []);
    }
}
