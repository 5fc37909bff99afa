//! What callers hold. What they ask for are commands to the listener's thread, which owns everything else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::actor::{Command, FIRST, Request};
use super::connect::Settings;
use super::event::{SharedObserver, State};
use super::fence::Fence;
use super::sql::check_channel;
use super::state::SubscriptionState;
use super::subscriptions::{Phase, Subscription};
use super::supervisor::Supervisor;
use super::thread;
use super::waiter::{Deadline, Reply, Waiter};
use crate::error::Error;

/// One observer's subscription to one channel, and the way to its connection.
///
/// The first subscription of a connection is made with it and ends it; all others [share](Self::subscribe) it. Dropping
/// a handle closes it without waiting. All methods can be called from any thread and return at once.
pub struct Listener {
    connection: Arc<Connection>,
    state: Arc<SubscriptionState>,
}

/// What the handles of one connection have in common. The thread has nothing of it.
struct Connection {
    requests: UnboundedSender<Request>,
    next_id: AtomicU64,
    /// All subscriptions that may not be stopped yet. Closing the first stops them in the moment of the call.
    members: Mutex<Vec<Weak<SubscriptionState>>>,
    /// Taken by the first to join.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Listener {
    /// Starts a thread, which begins to connect at once. `observer` hears what is sent to `channel`; without one, only
    /// what happens to the connection. The thread waits for `predecessor`, whatever it comes to, before it does
    /// anything.
    ///
    /// # Errors
    /// [`Error::Thread`] if the operating system gives no thread.
    pub fn spawn(
        settings: Settings,
        channel: Option<&str>,
        observer: SharedObserver,
        predecessor: Option<Reply>,
    ) -> Result<Self, Error> {
        let (requests, received) = unbounded_channel();
        let state = Arc::new(SubscriptionState::new(FIRST, observer));
        let first = Subscription::new(channel.map(str::to_owned), Arc::clone(&state), Phase::Kept);
        let thread = thread::spawn(move || {
            // Made here, because a session stays in one thread.
            let supervisor = Supervisor::new(settings, received, first);
            let _ = predecessor.map(Reply::wait);
            supervisor.run();
        })?;
        Ok(Self { connection: Connection::new(requests, &state, Some(thread)), state })
    }

    /// The handle of a subscription that failed before it came to a thread.
    pub fn failed(observer: SharedObserver, error: &Error) -> Self {
        let state = Arc::new(SubscriptionState::new(FIRST, observer));
        state.fail(error);
        state.ended();
        Self { connection: Connection::new(unbounded_channel().0, &state, None), state }
    }

    /// Listens to one more channel, for an observer of its own. Any number of subscriptions may share a channel: the
    /// first says LISTEN and the last UNLISTEN, each a round trip, and those in between cost none.
    ///
    /// It fails, alone, if the server refuses LISTEN, or if LISTEN is not in force after `limit`; in a gap it waits for
    /// the resync. From then on it lasts over every loss of the connection, until it is closed or the connection is.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] if `channel` is no [name](check_channel) of a channel; the observer is not told of that.
    pub fn subscribe(&self, channel: &str, observer: SharedObserver, limit: Duration) -> Result<Self, Error> {
        check_channel(channel).map_err(Error::InvalidOptions)?;
        let connection = Arc::clone(&self.connection);
        let state =
            Arc::new(SubscriptionState::new(connection.next_id.fetch_add(1, Ordering::Relaxed), observer));
        let listener = Self { connection, state };
        // Until it is sent, so that it is sent before the end of the connection or not at all.
        let mut members = self.connection.members.lock();
        if members.len() == members.capacity() {
            members.retain(|member| member.strong_count() > 0);
        }
        members.push(Arc::downgrade(&listener.state));
        if !listener.send(Command::Subscribe(channel.to_owned(), listening_within(limit))) {
            listener.state.fail(&self.end());
            listener.state.ended();
        }
        drop(members);
        Ok(listener)
    }

    /// Comes as soon as it is listening (again), at once if it is, or with the error if it ends first, or with
    /// [`Error::Timeout`] after `limit`.
    pub fn until_listening(&self, limit: Option<Duration>) -> Reply {
        self.ask(limit.map_or_else(Deadline::never, listening_within), Command::Wait)
    }

    /// Comes when all that was committed before this call has been handed to the observer; what that covers, and how
    /// long it may take, `fence` says. Fails when it ends first.
    ///
    /// Fences that are asked for while one is under way share the next: two round trips serve any number of callers.
    pub fn fence(&self, fence: Fence) -> Reply {
        self.ask(fence.deadline(), |waiter| Command::Fence(fence, waiter))
    }

    /// Ends it; comes when that is done, and always with `Ok`: of the first subscription, when the connection is closed,
    /// within two seconds whatever the network does; of another, when the server has been told, if it has to be. The
    /// state is [`State::Stopped`] at once, of a connection's first for all that share it. Can be called any number of
    /// times.
    pub fn close(&self) -> Reply {
        self.stop();
        let (waiter, answer) = Waiter::new(Deadline::never());
        if self.send(Command::Leave(Some(waiter))) { answer } else { Reply::known(Ok(())) }
    }

    /// Waits until the thread is gone that began with this subscription, if one did. After [`close`](Self::close) that is
    /// a matter of microseconds.
    pub fn join(&self) {
        if self.state.id != FIRST {
            return;
        }
        let thread = self.connection.thread.lock().take();
        if let Some(thread) = thread {
            // The thread catches panics itself and reports them; here is nothing left to do about one.
            let _ = thread.join();
        }
    }

    /// Where it is in its life, and since when.
    pub fn state(&self) -> (State, SystemTime) {
        self.state.read()
    }

    fn stop(&self) {
        if self.state.id != FIRST {
            return self.state.close();
        }
        let members = std::mem::take(&mut *self.connection.members.lock());
        members.iter().filter_map(Weak::upgrade).for_each(|member| member.close());
    }

    /// What ended it, or will have.
    fn end(&self) -> Error {
        self.state.end().unwrap_or(Error::Gone)
    }

    fn ask(&self, deadline: Deadline, command: impl FnOnce(Waiter) -> Command) -> Reply {
        if let Some(end) = self.state.end() {
            return Reply::known(Err(end));
        }
        let (waiter, answer) = Waiter::new(deadline);
        if self.send(command(waiter)) { answer } else { Reply::known(Err(self.end())) }
    }

    /// Whether there still is a thread to take it.
    fn send(&self, command: Command) -> bool {
        self.connection.requests.send(Request { subscription: Arc::clone(&self.state), command }).is_ok()
    }
}

impl Connection {
    fn new(
        requests: UnboundedSender<Request>,
        first: &Arc<SubscriptionState>,
        thread: Option<JoinHandle<()>>,
    ) -> Arc<Self> {
        let members = Mutex::new(vec![Arc::downgrade(first)]);
        Arc::new(Self { requests, next_id: AtomicU64::new(FIRST + 1), members, thread: Mutex::new(thread) })
    }
}

fn listening_within(limit: Duration) -> Deadline {
    Deadline::after(limit, Error::Timeout { address: "the server".into(), step: "LISTEN", limit })
}

impl Drop for Listener {
    fn drop(&mut self) {
        // What a finalizer of JavaScript's collector lets through would end the process.
        let _ = catch_unwind(AssertUnwindSafe(|| self.stop()));
        self.send(Command::Leave(None));
    }
}
