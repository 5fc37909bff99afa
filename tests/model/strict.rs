//! The strict protocol, in every state within the bounds: there is no stale row at any moment.

use crate::database::Lock;
use crate::protocol::{Protocol, Step};
use crate::search::ONE_OF_EACH;
use crate::world::Bounds;

const fn bounds(persists: u8, invalidations: u8, crashes: u8, losses: u8, disconnects: u8) -> Bounds {
    Bounds { persists, invalidations, crashes, losses, disconnects }
}

#[test]
fn strict_never_leaves_a_stale_row() {
    Protocol::strict().assert_never_stale("strict, nothing reduced", bounds(1, 1, 1, 1, 0), false);
    Protocol::strict().assert_never_stale("strict", ONE_OF_EACH, true);
    Protocol::strict().assert_never_stale("strict", bounds(2, 1, 1, 0, 0), true);
    Protocol::strict().assert_never_stale("strict", bounds(2, 1, 0, 1, 0), true);
    Protocol::strict().assert_never_stale("strict", bounds(1, 2, 1, 0, 0), true);
}

/// Locks are taken in one order, and a fence returns or rejects. Who waits, waits for somebody who can go on.
///
/// Locks are granted in any order here. PostgreSQL queues those who wait, so that one who waits for an exclusive lock holds up
/// others who want it shared. Where all take the locks in one order, this makes no circle either.
#[test]
fn nobody_waits_for_ever() {
    let protocol = Protocol::strict();
    assert!(!protocol.clone().may_be_stuck(bounds(1, 2, 0, 0, 0)));
    assert!(!protocol.may_be_stuck(bounds(1, 1, 0, 1, 1)));
}

/// Two who share the lock, and both want it for themselves.
#[test]
fn a_lock_that_is_upgraded_may_be_waited_for_for_ever() {
    let mut protocol = Protocol::strict();
    let lock = protocol.invalidate.iter().position(|&step| step == Step::Realm(Lock::Exclusive)).unwrap();
    protocol.invalidate.insert(lock, Step::Realm(Lock::Shared));
    assert!(protocol.may_be_stuck(bounds(0, 2, 0, 0, 0)));
}

/// `cargo test --release --test model -- --ignored --nocapture`
#[test]
#[ignore = "a minute in a release build, and a gigabyte of memory"]
fn strict_never_leaves_a_stale_row_within_wider_bounds() {
    Protocol::strict().assert_never_stale("strict, nothing reduced", ONE_OF_EACH, false);
    for bounds in [
        bounds(2, 1, 1, 1, 1),
        bounds(1, 2, 1, 1, 1),
        bounds(2, 2, 0, 0, 0),
        bounds(2, 2, 0, 1, 0),
        bounds(2, 2, 1, 0, 0),
    ] {
        Protocol::strict().assert_never_stale("strict", bounds, true);
    }
}
