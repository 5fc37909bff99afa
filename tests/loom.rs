//! The ordering claims, in every interleaving and with every value that weak memory allows a load to see.
//!
//! `RUSTFLAGS="--cfg pg_generations_loom" cargo test --release --test loom`
#![cfg(pg_generations_loom)]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use pg_generations::generations::{Clock, GenerationCounters, Options, UNPROVEN, Verdict};

const REALM: &str = "realm";

fn counters(capacity: usize) -> Arc<GenerationCounters> {
    let options = Options::default().with_capacity(capacity).unwrap();
    Arc::new(GenerationCounters::with_clock(options, Box::leak(Box::new(Clock::new()))))
}

/// Lets one thread know for certain that another's call has returned.
#[derive(Clone)]
struct Returned(Arc<AtomicBool>);

impl Returned {
    fn new() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Runs `bump` on a thread of its own, and checks "module" of the realm against a snapshot from before.
fn assert_never_missed(bump: fn(&GenerationCounters)) {
    loom::model(move || {
        let (counters, returned) = (counters(1), Returned::new());
        counters.bump_module(REALM, "another");
        let before = counters.snapshot();
        let bumper = thread::spawn({
            let (counters, returned) = (Arc::clone(&counters), returned.clone());
            move || {
                bump(&counters);
                returned.set();
            }
        });
        let known = returned.get();
        let changed = counters.changed_since(before, REALM, "module");
        assert!(changed || !known, "a bump that returned was missed");
        assert!(!changed || counters.changed_since(before, REALM, "module"), "a change was taken back");
        bumper.join().unwrap();
        assert!(counters.changed_since(before, REALM, "module"));
    });
}

#[test]
fn a_module_bump_that_returned_is_never_missed() {
    assert_never_missed(|counters| counters.bump_module(REALM, "module"));
}

#[test]
fn a_realm_bump_that_returned_is_never_missed() {
    assert_never_missed(|counters| counters.bump_realm(REALM));
}

#[test]
fn a_global_bump_that_returned_is_never_missed() {
    assert_never_missed(GenerationCounters::bump_global);
}

#[test]
fn a_bump_is_never_missed_though_its_stamp_is_forgotten_meanwhile() {
    assert_never_missed(|counters| {
        counters.bump_module(REALM, "module");
        counters.bump_module(REALM, "another");
    });
}

#[test]
fn a_generation_that_was_seen_counts_in_every_later_check() {
    loom::model(|| {
        let counters = counters(1);
        let bumper = thread::spawn({
            let counters = Arc::clone(&counters);
            move || {
                counters.bump_global();
                counters.bump_module(REALM, "module");
            }
        });
        let generation = counters.module_generation(REALM, "module").max(counters.global_generation());
        assert!(generation == 0 || counters.changed_since(generation - 1, REALM, "module"));
        bumper.join().unwrap();
    });
}

#[test]
fn the_greater_of_two_racing_bumps_stays() {
    loom::model(|| {
        let counters = counters(1);
        let bumper = thread::spawn({
            let counters = Arc::clone(&counters);
            move || {
                counters.bump_module(REALM, "module");
                counters.bump_global();
            }
        });
        counters.bump_module(REALM, "module");
        let after_mine = counters.module_generation(REALM, "module");
        counters.bump_global();
        bumper.join().unwrap();
        assert!(counters.module_generation(REALM, "module") >= after_mine);
        assert_eq!(counters.module_generation(REALM, "module").max(counters.global_generation()), 5);
        assert_eq!(counters.head_word().load(Ordering::Acquire), 5);
    });
}

#[test]
fn a_snapshot_that_counts_a_bump_sees_what_the_bump_was_about() {
    loom::model(|| {
        let counters = counters(1);
        let changed = Arc::new(AtomicBool::new(false));
        let bumper = thread::spawn({
            let (counters, changed) = (Arc::clone(&counters), Arc::clone(&changed));
            move || {
                changed.store(true, Ordering::Relaxed);
                counters.bump_global();
            }
        });
        if counters.snapshot() == 2 {
            assert!(changed.load(Ordering::Relaxed));
        }
        bumper.join().unwrap();
    });
}

#[test]
fn a_reader_that_sees_the_proof_sees_that_a_gap_was() {
    loom::model(|| {
        let counters = counters(1);
        let guard = counters.attach();
        guard.listening();
        let before = counters.snapshot();
        guard.lost();
        let during = counters.snapshot();
        let listener = thread::spawn(move || {
            guard.listening();
            guard
        });
        for snapshot in [before, during] {
            assert_ne!(counters.check(snapshot, REALM, "module"), Verdict::Unchanged);
        }
        let head = counters.head_word().load(Ordering::Acquire);
        assert!(head & UNPROVEN != 0 || head > during);
        if counters.proven() {
            assert!(counters.global_generation() > during);
        }
        drop(listener.join().unwrap());
    });
}

#[test]
fn who_sees_the_proof_sees_all_that_came_before_it() {
    loom::model(|| {
        let counters = counters(1);
        let guard = counters.attach();
        let in_force = Arc::new(AtomicBool::new(false));
        let listener = thread::spawn({
            let in_force = Arc::clone(&in_force);
            move || {
                in_force.store(true, Ordering::Relaxed);
                guard.listening();
                guard
            }
        });
        if counters.proven() {
            assert!(in_force.load(Ordering::Relaxed));
        }
        drop(listener.join().unwrap());
    });
}

#[test]
fn a_bump_that_races_with_the_end_of_a_gap_is_kept() {
    loom::model(|| {
        let counters = counters(1);
        let guard = counters.attach();
        let listener = thread::spawn(move || {
            guard.listening();
            guard
        });
        let before = counters.snapshot();
        counters.bump_module(REALM, "module");
        assert!(counters.changed_since(before, REALM, "module"));
        let guard = listener.join().unwrap();
        assert!(counters.proven());
        assert_eq!(counters.check(before, REALM, "module"), Verdict::Changed);
        drop(guard);
    });
}

#[test]
fn a_loss_that_is_known_is_never_missed() {
    loom::model(|| {
        let (counters, returned) = (counters(1), Returned::new());
        let guard = counters.attach();
        guard.listening();
        let listener = thread::spawn({
            let returned = returned.clone();
            move || {
                guard.lost();
                returned.set();
                guard
            }
        });
        counters.bump_module(REALM, "another");
        let known = returned.get();
        let verdict = counters.check(counters.snapshot(), REALM, "module");
        assert!(verdict == Verdict::Unproven || !known);
        drop(listener.join().unwrap());
        assert!(!counters.proven());
    });
}

#[test]
fn a_shutdown_wins_over_a_listener_that_starts_to_listen() {
    loom::model(|| {
        let counters = counters(1);
        let guard = Arc::new(counters.attach());
        let listener = thread::spawn({
            let guard = Arc::clone(&guard);
            move || guard.listening()
        });
        guard.leave();
        assert!(!counters.proven());
        listener.join().unwrap();
        assert!(!counters.proven());
    });
}
