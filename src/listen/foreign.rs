//! Listening that somebody else does, who says when it begins, and of whom nothing can be proven.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::{Event, Fence, Listens, Reply, Sink, State};
use crate::error::Error;

/// Stands in for a listener where notifications come by another way than a connection of ours.
pub struct Foreign {
    sink: Arc<dyn Sink>,
    status: Mutex<Status>,
}

struct Status {
    state: State,
    since: SystemTime,
    failure: Option<Error>,
    ended: bool,
    awaiting_start: Vec<Reply>,
    awaiting_end: Vec<Reply>,
}

impl Foreign {
    /// One that waits to be told how its start went.
    pub fn new(sink: Arc<dyn Sink>) -> Self {
        let status = Status {
            state: State::Connecting,
            since: SystemTime::now(),
            failure: None,
            ended: false,
            awaiting_start: Vec::new(),
            awaiting_end: Vec::new(),
        };
        Self { sink, status: Mutex::new(status) }
    }

    /// It has begun. Gives whether anybody still wants it.
    pub fn begun(&self) -> bool {
        let waiting = {
            let mut status = self.status.lock();
            if status.state != State::Connecting {
                return false;
            }
            self.sink.event(Event::Listening { backend_pid: 0, server: None });
            status.enter(State::Listening);
            std::mem::take(&mut status.awaiting_start)
        };
        answer(waiting, &Ok(()));
        true
    }

    /// It will not begin.
    pub fn failed(&self, error: Error) {
        let waiting = {
            let mut status = self.status.lock();
            if status.state != State::Connecting {
                return;
            }
            self.sink.event(Event::Failed { error: &error });
            status.enter(State::Stopped);
            status.failure = Some(error.clone());
            std::mem::take(&mut status.awaiting_start)
        };
        answer(waiting, &Err(error));
        self.ended();
    }

    /// It has ended, after [`shut_down`](Listens::shut_down).
    pub fn ended(&self) {
        let waiting = {
            let mut status = self.status.lock();
            if std::mem::replace(&mut status.ended, true) {
                return;
            }
            self.sink.event(Event::Stopped);
            std::mem::take(&mut status.awaiting_end)
        };
        answer(waiting, &Ok(()));
    }
}

impl Listens for Foreign {
    fn when_listening(&self, reply: Reply) {
        let mut status = self.status.lock();
        let answer = match status.state {
            State::Connecting => return status.awaiting_start.push(reply),
            State::Listening | State::Reconnecting => Ok(()),
            State::Stopped => Err(status.failure.clone().unwrap_or(Error::Stopped)),
        };
        drop(status);
        reply(answer);
    }

    fn fence(&self, _: Fence, reply: Reply) {
        let stopped = self.state().0 == State::Stopped;
        reply(Err(if stopped { Error::Stopped } else { Error::Unprovable }));
    }

    fn shut_down(&self, reply: Reply) {
        let mut status = self.status.lock();
        let waiting = std::mem::take(&mut status.awaiting_start);
        if status.state != State::Stopped {
            self.sink.event(Event::Stopping);
            status.enter(State::Stopped);
        }
        if status.ended {
            drop(status);
            return reply(Ok(()));
        }
        status.awaiting_end.push(reply);
        drop(status);
        answer(waiting, &Err(Error::Stopped));
    }

    fn state(&self) -> (State, SystemTime) {
        let status = self.status.lock();
        (status.state, status.since)
    }
}

impl Status {
    fn enter(&mut self, state: State) {
        self.state = state;
        self.since = SystemTime::now();
    }
}

fn answer(replies: Vec<Reply>, outcome: &Result<(), Error>) {
    for reply in replies {
        reply(outcome.clone());
    }
}
