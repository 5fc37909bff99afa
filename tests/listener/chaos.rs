//! Faults of every kind at every moment, drawn from a seed. Whatever happens: an acknowledged invalidation ends every
//! older "unchanged", the listener listens again, and what is acknowledged from then on is heard.
//!
//! `CHAOS_ROUNDS` and `CHAOS_SEED` set how many and which; a failure names its seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use pg_generations::generations::Verdict;
use pg_generations::listen::Listener;
use pg_generations::payload::CHANNEL;

use crate::harness::{Harness, shut_down, watchful};
use crate::tls::SERVER as WITH_TLS;
use testkit::{Admin, Database, Direction, Proxy, until};

const PAYLOAD: &str = r#"{"k":"module","r":"http://realm/","m":["http://realm/a.gts"]}"#;
const DIRECTIONS: [Direction; 3] = [Direction::ToClient, Direction::ToServer, Direction::Both];

/// Rounds mostly wait, so several go on at a time.
const ARENAS: u64 = 8;

#[derive(Debug, Clone, Copy)]
enum Fault {
    Terminate,
    Fin,
    Rst,
    /// After so many more bytes: in the middle of a message, of a handshake even.
    CutAfter(usize),
    HoldAfter(usize),
    Swallow(Direction),
    Hold(Direction),
    /// Byte by byte.
    Trickle,
    Delay(Duration),
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

    /// Less than a notification, or as much as a whole start sends: the next session is hit, too.
    fn bytes(&mut self) -> usize {
        let end = [100, 1_500, 6_000][self.below(3) as usize];
        1 + self.below(end) as usize
    }

    fn fault(&mut self) -> Fault {
        let direction = DIRECTIONS[self.below(3) as usize];
        match self.below(10) {
            0 => Fault::Terminate,
            1 => Fault::Fin,
            2 => Fault::Rst,
            3 => Fault::CutAfter(self.bytes()),
            4 => Fault::HoldAfter(self.bytes()),
            5 => Fault::Swallow(direction),
            6 => Fault::Hold(direction),
            7 => Fault::Trickle,
            // Each way, and a heartbeat has half a second: what it survives, and now and then what it does not.
            8 => Fault::Delay(Duration::from_millis(1 + self.below(150))),
            _ => Fault::Refuse,
        }
    }
}

struct Arena {
    admin: Admin,
    proxy: Proxy,
    harness: Harness,
    listener: Arc<Listener>,
    _database: Option<Database>,
}

impl Arena {
    fn in_plain_text() -> Self {
        let database = Database::create();
        let arena = Self::new(&database.url, &database.url);
        Self { _database: Some(database), ..arena }
    }

    /// With a password, so that the faults find handshakes and logins of several messages.
    fn over_tls() -> Self {
        let url = WITH_TLS.create_database();
        let with_password = url.replace("postgres@", "scram:secret@");
        Self::new(&url, &format!("{with_password}?sslmode=require"))
    }

    fn new(admin: &str, url: &str) -> Self {
        let proxy = Proxy::to(url);
        let harness = Harness::new();
        let mut url = url::Url::parse(&proxy.url(url)).unwrap();
        // An attempt whose bytes are swallowed is not to hold up a round for long.
        url.query_pairs_mut().append_pair("connect_timeout", "2");
        let listener = harness.listen(url.as_str(), watchful());
        Self { admin: Admin::connect(admin), proxy, harness, listener, _database: None }
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
            Fault::HoldAfter(bytes) => self.proxy.hold_after(bytes),
            Fault::Swallow(direction) => self.proxy.swallow(direction),
            Fault::Hold(direction) => self.proxy.hold(direction),
            Fault::Trickle => self.proxy.trickle(),
            Fault::Delay(delay) => self.proxy.delay(delay),
            Fault::Refuse => {
                self.proxy.refuse();
                self.proxy.reset();
            }
            Fault::None => {}
        }
    }

    fn round(&self, random: &mut Random) {
        let check = |snapshot| self.harness.check(snapshot);
        let counters = &self.harness.counters;
        let believed = |snapshots: &[u64]| snapshots.iter().any(|&at| check(at) == Verdict::Unchanged);
        until("a listener without a fault", || counters.proven());
        let mut older = vec![counters.snapshot()];
        let first = random.fault();
        let second = if random.below(2) == 0 { random.fault() } else { Fault::None };
        for _ in 0..random.below(30) {
            self.admin.notify(CHANNEL, "junk");
        }
        self.commit(first);
        self.admin.notify(CHANNEL, PAYLOAD);
        self.commit(second);
        until("the end of an old belief", || !believed(&older));

        // These find the listener anywhere between its loss and its next LISTEN.
        for _ in 0..random.below(16) {
            if random.below(2) == 0 {
                self.commit(random.fault());
            }
            older.push(counters.snapshot());
            self.admin.notify(CHANNEL, PAYLOAD);
            sleep(Duration::from_millis(random.below(30)));
        }
        until("the end of every old belief", || !believed(&older));
        let during = counters.snapshot();
        if check(during) == Verdict::Unproven {
            older.push(during);
        }
        self.proxy.heal();
        until("a listener that has recovered", || older.iter().all(|&at| check(at) == Verdict::Changed));

        let after = counters.snapshot();
        self.admin.notify(CHANNEL, PAYLOAD);
        until("what was committed after the recovery", || check(after) == Verdict::Changed);
        assert!(!believed(&older), "an old belief has come back");
    }
}

/// Has several arenas share the rounds.
fn throw_faults(arena: impl Fn() -> Arena + Sync) {
    let setting = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let first = setting("CHAOS_SEED").unwrap_or(1);
    let end = first + setting("CHAOS_ROUNDS").unwrap_or(300);
    let next = AtomicU64::new(first);
    let fight = || {
        let arena = arena();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| arena.round(&mut Random(seed))));
            if let Err(panic) = outcome {
                next.store(end, Ordering::Relaxed);
                let events = arena.harness.record.events();
                let latest = &events[events.len().saturating_sub(40)..];
                eprintln!("CHAOS_SEED={seed} CHAOS_ROUNDS=1 fails: {latest:?}");
                resume_unwind(panic);
            }
        }
        shut_down(&arena.listener);
        let counters = &arena.harness.counters;
        assert_eq!(arena.harness.check(counters.snapshot()), Verdict::Unproven);
    };
    scope(|scope| {
        for _ in 0..ARENAS.min(end - first) {
            scope.spawn(fight);
        }
    });
}

#[test]
fn whatever_fails_nothing_is_believed_wrongly() {
    throw_faults(Arena::in_plain_text);
}

#[test]
fn whatever_fails_over_tls_nothing_is_believed_wrongly() {
    throw_faults(Arena::over_tls);
}
