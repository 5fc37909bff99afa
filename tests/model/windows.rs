//! The windows of the protocols in use, each by the shortest story that the checker finds.
//!
//! All of them end at rest: nothing is on its way that would remove the row, and it stays until somebody invalidates again.

use crate::checking::Sought;
use crate::keys::Module::{self, App, Lib};
use crate::protocol::Protocol;
use crate::search::ONE_OF_EACH;
use crate::world::Operation::{self, Invalidate};
use crate::world::{Bounds, Window};

const QUIET: Bounds = Bounds { crashes: 0, losses: 0, disconnects: 0, ..ONE_OF_EACH };
const LIB: (Module, Operation) = (Lib, Invalidate(Lib));
const APP_ON_LIB: (Module, Operation) = (App, Invalidate(Lib));

/// W1.
#[test]
fn a_notification_that_is_on_its_way_is_too_late() {
    for (title, protocol) in [
        ("W1, unfenced", Protocol::unfenced()),
        ("W1, DELETE and notify in one statement", Protocol::single_statement()),
    ] {
        protocol.shortest(title, LIB, QUIET, Sought::Through(Window::Delivery)).assert_has(&[
            "A reads lib v1",
            "B changes a file, now lib v2, and calls invalidate(lib)",
            "B deletes lib, finds no row",
            "B commits: ",
            "A checks: unchanged",
            "A commits: its row of lib has landed",
            "A's listener receives the notification of lib",
            "STALE: the row of lib",
        ]);
    }
}

/// W1, on a connection that is half open.
#[test]
fn a_notification_that_never_comes_is_not_missed() {
    let bounds = Bounds { losses: 1, ..QUIET };
    let title = "W1, on a connection that is half open";
    let story = Protocol::single_statement().shortest(title, LIB, bounds, Sought::Through(Window::Silence));
    story.assert_has(&[
        "A reads lib v1",
        "A's listener's connection dies silently",
        "A checks: unchanged",
        "A commits: its row of lib has landed",
        "STALE: the row of lib",
    ]);
    story.assert_has(&["B commits: the DELETE and the notification of lib", "A checks: unchanged"]);
    story.assert_lacks("A's listener receives");
}

/// W2.
#[test]
fn a_process_dies_between_delete_and_notify() {
    let bounds = Bounds { crashes: 1, ..QUIET };
    let story = Protocol::unfenced().shortest("W2", LIB, bounds, Sought::Through(Window::Notify));
    story.assert_has(&[
        "A reads lib v1",
        "B deletes lib",
        "B commits: the DELETE",
        "B is killed",
        "A checks: unchanged",
        "A commits: its row of lib has landed",
        "STALE: the row of lib",
    ]);
    story.assert_lacks("B notifies");
}

/// W3. A fence does not help: it tells what was, not what will be.
#[test]
fn an_invalidation_comes_between_the_check_and_the_commit() {
    for (title, protocol) in [
        ("W3, unfenced", Protocol::unfenced()),
        ("W3, DELETE and notify in one statement", Protocol::single_statement()),
        ("W3, with a fence and without locks", Protocol::fenced(true)),
    ] {
        protocol.shortest(title, LIB, QUIET, Sought::Through(Window::Commit)).assert_has(&[
            "A reads lib v1",
            "checks: unchanged",
            "B deletes lib, finds no row",
            "B commits: the DELETE",
            "A commits: its row of lib has landed",
            "STALE: the row of lib",
        ]);
    }
}

/// W4, a first build: there is no row that says "app depends on lib". The notification comes, and is not looked at.
#[test]
fn a_first_build_is_in_no_fan_out() {
    for (title, protocol) in [
        ("W4, first build, unfenced", Protocol::unfenced()),
        ("W4, first build, DELETE and notify in one statement", Protocol::single_statement()),
        ("W4, first build, with a fence, and a check of the module alone", Protocol::fenced(false)),
    ] {
        protocol.shortest(title, APP_ON_LIB, QUIET, Sought::Through(Window::Dependency)).assert_has(&[
            "A reads lib v1 for app",
            "B asks for the fan-out: lib",
            "A's listener receives the notification of lib, and bumps",
            "checks: unchanged",
            "A commits: its row of app has landed",
            "STALE: the row of app",
        ]);
    }
}

/// W4, a row that lands between the invalidation's two statements.
#[test]
fn a_row_lands_after_the_fan_out() {
    for (title, protocol) in [
        ("W4, late row, unfenced", Protocol::unfenced()),
        ("W4, late row, DELETE and notify in one statement", Protocol::single_statement()),
        ("W4, late row, with a fence and without locks", Protocol::fenced(true)),
    ] {
        protocol.shortest(title, APP_ON_LIB, QUIET, Sought::Through(Window::FanOut)).assert_has(&[
            "B asks for the fan-out: lib",
            "A commits: its row of app has landed",
            "B commits: the DELETE",
            "STALE: the row of app",
        ]);
    }
}

/// What each step towards the strict protocol closes, and what it leaves open.
#[test]
fn each_protocol_has_the_windows_it_has() {
    let bounds = Bounds { disconnects: 0, ..ONE_OF_EACH };
    let windows = |protocol: Protocol| protocol.windows(bounds).into_iter().collect::<Vec<_>>();
    assert_eq!(
        windows(Protocol::unfenced()),
        ["Commit", "Delivery", "Dependency", "FanOut", "Notify", "Silence"]
    );
    assert_eq!(
        windows(Protocol::single_statement()),
        ["Commit", "Delivery", "Dependency", "FanOut", "Silence"]
    );
    assert_eq!(windows(Protocol::fenced(false)), ["Commit", "Dependency", "FanOut"]);
    assert_eq!(windows(Protocol::fenced(true)), ["Commit", "FanOut"]);
    assert_eq!(windows(Protocol::strict()), [""; 0]);
}
