use super::*;
use crate::error::Error;
use crate::generations::{Options, Verdict};
use crate::listen::Event;

fn feed(on_gap: OnGap) -> (Arc<Feed>, Arc<GenerationCounters>) {
    let counters = Arc::new(GenerationCounters::new(Options::default()));
    let options = FeedOptions {
        counters: Some(Arc::clone(&counters)),
        queue_calls: true,
        max_queued_calls: 10,
        on_gap,
    };
    (Arc::new(Feed::new(options, |_| {})), counters)
}

const LISTENING: Event<'static> = Event::Listening { backend_pid: 1, server: None };
const RESYNCED: Event<'static> = Event::Resynced { gap: Duration::ZERO, backend_pid: 2, server: None };
const LOST: Event<'static> = Event::Lost { error: &Error::ConnectionClosed };

fn notification(payload: &str) -> Event<'_> {
    Event::Notification { channel: "c", payload, process_id: 1 }
}

fn calls(feed: &Feed) -> Vec<Invalidation<'static>> {
    let only = |item| match item {
        Item::Call(invalidation) => Some(invalidation),
        Item::Report { .. } | Item::Answer(_) => None,
    };
    feed.drain().filter_map(only).collect()
}

fn reports(feed: &Feed) -> Vec<Report> {
    let only = |item| match item {
        Item::Report { report, .. } => Some(report),
        Item::Call(_) | Item::Answer(_) => None,
    };
    feed.drain().filter_map(only).collect()
}

#[test]
fn a_gap_is_one_global_call_and_the_first_listen_is_none() {
    let (feed, _) = feed(OnGap::Discard);
    let observer = feed.attach();
    observer.event(LISTENING);
    assert_eq!(calls(&feed), []);
    for _ in 0..3 {
        observer.event(LOST);
        observer.event(RESYNCED);
        assert_eq!(calls(&feed), [Invalidation::Global]);
    }
    observer.event(Event::Stopping);
    observer.event(Event::Stopped);
    assert_eq!(calls(&feed), []);
    let again = feed.attach();
    again.event(LISTENING);
    assert_eq!(calls(&feed), [Invalidation::Global]);
}

#[test]
fn a_start_that_failed_is_not_a_first_listen() {
    let (feed, _) = feed(OnGap::Discard);
    feed.attach().event(Event::Failed { error: &Error::ConnectionClosed });
    feed.attach().event(LISTENING);
    assert_eq!(calls(&feed), []);
}

#[test]
fn counters_are_unproven_from_the_making_of_the_feed_and_in_every_gap() {
    let (feed, counters) = feed(OnGap::Discard);
    let before = counters.snapshot();
    assert_eq!(counters.check(before, "r", "m"), Verdict::Unproven);
    assert!(counters.awaits_start());
    let observer = feed.attach();
    assert!(!counters.awaits_start());
    assert_eq!(counters.check(before, "r", "m"), Verdict::Unproven);
    observer.event(LISTENING);
    assert_eq!(counters.check(before, "r", "m"), Verdict::Changed);
    let listening = counters.snapshot();
    assert_eq!(counters.check(listening, "r", "m"), Verdict::Unchanged);
    observer.event(LOST);
    assert_eq!(counters.check(listening, "r", "m"), Verdict::Unproven);
    let during = counters.snapshot();
    observer.event(RESYNCED);
    assert_eq!(counters.check(during, "r", "m"), Verdict::Changed);
    observer.event(Event::Stopping);
    assert!(!counters.proven());
}

#[test]
fn counters_that_trust_go_on_and_forget_after_the_gap() {
    let (feed, counters) = feed(OnGap::Trust);
    let observer = feed.attach();
    assert!(!counters.proven(), "that is no gap");
    observer.event(LISTENING);
    let before = counters.snapshot();
    observer.event(LOST);
    assert_eq!(counters.check(before, "r", "m"), Verdict::Unchanged);
    observer.event(RESYNCED);
    assert_eq!(counters.check(before, "r", "m"), Verdict::Changed);
    observer.event(Event::Stopping);
    assert!(!counters.proven(), "nor is that");
}

#[test]
fn a_feed_that_is_forgotten_keeps_its_hold_until_it_is_told_to_leave() {
    let (forgotten, counters) = feed(OnGap::Discard);
    let attachment = forgotten.waiting().expect("it has counters, and no listener");
    drop(forgotten);
    assert!(!counters.proven() && counters.awaits_start() && attachment.holds());
    let listening = counters.attach();
    listening.listening();
    assert!(!counters.proven(), "the other may be missing something");
    let before = counters.snapshot();
    attachment.leave();
    assert!(counters.proven() && !attachment.holds());
    assert_eq!(counters.check(before, "r", "m"), Verdict::Changed, "a gap ended");
}

#[test]
fn a_feed_that_is_retired_leaves_its_counters_unproven_and_can_be_used_again() {
    let (feed, counters) = feed(OnGap::Discard);
    feed.retire();
    assert!(!counters.proven() && !counters.awaits_start());
    assert!(feed.waiting().is_none());
    feed.attach().event(LISTENING);
    assert!(!counters.proven(), "its observer is gone");
    let observer = feed.attach();
    observer.event(LISTENING);
    assert!(counters.proven());
}

#[test]
fn a_listener_that_is_trusted_is_a_listener() {
    let counters = Arc::new(GenerationCounters::new(Options::default().with_required_listener()));
    let options = FeedOptions {
        counters: Some(Arc::clone(&counters)),
        queue_calls: false,
        max_queued_calls: 10,
        on_gap: OnGap::Trust,
    };
    let observer = Arc::new(Feed::new(options, |_| {})).attach();
    assert!(!counters.proven());
    let before = counters.snapshot();
    observer.event(LISTENING);
    assert!(counters.proven());
    assert_eq!(counters.check(before, "r", "m"), Verdict::Changed);
}

#[test]
fn a_notification_bumps_and_is_queued() {
    let (feed, counters) = feed(OnGap::Discard);
    let observer = feed.attach();
    observer.event(LISTENING);
    let before = counters.snapshot();
    observer.event(notification(r#"{"k":"realm","r":"r"}"#));
    assert!(counters.changed_since(before, "r", "m"));
    assert_eq!(calls(&feed), [Invalidation::Realm { realm: "r".into() }]);
}

#[test]
fn the_end_reports_junk_that_was_held_back() {
    let (feed, _) = feed(OnGap::Discard);
    let observer = feed.attach();
    observer.event(notification("a"));
    observer.event(notification("b"));
    observer.event(Event::Stopping);
    observer.event(Event::Stopped);
    let junk = |payload: &str| Report::Malformed { payload: payload.into(), count: 1 };
    assert_eq!(reports(&feed), [junk("a"), junk("b"), Report::Stopped]);
    assert_eq!(feed.tally().malformed, 2);
}
