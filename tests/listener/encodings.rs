//! Databases with another encoding than UTF8, of which the server does not say whether it is text that a client sends.

use pg_generations::generations::Verdict;
use pg_generations::listen::{Covers, Fence, InGap};
use pg_generations::payload::CHANNEL;

use crate::channels::{subscribed, subscribing};
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

/// Sends what this SQL expression gives.
fn send(peer: &Admin, expression: &str) {
    peer.execute(&format!("SELECT pg_notify('{CHANNEL}', {expression})"));
}

/// What has no meaning in UTF-8, or another one than where it was sent.
const UNKNOWN: [(&str, &[&str]); 5] = [
    ("WIN1252", &["chr(129)", "chr(128)", "chr(195) || chr(169)"]),
    ("WIN1253", &["chr(129)"]),
    ("WIN1257", &["chr(129)"]),
    ("EUC_JP", &[r"U&'\3042'"]),
    ("SQL_ASCII", &["chr(255)"]),
];

#[test]
fn bytes_without_a_certain_meaning_change_everything_and_end_nothing() {
    let server = server();
    for (encoding, expressions) in UNKNOWN {
        let url = database(&server, encoding);
        let peer = Admin::connect(&url);
        let harness = Harness::new();
        let listener = harness.listen(&url, patient());
        let backend = harness.backend();
        for (expression, round) in expressions.iter().cycle().zip(1..=3) {
            let before = harness.counters.snapshot();
            send(&peer, expression);
            harness.record.wait_for("Undecodable", round);
            assert_eq!(harness.check(before), Verdict::Changed, "{encoding} {expression}");
            let tally = harness.feed.tally();
            assert_eq!((tally.undecodable, tally.global_bumps), (round as u64, round as u64), "{encoding}");
            harness.assert_hears(&peer);
        }
        assert_eq!((harness.record.count("lost"), harness.backend()), (0, backend), "{encoding}");
        shut_down(&listener);
    }
}

#[test]
fn what_has_a_certain_meaning_is_heard_in_every_encoding() {
    let server = server();
    for (encoding, expression, heard) in [
        ("UTF8", r"U&'\3042'", "あ"),
        ("SQL_ASCII", "'あ'", "あ"),
        ("LATIN1", "chr(233) || chr(129)", "é\u{81}"),
        ("EUC_JP", "'ascii'", "ascii"),
    ] {
        let url = database(&server, encoding);
        let harness = Harness::new();
        let listener = harness.listen(&url, patient());
        send(&Admin::connect(&url), expression);
        harness.record.wait_for(&format!("notification {heard}"), 1);
        assert_eq!(harness.feed.tally().undecodable, 0);
        shut_down(&listener);
    }
}

#[test]
fn a_channel_whose_name_has_no_certain_meaning_is_told_that_something_came() {
    let server = server();
    for (encoding, told) in [("LATIN1", "heard x"), ("WIN1252", "undecodable")] {
        let url = database(&server, encoding);
        let peer = Admin::connect(&url);
        let harness = Harness::new();
        let listener = harness.listen(&url, patient());
        let (subscription, ear) = subscribed(&listener, "caf\u{e9}");
        let (_plain, plain_ear) = subscribed(&listener, "cafe");
        peer.execute("SELECT pg_notify('café', 'x')");
        ear.wait_for(told, 1);
        wait(subscription.close()).unwrap();
        peer.execute("SELECT pg_notify('café', 'y'); SELECT pg_notify('cafe', 'z')");
        plain_ear.wait_for("heard z", 1);
        assert_eq!(plain_ear.told(), ["listening", "heard z"], "{encoding}");
        assert_eq!(ear.told(), ["listening", told, "stopping", "stopped"], "{encoding}");
        shut_down(&listener);
    }
}

/// A statement that is behind it on the server is answered as any other.
#[cfg(unix)]
#[test]
fn statements_behind_it_are_answered() {
    let server = server();
    let url = database(&server, "WIN1252");
    let peer = Admin::connect(&url);
    let harness = Harness::new();
    let listener = harness.listen(&url, patient());
    // Both reach a backend that is stopped, and it sees to the notification first.
    let ask_behind = |ask: &mut dyn FnMut()| {
        let backend = harness.backend();
        signal("-STOP", backend);
        send(&peer, "chr(129)");
        ask();
        signal("-CONT", backend);
    };
    for round in 1..=3 {
        let mut asked = None;
        ask_behind(&mut || asked = Some(subscribing(&listener, &format!("channel {round}"))));
        let (subscription, _ear) = asked.unwrap();
        wait(subscription.until_listening(None)).unwrap();

        let waiting = Fence { covers: Covers::Acknowledged, limit: DEADLINE, in_gap: InGap::Wait };
        std::thread::scope(|scope| {
            let mut asked = None;
            ask_behind(&mut || asked = Some(scope.spawn(|| fence(&listener, waiting))));
            asked.unwrap().join().unwrap().unwrap();
        });
        assert_eq!(harness.feed.tally().undecodable, 2 * round);
    }
    assert_eq!(harness.record.count("lost"), 0);
    shut_down(&listener);
}
