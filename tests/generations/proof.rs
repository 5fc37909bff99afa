//! Listeners in charge, gaps, and what is believed meanwhile.

use pg_generations::generations::Verdict::{Changed, Unchanged, Unproven};
use pg_generations::generations::{ListenerGuard, NEVER_ISSUED, Options};
use proptest::prelude::*;

use crate::{BAR, FOO, REALM, counters, counters_with};
#[test]
fn counters_nobody_ever_listened_for_are_proven_unless_a_listener_is_required() {
    assert!(counters(1).proven());
    let strict = counters_with(Options::default().with_required_listener());
    assert!(!strict.proven());
    assert_eq!(strict.check(strict.snapshot(), REALM, FOO), Unproven);
    strict.attach().leave();
    assert!(!strict.proven());
    let guard = strict.attach();
    guard.listening();
    assert!(strict.proven());
}

#[test]
fn unproven_wins_over_changed() {
    let counters = counters(100);
    let guard = counters.attach();
    counters.bump_global();
    assert_eq!(counters.check(0, REALM, FOO), Unproven);
    assert_eq!(counters.check(NEVER_ISSUED, REALM, FOO), Unproven);
    assert_eq!(counters.check_any(0, REALM, [""; 0]), Unproven);
    assert!(counters.changed_since(counters.snapshot(), REALM, FOO));
    drop(guard);
}

#[test]
fn snapshots_from_before_and_during_a_gap_are_changed_after_it() {
    let counters = counters(100);
    let guard = counters.attach();
    guard.listening();
    let before = counters.snapshot();
    assert_eq!(counters.check(before, REALM, FOO), Unchanged);
    guard.lost();
    assert_eq!(counters.check(before, REALM, FOO), Unproven);
    let during = counters.snapshot();
    guard.listening();
    assert_eq!(counters.check(before, REALM, FOO), Changed);
    assert_eq!(counters.check(during, REALM, FOO), Changed);
    assert_eq!(counters.check(counters.snapshot(), REALM, FOO), Unchanged);
}

#[test]
fn a_gap_that_begins_while_a_long_list_is_checked_is_noticed() {
    let counters = counters(100);
    let guard = counters.attach();
    guard.listening();
    let before = counters.snapshot();
    counters.bump_module(REALM, FOO);
    let long = (0..1_000).map(|n| {
        if n == 500 {
            guard.lost();
        }
        BAR
    });
    assert_eq!(counters.check_any(before, REALM, long), Unproven);
}

#[test]
fn listening_again_without_a_known_loss_is_a_gap_of_its_own() {
    let counters = counters(100);
    let guard = counters.attach();
    guard.listening();
    let before = counters.snapshot();
    guard.listening();
    assert_eq!(counters.check(before, REALM, FOO), Changed);
}

#[test]
fn a_listener_that_leaves_another_listening_just_detaches() {
    let counters = counters(100);
    let (one, other) = (counters.attach(), counters.attach());
    one.listening();
    assert!(!counters.proven(), "the other is not listening yet");
    let before = counters.snapshot();
    other.leave();
    assert!(counters.proven());
    assert_eq!(counters.check(before, REALM, FOO), Changed, "a gap ended");

    let third = counters.attach();
    third.listening();
    let before = counters.snapshot();
    third.leave();
    assert_eq!(counters.check(before, REALM, FOO), Unchanged, "there was no gap");
}

#[test]
fn the_last_listener_to_leave_leaves_the_counters_unproven() {
    let counters = counters(100);
    let (one, other) = (counters.attach(), counters.attach());
    one.listening();
    one.leave();
    assert!(!counters.proven());
    other.leave();
    assert!(!counters.proven());
    one.listening();
    other.listening();
    assert!(!counters.proven(), "who left has no say");
    let next = counters.attach();
    next.listening();
    assert!(counters.proven());
    one.lost();
    one.leave();
    assert!(counters.proven(), "who left has no say");
}

#[test]
fn a_dropped_guard_has_left() {
    let counters = counters(100);
    let guard = counters.attach();
    guard.listening();
    drop(guard);
    assert!(!counters.proven());
}

#[test]
fn an_abandoned_guard_has_not_left() {
    let counters = counters(100);
    let guard = counters.attach();
    let attachment = guard.attachment();
    assert!(counters.awaits_start());
    guard.abandon();
    let other = counters.attach();
    other.listening();
    assert!(!counters.proven() && attachment.holds());
    attachment.leave();
    assert!(counters.proven() && !attachment.holds());
}

#[test]
fn an_attachment_does_not_keep_counters_alive() {
    let counters = counters(100);
    let guard = counters.attach();
    let attachment = guard.attachment();
    guard.abandon();
    drop(counters);
    assert!(!attachment.holds());
    attachment.leave();
}

#[test]
fn a_listener_may_be_required_later() {
    let counters = counters(100);
    let before = counters.snapshot();
    counters.require_listener();
    assert_eq!(counters.check(before, REALM, FOO), Unproven);
    let guard = counters.attach();
    guard.listening();
    let listening = counters.snapshot();
    counters.require_listener();
    assert_eq!(counters.check(listening, REALM, FOO), Unchanged, "there is one");
}

/// What happens to listeners, by number.
#[derive(Debug, Clone)]
enum Event {
    Attach(usize),
    Listening(usize),
    Lost(usize),
    Leave(usize),
    Bump,
}

const LISTENERS: usize = 3;

fn event() -> impl Strategy<Value = Event> {
    let listener = 0..LISTENERS;
    prop_oneof![
        listener.clone().prop_map(Event::Attach),
        listener.clone().prop_map(Event::Listening),
        listener.clone().prop_map(Event::Lost),
        listener.prop_map(Event::Leave),
        Just(Event::Bump),
    ]
}

/// A listener as the model sees it.
#[derive(Clone, Copy, PartialEq)]
enum Listener {
    Absent,
    Deaf,
    Listening,
}

proptest! {
    /// Counters are proven exactly when everybody in charge listens and somebody does (or nobody ever had to),
    /// and no snapshot from before or during a gap is ever unchanged again.
    #[test]
    fn a_gap_outlives_no_snapshot(
        require_listener in any::<bool>(),
        events in prop::collection::vec(event(), 0..60),
    ) {
        let options = Options::default().with_capacity(4).unwrap();
        let counters =
            counters_with(if require_listener { options.with_required_listener() } else { options });
        let mut guards: [Option<ListenerGuard>; LISTENERS] = [None, None, None];
        let mut listeners = [Listener::Absent; LISTENERS];
        // Nobody was ever needed, so nobody is missed.
        let mut innocent = !require_listener;
        let mut clean = Vec::new();
        let mut tainted = Vec::new();
        for event in &events {
            let global = counters.global_generation();
            clean.push(counters.snapshot());
            match *event {
                Event::Attach(n) => {
                    guards[n] = Some(counters.attach()); // and whoever was there before is dropped
                    listeners[n] = Listener::Deaf;
                    innocent = false;
                }
                Event::Listening(n) => {
                    if let Some(guard) = &guards[n] {
                        guard.listening();
                    }
                    if listeners[n] != Listener::Absent {
                        listeners[n] = Listener::Listening;
                        prop_assert!(counters.global_generation() > global);
                    } else {
                        prop_assert_eq!(counters.global_generation(), global);
                    }
                }
                Event::Lost(n) => {
                    if let Some(guard) = &guards[n] {
                        guard.lost();
                    }
                    if listeners[n] == Listener::Listening {
                        listeners[n] = Listener::Deaf;
                    }
                }
                Event::Leave(n) => {
                    if let Some(guard) = &guards[n] {
                        guard.leave(); // and stays, to be called after it left
                    }
                    listeners[n] = Listener::Absent;
                }
                Event::Bump => counters.bump_module(REALM, FOO),
            }

            let proven = innocent
                || listeners.contains(&Listener::Listening) && !listeners.contains(&Listener::Deaf);
            prop_assert_eq!(counters.proven(), proven);
            if !proven {
                clean.push(counters.snapshot());
                tainted.append(&mut clean);
            }
            for &snapshot in &tainted {
                prop_assert_eq!(counters.check(snapshot, REALM, BAR), if proven { Changed } else { Unproven });
            }
            for &snapshot in clean.iter().filter(|_| proven) {
                let changed = counters.global_generation() > snapshot;
                prop_assert_eq!(
                    counters.check(snapshot, REALM, BAR),
                    if changed { Changed } else { Unchanged }
                );
            }
        }
    }
}
