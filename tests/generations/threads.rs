//! Many threads at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use pg_generations::generations::{Attachment, GenerationCounters, ListenerGuard};

use crate::{REALM, counters};
#[test]
fn counters_and_guards_go_to_any_thread() {
    fn any_thread<T: Send + Sync>() {}
    any_thread::<GenerationCounters>();
    any_thread::<ListenerGuard>();
    any_thread::<Attachment>();
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
