//! Faults of every kind at every moment, drawn from a seed. Whatever happens: an acknowledged invalidation ends every
//! older "unchanged", and the listener listens again.
//!
//! `CHAOS_ROUNDS` and `CHAOS_SEED` set how many and which; a failure names its seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pg_generations::generations::Verdict;
use pg_generations::listen::Listener;
use pg_generations::payload::CHANNEL;

use crate::harness::{Harness, shut_down, watchful};
use crate::support::{Admin, Database, Direction, Proxy, until};

const PAYLOAD: &str = r#"{"k":"module","r":"http://realm/","m":["http://realm/a.gts"]}"#;
const DIRECTIONS: [Direction; 3] = [Direction::ToClient, Direction::ToServer, Direction::Both];

#[derive(Debug, Clone, Copy)]
enum Fault {
    Terminate,
    Fin,
    Rst,
    /// After so many more bytes: in the middle of a message, of a start even.
    CutAfter(usize),
    Swallow(Direction),
    Hold(Direction),
    /// Nothing to connect to for a while.
    Refuse,
    None,
}

/// SplitMix64: all that a seed needs.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn fault(&mut self) -> Fault {
        let direction = DIRECTIONS[self.below(3) as usize];
        match self.below(8) {
            0 => Fault::Terminate,
            1 => Fault::Fin,
            2 => Fault::Rst,
            3 => Fault::CutAfter(1 + self.below(100) as usize),
            // As much as a whole start sends: the next session is hit, too.
            4 => Fault::CutAfter(1 + self.below(1_500) as usize),
            5 => Fault::Swallow(direction),
            6 => Fault::Hold(direction),
            _ => Fault::Refuse,
        }
    }
}

struct Arena {
    database: Database,
    admin: Admin,
    proxy: Proxy,
    harness: Harness,
    listener: std::sync::Arc<Listener>,
}

impl Arena {
    fn new() -> Self {
        let database = Database::create();
        let proxy = Proxy::to(&database.url);
        let harness = Harness::new();
        let listener = harness.listen(&proxy.url(&database.url), watchful());
        Self { admin: database.admin(), database, proxy, harness, listener }
    }

    fn commit(&self, fault: Fault) {
        match fault {
            // The session may be on its way out already.
            Fault::Terminate => self.admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            ),
            Fault::Fin => self.proxy.cut(),
            Fault::Rst => self.proxy.reset(),
            Fault::CutAfter(bytes) => self.proxy.cut_after(bytes),
            Fault::Swallow(direction) => self.proxy.swallow(direction),
            Fault::Hold(direction) => self.proxy.hold(direction),
            Fault::Refuse => {
                self.proxy.refuse();
                self.proxy.reset();
            }
            Fault::None => {}
        }
    }

    fn round(&self, random: &mut Random) {
        let counters = &self.harness.counters;
        until("an undisturbed listener", || counters.proven());
        let snapshot = counters.snapshot();
        let first = random.fault();
        // The second fault finds the listener anywhere between its loss and its next LISTEN.
        let second = if random.below(2) == 0 { random.fault() } else { Fault::None };
        for _ in 0..random.below(30) {
            self.admin.notify(CHANNEL, "junk");
        }
        self.commit(first);
        self.admin.notify(CHANNEL, PAYLOAD);
        self.commit(second);
        until("the end of an old belief", || self.harness.check(snapshot) != Verdict::Unchanged);
        self.proxy.heal();
        until("a listener that has recovered", || self.harness.check(snapshot) == Verdict::Changed);
    }
}

#[test]
fn whatever_fails_nothing_is_believed_wrongly() {
    let setting = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let rounds = setting("CHAOS_ROUNDS").unwrap_or(60);
    let seed = setting("CHAOS_SEED").unwrap_or(1);
    let arena = Arena::new();
    for round in seed..seed + rounds {
        let outcome = catch_unwind(AssertUnwindSafe(|| arena.round(&mut Random(round))));
        if let Err(panic) = outcome {
            eprintln!("CHAOS_SEED={round} CHAOS_ROUNDS=1: {:?}", arena.harness.record.events());
            resume_unwind(panic);
        }
    }
    until("an undisturbed listener", || arena.harness.counters.proven());
    arena.harness.assert_hears(&arena.admin);
    shut_down(&arena.listener);
    drop(arena.database);
}
