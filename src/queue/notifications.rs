//! The bounded queue of notifications. Knows nothing of what they say.
//!
//! The wire may bring more than the event loop takes. Each subscription has room for so many bytes; one that has more
//! waiting loses it all and is told so, and the others lose nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::listen::{Event, Observer, SharedObserver};

/// What a notification takes beside its payload, about.
const OVERHEAD: usize = 64;

/// Something for the handlers of one subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Whose it is: the number that its owner gave it.
    pub subscription: u32,
    /// What there is to say.
    pub content: Content,
}

/// What there is to say to handlers.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A notification arrived.
    Notification {
        /// Its payload.
        payload: String,
        /// The backend that sent it.
        process_id: i32,
    },
    /// Nothing was heard for so long; it is again.
    Gap(Duration),
    /// So many notifications arrived for which there was no room, or that cannot be converted to UTF-8.
    Overflow(u64),
}

/// Counts since construction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotificationTally {
    /// Notifications that arrived, for all subscriptions together.
    pub notifications: u64,
    /// How many of them were dropped: for want of room, or because they cannot be converted to UTF-8.
    pub dropped: u64,
}

/// The queue. Any thread may push; one takes.
pub struct NotificationQueue {
    queue: Mutex<Waiting>,
    /// The room of each subscription.
    max_bytes: usize,
    /// Called when the queue was empty and is no longer.
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Waiting {
    deliveries: VecDeque<Delivery>,
    /// What the notifications of each subscription take; without zeros.
    bytes: HashMap<u32, usize>,
    tally: NotificationTally,
}

impl NotificationQueue {
    /// A queue that holds `max_bytes` for each subscription; `wake` is called whenever there is something to take again.
    pub fn new(max_bytes: usize, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { queue: Mutex::default(), max_bytes, wake: Box::new(wake) }
    }

    /// Makes the observer of one subscription: its notifications and its gaps end up here.
    pub fn slot(self: &Arc<Self>, subscription: u32) -> SharedObserver {
        Arc::new(Slot { queue: Arc::clone(self), subscription })
    }

    /// Takes the oldest, so many at most.
    pub fn take(&self, most: usize) -> Vec<Delivery> {
        let mut queue = self.queue.lock();
        let count = most.min(queue.deliveries.len());
        let taken: Vec<_> = queue.deliveries.drain(..count).collect();
        for delivery in &taken {
            queue.release(delivery);
        }
        taken
    }

    /// The counts so far.
    pub fn tally(&self) -> NotificationTally {
        self.queue.lock().tally
    }

    fn notification(&self, subscription: u32, payload: &str, process_id: i32) {
        self.push(|queue| {
            queue.tally.notifications += 1;
            let bytes = queue.bytes.get(&subscription).copied().unwrap_or_default() + size(payload);
            if bytes > self.max_bytes {
                return queue.overflow(subscription);
            }
            queue.bytes.insert(subscription, bytes);
            let content = Content::Notification { payload: payload.to_owned(), process_id };
            queue.deliveries.push_back(Delivery { subscription, content });
        });
    }

    fn undecodable(&self, subscription: u32) {
        self.push(|queue| {
            queue.tally.notifications += 1;
            queue.tally.dropped += 1;
            match queue.latest(subscription) {
                Some(Content::Overflow(dropped)) => *dropped += 1,
                _ => queue.deliveries.push_back(Delivery { subscription, content: Content::Overflow(1) }),
            }
        });
    }

    fn gap(&self, subscription: u32, gap: Duration) {
        self.push(|queue| {
            // A connection that comes and goes while nobody takes anything must not fill the memory either.
            match queue.latest(subscription) {
                Some(Content::Gap(before)) => *before += gap,
                _ => queue.deliveries.push_back(Delivery { subscription, content: Content::Gap(gap) }),
            }
        });
    }

    fn push(&self, change: impl FnOnce(&mut Waiting)) {
        let wakes = {
            let mut queue = self.queue.lock();
            let was_empty = queue.deliveries.is_empty();
            change(&mut queue);
            was_empty
        };
        if wakes {
            (self.wake)();
        }
    }
}

impl Waiting {
    fn latest(&mut self, subscription: u32) -> Option<&mut Content> {
        let delivery =
            self.deliveries.iter_mut().rev().find(|delivery| delivery.subscription == subscription)?;
        Some(&mut delivery.content)
    }

    /// Drops all that waits for a subscription, and one more that has no room.
    fn overflow(&mut self, subscription: u32) {
        let mut dropped = 1;
        let mut earlier = 0;
        self.deliveries.retain(|delivery| match delivery {
            delivery if delivery.subscription != subscription => true,
            Delivery { content: Content::Notification { .. }, .. } => {
                dropped += 1;
                false
            }
            Delivery { content: Content::Overflow(count), .. } => {
                earlier += count;
                false
            }
            Delivery { content: Content::Gap(_), .. } => true,
        });
        self.bytes.remove(&subscription);
        self.tally.dropped += dropped;
        self.deliveries.push_back(Delivery { subscription, content: Content::Overflow(dropped + earlier) });
    }

    fn release(&mut self, delivery: &Delivery) {
        if let Content::Notification { payload, .. } = &delivery.content
            && let Some(bytes) = self.bytes.get_mut(&delivery.subscription)
        {
            *bytes -= size(payload);
            if *bytes == 0 {
                self.bytes.remove(&delivery.subscription);
            }
        }
    }
}

fn size(payload: &str) -> usize {
    payload.len() + OVERHEAD
}

struct Slot {
    queue: Arc<NotificationQueue>,
    subscription: u32,
}

impl Observer for Slot {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Notification { payload, process_id, .. } => {
                self.queue.notification(self.subscription, payload, process_id);
            }
            Event::Undecodable { .. } => self.queue.undecodable(self.subscription),
            Event::Resynced { gap, .. } => self.queue.gap(self.subscription, gap),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
