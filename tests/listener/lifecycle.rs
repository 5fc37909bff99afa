//! Starts and ends, in every order.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use pg_generations::generations::Verdict;
use pg_generations::listen::{State, Timings};

use crate::harness::{Harness, patient, shut_down, silent_server, started, wait};
use testkit::{Database, Direction, PostgresServer, Proxy};

/// What the listener promises; a busy machine may need a little more.
const END_LIMIT: Duration = Duration::from_secs(4);

/// Long enough for one attempt on a busy machine.
fn hasty() -> Timings {
    Timings { connect_timeout: Duration::from_secs(2), ..Timings::default() }
}

#[test]
fn shutting_down_leaves_nothing_on_the_server() {
    let database = Database::create();
    let admin = database.admin();
    for _ in 0..20 {
        let harness = Harness::new();
        let listener = harness.listen(&database.url, patient());
        let backend = harness.backend();
        shut_down(&listener);
        let left = admin.query(&format!("SELECT 1 FROM pg_stat_activity WHERE pid = {backend}"));
        assert!(left.is_empty());
        assert_eq!(harness.record.events(), ["listening", "stopping", "stopped"]);
        assert_eq!(listener.state().0, State::Stopped);
    }
}

#[test]
fn shutting_down_is_idempotent_and_works_after_a_failure() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    shut_down(&listener);
    shut_down(&listener);
    assert_eq!(started(&listener).unwrap_err().code(), "PGGEN_STOPPED");

    let failed = harness.spawn("postgres://nobody@127.0.0.1:1/nothing", hasty());
    assert_eq!(started(&failed).unwrap_err().code(), "PGGEN_UNREACHABLE");
    shut_down(&failed);
}

#[test]
fn shutting_down_while_the_server_says_nothing() {
    let (_silent, url) = silent_server();
    let harness = Harness::new();
    let listener = harness.spawn(&url, patient());
    let began = Instant::now();
    shut_down(&listener);
    assert!(began.elapsed() < END_LIMIT);
    assert_eq!(started(&listener).unwrap_err().code(), "PGGEN_STOPPED");
}

#[test]
fn shutting_down_behind_a_black_hole() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), patient());
    proxy.swallow(Direction::Both);
    let began = Instant::now();
    shut_down(&listener);
    assert!(began.elapsed() < END_LIMIT);
}

#[test]
fn shutting_down_at_every_byte_of_the_start() {
    let database = Database::create();
    let admin = database.admin();
    let name = "pg-generations test of early ends";
    let url = format!("{}?application_name={}", database.url, name.replace(' ', "%20"));
    // The whole start is about a thousand bytes from the server, of both its connections.
    for bytes in (1..1_500).step_by(25) {
        let proxy = Proxy::to(&url);
        let harness = Harness::new();
        proxy.cut_after(bytes);
        let listener = harness.spawn(&proxy.url(&url), patient());
        proxy.wait_for_accepted(1);
        shut_down(&listener);
        assert_eq!(harness.check(harness.counters.snapshot()), Verdict::Unproven);
    }
    testkit::until("all sessions to end", || admin.backends(name).is_empty());
}

#[test]
fn shutting_down_during_a_pause() {
    let harness = Harness::new();
    let listener = harness.spawn("postgres://nobody@127.0.0.1:1/nothing", patient());
    harness.record.wait_for("retrying", 3);
    shut_down(&listener);
    assert_eq!(started(&listener).unwrap_err().code(), "PGGEN_STOPPED");
}

#[test]
fn dropping_a_listener_stops_it() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    drop(listener);
    assert_eq!(harness.check(harness.counters.snapshot()), Verdict::Unproven);
    harness.record.wait_for("stopped", 1);
}

#[test]
fn a_start_that_waiting_does_not_heal_fails_at_once() {
    let database = Database::create();
    let mut url = url::Url::parse(&database.url).unwrap();
    url.set_path("no_such_database");
    let harness = Harness::new();
    let error = started(&harness.spawn(url.as_str(), patient())).unwrap_err();
    assert_eq!(error.code(), "PGGEN_UNKNOWN_DATABASE");
    assert_eq!(error.sql_state(), Some("3D000"));
    harness.record.wait_for("stopped", 1);
    assert_eq!(harness.record.events(), ["failed PGGEN_UNKNOWN_DATABASE", "stopped"]);

    let harness = Harness::new();
    let error = started(&harness.spawn("postgres://nobody@host.invalid/nothing", patient())).unwrap_err();
    assert_eq!(error.code(), "PGGEN_HOST_NOT_FOUND");
    assert_eq!(harness.check(harness.counters.snapshot()), Verdict::Unproven);
}

#[test]
fn a_refusal_is_final_also_where_another_address_may_heal() {
    let server = PostgresServer::start();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = server.port;
    for ports in [format!("{refused},{port}"), format!("{port},{refused}")] {
        let harness = Harness::new();
        let url = format!("postgres://postgres@/no_such_database?host=127.0.0.1,127.0.0.1&port={ports}");
        let error = started(&harness.spawn(&url, patient())).unwrap_err();
        assert_eq!(error.code(), "PGGEN_UNKNOWN_DATABASE");
        assert_eq!(harness.record.count("retrying"), 0);
    }
}

#[test]
fn a_host_that_does_not_resolve_is_no_reason_to_give_up_on_another() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for hosts in ["host.invalid,127.0.0.1", "127.0.0.1,host.invalid"] {
        let harness = Harness::new();
        let error =
            started(&harness.spawn(&format!("postgres://nobody@/x?host={hosts}&port={refused}"), hasty()))
                .unwrap_err();
        assert_eq!(error.code(), "PGGEN_UNREACHABLE");
    }
}

#[test]
fn a_start_that_might_heal_fails_at_its_limit() {
    let harness = Harness::new();
    let error = started(&harness.spawn("postgres://nobody@127.0.0.1:1/nothing", hasty())).unwrap_err();
    assert_eq!(error.code(), "PGGEN_UNREACHABLE");
    assert!(harness.record.count("retrying") >= 1);

    let (_silent, url) = silent_server();
    let error = started(&harness.spawn(&url, hasty())).unwrap_err();
    assert_eq!(error.code(), "PGGEN_TIMEOUT");
}

#[test]
fn a_successor_begins_when_its_predecessor_has_ended() {
    let database = Database::create();
    let harness = Harness::new();
    let first = harness.listen(&database.url, patient());
    drop(first.close());
    let second = harness.spawn_after(&database.url, patient(), Some(first));
    started(&second).unwrap();
    assert_eq!(harness.record.events(), ["listening", "stopping", "stopped", "listening"]);
    harness.assert_hears(&database.admin());
    shut_down(&second);
}

#[test]
fn everyone_who_waits_is_told() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    proxy.hold(Direction::Both);
    let harness = Harness::new();
    let listener = harness.spawn(&proxy.url(&database.url), patient());
    let replies: Vec<_> = (0..10).map(|_| listener.until_listening(None)).collect();
    proxy.heal();
    replies.into_iter().for_each(|reply| wait(reply).unwrap());
    shut_down(&listener);
}
