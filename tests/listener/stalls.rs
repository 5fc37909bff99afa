//! Servers and commits that take their time.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use pg_generations::listen::{Ask, Conninfo, Settings, Timings};

use crate::harness::{Harness, patient, shut_down, started, unhurried, watchful};
use testkit::{Admin, Database, PostgresServer, until};

/// Has a commit wait for a standby that never comes, and `meanwhile` done while it does. Such a commit holds the lock
/// that every NOTIFY needs.
pub fn with_a_stuck_commit(server: &PostgresServer, admin: &Admin, meanwhile: impl FnOnce()) {
    admin.execute("CREATE TABLE t (i int)");
    admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    admin.execute("SELECT pg_reload_conf()");
    let stuck = Admin::connect(&server.url);
    until("the new configuration", || {
        stuck.query("SHOW synchronous_standby_names")[0][0].as_deref() == Some("nobody")
    });
    let commit =
        "BEGIN; INSERT INTO t VALUES (1); NOTIFY module_cache_invalidated, '{\"k\":\"global\"}'; COMMIT";
    std::thread::scope(|scope| {
        scope.spawn(|| stuck.execute(commit));
        until("the stuck commit", || {
            !admin.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'").is_empty()
        });
        meanwhile();
        admin.execute("ALTER SYSTEM RESET synchronous_standby_names");
        admin.execute("SELECT pg_reload_conf()");
    });
}

/// The heartbeat waits behind the commit, gives up by `lock_timeout`, and tries again: the connection is fine.
#[test]
fn a_stuck_commit_is_no_loss() {
    let server = PostgresServer::start();
    let admin = Admin::connect(&server.url);
    let harness = Harness::new();
    let listener = harness.listen(&server.url, unhurried());
    with_a_stuck_commit(&server, &admin, || {
        let waiting = format!(
            "SELECT query FROM pg_stat_activity WHERE pid = {} AND wait_event_type = 'Lock'",
            harness.backend()
        );
        // Each attempt has a nonce of its own, so a new text is a new attempt.
        let mut attempts = BTreeSet::new();
        until("a second attempt to echo", || {
            attempts.extend(admin.query(&waiting).into_iter().map(|row| row[0].clone()));
            attempts.len() >= 2
        });
    });
    let echoes = harness.record.count("echo");
    harness.record.wait_for("echo", echoes + 1);
    assert_eq!(harness.record.count("lost"), 0, "{:?}", harness.record.events());
    assert_eq!(harness.record.count("notification"), 1);
    shut_down(&listener);
}

/// No proof can be had then. But a backend that waits for a lock does not notice that its client has gone, so every
/// attempt would leave one behind if it did not give up by itself.
#[test]
fn a_stuck_commit_does_not_use_up_the_servers_connections() {
    let server = PostgresServer::start();
    let admin = Admin::connect(&server.url);
    with_a_stuck_commit(&server, &admin, || {
        let harness = Harness::new();
        let url = format!("{}?application_name=proving&connect_timeout=1", server.url);
        let listener = harness.spawn(&url, watchful());
        harness.record.wait_for("retrying", 3);
        shut_down(&listener);
        until("the attempts' backends to end", || admin.backends("proving").is_empty());
    });
}

/// The proof's notification comes late, but it comes.
#[cfg(unix)]
#[test]
fn a_server_that_stalls_during_the_proof_is_no_pooler() {
    let database = Database::create();
    let admin = Arc::new(database.admin());
    let calls = AtomicUsize::new(0);
    let ask = move || -> BoxFuture<'static, Result<String, String>> {
        // The second connection is about to log in, for the proof. Now the first stalls, longer than a heartbeat may.
        if calls.fetch_add(1, Ordering::Relaxed) == 1 {
            let admin = Arc::clone(&admin);
            let stall = move || {
                let backend = admin.backends("stalling")[0];
                signal("-STOP", backend);
                backend
            };
            let backend = std::thread::spawn(stall).join().unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(watchful().heartbeat_timeout * 3 / 2);
                signal("-CONT", backend);
            });
        }
        Box::pin(async { Ok(String::new()) })
    };
    let harness = Harness::new();
    let settings = Settings::new(
        &Conninfo::from_url(&format!("{}?application_name=stalling", database.url)).unwrap(),
        watchful(),
    )
    .unwrap()
    .asking_password(Ask::new(ask));
    let listener = harness.spawn_with(settings, None);
    started(&listener).unwrap();
    assert_eq!(harness.record.count("retrying"), 1, "{:?}", harness.record.events());
    harness.assert_hears(&database.admin());
    shut_down(&listener);
}

#[cfg(unix)]
pub fn signal(signal: &str, pid: i32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_heartbeat_that_is_as_good_as_switched_off() {
    let database = Database::create();
    let harness = Harness::new();
    for heartbeat_timeout in [Duration::from_secs(40_000), Duration::MAX] {
        let timings = Timings { heartbeat_timeout, heartbeat_interval: Duration::MAX, ..patient() };
        let listener = harness.listen(&database.url, timings);
        harness.assert_hears(&database.admin());
        shut_down(&listener);
    }
}
