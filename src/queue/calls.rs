//! The bounded queue of calls, reports and answers.
//!
//! Reports and answers are few by construction. Calls are as many as the wire brings, while the event loop may be busy:
//! past the bound they collapse into one global invalidation, which covers them all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::error::Error;
use crate::listen::Reply;
use crate::payload::Invalidation;

/// Something that happened, for the operator of the process.
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

/// What came of something that JavaScript asked for.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The number that JavaScript gave it.
    pub id: u32,
    /// What came of it.
    pub outcome: Result<(), Error>,
}

/// One thing for JavaScript to do.
#[derive(Debug, Clone)]
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
    /// Settle a promise: all that it follows from is ahead of it in the queue.
    Answer(Answer),
}

/// The queue. Any thread may push; one drains.
pub struct CallQueue {
    queue: Mutex<Queued>,
    /// The most calls (module URLs, realms, globals) that wait at a time.
    max_calls: usize,
    /// Called when there is something to drain again, and with each answer that waits for nothing in the queue.
    wake: Box<dyn Fn(Option<Answer>) + Send + Sync>,
}

#[derive(Default)]
struct Queued {
    items: VecDeque<Item>,
    calls: usize,
    /// Whether it was woken since it was drained.
    awake: bool,
}

impl CallQueue {
    /// A queue of at most `max_calls` calls; `wake` is called whenever there is something to drain again, and with each
    /// answer that waits for nothing in the queue. It must not use the queue.
    pub fn new(max_calls: usize, wake: impl Fn(Option<Answer>) + Send + Sync + 'static) -> Self {
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

    /// Queues the answer to something that JavaScript asked for, as soon as there is one; `ahead` of all that is queued
    /// if that is not to be waited for.
    pub fn answer(self: &Arc<Self>, id: u32, reply: Reply, ahead: bool) {
        let queue = Arc::clone(self);
        reply.then(move |outcome| match (Answer { id, outcome }) {
            answer if ahead => (queue.wake)(Some(answer)),
            answer => queue.push(|queue| queue.items.push_back(Item::Answer(answer))),
        });
    }

    /// Takes everything, oldest first.
    pub fn drain(&self) -> VecDeque<Item> {
        std::mem::take(&mut *self.queue.lock()).items
    }

    fn push(&self, change: impl FnOnce(&mut Queued)) {
        let mut queue = self.queue.lock();
        change(&mut queue);
        if !queue.awake {
            (self.wake)(None);
            queue.awake = true;
        }
    }
}

impl Queued {
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
            Item::Report { .. } | Item::Answer(_) => true,
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
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn module(urls: &[&'static str]) -> Invalidation<'static> {
        Invalidation::Module { realm: "r".into(), modules: urls.iter().map(|&url| url.into()).collect() }
    }

    fn reports(queue: &CallQueue) -> Vec<Report> {
        let only = |item| match item {
            Item::Report { report, .. } => Some(report),
            Item::Call(_) | Item::Answer(_) => None,
        };
        queue.drain().into_iter().filter_map(only).collect()
    }

    #[test]
    fn it_wakes_once_for_each_time_it_fills() {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let queue = CallQueue::new(10, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        queue.report(Report::Listening);
        queue.report(Report::Stopped);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        queue.drain();
        queue.call(Invalidation::Global);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn past_the_bound_one_global_call_stands_for_all() {
        let queue = CallQueue::new(3, |_| {});
        queue.report(Report::Listening);
        queue.call(module(&["a", "b"]));
        queue.call(module(&["c", "d"]));
        let items = queue.drain();
        assert_eq!(items.len(), 3);
        assert!(matches!(items[1], Item::Call(Invalidation::Global)));
        assert!(matches!(items[2], Item::Report { report: Report::Overflow { dropped: 4 }, .. }));
        // Drained, it has its whole room back.
        queue.call(module(&["a", "b", "c"]));
        assert_eq!(queue.drain().len(), 1);
    }

    #[test]
    fn a_flood_nobody_drains_stays_one_call_and_one_report_and_counts_on() {
        let queue = CallQueue::new(2, |_| {});
        for _ in 0..1000 {
            queue.call(module(&["a", "b", "c"]));
        }
        let items = queue.drain();
        assert_eq!(items.len(), 2);
        assert!(matches!(items[1], Item::Report { report: Report::Overflow { dropped: 3000 }, .. }));
    }

    #[test]
    fn after_a_collapse_later_calls_still_queue_behind_it() {
        let queue = CallQueue::new(2, |_| {});
        queue.call(module(&["a", "b", "c"]));
        queue.call(module(&["d"]));
        let only = |item| match item {
            Item::Call(call) => Some(call),
            Item::Report { .. } | Item::Answer(_) => None,
        };
        let calls: Vec<_> = queue.drain().into_iter().filter_map(only).collect();
        assert_eq!(calls, [Invalidation::Global, module(&["d"])]);
        assert_eq!(reports(&queue), []);
    }

    #[test]
    fn an_answer_comes_after_what_it_follows_from_or_ahead_of_it_all() {
        let ahead = Arc::new(Mutex::new(Vec::new()));
        let woken = Arc::clone(&ahead);
        let queue = Arc::new(CallQueue::new(1, move |answer: Option<Answer>| {
            woken.lock().extend(answer.map(|answer| answer.id));
        }));
        queue.report(Report::Listening);
        queue.answer(1, Reply::known(Ok(())), false);
        queue.answer(2, Reply::known(Err(Error::Stopped)), true);
        // A collapse leaves it where it is.
        queue.call(module(&["a", "b"]));
        assert_eq!(*ahead.lock(), [2]);
        let items = queue.drain();
        assert!(matches!(items[0], Item::Report { report: Report::Listening, .. }));
        assert!(matches!(items[1], Item::Answer(Answer { id: 1, outcome: Ok(()) })));
        assert!(matches!(items[2], Item::Call(Invalidation::Global)));
    }

    #[test]
    fn a_wake_that_panics_is_tried_again() {
        let woken = AtomicUsize::new(0);
        let queue =
            CallQueue::new(1, move |_| assert!(woken.fetch_add(1, Ordering::Relaxed) != 0, "on purpose"));
        let report = || catch_unwind(AssertUnwindSafe(|| queue.report(Report::Listening))).is_ok();
        assert_eq!([report(), report(), report()], [false, true, true]);
        assert_eq!(queue.drain().len(), 3);
    }
}
