//! Who is subscribed to which channel of a listener, and what has yet to be said to the server about it.
//!
//! Any thread subscribes and leaves. The listener's thread brings the session into line, one statement at a time, and
//! tells those who wait when it has. Knows nothing of how a session does that.

mod subscriber;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

pub(super) use self::subscriber::Place;
use self::subscriber::{Answers, Standing, Subscriber};
use super::deadlines::expire;
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
    subscribers: HashMap<String, Vec<Subscriber>>,
    next_ticket: u64,
}

enum Phase {
    Gap,
    Listening { backend_pid: i32, server: Option<String> },
    Closed(Error),
}

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

impl Channels {
    pub fn new(sink: Arc<dyn Sink>, own: Vec<String>) -> Self {
        let book = Book { phase: Phase::Gap, subscribers: HashMap::new(), next_ticket: 0 };
        Self { sink, own: own.into_iter().collect(), book: Mutex::new(book), changed: watch::Sender::new(()) }
    }

    /// Adds a subscriber, who fails unless LISTEN is in force for them within `limit`. Gives their ticket and place.
    pub fn add(&self, channel: &str, sink: Arc<dyn Sink>, limit: Duration) -> (u64, Arc<Place>) {
        let mut book = self.book.lock();
        let ticket = book.next_ticket;
        book.next_ticket += 1;
        let subscriber = Subscriber::new(ticket, sink, limit);
        let place = subscriber.place();
        if let Phase::Closed(reason) = &book.phase {
            subscriber.fail(reason, &mut Answers::default());
        } else {
            book.subscribers.entry(channel.to_owned()).or_default().push(subscriber);
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
            (State::Connecting | State::Reconnecting, Some(subscriber)) => {
                subscriber.wait(limit, reply);
                self.changed.send_replace(());
                return;
            }
            _ => Err(place.end()),
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
            None => answers.add(reply, Ok(())),
            Some(subscriber) => {
                let was = subscriber.leave(&mut answers);
                subscriber.wait_for_end(reply);
                if was != Standing::Leaving && !(was == Standing::Kept && is_last && has_session) {
                    book.take(&mut answers, |at, subscriber| at == channel && subscriber.ticket() == ticket);
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
        let kept =
            book.subscribers.iter().filter(|(_, list)| list.iter().any(|s| s.standing() == Standing::Kept));
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
        for (channel, list) in &book.subscribers {
            let any =
                |what: fn(&Standing) -> bool| list.iter().any(|subscriber| what(&subscriber.standing()));
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
            |channel: &&String| !book.subscribers.contains_key(*channel) && !self.own.contains(*channel);
        present.iter().find(unwanted).map(|channel| Step::Unlisten(channel.clone()))
    }

    /// The session has this channel. Who was waiting for it has it too, and who was leaving is gone.
    pub fn settle(&self, channel: &str) {
        let mut answers = Answers::default();
        let mut book = self.book.lock();
        // First, because a subscriber's successor may have the same sink.
        book.take(&mut answers, |at, subscriber| at == channel && subscriber.standing() == Standing::Leaving);
        let Book { phase, subscribers, .. } = &mut *book;
        if let Phase::Listening { backend_pid, server } = phase {
            let listening = Event::Listening { backend_pid: *backend_pid, server: server.as_deref() };
            for subscriber in subscribers.get_mut(channel).into_iter().flatten() {
                subscriber.keep(listening, &mut answers);
            }
        }
        drop(book);
        answers.give();
    }

    /// The session does not have this channel any more.
    pub fn left(&self, channel: &str) {
        self.take(|at, subscriber| at == channel && subscriber.standing() == Standing::Leaving);
    }

    /// The server does not let us have this channel: fails all who are waiting for it.
    pub fn refused(&self, channel: &str, error: &Error) {
        self.fail(|at, standing| {
            (at == channel && matches!(standing, Standing::Wanted { .. })).then(|| error.clone())
        });
    }

    /// Fails everyone whose time is up, for ever.
    pub async fn expire(&self) -> Infallible {
        expire(&self.changed, || self.book.lock().next_deadline(), |now| self.fail_late(now)).await
    }

    fn fail_late(&self, now: Instant) {
        self.fail(|_, standing| match standing {
            Standing::Wanted { limit, deadline: Some(deadline) } if deadline <= now => {
                Some(Error::Timeout { address: "the server".into(), step: "LISTEN", limit })
            }
            _ => None,
        });
        let mut answers = Answers::default();
        for subscriber in self.book.lock().subscribers.values_mut().flatten() {
            subscriber.give_up(now, &mut answers);
        }
        answers.give();
    }

    /// Takes away, as failed, everyone whom `reason` gives a reason for.
    fn fail(&self, reason: impl Fn(&str, Standing) -> Option<Error>) {
        let mut answers = Answers::default();
        let mut book = self.book.lock();
        for (channel, list) in &mut book.subscribers {
            let mut stay = Vec::with_capacity(list.len());
            for subscriber in list.drain(..) {
                match reason(channel, subscriber.standing()) {
                    Some(error) => subscriber.fail(&error, &mut answers),
                    None => stay.push(subscriber),
                }
            }
            *list = stay;
        }
        book.subscribers.retain(|_, list| !list.is_empty());
        drop(book);
        answers.give();
    }

    fn take(&self, whom: impl Fn(&str, &Subscriber) -> bool) {
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
            for subscriber in book.subscribers.values_mut().flatten() {
                let outcome = catch_unwind(AssertUnwindSafe(|| subscriber.tell(event, &mut answers)));
                told = told.and(outcome);
            }
        }
        match event {
            Event::Lost { .. } => {
                book.take(&mut answers, |_, subscriber| subscriber.standing() == Standing::Leaving)
            }
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
            for subscriber in book.subscribers.get(channel).into_iter().flatten() {
                subscriber.hear(event);
            }
            return;
        }
        let told = catch_unwind(AssertUnwindSafe(|| self.sink.event(event)));
        self.tell(event);
        told.unwrap_or_else(|panic| resume_unwind(panic));
    }
}

impl Book {
    fn find(&mut self, channel: &str, ticket: u64) -> Option<&mut Subscriber> {
        self.subscribers.get_mut(channel)?.iter_mut().find(|subscriber| subscriber.ticket() == ticket)
    }

    /// Whether nobody else has the channel, or wants it.
    fn is_last(&self, channel: &str, ticket: u64) -> bool {
        let mut all = self.subscribers.get(channel).into_iter().flatten();
        all.all(|each| each.ticket() == ticket || each.standing() == Standing::Leaving)
    }

    /// Takes some away for good.
    fn take(&mut self, answers: &mut Answers, whom: impl Fn(&str, &Subscriber) -> bool) {
        for (channel, list) in &mut self.subscribers {
            for subscriber in list.extract_if(.., |subscriber| whom(channel, subscriber)) {
                subscriber.end(Error::Stopped, answers);
            }
        }
        self.subscribers.retain(|_, list| !list.is_empty());
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
        self.subscribers.values().flatten().filter_map(Subscriber::next_deadline).min()
    }
}
