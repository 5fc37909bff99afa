//! The codec beside what one would write without it: serde_json into owned strings, and out of them.
//!
//! ```sh
//! cargo bench --bench codec
//! ```

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use pg_generations::payload::{Invalidation, encode_modules};
use serde_json::{Value, json};

const REALM: &str = "http://localhost:4201/user/realm/";

fn main() {
    divan::main();
}

fn urls(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{REALM}folder/module-{i:05}.gts")).collect()
}

fn payload(count: usize) -> String {
    json!({ "k": "module", "r": REALM, "m": urls(count) }).to_string()
}

#[divan::bench_group]
mod parse {
    use super::*;

    #[divan::bench(args = [1, 60, 110])]
    fn decode(bencher: Bencher, count: usize) {
        let payload = payload(count);
        bencher
            .counter(BytesCount::of_str(&payload))
            .bench(|| Invalidation::decode(black_box(&payload)).is_some());
    }

    #[divan::bench(args = [1, 60, 110])]
    fn serde_json_value(bencher: Bencher, count: usize) {
        let payload = payload(count);
        bencher
            .counter(BytesCount::of_str(&payload))
            .bench(|| serde_json::from_str::<Value>(black_box(&payload)).is_ok());
    }
}

#[divan::bench_group]
mod encode {
    use super::*;

    /// In payloads that fit.
    #[divan::bench(args = [1, 60, 1_000])]
    fn modules(bencher: Bencher, count: usize) {
        let urls = urls(count);
        bencher.bench(|| encode_modules(REALM, black_box(&urls)));
    }

    /// In one piece, which PostgreSQL would not take.
    #[divan::bench(args = [1, 60, 1_000])]
    fn serde_json_in_one_piece(bencher: Bencher, count: usize) {
        let urls = urls(count);
        bencher.bench(|| json!({ "k": "module", "r": REALM, "m": black_box(&urls) }).to_string());
    }
}
