//! What the handle of a subscription shares with the listener's thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::event::{Event, SharedObserver, State};
use crate::error::Error;

/// Where a subscription is in its life, and its observer, which is told of every step in the moment it is taken.
///
/// The thread takes the steps, but for the one to [`State::Stopped`]: closing a handle takes that one, in the thread of
/// the call. It is the last, so that nothing which the listener's thread is about to say undoes it.
pub(super) struct SubscriptionState {
    /// Unique among those of a connection.
    pub id: u64,
    observer: SharedObserver,
    current: Mutex<Current>,
    /// Whether it is stopped: looked at for every notification, which waits for no lock.
    stopped: AtomicBool,
}

struct Current {
    state: State,
    since: SystemTime,
    /// What ended it.
    end: Option<Error>,
}

impl SubscriptionState {
    pub fn new(id: u64, observer: SharedObserver) -> Self {
        let current = Current { state: State::Connecting, since: SystemTime::now(), end: None };
        Self { id, observer, current: Mutex::new(current), stopped: AtomicBool::new(false) }
    }

    pub fn read(&self) -> (State, SystemTime) {
        let current = self.current.lock();
        (current.state, current.since)
    }

    /// Why it is stopped, if it is.
    pub fn end(&self) -> Option<Error> {
        self.current.lock().end.clone()
    }

    /// Hands a notification on.
    pub fn hear(&self, notification: Event<'_>) {
        if !self.stopped.load(Ordering::Acquire) {
            self.observer.event(notification);
        }
    }

    /// Tells of something that changes nothing.
    pub fn tell(&self, event: Event<'_>) {
        let state = self.read().0;
        self.enter(state, event);
    }

    /// Moves on to `state` and tells of that as one step: when the observer has passed the event on, the state can be
    /// read, and when the state can be read, all that the observer does at once is done.
    pub fn enter(&self, state: State, event: Event<'_>) {
        self.step(state, event, None);
    }

    /// Moves on to the end, because its handle is closed.
    pub fn close(&self) {
        self.step(State::Stopped, Event::Stopping, Some(&Error::Stopped));
    }

    /// Moves on to the end, because it never will listen (again).
    pub fn fail(&self, error: &Error) {
        self.step(State::Stopped, Event::Failed { error }, Some(error));
    }

    /// Tells of the end. Nothing comes after that.
    pub fn ended(&self) {
        self.observer.event(Event::Stopped);
    }

    fn step(&self, state: State, event: Event<'_>, end: Option<&Error>) {
        let mut current = self.current.lock();
        if current.state == State::Stopped {
            return;
        }
        if current.state != state {
            *current = Current { state, since: SystemTime::now(), end: end.cloned() };
        }
        self.stopped.store(state == State::Stopped, Ordering::Release);
        self.observer.event(event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::event::Observer;
    use super::*;

    #[derive(Default)]
    struct Record(Mutex<Vec<String>>);

    impl Observer for Record {
        fn event(&self, event: Event<'_>) {
            self.0.lock().push(format!("{event:?}"));
        }
    }

    #[test]
    fn one_that_is_stopped_is_told_of_its_end_and_no_more() {
        let record = Arc::new(Record::default());
        let state = SubscriptionState::new(1, Arc::clone(&record) as SharedObserver);
        state.close();
        state.enter(State::Listening, Event::Listening { backend_pid: 1, server: None });
        state.enter(State::Reconnecting, Event::Lost { error: &Error::ConnectionClosed });
        state.tell(Event::Retrying { attempt: 1, error: &Error::ConnectionClosed });
        state.hear(Event::Notification { channel: "c", payload: "", process_id: 1 });
        state.fail(&Error::ConnectionClosed);
        assert_eq!(state.read().0, State::Stopped);
        assert!(matches!(state.end(), Some(Error::Stopped)));
        state.ended();
        assert_eq!(*record.0.lock(), ["Stopping", "Stopped"]);
    }
}
