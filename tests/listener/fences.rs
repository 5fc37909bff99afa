//! Fences: when one is through, what was committed before it was asked for is in the counters.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pg_generations::error::Error;
use pg_generations::generations::Verdict;
use pg_generations::listen::{Covers, Fence, InGap, Listener};
use pg_generations::payload::CHANNEL;

use crate::harness::{
    Harness, REALM, fence, patient, shut_down, silent_server, started, unhurried, wait, watchful,
};
use testkit::{Admin, DEADLINE, Database, Direction, PostgresServer, Proxy, until};

const BOTH: [Covers; 2] = [Covers::Acknowledged, Covers::Released];

fn waiting(covers: Covers) -> Fence {
    Fence { covers, limit: DEADLINE, in_gap: InGap::Wait }
}

/// Ends the other threads' loops, also when a test fails.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn code(outcome: Result<(), Error>) -> &'static str {
    outcome.expect_err("the fence is not through").code()
}

/// A module that nobody else invalidates, and the payload that does.
fn module(name: impl std::fmt::Display) -> (String, String) {
    let url = format!("{REALM}{name}.gts");
    let payload = format!(r#"{{"k":"module","r":"{REALM}","m":["{url}"]}}"#);
    (url, payload)
}

/// Commits an invalidation, and after its acknowledgement asks for a fence and then for the counters' word.
fn commit_and_check(
    harness: &Harness,
    listener: &Listener,
    admin: &Admin,
    (committer, round): (usize, usize),
) {
    let (url, payload) = module(format_args!("{committer}-{round}"));
    let snapshot = harness.counters.snapshot();
    admin.notify(CHANNEL, &payload);
    fence(listener, waiting(BOTH[round % 2])).unwrap();
    let verdict = harness.counters.check(snapshot, REALM, &url);
    assert_ne!(verdict, Verdict::Unchanged, "committer {committer}, round {round}");
}

#[test]
fn what_was_acknowledged_is_in_the_counters() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    thread::scope(|scope| {
        for committer in 0..4 {
            let admin = database.admin();
            let (harness, listener) = (&harness, &listener);
            scope.spawn(move || {
                (0..750).for_each(|round| commit_and_check(harness, listener, &admin, (committer, round)));
            });
        }
    });
    assert_eq!(harness.record.count("notification"), 3_000, "each was heard, and none for a gap");
    assert_eq!(harness.record.count("lost"), 0);
    shut_down(&listener);
}

#[test]
fn what_was_acknowledged_is_in_the_counters_whatever_becomes_of_the_connection() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), watchful());
    let (rounds, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let committers: Vec<_> = (0..3)
            .map(|committer| {
                let admin = database.admin();
                let (harness, listener, rounds, done) = (&harness, &listener, &rounds, &done);
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        let round = rounds.fetch_add(1, Ordering::Relaxed);
                        commit_and_check(harness, listener, &admin, (committer, round));
                    }
                })
            })
            .collect();
        let end = EndOf(&done);
        for fault in 0..18 {
            // Somewhere among fences, which find it unless the heartbeat does.
            let undisturbed = rounds.load(Ordering::Relaxed);
            until("some rounds", || rounds.load(Ordering::Relaxed) > undisturbed + 50);
            match fault % 3 {
                0 => proxy.reset(),
                1 => proxy.cut_after(300),
                _ => proxy.swallow(Direction::ToClient),
            }
            harness.record.wait_for("lost", fault + 1);
            proxy.heal();
            harness.record.wait_for("resynced", fault + 1);
        }
        drop(end);
        committers.into_iter().for_each(|committer| committer.join().unwrap());
    });
    shut_down(&listener);
}

/// PostgreSQL gives a transaction's locks free before it signals the listening sessions. A fence of the heavier kind
/// is not fooled by that.
#[test]
fn what_was_committed_under_a_lock_is_in_the_counters_of_whoever_got_the_lock_next() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    let committer = database.admin();
    committer.execute("CREATE TABLE latest (round int); INSERT INTO latest VALUES (0)");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _end = EndOf(&done);
            for round in 1..=2_000 {
                let (_, payload) = module(round);
                committer.execute(&format!(
                    "BEGIN; SELECT pg_advisory_xact_lock(1); UPDATE latest SET round = {round};
                     NOTIFY {CHANNEL}, '{payload}'; COMMIT"
                ));
            }
        });
        for _ in 0..2 {
            let waiter = database.admin();
            let (harness, listener, done) = (&harness, &listener, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    waiter.execute("BEGIN; SELECT pg_advisory_xact_lock_shared(1)");
                    let latest = waiter.query("SELECT round FROM latest WHERE round > 0");
                    fence(listener, waiting(Covers::Released)).unwrap();
                    waiter.execute("COMMIT");
                    for row in latest {
                        let (url, _) = module(row[0].as_deref().unwrap());
                        assert_ne!(harness.counters.module_generation(REALM, &url), 0, "{url} was not heard");
                    }
                }
            });
        }
    });
    shut_down(&listener);
}

/// A commit that removes files is visible, and its locks are free, long before it signals the listening sessions.
#[test]
fn only_the_heavier_kind_covers_a_commit_that_is_visible_and_not_yet_acknowledged() {
    const TABLES: usize = 40;
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    let (committer, waiter) = (database.admin(), database.admin());
    let tables = || (0..TABLES).map(|table| format!("t{table}"));
    for table in tables() {
        committer.execute(&format!("CREATE TABLE {table} (x int PRIMARY KEY, y int UNIQUE)"));
    }
    let truncate = format!("TRUNCATE {}", tables().collect::<Vec<_>>().join(", "));
    let heard_after = |covers, round: usize| {
        let (url, payload) = module(format_args!("{covers:?}-{round}"));
        committer.execute("BEGIN; SELECT pg_advisory_xact_lock(1)");
        thread::scope(|scope| {
            let granted = scope.spawn(|| {
                waiter.execute("SELECT pg_advisory_lock_shared(1)");
                fence(&listener, waiting(covers)).unwrap();
                let heard = harness.counters.module_generation(REALM, &url) != 0;
                waiter.execute("SELECT pg_advisory_unlock_shared(1)");
                heard
            });
            committer.execute(&format!("{truncate}; NOTIFY {CHANNEL}, '{payload}'; COMMIT"));
            granted.join().unwrap()
        })
    };
    assert!((0..100).all(|round| heard_after(Covers::Released, round)));
    // Which shows that the rounds before were a test: the lighter kind does miss such a commit.
    assert!(!(0..100).all(|round| heard_after(Covers::Acknowledged, round)));
    shut_down(&listener);
}

#[test]
fn any_number_of_callers_share_two_round_trips() {
    const CALLERS: usize = 100_000;
    let database = Database::create();
    let harness = Harness::new();
    let proxy = Proxy::to(&database.url);
    let listener = harness.listen(&proxy.url(&database.url), patient());
    let echoes = harness.record.count("echo");
    // One is under way, and everybody else comes meanwhile.
    proxy.hold(Direction::ToClient);
    let (sender, receiver) = std::sync::mpsc::channel();
    for _ in 0..CALLERS {
        let sender = sender.clone();
        listener.fence(waiting(Covers::Released)).then(move |outcome| drop(sender.send(outcome)));
    }
    proxy.heal();
    for _ in 0..CALLERS {
        receiver.recv_timeout(DEADLINE).unwrap().unwrap();
    }
    let echoes = harness.record.count("echo") - echoes;
    assert!((1..=2).contains(&echoes), "{echoes} echoes");
    shut_down(&listener);
}

/// The fence that is under way may have been sent before the commit that the caller knows of.
#[test]
fn a_fence_under_way_is_not_joined() {
    for covers in BOTH {
        let database = Database::create();
        let proxy = Proxy::to(&database.url);
        let harness = Harness::new();
        let listener = harness.listen(&proxy.url(&database.url), patient());
        let (first, firsts) = std::sync::mpsc::channel();
        let (second, seconds) = std::sync::mpsc::channel();
        let snapshot = harness.counters.snapshot();
        let (url, payload) = module("a");
        // The first one's answer is on its way when the invalidation is committed and the second one asked for.
        proxy.hold(Direction::ToClient);
        let admin = database.admin();
        listener.fence(waiting(covers)).then(move |outcome| drop(first.send(outcome)));
        let answered = format!(
            "SELECT 1 FROM pg_stat_activity WHERE pid = {} AND state = 'idle' AND query NOT LIKE '%LISTEN%'",
            harness.backend()
        );
        until("the first one's answer", || !admin.query(&answered).is_empty());
        admin.notify(CHANNEL, &payload);
        let counters = std::sync::Arc::clone(&harness.counters);
        listener
            .fence(waiting(covers))
            .then(move |outcome| drop(second.send((outcome, counters.check(snapshot, REALM, &url)))));
        proxy.heal();
        firsts.recv_timeout(DEADLINE).unwrap().unwrap();
        let (outcome, verdict) = seconds.recv_timeout(DEADLINE).unwrap();
        outcome.unwrap();
        assert_eq!(verdict, Verdict::Changed);
        shut_down(&listener);
    }
}

#[test]
fn in_a_gap_it_waits_for_the_resync_or_fails_as_it_is_told() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), patient());
    let before = harness.counters.snapshot();
    proxy.refuse();
    proxy.cut();
    harness.record.wait_for("lost", 1);
    for covers in BOTH {
        let now = Fence { in_gap: InGap::Fail, ..waiting(covers) };
        assert_eq!(code(fence(&listener, now)), "PGGEN_NOT_LISTENING");
        let soon = Fence { limit: Duration::from_millis(20), ..waiting(covers) };
        assert_eq!(code(fence(&listener, soon)), "PGGEN_FENCE_TIMEOUT");
    }
    // Sent to nobody.
    database.admin().notify(CHANNEL, &module("a").1);
    let reply = listener.fence(waiting(Covers::Released));
    proxy.heal();
    wait(reply).unwrap();
    assert_eq!(harness.record.count("resynced"), 1);
    assert_eq!(harness.check(before), Verdict::Changed);
    shut_down(&listener);
}

#[test]
fn one_that_is_not_to_wait_fails_with_the_connection() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), patient());
    proxy.swallow(Direction::Both);
    let reply = listener.fence(Fence { in_gap: InGap::Fail, ..waiting(Covers::Released) });
    proxy.reset();
    assert_eq!(code(wait(reply)), "PGGEN_NOT_LISTENING");
    proxy.heal();
    shut_down(&listener);
}

#[test]
fn a_connection_that_swallows_lets_no_fence_through() {
    for covers in BOTH {
        let database = Database::create();
        let proxy = Proxy::to(&database.url);
        let harness = Harness::new();
        let listener = harness.listen(&proxy.url(&database.url), watchful());
        let before = harness.counters.snapshot();
        proxy.swallow(Direction::ToClient);
        database.admin().notify(CHANNEL, &module("a").1);
        let soon = Fence { limit: Duration::from_millis(20), ..waiting(covers) };
        assert_eq!(code(fence(&listener, soon)), "PGGEN_FENCE_TIMEOUT");
        let reply = listener.fence(waiting(covers));
        harness.record.wait_for("lost PGGEN_HEARTBEAT_TIMEOUT", 1);
        proxy.heal();
        wait(reply).unwrap();
        assert_eq!(harness.check(before), Verdict::Changed, "by the resync");
        shut_down(&listener);
    }
}

#[test]
fn it_fails_when_the_listener_stops_or_never_listened() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), patient());
    proxy.hold(Direction::ToClient);
    let reply = listener.fence(waiting(Covers::Acknowledged));
    shut_down(&listener);
    assert_eq!(code(wait(reply)), "PGGEN_STOPPED");
    assert_eq!(code(fence(&listener, waiting(Covers::Acknowledged))), "PGGEN_STOPPED");

    let nowhere = database.url.replace(url::Url::parse(&database.url).unwrap().path(), "/nowhere");
    let listener = harness.spawn(&nowhere, patient());
    assert_eq!(code(fence(&listener, waiting(Covers::Released))), "PGGEN_UNKNOWN_DATABASE");

    let (_silent, url) = silent_server();
    let listener = harness.spawn(&url, patient());
    let soon = Fence { limit: Duration::from_millis(20), ..waiting(Covers::Released) };
    assert_eq!(code(fence(&listener, soon)), "PGGEN_FENCE_TIMEOUT");
    shut_down(&listener);
}

#[test]
fn before_the_first_listen_it_waits_for_that() {
    let database = Database::create();
    let harness = Harness::new();
    let before = harness.counters.snapshot();
    let listener = harness.spawn(&database.url, patient());
    fence(&listener, waiting(Covers::Released)).unwrap();
    assert_eq!(harness.check(before), Verdict::Changed);
    started(&listener).unwrap();
    shut_down(&listener);
}

/// A commit that holds the lock of NOTIFY holds up the echo, and with it whoever needs one; all others are served.
#[test]
fn behind_a_stuck_commit_only_the_lighter_kind_gets_through() {
    let server = PostgresServer::start();
    let admin = Admin::connect(&server.url);
    let harness = Harness::new();
    let listener = harness.listen(&server.url, unhurried());
    crate::stalls::with_a_stuck_commit(&server, &admin, || {
        let soon = Fence { limit: Duration::from_secs(1), ..waiting(Covers::Released) };
        assert_eq!(code(fence(&listener, soon)), "PGGEN_FENCE_TIMEOUT");
        fence(&listener, waiting(Covers::Acknowledged)).unwrap();
    });
    fence(&listener, waiting(Covers::Released)).unwrap();
    assert_eq!(harness.record.count("lost"), 0);
    shut_down(&listener);
}
