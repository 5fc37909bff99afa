//! How long a listener's thread is kept from its socket while a million distinct URLs arrive: each payload is decoded and
//! bumped as the thread does it, and in turn put into a `HashMap` that grows, as counters in a plain map would.
//!
//! Prints a line for each: its name, the longest and the median time of a payload by the thread's own processor time,
//! and the longest by the clock on the wall, in nanoseconds.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use pg_generations::feed::{Feed, FeedOptions, OnGap};
use pg_generations::generations::{GenerationCounters, Options};
use pg_generations::payload::{Invalidation, encode_modules};
use rustix::time::{ClockId, clock_gettime};

const URLS_A_PAYLOAD: usize = 80;

fn main() {
    let urls = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000_usize);
    let counters = Arc::new(GenerationCounters::new(Options::default()));
    let options = FeedOptions {
        counters: Some(counters),
        queue_calls: false,
        max_queued_calls: 1,
        on_gap: OnGap::Discard,
    };
    let feed = Feed::new(options, |_| {});
    let mut map: HashMap<String, u64> = HashMap::new();
    let (mut ours, mut growing) = (Times::default(), Times::default());
    for first in (0..urls).step_by(URLS_A_PAYLOAD) {
        let modules: Vec<String> = (first..first + URLS_A_PAYLOAD)
            .map(|i| format!("http://localhost:4201/user/realm/folder/module-{i:012}.gts"))
            .collect();
        for payload in encode_modules("http://localhost:4201/user/realm/", &modules).unwrap_or_default() {
            ours.measure(|| feed.dispatch(black_box(&payload)).is_ok());
            growing.measure(|| bump(&mut map, black_box(&payload)));
        }
    }
    println!("pg-generations {}", ours.summary());
    println!("HashMap {}", growing.summary());
}

fn bump(map: &mut HashMap<String, u64>, payload: &str) -> bool {
    let Some(Invalidation::Module { realm, modules }) = Invalidation::decode(payload) else { return false };
    for module in modules {
        *map.entry(format!("{realm} {module}")).or_default() += 1;
    }
    true
}

#[derive(Default)]
struct Times {
    processor: Vec<u64>,
    wall: Vec<u64>,
}

impl Times {
    fn measure(&mut self, work: impl FnOnce() -> bool) {
        let (processor, wall) = (now(ClockId::ThreadCPUTime), now(ClockId::Monotonic));
        black_box(work());
        self.processor.push(now(ClockId::ThreadCPUTime) - processor);
        self.wall.push(now(ClockId::Monotonic) - wall);
    }

    fn summary(mut self) -> String {
        self.processor.sort_unstable();
        let longest = |times: &[u64]| times.iter().copied().max().unwrap_or(0);
        let median = self.processor.get(self.processor.len() / 2).copied().unwrap_or(0);
        format!("{} {median} {}", longest(&self.processor), longest(&self.wall))
    }
}

fn now(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
