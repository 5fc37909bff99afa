//! Servers that are there and take no connection: they are starting up, or shutting down.

use std::fs;
use std::thread::scope;

use pg_generations::generations::Verdict;
use pg_generations::listen::Timings;
use serde_json::json;

use crate::harness::{Harness, shut_down, started, unhurried};
use testkit::{Admin, DEADLINE, PostgresServer, StopMode, until};

/// Its recovery, if it has one, lasts for as long as there is a file `hold`.
fn server() -> PostgresServer {
    let restore = "while [ -e hold ]; do sleep 0.01; done; false";
    PostgresServer::start_with(&json!({ "settings": { "restore_command": restore } }))
}

/// Whether the server says that it takes no connection now.
fn takes_nobody(server: &PostgresServer) -> bool {
    let refusal = Admin::try_connect(&server.url).err();
    refusal.is_some_and(|error| error.code().is_some_and(|state| state.code() == "57P03"))
}

fn was_turned_away(harness: &Harness) -> bool {
    let told = |event: &String| event.starts_with("retrying") && event.ends_with("PGGEN_SERVER_UNAVAILABLE");
    harness.record.events().iter().any(told)
}

fn lasting() -> Timings {
    Timings { connect_timeout: DEADLINE, ..unhurried() }
}

#[test]
fn a_server_that_is_starting_up_is_waited_for() {
    let server = server();
    let (gap, start) = (Harness::new(), Harness::new());
    let reconnecting = gap.listen(&server.url, unhurried());
    let before = gap.counters.snapshot();
    server.stop(StopMode::Fast);
    for file in ["recovery.signal", "hold"] {
        fs::write(server.data.join(file), "").unwrap();
    }
    let starting = scope(|scope| {
        scope.spawn(|| server.start_again());
        until("a server that is starting up", || takes_nobody(&server));
        let starting = start.spawn(&server.url, lasting());
        until("both to be turned away", || was_turned_away(&gap) && was_turned_away(&start));
        assert_eq!(gap.check(before), Verdict::Unproven);
        assert_eq!(start.check(start.counters.snapshot()), Verdict::Unproven);
        fs::remove_file(server.data.join("hold")).unwrap();
        starting
    });
    started(&starting).unwrap();
    gap.record.wait_for("resynced", 1);
    assert_eq!(gap.check(before), Verdict::Changed);
    let admin = Admin::connect(&server.url);
    for (harness, listener) in [(gap, reconnecting), (start, starting)] {
        harness.assert_hears(&admin);
        shut_down(&listener);
    }
}

/// Asked to stop, it first waits for the sessions that there are.
#[test]
fn a_server_that_is_shutting_down_is_heard_to_the_end() {
    let server = server();
    let (gap, start) = (Harness::new(), Harness::new());
    let reconnecting = gap.listen(&server.url, unhurried());
    let admin = Admin::connect(&server.url);
    let (before, starting) = scope(|scope| {
        let stopping = scope.spawn(|| server.stop(StopMode::Smart));
        until("a server that is shutting down", || takes_nobody(&server));
        gap.assert_hears(&admin);
        assert_eq!(gap.record.count("lost"), 0);

        let before = gap.counters.snapshot();
        admin.terminate(gap.backend());
        let starting = start.spawn(&server.url, lasting());
        until("both to be turned away", || was_turned_away(&gap) && was_turned_away(&start));
        assert_eq!(gap.check(before), Verdict::Unproven);
        drop(admin);
        stopping.join().unwrap();
        (before, starting)
    });
    server.start_again();
    started(&starting).unwrap();
    gap.record.wait_for("resynced", 1);
    assert_eq!(gap.check(before), Verdict::Changed);
    let admin = Admin::connect(&server.url);
    for (harness, listener) in [(gap, reconnecting), (start, starting)] {
        harness.assert_hears(&admin);
        shut_down(&listener);
    }
}
