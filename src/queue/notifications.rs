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
pub struct Mail {
    /// Whose it is: the number that its owner gave it.
    pub subscription: u32,
    /// What there is to say.
    pub message: Message,
}

/// What there is to say to handlers.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A notification arrived.
    Notification {
        /// Its payload.
        payload: String,
        /// The backend that sent it.
        process_id: i32,
    },
    /// Nothing was heard for so long; it is again.
    Gap(Duration),
    /// So many notifications arrived for which there was no room.
    Overflow(u64),
}

/// Counts since construction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MailTally {
    /// Notifications that arrived, for all subscriptions together.
    pub notifications: u64,
    /// How many of them were dropped for want of room.
    pub dropped: u64,
}

/// The queue. Any thread may push; one takes.
pub struct NotificationQueue {
    queue: Mutex<Queue>,
    /// The room of each subscription.
    max_bytes: usize,
    /// Called when the queue was empty and is no longer.
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    mail: VecDeque<Mail>,
    /// What the notifications of each subscription take; without zeros.
    bytes: HashMap<u32, usize>,
    tally: MailTally,
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
    pub fn take(&self, most: usize) -> Vec<Mail> {
        let mut queue = self.queue.lock();
        let count = most.min(queue.mail.len());
        let taken: Vec<_> = queue.mail.drain(..count).collect();
        for mail in &taken {
            queue.release(mail);
        }
        taken
    }

    /// The counts so far.
    pub fn tally(&self) -> MailTally {
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
            let message = Message::Notification { payload: payload.to_owned(), process_id };
            queue.mail.push_back(Mail { subscription, message });
        });
    }

    fn gap(&self, subscription: u32, gap: Duration) {
        self.push(|queue| {
            let latest = queue.mail.iter_mut().rev().find(|mail| mail.subscription == subscription);
            // A connection that comes and goes while nobody takes anything must not fill the memory either.
            match latest.map(|mail| &mut mail.message) {
                Some(Message::Gap(before)) => *before += gap,
                _ => queue.mail.push_back(Mail { subscription, message: Message::Gap(gap) }),
            }
        });
    }

    fn push(&self, change: impl FnOnce(&mut Queue)) {
        let wakes = {
            let mut queue = self.queue.lock();
            let was_empty = queue.mail.is_empty();
            change(&mut queue);
            was_empty
        };
        if wakes {
            (self.wake)();
        }
    }
}

impl Queue {
    /// Drops all that waits for a subscription, and one more that has no room.
    fn overflow(&mut self, subscription: u32) {
        let mut dropped = 1;
        let mut earlier = 0;
        self.mail.retain(|mail| match mail {
            mail if mail.subscription != subscription => true,
            Mail { message: Message::Notification { .. }, .. } => {
                dropped += 1;
                false
            }
            Mail { message: Message::Overflow(count), .. } => {
                earlier += count;
                false
            }
            Mail { message: Message::Gap(_), .. } => true,
        });
        self.bytes.remove(&subscription);
        self.tally.dropped += dropped;
        self.mail.push_back(Mail { subscription, message: Message::Overflow(dropped + earlier) });
    }

    fn release(&mut self, mail: &Mail) {
        if let Message::Notification { payload, .. } = &mail.message
            && let Some(bytes) = self.bytes.get_mut(&mail.subscription)
        {
            *bytes -= size(payload);
            if *bytes == 0 {
                self.bytes.remove(&mail.subscription);
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
            Event::Resynced { gap, .. } => self.queue.gap(self.subscription, gap),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn queue(max_bytes: usize) -> Arc<NotificationQueue> {
        Arc::new(NotificationQueue::new(max_bytes, || {}))
    }

    fn notification(subscription: u32, payload: &str) -> Mail {
        Mail { subscription, message: Message::Notification { payload: payload.into(), process_id: 7 } }
    }

    fn gap(subscription: u32, seconds: u64) -> Mail {
        Mail { subscription, message: Message::Gap(Duration::from_secs(seconds)) }
    }

    fn overflow(subscription: u32, dropped: u64) -> Mail {
        Mail { subscription, message: Message::Overflow(dropped) }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn mail_comes_out_in_order_and_in_parts() {
        let queue = queue(1_000);
        queue.notification(1, "a", 7);
        queue.gap(2, SECOND);
        queue.notification(2, "b", 7);
        queue.notification(1, "", 7);
        assert_eq!(queue.take(3), [notification(1, "a"), gap(2, 1), notification(2, "b")]);
        assert_eq!(queue.take(3), [notification(1, "")]);
        assert_eq!(queue.take(3), []);
    }

    #[test]
    fn a_flood_on_one_channel_costs_that_channel_alone() {
        let queue = queue(2 * (OVERHEAD + 1));
        queue.notification(1, "x", 7);
        queue.notification(1, "y", 7);
        queue.notification(2, "a", 7);
        queue.notification(1, "z", 7);
        queue.notification(1, "later", 7);
        assert_eq!(queue.take(9), [notification(2, "a"), overflow(1, 3), notification(1, "later")]);
        assert_eq!(queue.tally(), MailTally { notifications: 5, dropped: 3 });
        // Taken, it has its whole room back.
        queue.notification(1, "x", 7);
        queue.notification(1, "y", 7);
        assert_eq!(queue.take(9), [notification(1, "x"), notification(1, "y")]);
    }

    #[test]
    fn a_flood_that_nobody_takes_is_told_once_and_counted() {
        let queue = queue(10 * OVERHEAD);
        for _ in 0..10_000 {
            queue.notification(1, "", 7);
        }
        let mail = queue.take(100);
        assert_eq!(mail[0], overflow(1, 10_000 - (mail.len() as u64 - 1)));
        assert!(mail.len() <= 11);
        assert!(mail[1..].iter().all(|mail| *mail == notification(1, "")));
    }

    #[test]
    fn what_never_fits_is_told_as_dropped() {
        let queue = queue(100);
        queue.notification(1, &"x".repeat(100), 7);
        assert_eq!(queue.take(9), [overflow(1, 1)]);
    }

    #[test]
    fn gaps_with_nothing_in_between_are_one() {
        let queue = queue(1_000);
        for _ in 0..3 {
            queue.gap(1, SECOND);
            queue.gap(2, SECOND);
        }
        queue.notification(1, "a", 7);
        queue.gap(1, SECOND);
        assert_eq!(queue.take(9), [gap(1, 3), gap(2, 3), notification(1, "a"), gap(1, 1)]);
    }

    #[test]
    fn it_wakes_once_for_each_time_it_fills() {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let queue = Arc::new(NotificationQueue::new(1_000, move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        queue.notification(1, "a", 7);
        queue.notification(1, "b", 7);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        queue.take(2);
        queue.gap(1, SECOND);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
