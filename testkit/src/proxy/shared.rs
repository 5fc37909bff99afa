//! What a proxy and its connections share: how they are to fail, and what has come of it.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::Direction;

pub struct Shared {
    pub upstream: Mutex<String>,
    pub rules: watch::Sender<Rules>,
    pub counts: Mutex<Counts>,
    pub counted: Condvar,
}

#[derive(Clone, Copy, Default)]
pub struct Rules {
    pub to_client: Flow,
    pub to_server: Flow,
    /// Bytes are written singly.
    pub trickling: bool,
    /// What comes is kept for this long first.
    pub delay: Duration,
    pub refusing: bool,
    pub dropped: bool,
    /// Rises with every cut; connections from before it end, in this way.
    pub age: u64,
    pub end: End,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Flow {
    #[default]
    Forward,
    /// Read and thrown away.
    Swallow,
    /// Not read, so that the sender's window fills up; delivered when healed.
    Hold,
}

#[derive(Clone, Copy, Default)]
pub enum End {
    #[default]
    Fin,
    Rst,
}

#[derive(Default)]
pub struct Counts {
    pub listening: bool,
    pub accepted: usize,
    /// The age of every open connection.
    pub open: Vec<u64>,
    /// Bytes thrown away.
    pub swallowed: usize,
    /// Bytes that may still go to clients, and what happens then.
    pub limit: Option<(usize, AtLimit)>,
    /// The number of connections, ever, at which all is held.
    pub hold_at: Option<usize>,
}

#[derive(Clone, Copy)]
pub enum AtLimit {
    Cut,
    Hold,
}

impl Rules {
    pub fn flow(&self, direction: Direction) -> Flow {
        if direction == Direction::ToClient { self.to_client } else { self.to_server }
    }
}

impl Shared {
    pub fn new(upstream: String) -> Self {
        Self {
            upstream: Mutex::new(upstream),
            rules: watch::Sender::default(),
            counts: Mutex::new(Counts { listening: true, ..Counts::default() }),
            counted: Condvar::new(),
        }
    }

    pub fn sever(&self, end: End) {
        self.rules.send_modify(|rules| {
            rules.age += 1;
            rules.end = end;
        });
    }

    pub fn set(&self, direction: Direction, flow: Flow) {
        self.rules.send_modify(|rules| {
            if direction != Direction::ToServer {
                rules.to_client = flow;
            }
            if direction != Direction::ToClient {
                rules.to_server = flow;
            }
        });
    }

    /// How many of these bytes may go to a client, and what happens then.
    pub fn allowance(&self, bytes: usize) -> (usize, Option<AtLimit>) {
        self.count(|counts| match counts.limit {
            None => (bytes, None),
            Some((left, then)) if bytes < left => {
                counts.limit = Some((left - bytes, then));
                (bytes, None)
            }
            Some((left, then)) => {
                counts.limit = None;
                // Under the lock of the counts, so that `heal` comes after it.
                if let AtLimit::Hold = then {
                    self.set(Direction::ToClient, Flow::Hold);
                }
                (left, Some(then))
            }
        })
    }

    /// Changes the counts, and wakes the threads that wait for them.
    pub fn count<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        let changed = change(&mut self.counts.lock());
        self.counted.notify_all();
        changed
    }
}
