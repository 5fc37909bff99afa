//! Connection poolers, which may keep what a session listens to from its client.

use std::collections::BTreeSet;
use std::time::Duration;

use pg_generations::generations::Verdict;
use pg_generations::listen::Timings;
use pg_generations::payload::CHANNEL;

use crate::harness::{Harness, patient, shut_down, started, watchful};
use testkit::{Admin, Database, PgBouncer, Pooler, until};

fn assert_refused(through: &str) {
    let harness = Harness::new();
    let listener = harness.spawn(through, watchful());
    let error = started(&listener).unwrap_err();
    assert_eq!(error.code(), "PGGEN_LISTEN_SWALLOWED");
    assert!(error.to_string().contains("session mode"), "{error}");
    assert_eq!(harness.check(harness.counters.snapshot()), Verdict::Unproven);
}

#[test]
fn one_that_swallows_notifications_is_refused() {
    let database = Database::create();
    let pooler = Pooler::before(&database.url);
    assert_refused(&pooler.url(&database.url));
}

#[test]
fn pgbouncer_in_transaction_mode_is_refused() {
    let database = Database::create();
    let Some(pooler) = PgBouncer::before(&database.url, "transaction") else { return };
    assert_refused(&pooler.url);
}

/// What goes back into the pool is the next client's.
#[test]
fn pgbouncer_gets_its_sessions_back_as_they_were() {
    let database = Database::create();
    let Some(pooler) = PgBouncer::before(&database.url, "transaction") else { return };
    let state = "SELECT pg_backend_pid(), (SELECT count(*) FROM pg_listening_channels()), \
        (SELECT json_object_agg(name, setting ORDER BY name) FROM pg_settings WHERE source = 'session' AND name <> 'application_name')";
    let untouched = Admin::connect(&pooler.url).query(state).remove(0);
    assert_refused(&pooler.url);
    let admin = database.admin();
    let others =
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    // In a transaction each has a session to itself.
    let clients: Vec<_> = admin.query(others).iter().map(|_| Admin::connect(&pooler.url)).collect();
    clients.iter().for_each(|client| client.execute("BEGIN"));
    let states: Vec<_> = clients.iter().map(|client| client.query(state).remove(0)).collect();
    let pids: BTreeSet<_> = states.iter().map(|state| state[0].clone()).collect();
    assert_eq!((pids.len(), admin.query(others).len()), (clients.len(), clients.len()));
    assert!(states.iter().all(|state| state[1..] == untouched[1..]), "{untouched:?}: {states:?}");
}

#[test]
fn pgbouncer_in_session_mode_is_as_good_as_the_server() {
    let database = Database::create();
    let Some(pooler) = PgBouncer::before(&database.url, "session") else { return };
    let harness = Harness::new();
    let listener = harness.listen(&pooler.url, watchful());
    harness.assert_hears(&database.admin());
    let before = harness.counters.snapshot();
    database.admin().terminate(harness.backend());
    harness.record.wait_for("resynced", 1);
    assert_eq!(harness.check(before), Verdict::Changed);
    harness.assert_hears(&database.admin());
    shut_down(&listener);
    let listener = harness.listen(&pooler.url, patient());
    shut_down(&listener);
}

/// The statement with the nonce is there for every superuser to read, so another session can send the same. It is no echo.
#[test]
fn an_echo_that_another_session_forges_is_none() {
    let database = Database::create();
    let admin = database.admin();
    let pooler = Pooler::without_echoes(&database.url);
    let harness = Harness::new();
    let timings = Timings { heartbeat_timeout: Duration::from_secs(3), ..watchful() };
    let listener = harness.listen(&pooler.url(&database.url), timings);
    let sent = format!(
        "SELECT query FROM pg_stat_activity WHERE pid = {} AND query LIKE 'NOTIFY%'",
        harness.backend()
    );
    until("a heartbeat", || !admin.query(&sent).is_empty());
    // The echo goes nowhere, and is waited for. Its forgery arrives, as the notification behind it tells.
    admin.execute(admin.query(&sent)[0][0].as_deref().unwrap());
    admin.notify(CHANNEL, r#"{"k":"global"}"#);
    harness.record.wait_for("notification", 1);
    harness.record.wait_for("lost PGGEN_HEARTBEAT_TIMEOUT", 1);
    assert_eq!(harness.record.count("echo"), 0);
    shut_down(&listener);
}
