//! Several subscriptions on one connection that is lost, at every moment of theirs.

use std::sync::Arc;
use std::time::Duration;

use pg_generations::listen::{Covers, Fence, InGap, SharedObserver, State};

use crate::channels::{Ear, fenced, leaving, left, quick, subscribed, subscribing};
use crate::harness::{Harness, unhurried, wait};
use testkit::{DEADLINE, Database, Direction, Proxy, until};

#[test]
fn every_subscription_lasts_over_a_loss() {
    let database = Database::create();
    let admin = database.admin();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, unhurried());
    let subscriptions: Vec<_> = ["a", "b", "a"].map(|name| subscribed(&listener, name)).into();
    for round in 1..=3 {
        admin.terminate(harness.backend());
        for (subscription, ear) in &subscriptions {
            ear.wait_for("lost", round);
            ear.wait_for("resynced", round);
            assert_eq!(subscription.state().0, State::Listening);
        }
        admin.notify("a", "A");
        admin.notify("b", "B");
        fenced(&listener);
    }
    let round = |heard: &str| ["lost".to_owned(), "resynced".into(), format!("heard {heard}")];
    for ((_, ear), heard) in subscriptions.iter().zip(["A", "B", "A"]) {
        assert_eq!(ear.told()[1..], std::iter::repeat_n(round(heard), 3).collect::<Vec<_>>().concat());
    }
}

#[test]
fn a_listen_under_way_when_the_connection_dies_is_said_again() {
    let database = Database::create();
    let admin = database.admin();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), quick());
    // Kept, for a UNLISTEN would go before the next LISTEN.
    let mut subscriptions = vec![];
    for round in 1..=20 {
        // LISTEN gets to the server, and its answer, or part of it, does not get back.
        proxy.hold(Direction::ToClient);
        let channel = format!("c{round}");
        let (subscription, ear) = subscribing(&listener, &channel);
        until("LISTEN to be said", || {
            let said = format!(
                r#"SELECT 1 FROM pg_stat_activity WHERE query = 'LISTEN "{channel}"' AND state = 'idle'"#
            );
            !admin.query(&said).is_empty()
        });
        assert_eq!(subscription.state().0, State::Connecting);
        proxy.cut();
        proxy.heal();
        wait(subscription.until_listening(None)).unwrap();
        admin.notify(&channel, "1");
        fenced(&subscription);
        assert_eq!(ear.told(), ["listening", "heard 1"]);
        harness.record.wait_for("resynced", round);
        subscriptions.push(subscription);
    }
}

#[test]
fn an_unlisten_under_way_when_the_connection_dies_is_done() {
    let database = Database::create();
    let admin = database.admin();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), quick());
    let (subscription, ear) = subscribed(&listener, "c");
    proxy.hold(Direction::ToClient);
    let gone = leaving(&subscription);
    until("UNLISTEN to be said", || {
        !admin.query(r#"SELECT 1 FROM pg_stat_activity WHERE query = 'UNLISTEN "c"'"#).is_empty()
    });
    assert!(gone.try_recv().is_err());
    proxy.cut();
    proxy.heal();
    gone.recv_timeout(DEADLINE).unwrap().unwrap();
    harness.record.wait_for("resynced", 1);
    admin.notify("c", "1");
    fenced(&listener);
    assert_eq!(ear.told(), ["listening", "stopping", "stopped"]);
}

#[test]
fn who_comes_in_a_gap_waits_for_its_end_or_their_own() {
    let database = Database::create();
    let proxy = Proxy::to(&database.url);
    let harness = Harness::new();
    let listener = harness.listen(&proxy.url(&database.url), unhurried());
    let (old, old_ear) = subscribed(&listener, "old");
    proxy.refuse();
    proxy.cut();
    old_ear.wait_for("lost", 1);
    assert_eq!(old.state().0, State::Reconnecting);

    let ear = Arc::new(Ear::default());
    let brief =
        listener.subscribe("new", Arc::clone(&ear) as SharedObserver, Duration::from_millis(20)).unwrap();
    assert_eq!(wait(brief.until_listening(None)).unwrap_err().code(), "PGGEN_TIMEOUT");
    assert_eq!(ear.told(), ["failed PGGEN_TIMEOUT", "stopped"]);
    let late = wait(old.until_listening(Some(Duration::from_millis(20)))).unwrap_err();
    assert_eq!(late.code(), "PGGEN_TIMEOUT");
    let (leaver, _) = subscribing(&listener, "new");
    left(&leaver);
    left(&subscribing(&listener, "old").0);

    let (new, new_ear) = subscribing(&listener, "new");
    let fence = |in_gap, limit| Fence { covers: Covers::Released, limit, in_gap };
    let refused = |fence| wait(new.fence(fence)).unwrap_err().code();
    assert_eq!(refused(fence(InGap::Fail, DEADLINE)), "PGGEN_NOT_LISTENING");
    assert_eq!(refused(fence(InGap::Wait, Duration::from_millis(20))), "PGGEN_FENCE_TIMEOUT");
    proxy.heal();
    fenced(&new);
    wait(old.until_listening(Some(DEADLINE))).unwrap();
    assert_eq!(new_ear.told(), ["listening"]);
    assert_eq!(old_ear.told(), ["listening", "lost", "resynced"]);
}
