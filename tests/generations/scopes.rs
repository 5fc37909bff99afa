//! What a bump changes, and what is remembered of it.

use std::sync::atomic::Ordering;

use pg_generations::generations::Verdict::{Changed, Unchanged};
use pg_generations::generations::{Clock, GenerationCounters, NEVER_ISSUED, Options, UNPROVEN};

use crate::{BAR, FOO, REALM, counters};
#[test]
fn a_bump_changes_its_scope_and_nothing_else() {
    let counters = counters(100);
    let before = counters.snapshot();

    counters.bump_module(REALM, FOO);
    assert_eq!(counters.check(before, REALM, FOO), Changed);
    assert_eq!(counters.check(before, REALM, BAR), Unchanged);
    assert_eq!(counters.check(before, "other", FOO), Unchanged);

    counters.bump_realm("other");
    assert_eq!(counters.check(before, "other", FOO), Changed);
    assert_eq!(counters.check(before, REALM, BAR), Unchanged);

    counters.bump_global();
    assert_eq!(counters.check(before, REALM, BAR), Changed);
    assert_eq!(counters.check(before, "unheard of", "unheard of"), Changed);

    let after = counters.snapshot();
    assert_eq!(counters.check(after, REALM, FOO), Unchanged);
    assert!(counters.changed_since(before, REALM, FOO) && !counters.changed_since(after, REALM, FOO));
}

#[test]
fn generations_are_drawn_from_one_clock() {
    let counters = counters(100);
    counters.bump_global();
    counters.bump_realm(REALM);
    counters.bump_modules(REALM, [FOO, BAR, FOO]);
    assert_eq!(counters.global_generation(), 2);
    assert_eq!(counters.realm_generation(REALM), 3);
    assert_eq!(counters.module_generation(REALM, BAR), 5);
    assert_eq!(counters.module_generation(REALM, FOO), 6);
    assert_eq!(counters.module_generation("other", FOO), 0);
    assert_eq!(counters.snapshot(), 6);
}

#[test]
fn counters_of_one_clock_share_snapshots_but_not_bumps() {
    let clock = Box::leak(Box::new(Clock::new()));
    let one = GenerationCounters::with_clock(Options::default(), clock);
    let other = GenerationCounters::with_clock(Options::default(), clock);
    let before = other.snapshot();
    one.bump_global();
    assert_eq!(other.check(before, REALM, FOO), Unchanged);
    other.bump_global();
    assert_eq!((one.global_generation(), other.global_generation()), (2, 3));
    assert_eq!(one.check(2, REALM, FOO), Unchanged);
    assert_eq!(other.check(2, REALM, FOO), Changed);
}

#[test]
fn counters_are_on_the_clock_of_the_process_unless_told_otherwise() {
    let counters = GenerationCounters::default();
    let before = counters.snapshot();
    counters.bump_global();
    assert!(Clock::process().now() > before);
    assert!(counters.global_generation() > before);
}

#[test]
fn several_modules_are_changed_if_any_is() {
    let counters = counters(1_000);
    let urls: Vec<String> = (0..200).map(|n| format!("{REALM}{n}")).collect();
    let before = counters.snapshot();
    for changed in [0, 63, 64, 127, 128, 199] {
        let snapshot = counters.snapshot();
        counters.bump_module(REALM, &urls[changed]);
        assert_eq!(counters.check_any(snapshot, REALM, &urls), Changed, "{changed}");
        assert_eq!(counters.check_any(snapshot, REALM, &urls[..changed]), Unchanged, "{changed}");
        assert_eq!(counters.check_any(snapshot, REALM, &urls[changed + 1..]), Unchanged, "{changed}");
    }
    assert_eq!(counters.check_any(before, REALM, &urls), Changed);
    assert_eq!(counters.check_any(before, REALM, &urls[1..63]), Unchanged);
}

#[test]
fn no_modules_means_the_realm() {
    let counters = counters(100);
    let none: [&str; 0] = [];
    let before = counters.snapshot();
    counters.bump_modules(REALM, none);
    assert_eq!(counters.snapshot(), before);
    counters.bump_module(REALM, FOO);
    assert_eq!(counters.check_any(before, REALM, none), Unchanged);
    counters.bump_realm(REALM);
    assert_eq!(counters.check_any(before, REALM, none), Changed);
    assert_eq!(counters.check_any(before, "other", none), Unchanged);
    counters.bump_global();
    assert_eq!(counters.check_any(before, "other", none), Changed);
}

#[test]
fn every_url_of_a_large_fan_out_gets_a_stamp_of_its_own() {
    let counters = counters(1_000);
    let urls: Vec<String> = (0..300).map(|n| format!("{REALM}{n}")).collect();
    counters.bump_modules(REALM, &urls);
    for (url, stamp) in urls.iter().zip(2..) {
        assert_eq!(counters.module_generation(REALM, url), stamp);
    }
    assert_eq!(counters.snapshot(), 301);
}

#[test]
fn a_snapshot_that_was_never_issued_is_changed() {
    let counters = counters(100);
    assert_eq!(counters.snapshot(), 1, "0 is never issued");
    assert_eq!(counters.check(1, REALM, FOO), Unchanged);
    for snapshot in [0, 2, 1 << 53, UNPROVEN, NEVER_ISSUED] {
        assert_eq!(counters.check(snapshot, REALM, FOO), Changed);
    }
    // Nor can it be mistaken for one later.
    counters.bump_realm("other");
    assert_eq!(counters.check(2, REALM, FOO), Unchanged);
    for snapshot in [0, 3] {
        assert_eq!(counters.check(snapshot, REALM, FOO), Changed);
    }
}

#[test]
fn a_forgotten_scope_reads_as_the_newest_forgotten_stamp() {
    let counters = counters(2);
    counters.bump_modules(REALM, ["a", "b"]);
    assert_eq!(counters.check(1, REALM, "never bumped"), Unchanged);
    counters.bump_module(REALM, "a");
    counters.bump_module(REALM, "c"); // forgets b, stamped 3
    assert_eq!(counters.module_generation(REALM, "b"), 3);
    assert_eq!(counters.module_generation(REALM, "never bumped"), 3);
    assert_eq!(counters.module_generation(REALM, "a"), 4);
    assert_eq!(counters.check(2, REALM, "never bumped"), Changed);
    assert_eq!(counters.check(3, REALM, "never bumped"), Unchanged);
    assert_eq!(counters.check(3, REALM, "a"), Changed);

    // Realms have a table, and a floor, of their own.
    assert_eq!(counters.realm_generation(REALM), 0);
    for realm in ["a", "b", "c"] {
        counters.bump_realm(realm);
    }
    assert_eq!(counters.realm_generation("a"), 6);
    assert_eq!(counters.realm_generation("never bumped"), 6);
    assert_eq!(counters.module_generation("never bumped", "never bumped"), 3);
}

#[test]
fn the_head_word_answers_for_every_module_when_nothing_moved() {
    let counters = counters(100);
    let head = |counters: &GenerationCounters| counters.head_word().load(Ordering::Acquire);
    assert_eq!(head(&counters), 0);
    counters.bump_modules(REALM, [FOO, BAR]);
    assert_eq!(head(&counters), 3);
    counters.bump_realm(REALM);
    counters.bump_global();
    assert_eq!(head(&counters), 5);
    let guard = counters.attach();
    assert_eq!(head(&counters), 5 | UNPROVEN);
    counters.bump_global();
    assert_eq!(head(&counters), 6 | UNPROVEN);
    guard.listening();
    assert_eq!(head(&counters), 7);
}

#[test]
fn debug_prints_are_short() {
    let counters = counters(100);
    counters.bump_global();
    let guard = counters.attach();
    assert_eq!(format!("{counters:?}"), "GenerationCounters { latest: 2, proven: false, .. }");
    assert_eq!(format!("{:?}", guard.attachment()), "Attachment { id: 0, .. }");
}
