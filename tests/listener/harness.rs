//! A listener that feeds counters, and a record of all it went through.

use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pg_generations::error::Error;
use pg_generations::feed::{Feed, FeedOptions, OnGap};
use pg_generations::generations::{GenerationCounters, Options, Verdict};
use pg_generations::listen::{
    Event, Fence, Fields, Listener, Observer, Reply, Settings, SharedObserver, Timings,
};
use pg_generations::payload::CHANNEL;

use testkit::{Admin, DEADLINE};

pub const REALM: &str = "http://realm/";
pub const MODULE: &str = "http://realm/a.gts";

/// Counters, a feed, and listeners on it.
pub struct Harness {
    pub counters: Arc<GenerationCounters>,
    pub feed: Arc<Feed>,
    pub record: Arc<Record>,
}

/// What the observer was told: `"listening"`, `"lost PGGEN_…"`, `"notification …"`.
#[derive(Default)]
pub struct Record {
    events: Mutex<Vec<String>>,
    recorded: Condvar,
    /// Panics at the next event of this name.
    panic_at: Mutex<Option<&'static str>>,
}

struct Recorder {
    record: Arc<Record>,
    feed: SharedObserver,
}

impl Harness {
    pub fn new() -> Self {
        let counters = Arc::new(GenerationCounters::new(Options::default()));
        let feed = FeedOptions {
            counters: Some(Arc::clone(&counters)),
            queue_calls: false,
            max_queued_calls: 10,
            on_gap: OnGap::Discard,
        };
        Self { counters, feed: Arc::new(Feed::new(feed, |_| {})), record: Arc::default() }
    }

    /// Starts a listener; it may listen soon, or fail.
    pub fn spawn(&self, url: &str, timings: Timings) -> Arc<Listener> {
        self.spawn_after(url, timings, None)
    }

    pub fn spawn_after(
        &self,
        url: &str,
        timings: Timings,
        predecessor: Option<Arc<Listener>>,
    ) -> Arc<Listener> {
        let settings = Settings::new(Fields::from_url(url).unwrap(), timings).unwrap();
        self.spawn_with(settings, predecessor)
    }

    pub fn spawn_with(&self, settings: Settings, predecessor: Option<Arc<Listener>>) -> Arc<Listener> {
        let observer = Recorder { record: Arc::clone(&self.record), feed: self.feed.attach() };
        let predecessor = predecessor.map(|predecessor| predecessor.close());
        Arc::new(Listener::spawn(settings, Some(CHANNEL), Arc::new(observer), predecessor).unwrap())
    }

    /// Starts a listener and waits until it listens.
    pub fn listen(&self, url: &str, timings: Timings) -> Arc<Listener> {
        let listener = self.spawn(url, timings);
        started(&listener).unwrap();
        listener
    }

    pub fn check(&self, snapshot: u64) -> Verdict {
        self.counters.check(snapshot, REALM, MODULE)
    }

    /// Proves that the listener hears what is sent from now on.
    pub fn assert_hears(&self, admin: &Admin) {
        let snapshot = self.counters.snapshot();
        assert_eq!(self.check(snapshot), Verdict::Unchanged);
        let heard = self.record.count("notification");
        admin.notify(CHANNEL, r#"{"k":"module","r":"http://realm/","m":["http://realm/a.gts"]}"#);
        self.record.wait_for("notification", heard + 1);
        assert_eq!(self.check(snapshot), Verdict::Changed);
    }

    pub fn backend(&self) -> i32 {
        self.feed.tally().backend_pid.unwrap()
    }
}

impl Record {
    pub fn events(&self) -> Vec<String> {
        self.events.lock().clone()
    }

    /// How many events there were whose name or whole text is `event`.
    pub fn count(&self, event: &str) -> usize {
        count(&self.events.lock(), event)
    }

    pub fn wait_for(&self, event: &str, times: usize) {
        let mut events = self.events.lock();
        let late = self.recorded.wait_while_for(&mut events, |events| count(events, event) < times, DEADLINE);
        assert!(!late.timed_out(), "waited {DEADLINE:?} for {times} × {event} in {events:?}");
    }

    pub fn panic_at(&self, event: &'static str) {
        *self.panic_at.lock() = Some(event);
    }
}

fn count(events: &[String], event: &str) -> usize {
    events.iter().filter(|text| *text == event || text.split(' ').next() == Some(event)).count()
}

impl Observer for Recorder {
    fn event(&self, event: Event<'_>) {
        let text = match &event {
            Event::Listening { .. } => "listening".into(),
            Event::Notification { payload, .. } => format!("notification {payload}"),
            Event::Echo { .. } => "echo".into(),
            Event::Lost { error } => format!("lost {}", error.code()),
            Event::Retrying { attempt, error } => format!("retrying {attempt} {}", error.code()),
            Event::Resynced { .. } => "resynced".into(),
            Event::Failed { error } => format!("failed {}", error.code()),
            Event::Stopping => "stopping".into(),
            Event::Stopped => "stopped".into(),
            other => format!("{other:?}"),
        };
        let name = text.split(' ').next().map(str::to_owned);
        // The feed first: whoever waits for the record may rely on what the feed did.
        self.feed.event(event);
        self.record.events.lock().push(text);
        self.record.recorded.notify_all();
        let panics = self.record.panic_at.lock().take_if(|at| Some(*at) == name.as_deref()).is_some();
        assert!(!panics, "an observer that panics on purpose");
    }
}

/// Waits for the outcome of a start.
pub fn started(listener: &Listener) -> Result<(), Error> {
    wait(listener.until_listening(None))
}

/// Shuts down and waits for the end.
pub fn shut_down(listener: &Listener) {
    wait(listener.close()).unwrap();
    listener.join();
}

/// Waits for the outcome of a fence.
pub fn fence(listener: &Listener, fence: Fence) -> Result<(), Error> {
    wait(listener.fence(fence))
}

/// Waits for what comes of something.
pub fn wait(reply: Reply) -> Result<(), Error> {
    told(reply).recv_timeout(DEADLINE).expect("no reply")
}

/// What comes of something, when it does.
pub fn told(reply: Reply) -> mpsc::Receiver<Result<(), Error>> {
    let (sender, receiver) = mpsc::channel();
    // After the deadline it is not waited for any more.
    reply.then(move |outcome| drop(sender.send(outcome)));
    receiver
}

/// Default timings: nothing but the network decides what happens.
pub fn patient() -> Timings {
    Timings::default()
}

/// Short heartbeats, for tests of what they find.
pub fn watchful() -> Timings {
    Timings {
        heartbeat_interval: Duration::from_millis(50),
        heartbeat_timeout: Duration::from_millis(500),
        reconnect_max_delay: Duration::from_millis(200),
        ..Timings::default()
    }
}

/// Short heartbeats again, for tests in which none is late, though the machine may have much else to do.
pub fn unhurried() -> Timings {
    Timings { heartbeat_timeout: Duration::from_secs(6), ..watchful() }
}

/// A server that accepts and says nothing: its backlog takes connections, and nobody serves them.
pub fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/nothing", listener.local_addr().unwrap());
    (listener, url)
}
