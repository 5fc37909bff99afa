//! Fences: waits until all that was committed before has been handed to the observers.
//!
//! Knows when which of them is through, and nothing of how a session brings that about.

use std::time::Duration;

use tokio::time::Instant;

use super::waiter::{Deadline, Waiter};
use crate::error::Error;

/// What is waited for, and for how long.
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
    /// Those whose commit was acknowledged to its client before the fence was asked for.
    ///
    /// Costs a round trip. PostgreSQL signals its listening sessions before it acknowledges a commit, so a session
    /// that is asked anything later has been told of it, and passes on what it was told before it answers.
    Acknowledged,
    /// Also those whose end is known by a lock that they held: PostgreSQL gives locks free *before* it signals, so the
    /// next holder of such a lock may be ahead of the signal.
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

impl Fence {
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.limit, Error::FenceTimeout { limit: self.limit })
    }
}

/// All fences that wait.
#[derive(Default)]
pub(super) struct Fences {
    /// How many there ever were.
    asked: u64,
    tickets: Vec<Ticket>,
}

struct Ticket {
    /// How many there had been before.
    number: u64,
    subscription: u64,
    fence: Fence,
    waiter: Waiter,
}

impl Fences {
    pub fn add(&mut self, subscription: u64, fence: Fence, waiter: Waiter) {
        self.tickets.push(Ticket { number: self.asked, subscription, fence, waiter });
        self.asked += 1;
    }

    /// Tells the fences that there are from those to come. What begins after the mark was taken covers all of the first
    /// and none of the others.
    pub fn mark(&self) -> u64 {
        self.asked
    }

    /// The most that is wanted, if anything is.
    pub fn wanted(&self) -> Option<Covers> {
        self.tickets.iter().map(|ticket| ticket.fence.covers).max()
    }

    /// Lets those before `mark` through that want no more than `covers`.
    pub fn pass(&mut self, mark: u64, covers: Covers) {
        self.answer(Ok(()), |ticket| ticket.number < mark && ticket.fence.covers <= covers);
    }

    /// Fails those before `mark`.
    pub fn fail(&mut self, mark: u64, error: Error) {
        self.answer(Err(error), |ticket| ticket.number < mark);
    }

    /// A gap has begun.
    pub fn lost(&mut self) {
        self.answer(Err(Error::NotListening), |ticket| ticket.fence.in_gap == InGap::Fail);
    }

    /// The connection ends.
    pub fn close(&mut self, reason: &Error) {
        self.answer(Err(reason.clone()), |_| true);
    }

    /// A subscription has ended.
    pub fn end(&mut self, subscription: u64, reason: &Error) {
        self.answer(Err(reason.clone()), |ticket| ticket.subscription == subscription);
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.tickets.iter().filter_map(|ticket| ticket.waiter.deadline.at()).min()
    }

    /// Fails those for which it is time to give up.
    pub fn expire(&mut self, now: Instant) {
        let is_late = |ticket: &mut Ticket| ticket.waiter.deadline.missed(now).is_some();
        let mut late = self.tickets.extract_if(.., is_late).map(|ticket| ticket.waiter).collect();
        Waiter::expire(&mut late, now);
    }

    fn answer(&mut self, outcome: Result<(), Error>, which: impl Fn(&Ticket) -> bool) {
        for ticket in self.tickets.extract_if(.., |ticket| which(ticket)) {
            ticket.waiter.answer(outcome.clone());
        }
    }
}
