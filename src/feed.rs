//! What a listener hears, made into bumps: the place where generations, payloads and listening meet.
//!
//! The rules for gaps are here: from the making of a feed until its listener listens, and again from the loss of its
//! session until it has resynchronised, the counters are unproven; and maps that are kept in JavaScript are to forget
//! everything once for each gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::error::Error;
use crate::generations::{Attachment, GenerationCounters, ListenerGuard};
use crate::listen::{Event, Observer, SharedObserver};
use crate::malformed::Malformed;
use crate::outbox::{Item, Outbox, Report};
use crate::payload::Invalidation;

/// What counters do in a gap: between the loss of a session and the resync. Before the first LISTEN and after the end
/// they are unproven in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnGap {
    /// They are unproven: nothing is "unchanged".
    #[default]
    Discard,
    /// They go on as if nothing could be missed, and everything is invalidated after the gap.
    Trust,
}

/// What is to be fed.
pub struct FeedOptions {
    /// Counters to bump, in the thread that reads the socket.
    pub counters: Option<Arc<GenerationCounters>>,
    /// Whether invalidations are also queued as calls.
    pub queue_calls: bool,
    /// The most calls that wait at a time.
    pub max_queued_calls: usize,
    /// See [`OnGap`].
    pub on_gap: OnGap,
}

/// Counts since construction.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Notifications on the channel, malformed ones included.
    pub notifications: u64,
    /// Module URLs among them.
    pub module_bumps: u64,
    /// Realm invalidations among them.
    pub realm_bumps: u64,
    /// Global invalidations among them. (The global bump that ends a gap is not counted here.)
    pub global_bumps: u64,
    /// Payloads that are no invalidation.
    pub malformed: u64,
    /// Times a session was lost.
    pub gaps: u64,
    /// How many of them were for a notification that could not be converted to UTF-8.
    pub undecodable: u64,
    /// Times a lost session was replaced.
    pub reconnects: u64,
    /// When the latest notification came.
    pub last_notification: Option<SystemTime>,
    /// When the latest heartbeat came back.
    pub last_echo: Option<SystemTime>,
    /// How long it took.
    pub echo_round_trip: Option<Duration>,
    /// The server's process id of the session, while there is one.
    pub backend_pid: Option<i32>,
    /// Which server it is, while there is a session and the server says.
    pub server: Option<String>,
}

/// One user's counters and calls, fed by one listener after another. All methods can be called from any thread.
pub struct Feed {
    counters: Option<Arc<GenerationCounters>>,
    queue_calls: bool,
    on_gap: OnGap,
    outbox: Outbox,
    tally: Mutex<Tally>,
    malformed: Mutex<Malformed>,
    /// The hold on the counters until the first listener has it.
    waiting: Mutex<Option<ListenerGuard>>,
    /// A later first LISTEN of a new listener resynchronises, since the earlier ones may have missed something.
    has_listened: AtomicBool,
}

impl Feed {
    /// A feed without a listener; `wake` is called when there is something to [`drain`](Self::drain).
    ///
    /// From now on the counters are unproven until a listener listens, also if the feed is dropped: who made it means
    /// to have a listener, and may have forgotten to start it. Only [`retire`](Self::retire) and the end of a listener
    /// change that, and the [`Attachment`] that [`waiting`](Self::waiting) gives.
    pub fn new(options: FeedOptions, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            waiting: Mutex::new(options.counters.as_ref().map(GenerationCounters::attach)),
            counters: options.counters,
            queue_calls: options.queue_calls,
            on_gap: options.on_gap,
            outbox: Outbox::new(options.max_queued_calls, wake),
            tally: Mutex::default(),
            malformed: Mutex::default(),
            has_listened: AtomicBool::new(false),
        }
    }

    /// Makes the sink for one listener. From now on, and until that listener listens, the counters are unproven.
    pub fn attach(self: &Arc<Self>) -> SharedObserver {
        let waiting = self.waiting.lock().take();
        let guard = waiting.or_else(|| self.counters.as_ref().map(GenerationCounters::attach));
        if let Some(guard) = &guard {
            guard.starting();
        }
        Arc::new(Attached { feed: Arc::clone(self), leaving: AtomicBool::new(false), guard })
    }

    /// No listener will come, unless one is attached later: ends the hold on the counters that is there from the
    /// beginning.
    pub fn retire(&self) {
        self.waiting.lock().take();
    }

    /// The hold on the counters that no listener has taken over yet.
    pub fn waiting(&self) -> Option<Attachment> {
        self.waiting.lock().as_ref().map(ListenerGuard::attachment)
    }

    /// Decodes one payload and bumps the counters; gives what it decoded.
    ///
    /// # Errors
    ///
    /// Anything that is no invalidation bumps nothing and is counted. It comes with a report, unless the latest is so
    /// recent that this one is held back, for [`report_malformed`](Self::report_malformed).
    pub fn dispatch<'a>(&self, payload: &'a str) -> Result<Invalidation<'a>, Option<Report>> {
        let invalidation = Invalidation::decode(payload);
        self.count(invalidation.as_ref());
        match invalidation {
            Some(invalidation) => {
                self.bump(&invalidation);
                Ok(invalidation)
            }
            None => Err(self.malformed.lock().note(payload, Instant::now())),
        }
    }

    /// Queues the report of malformed payloads that is held back, if it is due; else gives how long until it is.
    pub fn report_malformed(&self) -> Option<Duration> {
        let now = Instant::now();
        let (report, wait) = {
            let mut malformed = self.malformed.lock();
            (malformed.due(now), malformed.held_for(now))
        };
        self.report_if_any(report);
        wait
    }

    /// Takes what JavaScript has yet to hear, oldest first.
    pub fn drain(&self) -> impl Iterator<Item = Item> {
        self.outbox.drain().into_iter()
    }

    /// The counts so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().clone()
    }

    fn bump(&self, invalidation: &Invalidation<'_>) {
        let Some(counters) = &self.counters else { return };
        match invalidation {
            Invalidation::Module { realm, modules } => {
                counters.bump_modules(realm, modules.iter().map(|module| &**module));
            }
            Invalidation::Realm { realm } => counters.bump_realm(realm),
            Invalidation::Global => counters.bump_global(),
        }
    }

    fn count(&self, invalidation: Option<&Invalidation<'_>>) {
        let mut tally = self.tally.lock();
        tally.notifications += 1;
        tally.last_notification = Some(SystemTime::now());
        match invalidation {
            Some(Invalidation::Module { modules, .. }) => tally.module_bumps += modules.len() as u64,
            Some(Invalidation::Realm { .. }) => tally.realm_bumps += 1,
            Some(Invalidation::Global) => tally.global_bumps += 1,
            None => tally.malformed += 1,
        }
    }

    fn connected(&self, backend_pid: i32, server: Option<&str>) {
        let mut tally = self.tally.lock();
        tally.backend_pid = Some(backend_pid);
        tally.server = server.map(str::to_owned);
    }

    fn disconnected(&self) {
        let mut tally = self.tally.lock();
        tally.backend_pid = None;
        tally.server = None;
    }

    fn flush_malformed(&self) {
        let report = self.malformed.lock().flush();
        self.report_if_any(report);
    }

    fn report_if_any(&self, report: Option<Report>) {
        if let Some(report) = report {
            self.outbox.report(report);
        }
    }

    /// Something may have been missed: everything counts as changed.
    fn resync(&self, guard: Option<&ListenerGuard>) {
        if let Some(guard) = guard {
            guard.listening();
        }
        if self.queue_calls && self.has_listened.swap(true, Ordering::Relaxed) {
            self.outbox.call(Invalidation::Global);
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(guard) = self.waiting.get_mut().take() {
            guard.abandon();
        }
    }
}

/// A feed with one listener attached to it.
struct Attached {
    feed: Arc<Feed>,
    /// Whether the listener is on its way out, and what it still meets no longer matters to anyone.
    leaving: AtomicBool,
    /// None if there are no counters.
    guard: Option<ListenerGuard>,
}

impl Attached {
    fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        if let Some(guard) = &self.guard {
            guard.leave();
        }
    }
}

impl Observer for Attached {
    fn event(&self, event: Event<'_>) {
        let Self { feed, guard, leaving } = self;
        match event {
            Event::Stopped => {
                feed.disconnected();
                feed.flush_malformed();
                feed.outbox.report(Report::Stopped);
            }
            // A late notification is still worth a bump; anything else would only confuse.
            event if leaving.load(Ordering::Relaxed) && !matches!(event, Event::Notification { .. }) => {}
            Event::Notification { payload, .. } => match feed.dispatch(payload) {
                Ok(invalidation) if feed.queue_calls => feed.outbox.call(invalidation.into_owned()),
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
                feed.outbox.report(Report::Listening);
            }
            Event::Resynced { gap, backend_pid, server } => {
                feed.resync(guard.as_ref());
                feed.connected(backend_pid, server);
                feed.tally.lock().reconnects += 1;
                feed.outbox.report(Report::Resynced { gap });
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
                feed.outbox.report(lost(error));
            }
            Event::Retrying { attempt, error } => {
                feed.outbox.report(Report::Retrying { attempt, cause: error.to_string() });
            }
            Event::Failed { error } => {
                self.leave();
                feed.outbox.report(lost(error));
            }
            Event::Stopping => self.leave(),
        }
    }
}

fn lost(error: &Error) -> Report {
    Report::Lost { cause: error.to_string(), code: error.code() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generations::{Options, Verdict};

    fn feed(on_gap: OnGap) -> (Arc<Feed>, Arc<GenerationCounters>) {
        let counters = Arc::new(GenerationCounters::new(Options::default()));
        let options = FeedOptions {
            counters: Some(Arc::clone(&counters)),
            queue_calls: true,
            max_queued_calls: 10,
            on_gap,
        };
        (Arc::new(Feed::new(options, || {})), counters)
    }

    const LISTENING: Event<'static> = Event::Listening { backend_pid: 1, server: None };
    const RESYNCED: Event<'static> = Event::Resynced { gap: Duration::ZERO, backend_pid: 2, server: None };
    const LOST: Event<'static> = Event::Lost { error: &Error::ConnectionClosed };

    fn notification(payload: &str) -> Event<'_> {
        Event::Notification { channel: "c", payload, process_id: 1 }
    }

    fn calls(feed: &Feed) -> Vec<Invalidation<'static>> {
        let only = |item| match item {
            Item::Call(invalidation) => Some(invalidation),
            Item::Report { .. } => None,
        };
        feed.drain().filter_map(only).collect()
    }

    fn reports(feed: &Feed) -> Vec<Report> {
        let only = |item| match item {
            Item::Report { report, .. } => Some(report),
            Item::Call(_) => None,
        };
        feed.drain().filter_map(only).collect()
    }

    #[test]
    fn a_gap_is_one_global_call_and_the_first_listen_is_none() {
        let (feed, _) = feed(OnGap::Discard);
        let sink = feed.attach();
        sink.event(LISTENING);
        assert_eq!(calls(&feed), []);
        for _ in 0..3 {
            sink.event(LOST);
            sink.event(RESYNCED);
            assert_eq!(calls(&feed), [Invalidation::Global]);
        }
        sink.event(Event::Stopping);
        sink.event(Event::Stopped);
        assert_eq!(calls(&feed), []);
        let again = feed.attach();
        again.event(LISTENING);
        assert_eq!(calls(&feed), [Invalidation::Global]);
    }

    #[test]
    fn a_start_that_failed_is_not_a_first_listen() {
        let (feed, _) = feed(OnGap::Discard);
        feed.attach().event(Event::Failed { error: &Error::ConnectionClosed });
        feed.attach().event(LISTENING);
        assert_eq!(calls(&feed), []);
    }

    #[test]
    fn counters_are_unproven_from_the_making_of_the_feed_and_in_every_gap() {
        let (feed, counters) = feed(OnGap::Discard);
        let before = counters.snapshot();
        assert_eq!(counters.check(before, "r", "m"), Verdict::Unproven);
        assert!(counters.awaits_start());
        let sink = feed.attach();
        assert!(!counters.awaits_start());
        assert_eq!(counters.check(before, "r", "m"), Verdict::Unproven);
        sink.event(LISTENING);
        assert_eq!(counters.check(before, "r", "m"), Verdict::Changed);
        let listening = counters.snapshot();
        assert_eq!(counters.check(listening, "r", "m"), Verdict::Unchanged);
        sink.event(LOST);
        assert_eq!(counters.check(listening, "r", "m"), Verdict::Unproven);
        let during = counters.snapshot();
        sink.event(RESYNCED);
        assert_eq!(counters.check(during, "r", "m"), Verdict::Changed);
        sink.event(Event::Stopping);
        assert!(!counters.proven());
    }

    #[test]
    fn counters_that_trust_go_on_and_forget_after_the_gap() {
        let (feed, counters) = feed(OnGap::Trust);
        let sink = feed.attach();
        assert!(!counters.proven(), "that is no gap");
        sink.event(LISTENING);
        let before = counters.snapshot();
        sink.event(LOST);
        assert_eq!(counters.check(before, "r", "m"), Verdict::Unchanged);
        sink.event(RESYNCED);
        assert_eq!(counters.check(before, "r", "m"), Verdict::Changed);
        sink.event(Event::Stopping);
        assert!(!counters.proven(), "nor is that");
    }

    #[test]
    fn a_feed_that_is_forgotten_keeps_its_hold_until_it_is_told_to_leave() {
        let (forgotten, counters) = feed(OnGap::Discard);
        let attachment = forgotten.waiting().expect("it has counters, and no listener");
        drop(forgotten);
        assert!(!counters.proven() && counters.awaits_start() && attachment.holds());
        let listening = counters.attach();
        listening.listening();
        assert!(!counters.proven(), "the other may be missing something");
        let before = counters.snapshot();
        attachment.leave();
        assert!(counters.proven() && !attachment.holds());
        assert_eq!(counters.check(before, "r", "m"), Verdict::Changed, "a gap ended");
    }

    #[test]
    fn a_feed_that_is_retired_leaves_its_counters_unproven_and_can_be_used_again() {
        let (feed, counters) = feed(OnGap::Discard);
        feed.retire();
        assert!(!counters.proven() && !counters.awaits_start());
        assert!(feed.waiting().is_none());
        feed.attach().event(LISTENING);
        assert!(!counters.proven(), "its sink is gone");
        let sink = feed.attach();
        sink.event(LISTENING);
        assert!(counters.proven());
    }

    #[test]
    fn a_listener_that_is_trusted_is_a_listener() {
        let counters = Arc::new(GenerationCounters::new(Options::default().with_required_listener()));
        let options = FeedOptions {
            counters: Some(Arc::clone(&counters)),
            queue_calls: false,
            max_queued_calls: 10,
            on_gap: OnGap::Trust,
        };
        let sink = Arc::new(Feed::new(options, || {})).attach();
        assert!(!counters.proven());
        let before = counters.snapshot();
        sink.event(LISTENING);
        assert!(counters.proven());
        assert_eq!(counters.check(before, "r", "m"), Verdict::Changed);
    }

    #[test]
    fn a_listener_that_leaves_reports_its_end_and_no_more() {
        let (feed, counters) = feed(OnGap::Discard);
        let sink = feed.attach();
        sink.event(Event::Stopping);
        sink.event(LISTENING);
        sink.event(LOST);
        sink.event(RESYNCED);
        assert!(!counters.proven());
        sink.event(Event::Stopped);
        assert_eq!(reports(&feed), [Report::Stopped]);
    }

    #[test]
    fn a_notification_bumps_and_is_queued() {
        let (feed, counters) = feed(OnGap::Discard);
        let sink = feed.attach();
        sink.event(LISTENING);
        let before = counters.snapshot();
        sink.event(notification(r#"{"k":"realm","r":"r"}"#));
        assert!(counters.changed_since(before, "r", "m"));
        assert_eq!(calls(&feed), [Invalidation::Realm { realm: "r".into() }]);
    }

    #[test]
    fn the_end_reports_junk_that_was_held_back() {
        let (feed, _) = feed(OnGap::Discard);
        let sink = feed.attach();
        sink.event(notification("a"));
        sink.event(notification("b"));
        sink.event(Event::Stopping);
        sink.event(Event::Stopped);
        let junk = |payload: &str| Report::Malformed { payload: payload.into(), count: 1 };
        assert_eq!(reports(&feed), [junk("a"), junk("b"), Report::Stopped]);
        assert_eq!(feed.tally().malformed, 2);
    }
}
