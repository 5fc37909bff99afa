//! What shares somebody else's connection: the handle on one subscription.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::channels::Place;
use super::{Fence, InGap, Listens, Reply, Shared, State};
use crate::error::Error;

/// One channel of a listener, for one sink.
///
/// The sink is told what the sink of a listener of its own would be told: `Listening` when LISTEN is in force,
/// notifications, `Lost` and `Resynced`, and in the end `Stopped`. Dropping the subscription ends it without waiting.
pub struct Subscription {
    pub(super) shared: Arc<Shared>,
    pub(super) channel: String,
    pub(super) ticket: u64,
    pub(super) place: Arc<Place>,
}

impl Subscription {
    /// As [`when_listening`](Listens::when_listening), but with [`Error::Timeout`] after `limit`.
    pub fn when_listening_within(&self, limit: Duration, reply: Reply) {
        let late = Error::Timeout { address: "the server".into(), step: "LISTEN", limit };
        self.wait(Some((limit, late)), reply);
    }

    fn wait(&self, limit: Option<(Duration, Error)>, reply: Reply) {
        self.shared.channels.wait(&self.channel, self.ticket, &self.place, limit, reply);
    }
}

impl Listens for Subscription {
    fn when_listening(&self, reply: Reply) {
        self.wait(None, reply);
    }

    fn fence(&self, fence: Fence, reply: Reply) {
        match self.place.state().0 {
            State::Stopped => self.wait(None, reply),
            State::Connecting if fence.in_gap == InGap::Fail => reply(Err(Error::NotListening)),
            // Its first LISTEN invalidates everything, which covers whatever was committed before.
            State::Connecting => {
                self.wait(Some((fence.limit, Error::FenceTimeout { limit: fence.limit })), reply)
            }
            State::Listening | State::Reconnecting => self.shared.fences.ask(fence, reply),
        }
    }

    fn shut_down(&self, reply: Reply) {
        self.shared.channels.leave(&self.channel, self.ticket, reply);
    }

    fn state(&self) -> (State, SystemTime) {
        self.place.state()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // Nobody catches what a finalizer of JavaScript's collector lets through.
        let _ = catch_unwind(AssertUnwindSafe(|| self.shut_down(Box::new(drop))));
    }
}
