//! The server's queue of notifications, which all its databases share, and which can be full.

use std::collections::BTreeSet;

use pg_generations::generations::Verdict;
use pg_generations::listen::{Covers, Fence, InGap, State, Timings};

use crate::harness::{Harness, fence, patient, shut_down, started, unhurried};
use testkit::{Admin, DEADLINE, PostgresServer, QUEUE_PAGES, until};

/// Sends a notification that takes a whole page. Returns whether there was room for it.
fn send_page(admin: &Admin) -> bool {
    let sql = "SELECT pg_notify('module_cache_invalidated', rpad('{\"k\":\"global\"}', 7900))";
    match admin.try_execute(sql) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.code().unwrap().code(), "54000", "{error}");
            false
        }
    }
}

/// The echo is refused as well. That is no fault of the connection, which goes on to deliver what comes. And the
/// server, which does not look for room of its own accord, is asked to.
#[test]
fn a_full_queue_is_no_loss() {
    let Some(server) = PostgresServer::with_a_tiny_queue() else { return };
    let admin = Admin::connect(&server.url);
    let harness = Harness::new();
    let listener = harness.listen(&server.url, unhurried());
    let idler = Admin::connect(&server.url);
    idler.execute("LISTEN another");
    idler.execute("BEGIN");
    let mut sent = 0;
    while send_page(&admin) {
        sent += 1;
    }
    harness.record.wait_for("notification", sent);

    let snapshot = harness.counters.snapshot();
    let echoes = harness.record.count("echo");
    let latest = format!("SELECT query FROM pg_stat_activity WHERE pid = {}", harness.backend());
    let mut attempts = BTreeSet::new();
    until("echoes to be refused", || {
        let query = admin.query(&latest)[0][0].clone().unwrap();
        attempts.extend(query.starts_with("NOTIFY").then_some(query));
        attempts.len() >= 4
    });
    // One may have been under way when the last room was taken.
    assert!(harness.record.count("echo") <= echoes + 1);
    assert_eq!((harness.record.count("lost"), listener.state().0), (0, State::Listening));
    assert_eq!(harness.check(snapshot), Verdict::Unchanged);

    // Of fences, the kind that sends nothing goes through.
    let waiting = |covers| Fence { covers, limit: DEADLINE, in_gap: InGap::Wait };
    fence(&listener, waiting(Covers::Acknowledged)).unwrap();
    let refusal = fence(&listener, waiting(Covers::Released)).unwrap_err();
    assert_eq!(refusal.sql_state(), Some("54000"));

    // Nothing can be proven now.
    let another = Harness::new();
    let timings = Timings { connect_timeout: DEADLINE, ..unhurried() };
    let starting = another.spawn(&server.url, timings);
    another.record.wait_for("retrying 1 PGGEN_SERVER_ERROR", 1);
    assert_eq!(another.check(another.counters.snapshot()), Verdict::Unproven);

    idler.execute("COMMIT");
    until("room in the queue", || send_page(&admin));
    harness.record.wait_for("notification", sent + 1);
    assert_eq!(harness.check(snapshot), Verdict::Changed);
    started(&starting).unwrap();
    for (harness, listener) in [(harness, listener), (another, starting)] {
        fence(&listener, waiting(Covers::Released)).unwrap();
        harness.assert_hears(&admin);
        assert_eq!(harness.record.count("lost"), 0);
        shut_down(&listener);
    }
}

/// A gap in which nobody else listens, and so nobody asks the server to look for room.
#[test]
fn a_queue_that_was_full_is_no_obstacle_to_a_start() {
    let Some(server) = PostgresServer::with_a_tiny_queue() else { return };
    let admin = Admin::connect(&server.url);
    admin.execute("LISTEN another");
    admin.execute("BEGIN");
    let sender = Admin::connect(&server.url);
    while send_page(&sender) {}
    admin.execute("COMMIT");
    assert!(!send_page(&sender), "a server that looks for room of its own accord");
    let harness = Harness::new();
    let listener = harness.listen(&server.url, patient());
    assert_eq!(harness.record.count("retrying"), 1);
    harness.assert_hears(&admin);
    shut_down(&listener);
}

#[test]
fn a_listener_holds_up_nobody() {
    let Some(server) = PostgresServer::with_a_tiny_queue() else { return };
    let admin = Admin::connect(&server.url);
    let harness = Harness::new();
    let listener = harness.listen(&server.url, patient());
    let usage = "SELECT pg_notification_queue_usage()";
    for _ in 0..6 {
        for _ in 0..QUEUE_PAGES / 2 {
            assert!(send_page(&admin));
        }
        until("an empty queue", || admin.query(usage)[0][0].as_deref() == Some("0"));
    }
    harness.record.wait_for("notification", 3 * QUEUE_PAGES);
    shut_down(&listener);
}
