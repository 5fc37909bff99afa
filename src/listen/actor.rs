//! What the listener's thread owns: where the connection is in its life, and all that is asked of it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::deadlines::sleep_until;
use super::event::{Event, Observer};
use super::fence::{Covers, Fence, Fences, InGap};
use super::state::SubscriptionState;
use super::subscriptions::{ChannelCommand, Phase, Subscription, Subscriptions};
use super::waiter::{Deadline, Waiter};
use crate::error::Error;

/// The subscription that a connection begins and ends with.
pub(super) const FIRST: u64 = 0;

/// What a handle asks of the thread.
pub(super) struct Request {
    pub subscription: Arc<SubscriptionState>,
    pub command: Command,
}

/// What it asks for its subscription.
pub(super) enum Command {
    /// To begin it, on this channel; it fails at the deadline.
    Subscribe(String, Deadline),
    /// To be told when it listens (again).
    Wait(Waiter),
    Fence(Fence, Waiter),
    /// To end it, and perhaps to be told when the server knows.
    Leave(Option<Waiter>),
}

/// Where a connection is in its life.
pub(super) enum Life {
    /// Never listened yet; gives up at the deadline.
    Starting { deadline: Instant },
    /// LISTEN is in force.
    Listening { since: Instant, backend_pid: i32, server: Option<String> },
    /// Nothing was heard since; never gives up.
    Gap { since: Instant },
    /// Closed, or failed. Nothing follows.
    Ending(Error),
}

/// What a session is to do next.
pub(super) enum Work {
    Heartbeat,
    Fence(Covers),
    Channel(ChannelCommand),
}

/// The thread's own state. Commands change it, and so does what a session meets.
pub(super) struct Actor {
    pub life: Life,
    pub fences: Fences,
    pub subscriptions: Subscriptions,
    /// No later than the next deadline. Seeking that takes a look at all there are, so it is not done for every command.
    alarm: Option<Instant>,
    /// Whether it is the turn of channels: neither they nor fences keep the other from theirs.
    channels_turn: bool,
}

impl Actor {
    pub fn new(first: Subscription, deadline: Instant) -> Self {
        let mut subscriptions = Subscriptions::default();
        subscriptions.add(first);
        let life = Life::Starting { deadline };
        Self { life, fences: Fences::default(), subscriptions, alarm: None, channels_turn: false }
    }

    /// Takes commands and keeps deadlines, until it is told to end.
    pub async fn attend(actor: &RefCell<Self>, requests: &mut UnboundedReceiver<Request>) {
        loop {
            let deadline = actor.borrow().alarm;
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                request = requests.recv() => {
                    if !request.is_some_and(|request| actor.borrow_mut().take(request)) {
                        return;
                    }
                }
                () = due => actor.borrow_mut().expire(Instant::now()),
            }
        }
    }

    /// Does what a handle asks; says whether it goes on after that.
    pub fn take(&mut self, Request { subscription, command }: Request) -> bool {
        let id = subscription.id;
        let deadline = match &command {
            Command::Subscribe(_, deadline) => deadline.at(),
            Command::Wait(waiter) | Command::Fence(_, waiter) => waiter.deadline.at(),
            Command::Leave(_) => None,
        };
        self.alarm = self.alarm.into_iter().chain(deadline).min();
        match command {
            Command::Subscribe(channel, deadline) => {
                let phase = Phase::Wanted(deadline);
                self.subscriptions.add(Subscription::new(Some(channel), subscription, phase));
                if let Life::Ending(reason) = &self.life {
                    self.subscriptions.fail(id, &reason.clone());
                }
            }
            Command::Wait(waiter) => self.wait(&subscription, waiter),
            Command::Fence(fence, waiter) => self.fence(&subscription, fence, waiter),
            Command::Leave(waiter) => {
                if id == FIRST {
                    if let Some(first) = self.subscriptions.get(id) {
                        first.leaving.extend(waiter);
                    }
                    self.end(&Error::Stopped);
                    return false;
                }
                self.fences.end(id, &Error::Stopped);
                let has_session = self.is_listening();
                self.subscriptions.leave(id, has_session, waiter);
            }
        }
        true
    }

    fn is_listening(&self) -> bool {
        matches!(self.life, Life::Listening { .. })
    }

    fn wait(&mut self, state: &SubscriptionState, waiter: Waiter) {
        let is_listening = self.is_listening();
        match (state.end(), self.subscriptions.get(state.id)) {
            (None, Some(subscription)) if is_listening && subscription.is_kept() => waiter.answer(Ok(())),
            (None, Some(subscription)) => subscription.waiting.push(waiter),
            (end, _) => waiter.answer(Err(end.unwrap_or(Error::Stopped))),
        }
    }

    fn fence(&mut self, state: &SubscriptionState, fence: Fence, waiter: Waiter) {
        let is_kept = self.subscriptions.get(state.id).is_some_and(|subscription| subscription.is_kept());
        if state.end().is_none() && !(self.is_listening() && is_kept) && fence.in_gap == InGap::Fail {
            return waiter.answer(Err(Error::NotListening));
        }
        if state.end().is_none() && is_kept {
            return self.fences.add(state.id, fence, waiter);
        }
        // Its first LISTEN invalidates everything, and so covers whatever was committed before.
        self.wait(state, waiter);
    }

    /// What a session that has these channels is to do next, as soon as there is something. It has no waker of its own:
    /// it is polled whenever the thread's one task is, which every command wakes.
    pub async fn work(actor: &RefCell<Self>, present: &HashSet<String>) -> Work {
        poll_fn(|_| actor.borrow_mut().next_work(present).map_or(Poll::Pending, Poll::Ready)).await
    }

    fn next_work(&mut self, present: &HashSet<String>) -> Option<Work> {
        self.channels_turn = !self.channels_turn;
        let fence = self.fences.wanted().map(Work::Fence);
        if fence.is_some() && !self.channels_turn {
            return fence;
        }
        self.subscriptions.next(present).map(Work::Channel).or(fence)
    }

    /// LISTEN is in force and proven.
    pub fn listening(&mut self, backend_pid: i32, server: Option<&str>) {
        let asked = self.fences.mark();
        let now = Instant::now();
        let life = Life::Listening { since: now, backend_pid, server: server.map(str::to_owned) };
        // Before it is told: an observer that panics on it has ended a session like any other.
        self.subscriptions.listening(match std::mem::replace(&mut self.life, life) {
            Life::Gap { since } => Event::Resynced { gap: now - since, backend_pid, server },
            _ => Event::Listening { backend_pid, server },
        });
        // Everything was invalidated: that covers the fences asked for before it.
        self.fences.pass(asked, Covers::Released);
    }

    /// The session has this channel.
    pub fn settle(&mut self, channel: &str) {
        if let Life::Listening { backend_pid, server, .. } = &self.life {
            let listening = Event::Listening { backend_pid: *backend_pid, server: server.as_deref() };
            self.subscriptions.settle(channel, listening);
        }
    }

    /// The session that listened is lost.
    pub fn lost(&mut self, error: &Error) {
        self.life = Life::Gap { since: Instant::now() };
        self.fences.lost();
        self.subscriptions.lost(error);
    }

    /// The connection is about to end.
    pub fn end(&mut self, reason: &Error) {
        if let Life::Ending(_) = self.life {
            return;
        }
        self.life = Life::Ending(reason.clone());
        self.fences.close(reason);
        self.subscriptions.stop(reason);
    }

    fn expire(&mut self, now: Instant) {
        self.fences.expire(now);
        self.subscriptions.expire(now);
        self.alarm = self.fences.next_deadline().into_iter().chain(self.subscriptions.next_deadline()).min();
    }
}

/// Hands on what is read from the connection.
impl Observer for RefCell<Actor> {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Notification { channel, .. } => self.borrow().subscriptions.hear(Some(channel), event),
            Event::Undecodable { channel, .. } => self.borrow().subscriptions.hear(channel, event),
            _ => {}
        }
    }
}
