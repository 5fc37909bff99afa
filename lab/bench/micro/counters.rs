//! The counters beside what one would write without them: a `HashMap` behind a lock.
//!
//! ```sh
//! cargo bench --bench counters
//! ```

use std::collections::HashMap;

use divan::{Bencher, black_box};
use parking_lot::Mutex;
use pg_generations::generations::{GenerationCounters, Options};

const REALM: &str = "http://localhost:4201/user/realm/";

fn main() {
    divan::main();
}

fn urls(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{REALM}folder/module-{i:05}.gts")).collect()
}

fn counters() -> GenerationCounters {
    GenerationCounters::new(Options::default())
}

type Map = Mutex<HashMap<(String, String), u64>>;

fn bump_map(map: &Map, modules: &[String]) {
    let mut map = map.lock();
    for module in modules {
        *map.entry((REALM.into(), module.clone())).or_default() += 1;
    }
}

#[divan::bench_group]
mod bump {
    use super::*;

    #[divan::bench(args = [1, 60, 1_000])]
    fn generation_counters(bencher: Bencher, fan_out: usize) {
        let (counters, urls) = (counters(), urls(fan_out));
        bencher.bench(|| counters.bump_modules(REALM, black_box(&urls)));
    }

    #[divan::bench(args = [1, 60, 1_000])]
    fn hash_map(bencher: Bencher, fan_out: usize) {
        let (map, urls) = (Map::default(), urls(fan_out));
        bencher.bench(|| bump_map(&map, black_box(&urls)));
    }
}

#[divan::bench_group]
mod check {
    use super::*;

    #[divan::bench]
    fn nothing_moved(bencher: Bencher) {
        let counters = counters();
        let snapshot = counters.snapshot();
        bencher.bench(|| counters.changed_since(black_box(snapshot), REALM, black_box("m")));
    }

    #[divan::bench]
    fn others_moved(bencher: Bencher) {
        let (counters, urls) = (counters(), urls(1_000));
        let snapshot = counters.snapshot();
        counters.bump_modules(REALM, &urls[1..]);
        bencher.bench(|| counters.changed_since(black_box(snapshot), REALM, black_box(&urls[0])));
    }

    #[divan::bench]
    fn hash_map(bencher: Bencher) {
        let (map, urls) = (Map::default(), urls(1_000));
        bump_map(&map, &urls[1..]);
        bencher.bench(|| {
            let key = (black_box(REALM).to_owned(), black_box(&urls[0]).clone());
            map.lock().get(&key).is_some()
        });
    }
}
