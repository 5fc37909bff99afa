//! The counters as their users see them: against a model without bounds, and under threads.
#![cfg(not(pg_generations_loom))]
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use pg_generations::generations::{
    Clock, GenerationCounters, Link, NEVER_ISSUED, Options, UNPROVEN, Verdict,
};
use proptest::prelude::*;

use Verdict::{Changed, Unchanged, Unproven};

const REALM: &str = "http://localhost:4201/test/";
const FOO: &str = "http://localhost:4201/test/foo.gts";
const BAR: &str = "http://localhost:4201/test/bar.gts";

/// Counters on a clock of their own, so that a test knows every stamp.
fn counters(capacity: usize) -> Arc<GenerationCounters> {
    counters_with(Options::default().with_capacity(capacity).unwrap())
}

fn counters_with(options: Options) -> Arc<GenerationCounters> {
    Arc::new(GenerationCounters::with_clock(options, Box::leak(Box::new(Clock::new()))))
}

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
    assert_eq!(counters.global_generation(), 1);
    assert_eq!(counters.realm_generation(REALM), 2);
    assert_eq!(counters.module_generation(REALM, BAR), 4);
    assert_eq!(counters.module_generation(REALM, FOO), 5);
    assert_eq!(counters.module_generation("other", FOO), 0);
    assert_eq!(counters.snapshot(), 5);
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
    assert_eq!((one.global_generation(), other.global_generation()), (1, 2));
    assert_eq!(one.check(1, REALM, FOO), Unchanged);
    assert_eq!(other.check(1, REALM, FOO), Changed);
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
    assert!(counters.changed_since_any(before, REALM, &urls));
    assert!(!counters.changed_since_any(before, REALM, &urls[1..63]));
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
    for (url, stamp) in urls.iter().zip(1..) {
        assert_eq!(counters.module_generation(REALM, url), stamp);
    }
    assert_eq!(counters.snapshot(), 300);
}

#[test]
fn a_snapshot_that_was_never_issued_is_changed() {
    let counters = counters(100);
    counters.bump_global();
    assert_eq!(counters.check(1, REALM, FOO), Unchanged);
    for snapshot in [2, 1 << 53, UNPROVEN, NEVER_ISSUED] {
        assert_eq!(counters.check(snapshot, REALM, FOO), Changed);
    }
    // Nor can it be mistaken for one later.
    counters.bump_realm("other");
    assert_eq!(counters.check(2, REALM, FOO), Unchanged);
    assert_eq!(counters.check(3, REALM, FOO), Changed);
}

#[test]
fn a_forgotten_scope_reads_as_the_newest_forgotten_stamp() {
    let counters = counters(2);
    counters.bump_modules(REALM, ["a", "b"]);
    assert_eq!(counters.check(0, REALM, "never bumped"), Unchanged);
    counters.bump_module(REALM, "a");
    counters.bump_module(REALM, "c"); // forgets b, stamped 2
    assert_eq!(counters.module_generation(REALM, "b"), 2);
    assert_eq!(counters.module_generation(REALM, "never bumped"), 2);
    assert_eq!(counters.module_generation(REALM, "a"), 3);
    assert_eq!(counters.check(1, REALM, "never bumped"), Changed);
    assert_eq!(counters.check(2, REALM, "never bumped"), Unchanged);
    assert_eq!(counters.check(2, REALM, "a"), Changed);

    // Realms have a table, and a floor, of their own.
    assert_eq!(counters.realm_generation(REALM), 0);
    for realm in ["a", "b", "c"] {
        counters.bump_realm(realm);
    }
    assert_eq!(counters.realm_generation("a"), 5);
    assert_eq!(counters.realm_generation("never bumped"), 5);
    assert_eq!(counters.module_generation("never bumped", "never bumped"), 2);
}

#[test]
fn the_head_word_answers_for_every_module_when_nothing_moved() {
    let counters = counters(100);
    let head = |counters: &GenerationCounters| counters.head_word().load(Ordering::Acquire);
    assert_eq!(head(&counters), 0);
    counters.bump_modules(REALM, [FOO, BAR]);
    assert_eq!(head(&counters), 2);
    counters.bump_realm(REALM);
    counters.bump_global();
    assert_eq!(head(&counters), 4);
    let link = counters.attach();
    assert_eq!(head(&counters), 4 | UNPROVEN);
    counters.bump_global();
    assert_eq!(head(&counters), 5 | UNPROVEN);
    link.listening();
    assert_eq!(head(&counters), 6);
}

#[test]
fn counters_nobody_ever_listened_for_are_proven_unless_a_listener_is_required() {
    assert!(counters(1).proven());
    let strict = counters_with(Options::default().with_required_listener());
    assert!(!strict.proven());
    assert_eq!(strict.check(strict.snapshot(), REALM, FOO), Unproven);
    strict.attach().leave();
    assert!(!strict.proven());
    let link = strict.attach();
    link.listening();
    assert!(strict.proven());
}

#[test]
fn unproven_wins_over_changed() {
    let counters = counters(100);
    let link = counters.attach();
    counters.bump_global();
    assert_eq!(counters.check(0, REALM, FOO), Unproven);
    assert_eq!(counters.check(NEVER_ISSUED, REALM, FOO), Unproven);
    assert_eq!(counters.check_any(0, REALM, [""; 0]), Unproven);
    assert!(counters.changed_since(counters.snapshot(), REALM, FOO));
    drop(link);
}

#[test]
fn snapshots_from_before_and_during_a_gap_are_changed_after_it() {
    let counters = counters(100);
    let link = counters.attach();
    link.listening();
    let before = counters.snapshot();
    assert_eq!(counters.check(before, REALM, FOO), Unchanged);
    link.lost();
    assert_eq!(counters.check(before, REALM, FOO), Unproven);
    let during = counters.snapshot();
    link.listening();
    assert_eq!(counters.check(before, REALM, FOO), Changed);
    assert_eq!(counters.check(during, REALM, FOO), Changed);
    assert_eq!(counters.check(counters.snapshot(), REALM, FOO), Unchanged);
}

#[test]
fn a_gap_that_begins_while_a_long_list_is_checked_is_noticed() {
    let counters = counters(100);
    let link = counters.attach();
    link.listening();
    let before = counters.snapshot();
    counters.bump_module(REALM, FOO);
    let long = (0..1_000).map(|n| {
        if n == 500 {
            link.lost();
        }
        BAR
    });
    assert_eq!(counters.check_any(before, REALM, long), Unproven);
}

#[test]
fn listening_again_without_a_known_loss_is_a_gap_of_its_own() {
    let counters = counters(100);
    let link = counters.attach();
    link.listening();
    let before = counters.snapshot();
    link.listening();
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
fn a_dropped_link_has_left() {
    let counters = counters(100);
    let link = counters.attach();
    link.listening();
    drop(link);
    assert!(!counters.proven());
}

#[test]
fn counters_and_links_go_to_any_thread() {
    fn any_thread<T: Send + Sync>() {}
    any_thread::<GenerationCounters>();
    any_thread::<Link>();
}

#[test]
fn debug_prints_are_short() {
    let counters = counters(100);
    counters.bump_global();
    let link = counters.attach();
    assert_eq!(format!("{counters:?}"), "GenerationCounters { latest: 1, proven: false, .. }");
    assert_eq!(format!("{link:?}"), "Link { id: 0, .. }");
}

/// What somebody does with the counters: realms and modules by number.
#[derive(Debug, Clone)]
enum Bump {
    Module(usize, usize),
    Modules(usize, Vec<usize>),
    Realm(usize),
    Global,
}

const REALMS: [&str; 3] = ["http://a/", "http://b/", "http://b/c/"];
const MODULES: [&str; 5] = ["http://a/x", "http://b/c/x", "c/x", "x", ""];

fn bump() -> impl Strategy<Value = Bump> {
    let (realm, module) = (0..REALMS.len(), 0..MODULES.len());
    let modules = prop_oneof![
        9 => prop::collection::vec(module.clone(), 0..6),
        1 => prop::collection::vec(module.clone(), 60..140),
    ];
    prop_oneof![
        6 => (realm.clone(), module).prop_map(|(realm, module)| Bump::Module(realm, module)),
        3 => (realm.clone(), modules).prop_map(|(realm, modules)| Bump::Modules(realm, modules)),
        2 => realm.prop_map(Bump::Realm),
        1 => Just(Bump::Global),
    ]
}

/// The counters the plain way: three maps and a clock, and nothing is forgotten.
#[derive(Default)]
struct Model {
    clock: u64,
    modules: HashMap<(usize, usize), u64>,
    realms: HashMap<usize, u64>,
    global: u64,
}

impl Model {
    fn draw(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn apply(&mut self, bump: &Bump) {
        match bump {
            Bump::Module(realm, module) => {
                let stamp = self.draw();
                self.modules.insert((*realm, *module), stamp);
            }
            Bump::Modules(realm, modules) => {
                for module in modules {
                    self.apply(&Bump::Module(*realm, *module));
                }
            }
            Bump::Realm(realm) => {
                let stamp = self.draw();
                self.realms.insert(*realm, stamp);
            }
            Bump::Global => self.global = self.draw(),
        }
    }

    fn module(&self, realm: usize, module: usize) -> u64 {
        self.modules.get(&(realm, module)).copied().unwrap_or(0)
    }

    fn realm(&self, realm: usize) -> u64 {
        self.realms.get(&realm).copied().unwrap_or(0)
    }

    fn changed(&self, snapshot: u64, realm: usize, modules: &[usize]) -> bool {
        snapshot > self.clock
            || self.global > snapshot
            || self.realm(realm) > snapshot
            || modules.iter().any(|&module| self.module(realm, module) > snapshot)
    }
}

fn apply(counters: &GenerationCounters, bump: &Bump) {
    match bump {
        Bump::Module(realm, module) => counters.bump_module(REALMS[*realm], MODULES[*module]),
        Bump::Modules(realm, modules) => {
            counters.bump_modules(REALMS[*realm], modules.iter().map(|&module| MODULES[module]));
        }
        Bump::Realm(realm) => counters.bump_realm(REALMS[*realm]),
        Bump::Global => counters.bump_global(),
    }
}

proptest! {
    /// Whatever is forgotten, no change is missed; and while nothing is forgotten, all is as if nothing could be.
    #[test]
    fn no_change_is_missed(
        capacity in 1..=REALMS.len() * MODULES.len(),
        bumps in prop::collection::vec(bump(), 0..40),
        list in prop::collection::vec(0..MODULES.len(), 0..80),
    ) {
        let (counters, mut model) = (counters(capacity), Model::default());
        let mut snapshots = vec![0, 1, 3, 10];
        let mut bumped = HashSet::new();
        let mut last = HashMap::new();
        for bump in &bumps {
            apply(&counters, bump);
            model.apply(bump);
            prop_assert_eq!(counters.snapshot(), model.clock);
            snapshots.push(counters.snapshot());
            bumped.extend(model.modules.keys().copied());
            let exact = bumped.len() <= capacity && model.realms.len() <= capacity;

            prop_assert_eq!(counters.global_generation(), model.global);
            for (realm, &realm_url) in REALMS.iter().enumerate() {
                let generation = counters.realm_generation(realm_url);
                prop_assert!(generation >= model.realm(realm));
                prop_assert!(!exact || generation == model.realm(realm));
                for (module, &module_url) in MODULES.iter().enumerate() {
                    let generation = counters.module_generation(realm_url, module_url);
                    prop_assert!(generation >= model.module(realm, module));
                    prop_assert!(!exact || generation == model.module(realm, module));
                    prop_assert!(generation >= last.insert((realm, module), generation).unwrap_or(0));

                    for &snapshot in &snapshots {
                        let changed = counters.changed_since(snapshot, realm_url, module_url);
                        let model_changed = model.changed(snapshot, realm, &[module]);
                        prop_assert!(changed || !model_changed);
                        prop_assert!(!exact || changed == model_changed);
                    }
                }
                for &snapshot in &snapshots {
                    let urls = list.iter().map(|&module| MODULES[module]);
                    let changed = counters.changed_since_any(snapshot, realm_url, urls);
                    let model_changed = model.changed(snapshot, realm, &list);
                    prop_assert!(changed || !model_changed);
                    prop_assert!(!exact || changed == model_changed);
                }
            }
        }
    }
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
        let mut links: [Option<Link>; LISTENERS] = [None, None, None];
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
                    links[n] = Some(counters.attach()); // and whoever was there before is dropped
                    listeners[n] = Listener::Deaf;
                    innocent = false;
                }
                Event::Listening(n) => {
                    if let Some(link) = &links[n] {
                        link.listening();
                    }
                    if listeners[n] != Listener::Absent {
                        listeners[n] = Listener::Listening;
                        prop_assert!(counters.global_generation() > global);
                    } else {
                        prop_assert_eq!(counters.global_generation(), global);
                    }
                }
                Event::Lost(n) => {
                    if let Some(link) = &links[n] {
                        link.lost();
                    }
                    if listeners[n] == Listener::Listening {
                        listeners[n] = Listener::Deaf;
                    }
                }
                Event::Leave(n) => {
                    if let Some(link) = &links[n] {
                        link.leave(); // and stays, to be called after it left
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

/// Bumpers note what they have certainly done; checkers hold every check against that.
#[test]
fn no_thread_misses_a_bump_that_returned() {
    const ROUNDS: usize = 20_000;
    const URLS: [&str; 5] = ["a", "b", "c", "d", "e"];

    let counters = counters(3); // fewer than URLs, so that all the time something is forgotten
    // By URL: every snapshot below this was taken before a bump that has returned.
    let known: [AtomicU64; URLS.len()] = Default::default();
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for seed in [1, 2] {
            let (counters, known, start) = (&counters, &known, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..ROUNDS {
                    let url = round * seed % URLS.len();
                    let before = counters.snapshot();
                    if round % 7 == 0 {
                        counters.bump_modules(REALM, [URLS[url], URLS[(url + 1) % URLS.len()]]);
                    } else {
                        counters.bump_module(REALM, URLS[url]);
                    }
                    known[url].fetch_max(before + 1, Ordering::Release);
                }
            });
            scope.spawn(move || {
                start.wait();
                let mut generations = [0; URLS.len()];
                for round in 0..ROUNDS {
                    let url = round % URLS.len();
                    let snapshot = counters.snapshot().saturating_sub(round as u64 % 3);
                    for _ in 0..3 {
                        let known = known[url].load(Ordering::Acquire);
                        let changed = counters.changed_since(snapshot, REALM, URLS[url]);
                        assert!(changed || known <= snapshot, "{snapshot} misses a bump after {known}");
                    }
                    let generation = counters.module_generation(REALM, URLS[url]);
                    assert!(generation >= generations[url], "a generation decreased");
                    assert!(generation == 0 || counters.changed_since(generation - 1, REALM, URLS[url]));
                    generations[url] = generation;
                }
            });
        }
    });
    for (url, known) in URLS.iter().zip(known) {
        assert!(counters.changed_since(known.into_inner() - 1, REALM, url));
    }
}
