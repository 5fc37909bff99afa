//! Callers who wait until all that was committed before they asked has been handed to the sink.
//!
//! Knows when which of them is served, and nothing of how a session brings that about.

use std::convert::Infallible;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Reply;
use super::deadlines::expire;
use crate::error::Error;

/// What somebody waits for, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Fence {
    /// Which transactions it covers.
    pub covers: Covers,
    /// It fails if it takes longer.
    pub limit: Duration,
    /// What it does when nothing is heard.
    pub in_gap: InGap,
}

/// Which transactions, of those that sent notifications, a fence covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Covers {
    /// Those whose commit was acknowledged to whoever made it, before the fence was asked for.
    ///
    /// Costs a round trip. PostgreSQL signals its listening sessions before it acknowledges a commit, so a session
    /// that is asked anything later has been told of it, and passes on what it was told before it answers.
    Acknowledged,
    /// Also those of whose end somebody knows by a lock that they held: PostgreSQL gives locks free *before* it
    /// signals, so who got such a lock may be ahead of the signal.
    ///
    /// Costs an echo, which is heavier: it takes its place in the queue of notifications, which is in the order of
    /// commits, and up to PostgreSQL 18 it wakes every session of the database that listens to anything.
    Released,
}

/// What a fence does while the listener is not listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InGap {
    /// It waits for the resync, which invalidates everything and so covers whatever was missed.
    Wait,
    /// It fails at once.
    Fail,
}

/// All who wait. Any thread asks; the listener's thread answers.
pub(super) struct Fences {
    queue: Mutex<Queue>,
    /// How many were ever asked for; a change wakes the listener's thread.
    asked: watch::Sender<u64>,
}

struct Queue {
    phase: Phase,
    waiting: Vec<Waiting>,
}

enum Phase {
    Gap,
    Listening,
    Closed(Error),
}

struct Waiting {
    fence: Fence,
    /// How many had been asked for before.
    ticket: u64,
    /// `None` if that is further away than time goes.
    deadline: Option<Instant>,
    reply: Reply,
}

impl Fences {
    pub fn new() -> Self {
        let queue = Queue { phase: Phase::Gap, waiting: Vec::new() };
        Self { queue: Mutex::new(queue), asked: watch::Sender::new(0) }
    }

    /// Takes one more, or refuses it.
    pub fn ask(&self, fence: Fence, reply: Reply) {
        let mut queue = self.queue.lock();
        let refusal = match &queue.phase {
            Phase::Closed(reason) => reason.clone(),
            Phase::Gap if fence.in_gap == InGap::Fail => Error::NotListening,
            Phase::Gap | Phase::Listening => {
                let ticket = self.mark();
                let deadline = Instant::now().checked_add(fence.limit);
                queue.waiting.push(Waiting { fence, ticket, deadline, reply });
                self.asked.send_modify(|asked| *asked += 1);
                return;
            }
        };
        drop(queue);
        reply(Err(refusal));
    }

    /// Tells those who have asked from those who are still to ask. What begins after the mark was taken covers
    /// everyone before it, and nobody after it.
    pub fn mark(&self) -> u64 {
        *self.asked.borrow()
    }

    /// Waits until somebody waits; gives the most that is wanted.
    pub async fn wanted(&self) -> Covers {
        let mut asked = self.asked.subscribe();
        loop {
            asked.mark_unchanged();
            if let Some(covers) = self.queue.lock().waiting.iter().map(|waiting| waiting.fence.covers).max() {
                return covers;
            }
            // It fails when the sender is gone, and that is our own.
            let _ = asked.changed().await;
        }
    }

    /// Lets everyone before `mark` through who wants no more than `covers`.
    pub fn pass(&self, mark: u64, covers: Covers) {
        self.answer(&Ok(()), |waiting| waiting.ticket < mark && waiting.fence.covers <= covers);
    }

    /// Fails everyone before `mark`.
    pub fn fail(&self, mark: u64, error: Error) {
        self.answer(&Err(error), |waiting| waiting.ticket < mark);
    }

    /// From now on somebody listens.
    pub fn listening(&self) {
        self.enter(Phase::Listening);
    }

    /// From now on nobody does.
    pub fn lost(&self) {
        self.enter(Phase::Gap);
        self.answer(&Err(Error::NotListening), |waiting| waiting.fence.in_gap == InGap::Fail);
    }

    /// Fails everyone, and everyone who comes later.
    pub fn close(&self, reason: &Error) {
        self.enter(Phase::Closed(reason.clone()));
        self.answer(&Err(reason.clone()), |_| true);
    }

    /// Fails everyone whose time is up, for ever.
    pub async fn expire(&self) -> Infallible {
        let next = || self.queue.lock().waiting.iter().filter_map(|waiting| waiting.deadline).min();
        expire(&self.asked, next, |now| self.fail_late(now)).await
    }

    fn fail_late(&self, now: Instant) {
        let late = |waiting: &Waiting| waiting.deadline.is_some_and(|deadline| deadline <= now);
        let limits: Vec<_> = self.take(late);
        for Waiting { fence, reply, .. } in limits {
            reply(Err(Error::FenceTimeout { limit: fence.limit }));
        }
    }

    /// Nothing follows after `Closed`.
    fn enter(&self, phase: Phase) {
        let mut queue = self.queue.lock();
        if !matches!(queue.phase, Phase::Closed(_)) {
            queue.phase = phase;
        }
    }

    fn answer(&self, outcome: &Result<(), Error>, whom: impl Fn(&Waiting) -> bool) {
        for waiting in self.take(whom) {
            (waiting.reply)(outcome.clone());
        }
    }

    /// Out of the lock, since a reply may ask again.
    fn take(&self, whom: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        self.queue.lock().waiting.extract_if(.., |waiting| whom(waiting)).collect()
    }
}
