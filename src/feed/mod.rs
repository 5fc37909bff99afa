//! What a listener hears, made into bumps: the place where generations, payloads and listening meet.
//!
//! The rules for gaps are here: from the making of a feed until its listener listens, and again from the loss of its
//! session until it has resynchronised, the counters are unproven; and maps that are kept in JavaScript are to forget
//! everything once for each gap.

mod observer;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use self::observer::FeedObserver;
use crate::generations::{Attachment, GenerationCounters, ListenerGuard};
use crate::listen::SharedObserver;
use crate::malformed_throttle::MalformedThrottle;

use crate::payload::Invalidation;
use crate::queue::{Answer, CallQueue, Item, Report};

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
    queue: Arc<CallQueue>,
    tally: Mutex<Tally>,
    malformed: Mutex<MalformedThrottle>,
    /// The hold on the counters until the first listener has it.
    waiting: Mutex<Option<ListenerGuard>>,
    /// A later first LISTEN of a new listener resynchronises, since the earlier ones may have missed something.
    has_listened: AtomicBool,
}

impl Feed {
    /// A feed without a listener; `wake` is that of its [queue](CallQueue::new).
    ///
    /// From now on the counters are unproven until a listener listens, also if the feed is dropped: who made it means
    /// to have a listener, and may have forgotten to start it. Only [`retire`](Self::retire) and the end of a listener
    /// change that, and the [`Attachment`] that [`waiting`](Self::waiting) gives.
    pub fn new(options: FeedOptions, wake: impl Fn(Option<Answer>) + Send + Sync + 'static) -> Self {
        Self {
            waiting: Mutex::new(options.counters.as_ref().map(GenerationCounters::attach)),
            counters: options.counters,
            queue_calls: options.queue_calls,
            on_gap: options.on_gap,
            queue: Arc::new(CallQueue::new(options.max_queued_calls, wake)),
            tally: Mutex::default(),
            malformed: Mutex::default(),
            has_listened: AtomicBool::new(false),
        }
    }

    /// Makes the observer of one listener. From now on, and until that listener listens, the counters are unproven.
    pub fn attach(self: &Arc<Self>) -> SharedObserver {
        let waiting = self.waiting.lock().take();
        let guard = waiting.or_else(|| self.counters.as_ref().map(GenerationCounters::attach));
        if let Some(guard) = &guard {
            guard.starting();
        }
        Arc::new(FeedObserver { feed: Arc::clone(self), guard })
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

    /// What JavaScript has yet to hear.
    pub fn queue(&self) -> &Arc<CallQueue> {
        &self.queue
    }

    /// Takes what JavaScript has yet to hear, oldest first.
    pub fn drain(&self) -> impl Iterator<Item = Item> {
        self.queue.drain().into_iter()
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
            self.queue.report(report);
        }
    }

    /// Something may have been missed: everything counts as changed.
    fn resync(&self, guard: Option<&ListenerGuard>) {
        if let Some(guard) = guard {
            guard.listening();
        }
        if self.queue_calls && self.has_listened.swap(true, Ordering::Relaxed) {
            self.queue.call(Invalidation::Global);
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
