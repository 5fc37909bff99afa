//! One who is subscribed to a channel: from the wish for LISTEN to its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::super::{Event, Reply, Sink, State};
use crate::error::Error;

/// A sink, how far the server has been told of its wish, and all who wait for that.
pub(super) struct Subscriber {
    ticket: u64,
    sink: Arc<dyn Sink>,
    standing: Standing,
    place: Arc<Place>,
    waiting: Vec<Waiting>,
    /// To be told of its end.
    leaving: Vec<Reply>,
}

/// What the server is to know, or to be told yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Standing {
    /// LISTEN was never in force for it.
    Wanted { limit: Duration, deadline: Option<Instant> },
    /// LISTEN is in force; in a gap, it was and will be again.
    Kept,
    /// Its owner has left; UNLISTEN is still to be said.
    Leaving,
}

struct Waiting {
    /// With the error it fails with then.
    deadline: Option<(Instant, Error)>,
    reply: Reply,
}

impl Subscriber {
    /// One for whom LISTEN has to be in force within `limit`.
    pub fn new(ticket: u64, sink: Arc<dyn Sink>, limit: Duration) -> Self {
        Self {
            ticket,
            sink,
            standing: Standing::Wanted { limit, deadline: Instant::now().checked_add(limit) },
            place: Arc::new(Place(Mutex::new((State::Connecting, SystemTime::now(), None)))),
            waiting: Vec::new(),
            leaving: Vec::new(),
        }
    }

    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    pub fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// To be answered when it is listened to (again), or when `limit` is over.
    pub fn wait(&mut self, limit: Option<(Duration, Error)>, reply: Reply) {
        let deadline = limit.and_then(|(limit, late)| Some((Instant::now().checked_add(limit)?, late)));
        self.waiting.push(Waiting { deadline, reply });
    }

    /// To be answered when it has ended.
    pub fn wait_for_end(&mut self, reply: Reply) {
        self.leaving.push(reply);
    }

    /// When somebody's patience ends next: its own, or that of one who waits.
    pub fn next_deadline(&self) -> Option<Instant> {
        let own = match self.standing {
            Standing::Wanted { deadline, .. } => deadline,
            Standing::Kept | Standing::Leaving => None,
        };
        let waiting = self.waiting.iter().filter_map(|waiting| Some(waiting.deadline.as_ref()?.0));
        waiting.chain(own).min()
    }

    /// Fails those who have waited for long enough.
    pub fn give_up(&mut self, now: Instant, answers: &mut Answers) {
        let is_late = |waiting: &mut Waiting| waiting.deadline.as_ref().is_some_and(|(at, _)| *at <= now);
        for Waiting { deadline, reply } in self.waiting.extract_if(.., is_late) {
            answers.add(reply, deadline.map_or(Ok(()), |(_, late)| Err(late)));
        }
    }

    /// Hands a notification on, if it has its channel.
    pub fn hear(&self, notification: Event<'_>) {
        if self.standing == Standing::Kept {
            self.sink.event(notification);
        }
    }

    /// LISTEN is in force, which is news for one that wanted it.
    pub fn keep(&mut self, listening: Event<'_>, answers: &mut Answers) {
        if matches!(self.standing, Standing::Wanted { .. }) {
            self.standing = Standing::Kept;
            self.listening(listening, answers);
        }
    }

    /// Something has happened to the session or the listener.
    pub fn tell(&mut self, event: Event<'_>, answers: &mut Answers) {
        match (event, self.standing) {
            (Event::Stopping, _) => {
                self.leave(answers);
            }
            (_, Standing::Leaving) => {}
            (Event::Resynced { .. }, Standing::Kept) => self.listening(event, answers),
            (Event::Lost { .. }, Standing::Kept) => {
                self.place.enter(State::Reconnecting, None);
                self.sink.event(event);
            }
            (Event::Echo { .. }, Standing::Kept) | (Event::Retrying { .. }, _) => self.sink.event(event),
            (Event::Failed { error }, _) => self.failed(error, answers),
            _ => {}
        }
    }

    /// Tells the sink and changes the state as one step: whoever has heard of it finds the state, and whoever finds the
    /// state can rely on all that the sink did.
    fn listening(&mut self, event: Event<'_>, answers: &mut Answers) {
        let mut place = self.place.0.lock();
        self.sink.event(event);
        *place = (State::Listening, SystemTime::now(), None);
        drop(place);
        self.answer(&Ok(()), answers);
    }

    /// Ends it for its owner; gives what it was before.
    pub fn leave(&mut self, answers: &mut Answers) -> Standing {
        let was = std::mem::replace(&mut self.standing, Standing::Leaving);
        if was != Standing::Leaving {
            self.place.enter(State::Stopped, Some(Error::Stopped));
            self.answer(&Err(Error::Stopped), answers);
            self.sink.event(Event::Stopping);
        }
        was
    }

    pub fn fail(mut self, error: &Error, answers: &mut Answers) {
        self.failed(error, answers);
        self.end(error.clone(), answers);
    }

    fn failed(&mut self, error: &Error, answers: &mut Answers) {
        self.place.enter(State::Stopped, Some(error.clone()));
        self.answer(&Err(error.clone()), answers);
        self.sink.event(Event::Failed { error });
    }

    pub fn end(mut self, reason: Error, answers: &mut Answers) {
        self.place.enter(State::Stopped, Some(reason.clone()));
        self.answer(&Err(reason), answers);
        self.leaving.drain(..).for_each(|reply| answers.add(reply, Ok(())));
        self.sink.event(Event::Stopped);
    }

    fn answer(&mut self, outcome: &Result<(), Error>, answers: &mut Answers) {
        self.waiting.drain(..).for_each(|waiting| answers.add(waiting.reply, outcome.clone()));
    }
}

/// Where a subscription is in its life, since when, and what ended it.
pub(in crate::listen) struct Place(Mutex<(State, SystemTime, Option<Error>)>);

impl Place {
    pub fn state(&self) -> (State, SystemTime) {
        let place = self.0.lock();
        (place.0, place.1)
    }

    /// What ended it.
    pub fn end(&self) -> Error {
        self.0.lock().2.clone().unwrap_or(Error::Stopped)
    }

    /// Nothing follows after `Stopped`.
    fn enter(&self, state: State, reason: Option<Error>) {
        let mut place = self.0.lock();
        if place.0 != State::Stopped && place.0 != state {
            *place = (state, SystemTime::now(), reason);
        }
    }
}

/// Answers that wait until no lock is held any more.
#[derive(Default)]
pub(super) struct Answers(Vec<(Reply, Result<(), Error>)>);

impl Answers {
    pub fn add(&mut self, reply: Reply, outcome: Result<(), Error>) {
        self.0.push((reply, outcome));
    }

    pub fn give(self) {
        for (reply, outcome) in self.0 {
            reply(outcome);
        }
    }
}
