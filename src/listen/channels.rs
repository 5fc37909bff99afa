//! Who is subscribed to which channel of a listener, and what has yet to be said to the server about it.
//!
//! Any thread subscribes and leaves. The listener's thread brings the session into line, one statement at a time, and
//! tells those who wait when it has. Knows nothing of how a session does that.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Event, Reply, Sink, State};
use crate::error::Error;

/// All that is listened to on one connection, and for whom. As a sink it hands everything on.
pub(super) struct Channels {
    /// The listener's own sink and channels: the same from its start to its end.
    sink: Arc<dyn Sink>,
    own: HashSet<String>,
    /// Held while subscribers' sinks are called, so that who has left is told nothing more. Not while replies are: who
    /// is told may ask for more.
    book: Mutex<Book>,
    /// Wakes the listener's thread.
    changed: watch::Sender<()>,
}

struct Book {
    phase: Phase,
    /// Without empty lists.
    entries: HashMap<String, Vec<Entry>>,
    next_ticket: u64,
}

enum Phase {
    Gap,
    Listening { backend_pid: i32, server: Option<String> },
    Closed(Error),
}

struct Entry {
    ticket: u64,
    sink: Arc<dyn Sink>,
    standing: Standing,
    place: Arc<Place>,
    waiting: Vec<Waiting>,
    /// To be told of its end.
    leaving: Vec<Reply>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Standing {
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

/// Where a subscription is in its life, since when, and what ended it.
pub(super) struct Place(Mutex<(State, SystemTime, Option<Error>)>);

/// What a session has to do next about a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// To subscribe.
    Listen(String),
    /// To unsubscribe.
    Unlisten(String),
    /// Nothing: it has the channel, and somebody else now shares it, or does no longer.
    Settle(String),
}

/// Answers that wait until the book is closed.
#[derive(Default)]
struct Answers(Vec<(Reply, Result<(), Error>)>);

impl Channels {
    pub fn new(sink: Arc<dyn Sink>, own: Vec<String>) -> Self {
        let book = Book { phase: Phase::Gap, entries: HashMap::new(), next_ticket: 0 };
        Self { sink, own: own.into_iter().collect(), book: Mutex::new(book), changed: watch::Sender::new(()) }
    }

    /// Adds a subscriber, who fails unless LISTEN is in force for them within `limit`. Gives their ticket and place.
    pub fn add(&self, channel: &str, sink: Arc<dyn Sink>, limit: Duration) -> (u64, Arc<Place>) {
        let place = Arc::new(Place(Mutex::new((State::Connecting, SystemTime::now(), None))));
        let mut book = self.book.lock();
        let ticket = book.next_ticket;
        book.next_ticket += 1;
        let standing = Standing::Wanted { limit, deadline: Instant::now().checked_add(limit) };
        let entry = Entry {
            ticket,
            sink,
            standing,
            place: Arc::clone(&place),
            waiting: Vec::new(),
            leaving: Vec::new(),
        };
        if let Phase::Closed(reason) = &book.phase {
            entry.fail(reason, &mut Answers::default());
        } else {
            book.entries.entry(channel.to_owned()).or_default().push(entry);
            self.changed.send_replace(());
        }
        (ticket, place)
    }

    /// Calls `reply` as soon as the subscriber's channel is listened to (again), or with the reason why it never will
    /// be for them. `limit` is how long that may take, and the error if it takes longer.
    pub fn wait(
        &self,
        channel: &str,
        ticket: u64,
        place: &Place,
        limit: Option<(Duration, Error)>,
        reply: Reply,
    ) {
        let mut book = self.book.lock();
        let answer = match (place.state().0, book.find(channel, ticket)) {
            (State::Listening, _) => Ok(()),
            (State::Connecting | State::Reconnecting, Some(entry)) => {
                let deadline =
                    limit.and_then(|(limit, late)| Some((Instant::now().checked_add(limit)?, late)));
                entry.waiting.push(Waiting { deadline, reply });
                self.changed.send_replace(());
                return;
            }
            _ => Err(place.0.lock().2.clone().unwrap_or(Error::Stopped)),
        };
        drop(book);
        reply(answer);
    }

    /// Takes a subscriber away, who is told of nothing any more but the end. `reply` is called when the server has been
    /// told too, or at once where there is no need, and always with `Ok`.
    pub fn leave(&self, channel: &str, ticket: u64, reply: Reply) {
        let mut answers = Answers::default();
        let mut book = self.book.lock();
        let is_last = !self.own.contains(channel) && book.is_last(channel, ticket);
        let has_session = matches!(book.phase, Phase::Listening { .. });
        match book.find(channel, ticket) {
            None => answers.0.push((reply, Ok(()))),
            Some(entry) => {
                let was = entry.leave(&mut answers);
                entry.leaving.push(reply);
                if was != Standing::Leaving && !(was == Standing::Kept && is_last && has_session) {
                    book.take(&mut answers, |at, entry| at == channel && entry.ticket == ticket);
                }
                self.changed.send_replace(());
            }
        }
        drop(book);
        answers.give();
    }

    /// The channels that a session has to have from its start.
    pub fn kept(&self) -> HashSet<String> {
        let book = self.book.lock();
        let kept = book.entries.iter().filter(|(_, list)| list.iter().any(|e| e.standing == Standing::Kept));
        kept.map(|(channel, _)| channel).chain(&self.own).cloned().collect()
    }

    /// Waits until a session that has these channels has something to do about one.
    pub async fn step(&self, present: &HashSet<String>) -> Step {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(step) = self.next_step(present) {
                return step;
            }
            // It fails when the sender is gone, and that is our own.
            let _ = changed.changed().await;
        }
    }

    fn next_step(&self, present: &HashSet<String>) -> Option<Step> {
        let book = self.book.lock();
        for (channel, list) in &book.entries {
            let any = |what: fn(&Standing) -> bool| list.iter().any(|entry| what(&entry.standing));
            let (new, leaving) =
                (any(|s| matches!(s, Standing::Wanted { .. })), any(|s| *s == Standing::Leaving));
            let wanted = new || any(|s| *s == Standing::Kept) || self.own.contains(channel);
            match present.contains(channel) {
                true if !wanted => return Some(Step::Unlisten(channel.clone())),
                true if new || leaving => return Some(Step::Settle(channel.clone())),
                false if new => return Some(Step::Listen(channel.clone())),
                _ => {}
            }
        }
        let unwanted =
            |channel: &&String| !book.entries.contains_key(*channel) && !self.own.contains(*channel);
        present.iter().find(unwanted).map(|channel| Step::Unlisten(channel.clone()))
    }

    /// The session has this channel. Who was waiting for it has it too, and who was leaving is gone.
    pub fn settle(&self, channel: &str) {
        let mut answers = Answers::default();
        let mut book = self.book.lock();
        // First, because a subscriber's successor may have the same sink.
        book.take(&mut answers, |at, entry| at == channel && entry.standing == Standing::Leaving);
        let Book { phase, entries, .. } = &mut *book;
        if let Phase::Listening { backend_pid, server } = phase {
            let listening = Event::Listening { backend_pid: *backend_pid, server: server.as_deref() };
            for entry in entries.get_mut(channel).into_iter().flatten() {
                if matches!(entry.standing, Standing::Wanted { .. }) {
                    entry.standing = Standing::Kept;
                    entry.listening(listening, &mut answers);
                }
            }
        }
        drop(book);
        answers.give();
    }

    /// The session does not have this channel any more.
    pub fn left(&self, channel: &str) {
        self.take(|at, entry| at == channel && entry.standing == Standing::Leaving);
    }

    /// The server does not let us have this channel: fails all who are waiting for it.
    pub fn refused(&self, channel: &str, error: &Error) {
        self.fail(|at, standing| {
            (at == channel && matches!(standing, Standing::Wanted { .. })).then(|| error.clone())
        });
    }

    /// Fails everyone whose time is up, for ever.
    pub async fn expire(&self) -> Infallible {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let next = self.book.lock().next_deadline();
            let due = async {
                match next {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.fail_late(Instant::now()),
                _ = changed.changed() => {}
            }
        }
    }

    fn fail_late(&self, now: Instant) {
        self.fail(|_, standing| match standing {
            Standing::Wanted { limit, deadline: Some(deadline) } if deadline <= now => {
                Some(Error::Timeout { address: "the server".into(), step: "LISTEN", limit })
            }
            _ => None,
        });
        let mut answers = Answers::default();
        for entry in self.book.lock().entries.values_mut().flatten() {
            let is_late = |waiting: &mut Waiting| waiting.deadline.as_ref().is_some_and(|(at, _)| *at <= now);
            for Waiting { deadline, reply } in entry.waiting.extract_if(.., is_late) {
                answers.0.push((reply, deadline.map_or(Ok(()), |(_, late)| Err(late))));
            }
        }
        answers.give();
    }

    /// Takes away, as failed, everyone whom `reason` gives a reason for.
    fn fail(&self, reason: impl Fn(&str, Standing) -> Option<Error>) {
        let mut answers = Answers::default();
        let mut book = self.book.lock();
        for (channel, list) in &mut book.entries {
            let mut stay = Vec::with_capacity(list.len());
            for entry in list.drain(..) {
                match reason(channel, entry.standing) {
                    Some(error) => entry.fail(&error, &mut answers),
                    None => stay.push(entry),
                }
            }
            *list = stay;
        }
        book.entries.retain(|_, list| !list.is_empty());
        drop(book);
        answers.give();
    }

    fn take(&self, whom: impl Fn(&str, &Entry) -> bool) {
        let mut answers = Answers::default();
        self.book.lock().take(&mut answers, whom);
        answers.give();
    }

    /// Notes what happened to the session or the listener, and tells everyone whom it concerns. Who panics keeps nobody
    /// else from hearing of it.
    fn tell(&self, event: Event<'_>) {
        let mut answers = Answers::default();
        let mut book = self.book.lock();
        let was_closed = matches!(book.phase, Phase::Closed(_));
        book.enter(event);
        let mut told = Ok(());
        if !was_closed {
            for entry in book.entries.values_mut().flatten() {
                let outcome = catch_unwind(AssertUnwindSafe(|| entry.tell(event, &mut answers)));
                told = told.and(outcome);
            }
        }
        match event {
            Event::Lost { .. } => book.take(&mut answers, |_, entry| entry.standing == Standing::Leaving),
            Event::Stopped => book.take(&mut answers, |_, _| true),
            _ => {}
        }
        drop(book);
        answers.give();
        told.unwrap_or_else(|panic| resume_unwind(panic));
    }
}

impl Sink for Channels {
    fn event(&self, event: Event<'_>) {
        if let Event::Notification { channel, .. } = event {
            if self.own.contains(channel) {
                self.sink.event(event);
            }
            let book = self.book.lock();
            for entry in book.entries.get(channel).into_iter().flatten() {
                if entry.standing == Standing::Kept {
                    entry.sink.event(event);
                }
            }
            return;
        }
        let told = catch_unwind(AssertUnwindSafe(|| self.sink.event(event)));
        self.tell(event);
        told.unwrap_or_else(|panic| resume_unwind(panic));
    }
}

impl Book {
    fn find(&mut self, channel: &str, ticket: u64) -> Option<&mut Entry> {
        self.entries.get_mut(channel)?.iter_mut().find(|entry| entry.ticket == ticket)
    }

    /// Whether nobody else has the channel, or wants it.
    fn is_last(&self, channel: &str, ticket: u64) -> bool {
        let mut others =
            self.entries.get(channel).into_iter().flatten().filter(|entry| entry.ticket != ticket);
        others.all(|other| other.standing == Standing::Leaving)
    }

    /// Takes entries away for good.
    fn take(&mut self, answers: &mut Answers, whom: impl Fn(&str, &Entry) -> bool) {
        for (channel, list) in &mut self.entries {
            for entry in list.extract_if(.., |entry| whom(channel, entry)) {
                entry.end(Error::Stopped, answers);
            }
        }
        self.entries.retain(|_, list| !list.is_empty());
    }

    fn enter(&mut self, event: Event<'_>) {
        let next = match event {
            Event::Listening { backend_pid, server } | Event::Resynced { backend_pid, server, .. } => {
                Phase::Listening { backend_pid, server: server.map(str::to_owned) }
            }
            Event::Lost { .. } => Phase::Gap,
            Event::Failed { error } => Phase::Closed(error.clone()),
            Event::Stopping | Event::Stopped => Phase::Closed(Error::Stopped),
            _ => return,
        };
        if !matches!(self.phase, Phase::Closed(_)) {
            self.phase = next;
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let of = |entry: &Entry| {
            let own = match entry.standing {
                Standing::Wanted { deadline, .. } => deadline,
                Standing::Kept | Standing::Leaving => None,
            };
            let waiting = entry.waiting.iter().filter_map(|waiting| Some(waiting.deadline.as_ref()?.0));
            waiting.chain(own).min()
        };
        self.entries.values().flatten().filter_map(of).min()
    }
}

impl Entry {
    fn tell(&mut self, event: Event<'_>, answers: &mut Answers) {
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
            (Event::Failed { error }, _) => {
                self.place.enter(State::Stopped, Some(error.clone()));
                self.answer(&Err(error.clone()), answers);
                self.sink.event(event);
            }
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
    fn leave(&mut self, answers: &mut Answers) -> Standing {
        let was = std::mem::replace(&mut self.standing, Standing::Leaving);
        if was != Standing::Leaving {
            self.place.enter(State::Stopped, Some(Error::Stopped));
            self.answer(&Err(Error::Stopped), answers);
            self.sink.event(Event::Stopping);
        }
        was
    }

    fn fail(mut self, error: &Error, answers: &mut Answers) {
        self.place.enter(State::Stopped, Some(error.clone()));
        self.answer(&Err(error.clone()), answers);
        self.sink.event(Event::Failed { error });
        self.end(error.clone(), answers);
    }

    fn end(mut self, reason: Error, answers: &mut Answers) {
        self.place.enter(State::Stopped, Some(reason.clone()));
        self.answer(&Err(reason), answers);
        answers.0.extend(self.leaving.drain(..).map(|reply| (reply, Ok(()))));
        self.sink.event(Event::Stopped);
    }

    fn answer(&mut self, outcome: &Result<(), Error>, answers: &mut Answers) {
        answers.0.extend(self.waiting.drain(..).map(|waiting| (waiting.reply, outcome.clone())));
    }
}

impl Place {
    pub fn state(&self) -> (State, SystemTime) {
        let place = self.0.lock();
        (place.0, place.1)
    }

    /// Nothing follows after `Stopped`.
    fn enter(&self, state: State, reason: Option<Error>) {
        let mut place = self.0.lock();
        if place.0 != State::Stopped && place.0 != state {
            *place = (state, SystemTime::now(), reason);
        }
    }
}

impl Answers {
    fn give(self) {
        for (reply, outcome) in self.0 {
            reply(outcome);
        }
    }
}
