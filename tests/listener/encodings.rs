//! Databases with an encoding that has bytes without a meaning in UTF-8.

use pg_generations::generations::Verdict;
use pg_generations::listen::{Covers, Fence, InGap};
use pg_generations::payload::CHANNEL;

use crate::channels::subscribing;
use crate::harness::{Harness, fence, patient, shut_down, wait};
#[cfg(unix)]
use crate::stalls::signal;
use testkit::{Admin, DEADLINE, PostgresServer};

/// The URL of a database with this encoding, for a role without privileges.
fn database(server: &PostgresServer, encoding: &str) -> String {
    let name = encoding.to_lowercase();
    Admin::connect(&server.url).execute(&format!(
        "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    ));
    let mut url = url::Url::parse(&server.url).unwrap();
    url.set_path(&name);
    url.set_username("plain").unwrap();
    url.into()
}

fn server() -> PostgresServer {
    let server = PostgresServer::start();
    Admin::connect(&server.url).execute("CREATE ROLE plain LOGIN");
    server
}

/// Sends a byte.
fn send(peer: &Admin, byte: u8) {
    peer.execute(&format!("SELECT pg_notify('{CHANNEL}', chr({byte}))"));
}

#[test]
fn a_byte_without_a_meaning_is_a_loss_that_says_so() {
    let server = server();
    for (encoding, byte) in [("WIN1252", 0x81), ("WIN1253", 0x81), ("WIN1257", 0x81), ("SQL_ASCII", 0xff)] {
        let url = database(&server, encoding);
        let peer = Admin::connect(&url);
        let harness = Harness::new();
        let listener = harness.listen(&url, patient());
        for round in 1..=3 {
            let before = harness.counters.snapshot();
            send(&peer, byte);
            harness.record.wait_for("lost PGGEN_UNDECODABLE", round);
            harness.record.wait_for("resynced", round);
            assert_eq!(harness.check(before), Verdict::Changed, "{encoding}");
            let tally = harness.feed.tally();
            assert_eq!((tally.gaps, tally.undecodable), (round as u64, round as u64), "{encoding}");
        }
        harness.assert_hears(&peer);
        shut_down(&listener);
    }
}

#[test]
fn what_has_a_meaning_in_utf_8_is_heard_in_every_encoding() {
    let server = server();
    let url = database(&server, "WIN1252");
    let harness = Harness::new();
    let listener = harness.listen(&url, patient());
    send(&Admin::connect(&url), 0x80);
    harness.record.wait_for("notification €", 1);
    assert_eq!(harness.record.count("lost"), 0);
    shut_down(&listener);
}

/// The server says what is wrong with the notification in place of an answer. Who asked is not to take it for one.
#[cfg(unix)]
#[test]
fn a_loss_that_comes_as_the_answer_to_a_statement_is_a_loss() {
    let server = server();
    let url = database(&server, "WIN1252");
    let peer = Admin::connect(&url);
    let harness = Harness::new();
    let listener = harness.listen(&url, patient());
    // Both reach a backend that is stopped, and it sees to the notification first.
    let ask_behind = |ask: &mut dyn FnMut()| {
        let backend = harness.backend();
        signal("-STOP", backend);
        send(&peer, 0x81);
        ask();
        signal("-CONT", backend);
    };
    for round in 1..=3 {
        let mut asked = None;
        ask_behind(&mut || asked = Some(subscribing(&listener, &format!("channel {round}"))));
        let (subscription, _ear) = asked.unwrap();
        wait(subscription.until_listening(None)).unwrap();
        harness.record.wait_for("resynced", 2 * round - 1);

        let waiting = Fence { covers: Covers::Acknowledged, limit: DEADLINE, in_gap: InGap::Wait };
        std::thread::scope(|scope| {
            let mut asked = None;
            ask_behind(&mut || asked = Some(scope.spawn(|| fence(&listener, waiting))));
            asked.unwrap().join().unwrap().unwrap();
        });
        harness.record.wait_for("resynced", 2 * round);
        assert_eq!(harness.record.count("lost PGGEN_UNDECODABLE"), 2 * round);
    }
    assert_eq!(harness.feed.tally().undecodable, 6);
    shut_down(&listener);
}
