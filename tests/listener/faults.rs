//! Losses of every kind, and what the counters say meanwhile.

use std::net::TcpListener;
use std::time::Duration;

use pg_generations::generations::Verdict;
use pg_generations::listen::{Listener, State, Timings};
use pg_generations::payload::CHANNEL;
use serde_json::json;

use crate::harness::{Harness, patient, shut_down, silent_server, started, watchful};
use testkit::{Admin, Database, Direction, PostgresServer, Proxy, StopMode};

/// One loss from beginning to end: `lose` the session, `recover` it, and hold the counters to their promises.
pub fn through_a_gap(
    harness: &Harness,
    listener: &Listener,
    lose: impl FnOnce(),
    recover: impl FnOnce() -> Admin,
) {
    let (lost, resynced) = (harness.record.count("lost"), harness.record.count("resynced"));
    let before = harness.counters.snapshot();
    assert_eq!(harness.check(before), Verdict::Unchanged);

    lose();
    harness.record.wait_for("lost", lost + 1);
    // During the gap, if it lasts so long, nothing is unchanged; after it nothing from before it is.
    assert_ne!(harness.check(before), Verdict::Unchanged);

    let admin = recover();
    harness.record.wait_for("resynced", resynced + 1);
    started(listener).unwrap();
    assert_eq!(listener.state().0, State::Listening);
    assert_eq!(harness.check(before), Verdict::Changed);
    harness.assert_hears(&admin);
}

#[test]
fn a_terminated_backend() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    let admin = database.admin();
    for _ in 0..3 {
        through_a_gap(&harness, &listener, || admin.terminate(harness.backend()), || database.admin());
    }
    shut_down(&listener);
}

#[test]
fn a_gap_that_lasts() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), patient());
    let lose = || {
        proxy.refuse();
        proxy.cut();
        harness.record.wait_for("retrying", 1);
        let during = harness.counters.snapshot();
        assert_eq!(harness.check(during), Verdict::Unproven);
        assert_eq!(listener.state().0, State::Reconnecting);
        // Sent while nobody listens, and lost for good.
        database.admin().notify(CHANNEL, r#"{"k":"global"}"#);
        proxy.accept();
        harness.record.wait_for("resynced", 1);
        assert_eq!(harness.check(during), Verdict::Changed);
    };
    let before = harness.counters.snapshot();
    lose();
    assert_eq!(harness.check(before), Verdict::Changed);
    harness.assert_hears(&database.admin());
    shut_down(&listener);
}

#[test]
fn a_reset_connection() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), patient());
    through_a_gap(&harness, &listener, || proxy.reset(), || database.admin());
    shut_down(&listener);
}

#[test]
fn a_connection_cut_in_the_middle_of_a_notification() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), patient());
    let heard = harness.record.count("notification");
    let lose = || {
        proxy.cut_after(40);
        database.admin().notify(CHANNEL, r#"{"k":"module","r":"http://realm/","m":["http://realm/a.gts"]}"#);
    };
    through_a_gap(&harness, &listener, lose, || {
        assert_eq!(harness.record.count("notification"), heard, "half a notification is none");
        database.admin()
    });
    shut_down(&listener);
}

#[test]
fn a_stopped_and_a_killed_server() {
    let server = PostgresServer::start();
    let harness = Harness::new();
    let listener = harness.listen(&server.url, patient());
    let start_again = || {
        server.start_again();
        Admin::connect(&server.url)
    };
    through_a_gap(&harness, &listener, || server.stop(StopMode::Fast), start_again);
    through_a_gap(&harness, &listener, || server.stop(StopMode::Immediate), start_again);
    through_a_gap(&harness, &listener, || server.kill9(), start_again);
    shut_down(&listener);
}

#[test]
fn a_network_that_swallows_everything_is_found_by_the_heartbeat() {
    for direction in [Direction::Both, Direction::ToClient, Direction::ToServer] {
        let database = Database::create();
        let proxy = Proxy::to(&database.url);
        let harness = Harness::new();
        let listener = harness.listen(&proxy.url(&database.url), watchful());
        let lose = || {
            proxy.swallow(direction);
            harness.record.wait_for("lost PGGEN_HEARTBEAT_TIMEOUT", 1);
        };
        through_a_gap(&harness, &listener, lose, || {
            proxy.heal();
            database.admin()
        });
        shut_down(&listener);
    }
}

#[test]
fn a_dead_host_among_several_is_passed_over() {
    let database = Database::create();
    // A port that was free a moment ago refuses.
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_silent, silent_url) = silent_server();
    let silent = url::Url::parse(&silent_url).unwrap();
    let alive = url::Url::parse(&database.url).unwrap();
    let authority = |url: &url::Url| format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let (user, name) = (alive.username(), alive.path());
    let url = format!(
        "postgres://{user}:{}@{refused},{},{}{name}?connect_timeout=1",
        alive.password().unwrap_or(""),
        authority(&silent),
        authority(&alive)
    );
    let harness = Harness::new();
    let listener = harness.listen(&url, patient());
    harness.assert_hears(&database.admin());
    shut_down(&listener);
}

#[test]
fn a_server_without_room_is_waited_for() {
    let server = PostgresServer::start_with(
        &json!({ "settings": { "max_connections": 6, "superuser_reserved_connections": 0, "max_wal_senders": 0 } }),
    );
    let mut others: Vec<_> = (0..6).map(|_| Admin::connect(&server.url)).collect();
    let harness = Harness::new();
    let listener = harness.spawn(&server.url, patient());
    harness.record.wait_for("retrying", 1);
    assert!(
        harness.record.events()[0].ends_with("PGGEN_SERVER_UNAVAILABLE"),
        "{:?}",
        harness.record.events()
    );
    others.truncate(2);
    started(&listener).unwrap();
    harness.assert_hears(&others[0]);
    shut_down(&listener);
}

#[test]
fn a_sink_that_panics_at_a_loss_does_not_end_the_listener() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    let lose = || {
        harness.record.panic_at("lost");
        database.admin().terminate(harness.backend());
    };
    through_a_gap(&harness, &listener, lose, || database.admin());
    shut_down(&listener);
}

#[test]
fn a_sink_that_panics_is_a_loss_and_no_more() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    let lose = || {
        harness.record.panic_at("notification");
        database.admin().notify(CHANNEL, r#"{"k":"global"}"#);
        harness.record.wait_for("lost PGGEN_PANIC", 1);
    };
    through_a_gap(&harness, &listener, lose, || database.admin());
    shut_down(&listener);
}

/// However long a server was away, the next attempt is never far.
#[test]
fn a_server_that_comes_back_after_many_attempts() {
    let server = PostgresServer::start();
    let harness = Harness::new();
    // Pauses that kept doubling would make of a hundred attempts more than the age of the universe.
    let timings = Timings { reconnect_max_delay: Duration::from_millis(20), ..patient() };
    let listener = harness.listen(&server.url, timings);
    let lose = || {
        server.stop(StopMode::Fast);
        harness.record.wait_for("retrying 128 PGGEN_UNREACHABLE", 1);
    };
    through_a_gap(&harness, &listener, lose, || {
        server.start_again();
        Admin::connect(&server.url)
    });
    let told: Vec<_> =
        harness.record.events().into_iter().filter(|event| event.starts_with("retrying")).collect();
    // 1, 2, 4, …, 128, and whatever the start of the server took.
    assert!(told.len() < 16, "{told:?}");
    shut_down(&listener);
}

#[test]
fn a_sink_that_panics_when_its_listener_is_dropped_does_not_keep_it_from_ending() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    harness.record.panic_at("stopping");
    drop(listener);
    harness.record.wait_for("stopped", 1);
}

#[test]
fn a_panic_while_a_resync_is_told_is_a_loss() {
    let database = Database::create();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, watchful());
    harness.record.panic_at("resynced");
    database.admin().terminate(harness.backend());
    harness.record.wait_for("resynced", 2);
    let events: Vec<_> = harness.record.events().into_iter().filter(|event| event != "echo").collect();
    assert_eq!(events[2..], ["resynced", "lost PGGEN_PANIC", "resynced"]);
    shut_down(&listener);
}
