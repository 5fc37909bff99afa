//! Which subscriptions share a connection, and what the server has yet to be told of that.
//!
//! Plain values of the listener's thread, which brings the session into line one statement at a time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use tokio::time::Instant;

use super::event::{Event, State};
use super::state::SubscriptionState;
use super::waiter::{Deadline, Waiter};
use crate::error::Error;

/// All subscriptions of a connection.
#[derive(Default)]
pub(super) struct Subscriptions {
    all: BTreeMap<u64, Subscription>,
    /// Those that hear something, by channel.
    routes: HashMap<String, Vec<Arc<SubscriptionState>>>,
    /// Whether there may be something to tell the server.
    changed: bool,
}

/// One observer's subscription to one channel, or to what happens to the connection alone.
pub(super) struct Subscription {
    pub channel: Option<String>,
    pub state: Arc<SubscriptionState>,
    pub phase: Phase,
    /// Answered when it listens (again), or never will.
    pub waiting: Vec<Waiter>,
    /// Answered when the server has been told of its end.
    pub leaving: Vec<Waiter>,
}

/// What the server is to know of a subscription, or to be told yet.
pub(super) enum Phase {
    /// LISTEN was never in force for it. It fails at the deadline.
    Wanted(Deadline),
    /// LISTEN is in force; in a gap, it was and will be again. The subscription that the connection begins with is in
    /// this phase from its start.
    Kept,
    /// Its handle was closed; UNLISTEN is still to be said.
    Leaving,
}

/// What a session has to do next about a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChannelCommand {
    /// To subscribe.
    Listen(String),
    /// To unsubscribe.
    Unlisten(String),
    /// Nothing: it has the channel, and one subscription more now shares it, or one fewer.
    Settle(String),
}

impl Subscriptions {
    pub fn add(&mut self, subscription: Subscription) {
        self.all.insert(subscription.state.id, subscription);
        self.change();
    }

    pub fn get(&mut self, id: u64) -> Option<&mut Subscription> {
        self.all.get_mut(&id)
    }

    /// Ends a subscription for its owner. The server is told first if that is needed and there is a session.
    pub fn leave(&mut self, id: u64, has_session: bool, waiter: Option<Waiter>) {
        let Some(subscription) = self.all.get_mut(&id) else {
            return waiter.into_iter().for_each(|waiter| waiter.answer(Ok(())));
        };
        subscription.leaving.extend(waiter);
        subscription.stop(&Error::Stopped);
        let was_kept = match std::mem::replace(&mut subscription.phase, Phase::Leaving) {
            Phase::Leaving => return,
            Phase::Kept => true,
            Phase::Wanted(_) => false,
        };
        let channel = subscription.channel.clone();
        let is_shared = self.all.values().any(|other| other.channel == channel && !other.is_leaving());
        self.change();
        if !was_kept || is_shared || !has_session {
            self.end(&Error::Stopped, |subscription| subscription.state.id == id);
        }
    }

    /// The channels that a session has to have from its start.
    pub fn kept(&self) -> HashSet<String> {
        let kept = self.all.values().filter(|subscription| subscription.is_kept());
        kept.filter_map(|subscription| subscription.channel.clone()).collect()
    }

    /// Hands a notification on to those that have its channel.
    pub fn hear(&self, channel: &str, notification: Event<'_>) {
        for state in self.routes.get(channel).into_iter().flatten() {
            state.hear(notification);
        }
    }

    /// What a session that has these channels has to do next, if anything.
    pub fn next(&mut self, present: &HashSet<String>) -> Option<ChannelCommand> {
        if !self.changed {
            return None;
        }
        // Whether it is wanted for a new subscription, by any subscription, and left by one.
        let mut channels: HashMap<&str, (bool, bool, bool)> =
            present.iter().map(|channel| (channel.as_str(), Default::default())).collect();
        for Subscription { channel, phase, .. } in self.all.values() {
            let Some(channel) = channel else { continue };
            let (is_new, is_wanted, is_left) = channels.entry(channel).or_default();
            *is_new |= matches!(phase, Phase::Wanted(_));
            *is_left |= matches!(phase, Phase::Leaving);
            *is_wanted |= !matches!(phase, Phase::Leaving);
        }
        let next = channels.into_iter().find_map(|(channel, (is_new, is_wanted, is_left))| {
            let channel = || channel.to_owned();
            match present.contains(&channel()) {
                true if !is_wanted => Some(ChannelCommand::Unlisten(channel())),
                true if is_new || is_left => Some(ChannelCommand::Settle(channel())),
                false if is_new => Some(ChannelCommand::Listen(channel())),
                _ => None,
            }
        });
        self.changed = next.is_some();
        next
    }

    /// The session has this channel: those that wanted it have it too, and those that were leaving are gone.
    pub fn settle(&mut self, channel: &str, listening: Event<'_>) {
        // First, because a subscription's successor may have the same observer.
        self.left(channel);
        let is_new = |subscription: &&mut Subscription| {
            subscription.has(channel) && matches!(subscription.phase, Phase::Wanted(_))
        };
        let new: Vec<_> = self.all.values_mut().filter(is_new).collect();
        let told = each(new.into_iter(), |subscription| {
            subscription.phase = Phase::Kept;
            subscription.listening(listening);
        });
        self.change();
        told.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// The session does not have this channel any more.
    pub fn left(&mut self, channel: &str) {
        self.end(&Error::Stopped, |subscription| subscription.has(channel) && subscription.is_leaving());
    }

    /// It never will listen.
    pub fn fail(&mut self, id: u64, error: &Error) {
        self.end(error, |subscription| subscription.state.id == id);
    }

    /// The server refuses LISTEN for this channel: fails all that wait for it.
    pub fn refused(&mut self, channel: &str, error: &Error) {
        self.end(error, |subscription| {
            subscription.has(channel) && matches!(subscription.phase, Phase::Wanted(_))
        });
    }

    /// A session listens to all channels that are [`kept`](Self::kept).
    pub fn listening(&mut self, event: Event<'_>) {
        self.each(|subscription| {
            if subscription.is_kept() {
                subscription.listening(event);
            }
        });
    }

    /// The session is lost.
    pub fn lost(&mut self, error: &Error) {
        let told = catch_unwind(AssertUnwindSafe(|| {
            self.each(|subscription| {
                if subscription.is_kept() {
                    subscription.state.enter(State::Reconnecting, Event::Lost { error });
                }
            });
        }));
        self.end(&Error::Stopped, |subscription| subscription.is_leaving());
        told.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Something happened that changes nothing.
    pub fn tell(&mut self, event: Event<'_>) {
        self.each(|subscription| match (&subscription.phase, event) {
            (Phase::Kept, _) | (Phase::Wanted(_), Event::Retrying { .. }) => subscription.state.tell(event),
            _ => {}
        });
    }

    /// The connection is about to end, and all subscriptions with it.
    pub fn stop(&mut self, reason: &Error) {
        self.each(|subscription| subscription.stop(reason));
    }

    /// The connection has ended, and all subscriptions with it.
    pub fn end_all(&mut self) {
        self.end(&Error::Stopped, |_| true);
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let deadlines = |subscription: &Subscription| {
            let waiting = subscription.waiting.iter().filter_map(|waiter| waiter.deadline.at()).min();
            let own = match &subscription.phase {
                Phase::Wanted(deadline) => deadline.at(),
                Phase::Kept | Phase::Leaving => None,
            };
            waiting.into_iter().chain(own).min()
        };
        self.all.values().filter_map(deadlines).min()
    }

    /// Fails what is late.
    pub fn expire(&mut self, now: Instant) {
        let mut late = Vec::new();
        for (id, subscription) in &mut self.all {
            Waiter::expire(&mut subscription.waiting, now);
            if let Phase::Wanted(deadline) = &subscription.phase {
                late.extend(deadline.missed(now).map(|error| (*id, error.clone())));
            }
        }
        late.into_iter().for_each(|(id, error)| self.fail(id, &error));
    }

    /// Takes some away for good, and answers what waits for them when their observers have been told.
    fn end(&mut self, reason: &Error, which: impl Fn(&Subscription) -> bool) {
        let ended: Vec<_> = self.all.values().filter(|each| which(each)).map(|each| each.state.id).collect();
        let mut ended: Vec<_> = ended.iter().filter_map(|id| self.all.remove(id)).collect();
        if ended.is_empty() {
            return;
        }
        self.change();
        let told = each(ended.iter_mut(), |subscription| {
            subscription.state.fail(reason);
            subscription.state.ended();
        });
        for Subscription { waiting, leaving, .. } in ended {
            waiting.into_iter().for_each(|waiter| waiter.answer(Err(reason.clone())));
            leaving.into_iter().for_each(|waiter| waiter.answer(Ok(())));
        }
        told.unwrap_or_else(|panic| resume_unwind(panic));
    }

    fn each(&mut self, tell: impl FnMut(&mut Subscription)) {
        each(self.all.values_mut(), tell).unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// To be called when subscriptions, or their phases, have changed.
    fn change(&mut self) {
        self.changed = true;
        self.routes.clear();
        for Subscription { channel, state, phase, .. } in self.all.values() {
            if let (Some(channel), Phase::Kept) = (channel, phase) {
                self.routes.entry(channel.clone()).or_default().push(Arc::clone(state));
            }
        }
    }
}

/// A panic keeps none of the others from being told.
fn each<'a>(
    subscriptions: impl Iterator<Item = &'a mut Subscription>,
    mut tell: impl FnMut(&mut Subscription),
) -> std::thread::Result<()> {
    subscriptions
        .map(|subscription| catch_unwind(AssertUnwindSafe(|| tell(subscription))))
        .fold(Ok(()), std::thread::Result::and)
}

impl Subscription {
    pub fn new(channel: Option<String>, state: Arc<SubscriptionState>, phase: Phase) -> Self {
        Self { channel, state, phase, waiting: Vec::new(), leaving: Vec::new() }
    }

    pub fn is_kept(&self) -> bool {
        matches!(self.phase, Phase::Kept)
    }

    fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving)
    }

    fn has(&self, channel: &str) -> bool {
        self.channel.as_deref() == Some(channel)
    }

    fn listening(&mut self, event: Event<'_>) {
        self.state.enter(State::Listening, event);
        self.waiting.drain(..).for_each(|waiter| waiter.answer(Ok(())));
    }

    fn stop(&mut self, reason: &Error) {
        let told = catch_unwind(AssertUnwindSafe(|| self.state.fail(reason)));
        self.waiting.drain(..).for_each(|waiter| waiter.answer(Err(reason.clone())));
        told.unwrap_or_else(|panic| resume_unwind(panic));
    }
}
