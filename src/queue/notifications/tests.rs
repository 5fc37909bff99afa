use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn queue(max_bytes: usize) -> Arc<NotificationQueue> {
    Arc::new(NotificationQueue::new(max_bytes, || {}))
}

fn notification(subscription: u32, payload: &str) -> Delivery {
    Delivery { subscription, content: Content::Notification { payload: payload.into(), process_id: 7 } }
}

fn gap(subscription: u32, seconds: u64) -> Delivery {
    Delivery { subscription, content: Content::Gap(Duration::from_secs(seconds)) }
}

fn overflow(subscription: u32, dropped: u64) -> Delivery {
    Delivery { subscription, content: Content::Overflow(dropped) }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_cannot_be_converted_is_told_as_dropped() {
    let queue = queue(10_000);
    let slot = queue.slot(1);
    let undecodable = Event::Undecodable { channel: Some("c"), payload: &[0xff] };
    slot.event(Event::Notification { channel: "c", payload: "a", process_id: 7 });
    for _ in 0..3 {
        slot.event(undecodable);
    }
    queue.slot(2).event(undecodable);
    let told = [(1, 3), (2, 1)]
        .map(|(subscription, count)| Delivery { subscription, content: Content::Overflow(count) });
    assert_eq!(queue.take(9), [&[notification(1, "a")], &told[..]].concat());
    assert_eq!(queue.tally(), NotificationTally { notifications: 5, dropped: 4 });
}

#[test]
fn deliveries_come_out_in_order_and_in_parts() {
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
    assert_eq!(queue.tally(), NotificationTally { notifications: 5, dropped: 3 });
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
    let taken = queue.take(100);
    assert_eq!(taken[0], overflow(1, 10_000 - (taken.len() as u64 - 1)));
    assert!(taken.len() <= 11);
    assert!(taken[1..].iter().all(|delivery| *delivery == notification(1, "")));
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
