//! What a listener hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use pg_generations::generations::Verdict;
use pg_generations::listen::{Ask, Conninfo, IDENTITY, Settings};
use pg_generations::payload::{self, CHANNEL};

use crate::harness::{Harness, MODULE, REALM, patient, shut_down, started, unhurried};
use testkit::{Admin, Database, PostgresServer, until};

#[test]
fn a_notification_bumps_exactly_its_scope() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    let admin = database.admin();
    let counters = &harness.counters;
    let send = |payload: &str| {
        let (snapshot, heard) = (counters.snapshot(), harness.record.count("notification"));
        admin.notify(CHANNEL, payload);
        harness.record.wait_for("notification", heard + 1);
        snapshot
    };

    let snapshot = send(&payload::encode_modules(REALM, &[MODULE]).unwrap()[0]);
    assert!(counters.changed_since(snapshot, REALM, MODULE));
    assert!(!counters.changed_since(snapshot, REALM, "http://realm/b.gts"));
    assert!(!counters.changed_since(snapshot, "http://other/", MODULE));

    let snapshot = send(&payload::encode_realm(REALM).unwrap());
    assert!(counters.changed_since(snapshot, REALM, "http://realm/b.gts"));
    assert!(!counters.changed_since(snapshot, "http://other/", MODULE));

    let snapshot = send(&payload::encode_global());
    assert!(counters.changed_since(snapshot, "http://other/", MODULE));

    let snapshot = send("junk");
    assert!(!counters.changed_since(snapshot, REALM, MODULE));
    let tally = harness.feed.tally();
    assert_eq!(
        (tally.notifications, tally.module_bumps, tally.realm_bumps, tally.global_bumps, tally.malformed),
        (4, 1, 1, 1, 1)
    );
    shut_down(&listener);
}

#[test]
fn other_channels_are_not_heard() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    let admin = database.admin();
    admin.notify("another", "noise");
    harness.assert_hears(&admin);
    assert_eq!(harness.record.count("notification"), 1);
    shut_down(&listener);
}

#[test]
fn counters_are_unproven_until_listening_and_older_snapshots_are_changed() {
    let database = Database::create();
    let harness = Harness::new();
    let before = harness.counters.snapshot();
    assert_eq!(harness.check(before), Verdict::Unproven, "a listener is to come");
    let listener = harness.spawn(&database.url, patient());
    // Whether or not it listens by now, nothing from before is believed.
    assert_ne!(harness.check(before), Verdict::Unchanged);
    crate::harness::started(&listener).unwrap();
    assert_eq!(harness.check(before), Verdict::Changed);
    harness.assert_hears(&database.admin());
    shut_down(&listener);
    assert_eq!(harness.check(harness.counters.snapshot()), Verdict::Unproven);
}

#[test]
fn the_session_is_prepared_to_idle_and_to_be_recognised() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, unhurried());
    let admin = database.admin();
    let name = format!("pg-generations/{}", std::process::id());
    assert!(admin.backends(&name).contains(&harness.backend()));
    // Its last statement was an echo or the proof's LISTEN, and it is in no transaction.
    harness.record.wait_for("echo", 3);
    let sql = format!("SELECT state FROM pg_stat_activity WHERE pid = {}", harness.backend());
    until("an idle session", || admin.query(&sql)[0][0].as_deref() == Some("idle"));
    assert!(harness.feed.tally().echo_round_trip.is_some());
    shut_down(&listener);
}

#[test]
fn it_knows_which_server_it_listens_to() {
    let (database, other) = (Database::create(), Database::create());
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    let identity = |admin: &Admin| admin.query(IDENTITY)[0][0].clone().unwrap();
    let admin = database.admin();
    assert_eq!(harness.feed.tally().server, Some(identity(&admin)));
    assert_ne!(harness.feed.tally().server, Some(identity(&other.admin())), "another database");

    let server = PostgresServer::start();
    let elsewhere = Harness::new();
    let other = elsewhere.listen(&server.url, patient());
    let before = elsewhere.feed.tally().server.unwrap();
    server.restart();
    elsewhere.record.wait_for("resynced", 1);
    assert_ne!(elsewhere.feed.tally().server, Some(before), "the same server started again");
    shut_down(&listener);
    shut_down(&other);
    assert_eq!(harness.feed.tally().server, None);
}

/// A server may keep something of its identity from a role, and a listener listens all the same.
#[test]
fn a_server_that_does_not_tell_which_it_is_is_listened_to() {
    let server = PostgresServer::start();
    let admin = Admin::connect(&server.url);
    admin.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; CREATE ROLE plain LOGIN");
    let harness = Harness::new();
    let listener = harness.listen(&server.url.replace("postgres@", "plain@"), patient());
    assert_eq!(harness.feed.tally().server, None);
    harness.assert_hears(&admin);
    shut_down(&listener);
}

/// Whatever an administrator set for everyone, this session waits for as long as it takes.
#[test]
fn no_time_out_of_the_server_ends_an_idle_session() {
    let database = Database::create();
    let admin = database.admin();
    for setting in ["idle_session_timeout", "statement_timeout", "lock_timeout"] {
        let sql =
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET NAME = 100', current_database()); END $$";
        admin.execute(&sql.replace("NAME", setting));
    }
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    // A session that began after ours and is ended for idling shows that ours would have been, too.
    let idler = database.admin();
    let backend: i32 = idler.query("SELECT pg_backend_pid()")[0][0].as_deref().unwrap().parse().unwrap();
    let sql = format!("SELECT 1 FROM pg_stat_activity WHERE pid = {backend}");
    until("another session to be ended for idling", || admin.query(&sql).is_empty());
    harness.assert_hears(&admin);
    assert_eq!(harness.record.count("lost"), 0);
    shut_down(&listener);
}

#[test]
fn notifications_are_heard_in_the_middle_of_heartbeats() {
    let database = Database::create();
    let harness = Harness::new();
    let timings = pg_generations::listen::Timings {
        heartbeat_interval: std::time::Duration::from_millis(1),
        ..unhurried()
    };
    let listener = harness.listen(&database.url, timings);
    let admin = database.admin();
    admin.execute(
        "DO $$ BEGIN FOR i IN 1..500 LOOP PERFORM pg_notify('module_cache_invalidated', '{\"k\":\"global\",\"i\":' || i || '}'); COMMIT; END LOOP; END $$",
    );
    harness.record.wait_for("notification", 500);
    let sent: Vec<_> =
        harness.record.events().into_iter().filter(|event| event.starts_with("notification")).collect();
    let expected: Vec<_> =
        (1..=500).map(|i| format!("notification {{\"k\":\"global\",\"i\":{i}}}")).collect();
    assert_eq!(sent, expected);
    assert!(harness.record.count("echo") > 0);
    shut_down(&listener);
}

/// A server may lose what is committed while a LISTEN is: early builds of PostgreSQL 19 did. Whatever comes before the proof of LISTEN
/// is covered by the bump behind it, delivered or not; nothing is promised of a snapshot from before.
#[test]
fn what_is_committed_while_listen_is_does_not_have_to_arrive() {
    let database = Database::create();
    let harness = Harness::new();
    let admin = Arc::new(database.admin());
    let (sender, snapshots) = std::sync::mpsc::channel();
    let calls = AtomicUsize::new(0);
    let (committer, counters) = (Arc::clone(&admin), Arc::clone(&harness.counters));
    // Asked for each connection: the second of each pair is the proof's, at which the first one's LISTEN was answered.
    let ask = move || -> BoxFuture<'static, Result<String, String>> {
        let proving = calls.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        let (committer, counters, sender) = (Arc::clone(&committer), Arc::clone(&counters), sender.clone());
        let commit = move || {
            sender.send((counters.snapshot(), counters.check(counters.snapshot(), REALM, MODULE))).unwrap();
            committer.notify(CHANNEL, r#"{"k":"module","r":"http://realm/","m":["http://realm/b.gts"]}"#);
        };
        if proving {
            std::thread::spawn(commit).join().unwrap();
        }
        Box::pin(async { Ok(String::new()) })
    };
    let settings = Settings::new(&Conninfo::from_url(&database.url).unwrap(), patient())
        .unwrap()
        .asking_password(Ask::new(ask));
    let listener = harness.spawn_with(settings, None);
    started(&listener).unwrap();
    admin.terminate(harness.backend());
    harness.record.wait_for("resynced", 1);
    for (snapshot, verdict) in [snapshots.recv().unwrap(), snapshots.recv().unwrap()] {
        assert_eq!(verdict, Verdict::Unproven);
        // Of a module that no notification names.
        assert_eq!(harness.check(snapshot), Verdict::Changed);
    }
    harness.assert_hears(&admin);
    shut_down(&listener);
}
