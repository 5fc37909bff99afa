//! Networks that deliver everything, but byte by byte, late, or not before they have stalled.

use std::time::Duration;

use pg_generations::listen::Timings;
use pg_generations::payload::CHANNEL;

use crate::faults::through_a_gap;
use crate::harness::{Harness, patient, shut_down, started, watchful};
use testkit::{Admin, DEADLINE, Database, Direction, Proxy, until};

/// There is always an echo under way, and patience with it.
fn tolerant() -> Timings {
    Timings { heartbeat_interval: Duration::from_millis(1), heartbeat_timeout: 2 * DEADLINE, ..patient() }
}

fn notify(admin: &Admin, numbers: std::ops::Range<usize>) {
    for number in numbers {
        admin.notify(CHANNEL, &format!(r#"{{"k":"global","number":{number}}}"#));
    }
}

/// Waits for all of `numbers` and for nothing else: each once, in their order.
fn heard(harness: &Harness, numbers: std::ops::Range<usize>) {
    harness.record.wait_for("notification", numbers.end);
    let mut events = harness.record.events();
    events.retain(|event| event.starts_with("notification"));
    let expected = numbers.map(|number| format!(r#"notification {{"k":"global","number":{number}}}"#));
    assert_eq!(events, expected.collect::<Vec<_>>());
    assert_eq!(harness.record.count("lost"), 0);
}

#[test]
fn a_whole_life_byte_by_byte() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    proxy.trickle();
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), tolerant());
    notify(&database.admin(), 0..500);
    heard(&harness, 0..500);
    let echoes = harness.record.count("echo");
    harness.record.wait_for("echo", echoes + 2);
    harness.assert_hears(&database.admin());
    shut_down(&listener);
    assert_eq!(harness.record.count("retrying"), 0);
}

#[test]
fn a_stall_in_the_middle_of_a_message_loses_nothing_if_it_ends_in_time() {
    let database = Database::create();
    let admin = database.admin();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), tolerant());
    // Of a notification, or of the answer to a heartbeat.
    for (round, bytes) in [1, 3, 5, 40, 90, 200].into_iter().enumerate() {
        proxy.hold_after(bytes);
        notify(&admin, 5 * round..5 * round + 4);
        proxy.wait_for_limit();
        notify(&admin, 5 * round + 4..5 * round + 5);
        proxy.heal();
        heard(&harness, 0..5 * round + 5);
    }
    shut_down(&listener);
}

#[test]
fn a_stall_in_the_middle_of_a_message_that_lasts_is_a_loss() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), watchful());
    for bytes in [1, 5, 40] {
        let lost = harness.record.count("lost");
        let lose = || {
            proxy.hold_after(bytes);
            notify(&database.admin(), 0..1);
            harness.record.wait_for("lost PGGEN_HEARTBEAT_TIMEOUT", lost + 1);
        };
        through_a_gap(&harness, &listener, lose, || {
            proxy.heal();
            database.admin()
        });
    }
    shut_down(&listener);
}

#[test]
fn a_start_that_stalls_in_the_middle_of_a_message() {
    let database = Database::create();
    for bytes in (1..1_200).step_by(100) {
        let proxy = Proxy::to(&database.url);
        let harness = Harness::new();
        proxy.hold_after(bytes);
        let listener = harness.spawn(&proxy.url(&database.url), tolerant());
        // A start is about 1,300 bytes to the client.
        proxy.wait_for_limit();
        proxy.heal();
        started(&listener).unwrap();
        assert_eq!(harness.record.count("retrying"), 0);
        harness.assert_hears(&database.admin());
        shut_down(&listener);
    }
}

/// A link to the other side of the earth, and back, and again: with the timings that everyone has.
#[test]
fn a_second_of_latency_each_way_is_no_loss() {
    const LATENCY: Duration = Duration::from_secs(1);
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    proxy.delay(LATENCY);
    let harness = Harness::new();
    let timings = Timings { heartbeat_interval: Duration::from_millis(1), ..patient() };
    // To ask for TLS would be a round trip more for each connection.
    let mut url = url::Url::parse(&proxy.url(&database.url)).unwrap();
    url.query_pairs_mut().append_pair("sslmode", "disable");
    let listener = harness.listen(url.as_str(), timings);
    notify(&database.admin(), 0..20);
    heard(&harness, 0..20);
    harness.record.wait_for("echo", 1);
    assert!(harness.feed.tally().echo_round_trip.unwrap() >= 2 * LATENCY);
    assert_eq!(harness.record.count("lost") + harness.record.count("retrying"), 0);
    shut_down(&listener);
}

/// An echo that took long proves nothing of what was committed while it was on its way. So the next one is due an interval after this one
/// was sent, and not after it came back: at once, here.
#[test]
fn a_slow_echo_is_no_younger_than_the_moment_it_was_sent() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let timings = |seconds| Timings { heartbeat_interval: Duration::from_secs(seconds), ..tolerant() };
    let slow = Harness::new();
    let listener = slow.listen(&proxy.url(&database.url), timings(3));
    // Another listener's echoes are the clock: one a second.
    let clock = Harness::new();
    let ticking = clock.listen(&database.url, timings(1));
    let tick = |ticks| clock.record.wait_for("echo", clock.record.count("echo") + ticks);

    proxy.hold(Direction::ToClient);
    let sent =
        format!("SELECT FROM pg_stat_activity WHERE pid = {} AND query LIKE 'NOTIFY%'", slow.backend());
    let admin = database.admin();
    until("a heartbeat", || !admin.query(&sent).is_empty());
    tick(5);
    assert_eq!(slow.record.count("echo"), 0);
    proxy.heal();
    slow.record.wait_for("echo", 1);
    tick(2);
    assert!(slow.record.count("echo") >= 2, "{:?}", slow.record.events());
    assert_eq!(slow.record.count("lost"), 0);
    shut_down(&listener);
    shut_down(&ticking);
}
