//! A primary, its streaming standby, and the change from one to the other.

use std::time::Duration;

use pg_generations::generations::Verdict;
use pg_generations::listen::{State, Timings};

use crate::harness::{Harness, patient, shut_down, started, unhurried};
use testkit::{Admin, DEADLINE, PostgresServer, Proxy, StopMode, until};

fn either(first: &PostgresServer, second: &PostgresServer) -> String {
    format!(
        "postgres://postgres@/postgres?host=127.0.0.1,127.0.0.1&port={},{}&sslmode=disable",
        first.port, second.port
    )
}

fn promote(standby: &PostgresServer) -> Admin {
    let admin = Admin::connect(&standby.url);
    admin.execute("SELECT pg_promote()");
    admin
}

/// Whether the listener's session is one of this server's.
fn is_served_by(harness: &Harness, admin: &Admin) -> bool {
    let pid = harness.backend();
    let sql = format!(
        "SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND application_name = 'pg-generations/{}'",
        std::process::id()
    );
    !admin.query(&sql).is_empty()
}

/// Whether an attempt ended at a server that takes no writes.
fn found_read_only(harness: &Harness) -> bool {
    let told = |event: &String| event.starts_with("retrying") && event.ends_with("PGGEN_READ_ONLY_SERVER");
    harness.record.events().iter().any(told)
}

#[test]
fn a_standby_among_the_hosts_is_passed_over() {
    let primary = PostgresServer::start();
    let standby = primary.standby();
    let admin = Admin::connect(&primary.url);
    for attributes in ["", "&target_session_attrs=read-write", "&target_session_attrs=any"] {
        let harness = Harness::new();
        let url = format!("{}{attributes}", either(&standby, &primary));
        let listener = harness.listen(&url, patient());
        assert!(is_served_by(&harness, &admin));
        harness.assert_hears(&admin);
        shut_down(&listener);
        assert_eq!(harness.record.count("retrying"), 0);
    }
}

/// A standby takes connections, and even a LISTEN would be of no use: notifications are not replicated.
#[test]
fn a_standby_alone_is_never_believed() {
    let primary = PostgresServer::start();
    let standby = primary.standby();
    let proxy = Proxy::to(&standby.url);
    let harness = Harness::new();
    let timings = Timings { connect_timeout: Duration::from_secs(2), ..patient() };
    let listener = harness.spawn(&proxy.url(&standby.url), timings);
    assert_eq!(started(&listener).unwrap_err().code(), "PGGEN_READ_ONLY_SERVER");
    assert_eq!(harness.check(harness.counters.snapshot()), Verdict::Unproven);
    // Pauses that double from 25 ms: the seventh would end after the limit. And even fewer words.
    assert!(proxy.accepted() <= 7, "{} attempts in two seconds", proxy.accepted());
    let told: Vec<_> =
        harness.record.events().into_iter().filter(|event| event.starts_with("retrying")).collect();
    let expected = ["1", "2", "4"].map(|attempt| format!("retrying {attempt} PGGEN_READ_ONLY_SERVER"));
    assert_eq!(told, expected[..told.len()]);
}

#[test]
fn a_start_waits_for_a_standby_to_be_promoted() {
    let primary = PostgresServer::start();
    let standby = primary.standby();
    let harness = Harness::new();
    let timings = Timings { connect_timeout: DEADLINE, ..unhurried() };
    let listener = harness.spawn(&standby.url, timings);
    harness.record.wait_for("retrying", 2);
    assert_eq!(listener.state().0, State::Connecting);
    assert_eq!(harness.check(harness.counters.snapshot()), Verdict::Unproven);
    let admin = promote(&standby);
    started(&listener).unwrap();
    harness.assert_hears(&admin);
    shut_down(&listener);
}

#[test]
fn a_listener_follows_when_the_primary_dies() {
    let primary = PostgresServer::start();
    let standby = primary.standby();
    let harness = Harness::new();
    let listener = harness.listen(&either(&primary, &standby), unhurried());
    harness.assert_hears(&Admin::connect(&primary.url));
    let before = harness.counters.snapshot();
    assert_eq!(harness.check(before), Verdict::Unchanged);

    primary.kill9();
    harness.record.wait_for("lost", 1);
    // The standby answers, and is not believed.
    until("the standby to be asked", || found_read_only(&harness));
    let during = harness.counters.snapshot();
    for snapshot in [before, during] {
        assert_eq!(harness.check(snapshot), Verdict::Unproven);
    }
    assert_eq!(listener.state().0, State::Reconnecting);

    let admin = promote(&standby);
    harness.record.wait_for("resynced", 1);
    for snapshot in [before, during] {
        assert_eq!(harness.check(snapshot), Verdict::Changed);
    }
    assert!(is_served_by(&harness, &admin));
    harness.assert_hears(&admin);
    assert_eq!(harness.record.count("lost"), 1);
    shut_down(&listener);
}

#[test]
fn a_listener_waits_when_its_own_server_comes_back_as_a_standby() {
    let server = PostgresServer::start();
    let harness = Harness::new();
    let listener = harness.listen(&server.url, unhurried());
    let before = harness.counters.snapshot();
    server.stop(StopMode::Fast);
    std::fs::write(server.data.join("standby.signal"), "").unwrap();
    server.start_again();
    until("the standby to be asked", || found_read_only(&harness));
    assert_eq!(harness.check(before), Verdict::Unproven);
    let admin = promote(&server);
    harness.record.wait_for("resynced", 1);
    assert_eq!(harness.check(before), Verdict::Changed);
    harness.assert_hears(&admin);
    shut_down(&listener);
}

/// It takes writes, and is nobody's standby: only the timeline tells.
#[test]
fn an_old_primary_that_lives_on_is_passed_over() {
    let primary = PostgresServer::start();
    let standby = primary.standby();
    let harness = Harness::new();
    let listener = harness.listen(&either(&primary, &standby), unhurried());
    primary.kill9();
    let admin = promote(&standby);
    harness.record.wait_for("resynced", 1);
    primary.start_again();
    admin.terminate(harness.backend());
    harness.record.wait_for("resynced", 2);
    assert!(is_served_by(&harness, &admin));
    harness.assert_hears(&admin);

    let before = harness.counters.snapshot();
    standby.kill9();
    harness.record.wait_for("lost", 3);
    let attempts = harness.record.count("retrying");
    harness.record.wait_for("retrying", attempts + 2);
    assert_eq!(harness.check(before), Verdict::Unproven);
    assert_eq!(listener.state().0, State::Reconnecting);
    shut_down(&listener);

    // One that begins knows of no other.
    let listener = harness.listen(&primary.url, patient());
    shut_down(&listener);
}

/// Where it is the only address, it is the reason.
#[test]
fn an_address_that_moves_back_to_an_old_primary_is_refused() {
    let primary = PostgresServer::start();
    let standby = primary.standby();
    let proxy = Proxy::to(&standby.url);
    let harness = Harness::new();
    let admin = promote(&standby);
    let listener = harness.listen(&proxy.url(&standby.url), unhurried());
    harness.assert_hears(&admin);
    proxy.redirect(&primary.url);
    proxy.cut();
    harness.record.wait_for("retrying 1 PGGEN_OLD_PRIMARY", 1);
    assert_eq!(harness.check(harness.counters.snapshot()), Verdict::Unproven);
    proxy.redirect(&standby.url);
    harness.record.wait_for("resynced", 1);
    harness.assert_hears(&admin);
    shut_down(&listener);
}
