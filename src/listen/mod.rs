//! A connection that LISTENs for ever, on a thread of its own.
//!
//! This module knows PostgreSQL's LISTEN and nothing of what a payload means: it hands [`Event`]s to a [`Sink`], in
//! the thread that reads the socket, with no queue in between.

mod authentication;
mod channels;
mod connect;
mod deadlines;
mod dial;
mod examine;
mod facts;
mod fences;
mod inbox;
mod lineage;
mod session;
mod sql;
mod subscription;
mod thread;
mod timings;
mod tls;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use self::channels::Channels;
pub use self::connect::{Answer, Ask, Conninfo, Settings, keywords};
pub use self::examine::{Findings, examine};
pub use self::facts::Fact;
use self::fences::Fences;
pub use self::fences::{Covers, Fence, InGap};
pub use self::sql::{IDENTITY, check_channel};
pub use self::subscription::Subscription;
pub use self::timings::Timings;
pub use self::tls::Verified;
use crate::error::Error;

/// Takes what a listener hears.
///
/// Called on the listener's thread, but for [`Event::Stopping`], which comes from the thread that shuts it down. The
/// socket is not read while a call lasts, so a sink must return at once, must never wait for I/O, and must not ask
/// the listener anything.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event<'_>);
}

/// What happens to a listener, in the order of its happening.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// LISTEN is in force and proven, for the first time since the start.
    Listening {
        /// The server's process id of our session.
        backend_pid: i32,
        /// Which server this is, see [`IDENTITY`]; `None` if it does not say.
        server: Option<&'a str>,
    },
    /// A notification on one of the channels.
    Notification {
        /// Its channel.
        channel: &'a str,
        /// Its payload; anyone who can connect to the database may have written it.
        payload: &'a str,
        /// The backend that sent it.
        process_id: i32,
    },
    /// A heartbeat came back.
    Echo {
        /// From sending to receiving.
        round_trip: Duration,
        /// When it came back.
        at: SystemTime,
    },
    /// The session ended, for whatever reason. Notifications may be missed from now on.
    Lost {
        /// The reason.
        error: &'a Error,
    },
    /// Attempts keep failing. Said of the 1st, 2nd, 4th, 8th, … in a row, so that a long outage stays quiet.
    Retrying {
        /// How many attempts failed in a row.
        attempt: u32,
        /// Why the latest did.
        error: &'a Error,
    },
    /// LISTEN is in force and proven again. What was sent during the gap is lost for good.
    Resynced {
        /// How long nothing was heard.
        gap: Duration,
        /// The server's process id of our new session.
        backend_pid: i32,
        /// Which server this is now.
        server: Option<&'a str>,
    },
    /// The first start gave up. The listener's thread ends.
    Failed {
        /// The reason.
        error: &'a Error,
    },
    /// Somebody asked the listener to stop. No event but `Stopped` counts after this one.
    Stopping,
    /// The connection is closed. The last event.
    Stopped,
}

/// Where a listener is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not running: shut down, or its start failed.
    Stopped,
    /// Trying to listen for the first time.
    Connecting,
    /// LISTEN is in force.
    Listening,
    /// It was listening and tries to again.
    Reconnecting,
}

/// Told the outcome of something that takes a while. Runs on the listener's thread or, if the outcome is known
/// already, on the caller's.
pub type Reply = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// A running listener: one thread, one connection.
///
/// Dropping it stops it without waiting; [`Listener::shut_down`] says when it has stopped. All methods can be called
/// from any thread and return at once.
pub struct Listener {
    shared: Arc<Shared>,
    /// Taken by whoever joins first.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Listener {
    /// Starts the thread, which begins to connect at once. It listens to `channels` for `sink`, to others for those who
    /// [`subscribe`](Self::subscribe). `predecessor` is a listener that is shutting down: the new
    /// thread waits for its end before it does anything.
    ///
    /// # Errors
    /// [`Error::Thread`] if the operating system gives no thread.
    pub fn spawn(
        settings: Settings,
        channels: Vec<String>,
        sink: Arc<dyn Sink>,
        predecessor: Option<Arc<Listener>>,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new(sink, channels));
        let worker = worker::Worker::new(settings, Arc::clone(&shared));
        let thread = thread::spawn(move || {
            if let Some(predecessor) = predecessor {
                predecessor.join();
            }
            worker.run();
        })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Listens to one more channel, for a sink of its own. Any number of subscriptions may share a channel: the first
    /// says LISTEN and the last UNLISTEN, each a round trip, and those in between cost none.
    ///
    /// It fails, alone, if the server refuses LISTEN, or if LISTEN is not in force after `limit`; in a gap it waits for
    /// the resync. From then on it lasts over every loss of the connection, until it is shut down or the listener is.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] if `channel` is no [name](check_channel) of a channel; the sink is not told of that.
    pub fn subscribe(
        &self,
        channel: &str,
        sink: Arc<dyn Sink>,
        limit: Duration,
    ) -> Result<Subscription, Error> {
        check_channel(channel).map_err(Error::InvalidOptions)?;
        let (ticket, place) = self.shared.channels.add(channel, sink, limit);
        Ok(Subscription { shared: Arc::clone(&self.shared), channel: channel.to_owned(), ticket, place })
    }

    /// Calls `reply` as soon as the listener is listening (again), at once if it is, or with the error if it stops
    /// first.
    pub fn when_listening(&self, reply: Reply) {
        let mut status = self.shared.status.lock();
        let answer = match status.state {
            State::Listening => Ok(()),
            State::Stopped => Err(status.failure.clone().unwrap_or(Error::Stopped)),
            State::Connecting | State::Reconnecting => return status.awaiting_listen.push(reply),
        };
        drop(status);
        reply(answer);
    }

    /// Calls `reply` when all that was committed before this call has been handed to the sink; what that covers, and
    /// how long it may take, `fence` says. Fails when the listener stops first.
    ///
    /// Whoever asks while a fence is under way shares the next with all others who do: two round trips serve any
    /// number of callers.
    pub fn fence(&self, fence: Fence, reply: Reply) {
        self.shared.fences.ask(fence, reply);
    }

    /// Stops the listener; `reply` is called when its connection is closed, within two seconds whatever the network
    /// does, and always with `Ok`. The state is [`State::Stopped`] at once. Can be called any number of times.
    pub fn shut_down(&self, reply: Reply) {
        self.stop();
        let mut status = self.shared.status.lock();
        if !status.ended {
            return status.awaiting_end.push(reply);
        }
        drop(status);
        reply(Ok(()));
    }

    /// Waits until the thread is gone. After `shut_down` has replied that is a matter of microseconds.
    pub fn join(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // The worker catches panics itself and reports them; here is nothing left to do about one.
            let _ = thread.join();
        }
    }

    /// Where the listener is in its life, and since when.
    pub fn state(&self) -> (State, SystemTime) {
        let status = self.shared.status.lock();
        (status.state, status.since)
    }

    fn stop(&self) {
        if self.state().0 == State::Stopped {
            return;
        }
        // The sink first: from the moment of this call nothing may be believed on the strength of this listener.
        self.shared.channels.event(Event::Stopping);
        self.shared.stop.cancel();
        self.shared.settle(State::Stopped, &Err(Error::Stopped));
    }
}

/// Something that listens, or is about to: on a connection of its own, or on somebody else's.
///
/// What the methods do is said of [`Listener`]'s.
#[allow(missing_docs, reason = "it is said there")]
pub trait Listens: Send + Sync {
    fn when_listening(&self, reply: Reply);
    fn fence(&self, fence: Fence, reply: Reply);
    fn shut_down(&self, reply: Reply);
    /// Waits until a thread of its own, if it has one, is gone.
    fn join(&self) {}
    fn state(&self) -> (State, SystemTime);
}

impl Listens for Listener {
    fn when_listening(&self, reply: Reply) {
        self.when_listening(reply);
    }

    fn fence(&self, fence: Fence, reply: Reply) {
        self.fence(fence, reply);
    }

    fn shut_down(&self, reply: Reply) {
        self.shut_down(reply);
    }

    fn join(&self) {
        self.join();
    }

    fn state(&self) -> (State, SystemTime) {
        self.state()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Nobody catches what a finalizer of JavaScript's collector lets through: it would end the process.
        if catch_unwind(AssertUnwindSafe(|| self.stop())).is_err() {
            self.shared.stop.cancel();
        }
    }
}

/// What the handle and the thread have in common.
struct Shared {
    stop: CancellationToken,
    fences: Fences,
    channels: Channels,
    /// A mutex, not atomics: who asks to be told must not slip in between a change and its telling.
    status: Mutex<Status>,
}

struct Status {
    state: State,
    since: SystemTime,
    failure: Option<Error>,
    awaiting_listen: Vec<Reply>,
    awaiting_end: Vec<Reply>,
    ended: bool,
}

impl Status {
    fn new() -> Self {
        Self {
            state: State::Connecting,
            since: SystemTime::now(),
            failure: None,
            awaiting_listen: Vec::new(),
            awaiting_end: Vec::new(),
            ended: false,
        }
    }

    /// Moves on to `state`; nothing follows after `Stopped`.
    fn enter(&mut self, state: State) {
        if self.state != State::Stopped && self.state != state {
            self.state = state;
            self.since = SystemTime::now();
        }
    }
}

impl Shared {
    fn new(sink: Arc<dyn Sink>, own: Vec<String>) -> Self {
        Self {
            stop: CancellationToken::new(),
            fences: Fences::new(),
            channels: Channels::new(sink, own),
            status: Mutex::new(Status::new()),
        }
    }

    fn enter(&self, state: State) {
        self.status.lock().enter(state);
    }

    /// Moves on to `Listening` and lets `announce` say so, as one step: whoever has heard of it finds the state, and
    /// whoever finds the state can rely on all that `announce` did.
    fn enter_listening(&self, announce: impl FnOnce()) {
        let asked = self.fences.mark();
        let mut status = self.status.lock();
        announce();
        status.enter(State::Listening);
        drop(status);
        // The resync has invalidated everything: that covers whoever asked before it.
        self.fences.listening();
        self.fences.pass(asked, Covers::Released);
    }

    fn enter_gap(&self) {
        self.enter(State::Reconnecting);
        self.fences.lost();
    }

    /// Moves on to `state` and tells everyone who waits for it how it went.
    fn settle(&self, state: State, outcome: &Result<(), Error>) {
        self.enter(state);
        let waiting = {
            let mut status = self.status.lock();
            if status.failure.is_none() {
                status.failure = outcome.clone().err();
            }
            std::mem::take(&mut status.awaiting_listen)
        };
        if let Err(reason) = outcome {
            self.fences.close(reason);
        }
        for reply in waiting {
            reply(outcome.clone());
        }
    }

    /// The thread's last act.
    fn end(&self) {
        let waiting = {
            let mut status = self.status.lock();
            status.ended = true;
            std::mem::take(&mut status.awaiting_end)
        };
        for reply in waiting {
            reply(Ok(()));
        }
    }
}
