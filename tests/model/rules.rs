//! The rules of the strict protocol, one by one: without it there is a stale row, or it is there for another reason.

use crate::checking::Sought;
use crate::database::Lock::{Exclusive, Shared};
use crate::keys::Module::{self, Lib};
use crate::protocol::{Holder, Notifies, Protocol, Resync, Step};
use crate::search::{ONE_OF_EACH, assert_needed};
use crate::world::Bounds;
use crate::world::Operation::{self, Invalidate};

const QUIET: Bounds = Bounds { crashes: 0, losses: 0, disconnects: 0, ..ONE_OF_EACH };
const LIB: (Module, Operation) = (Lib, Invalidate(Lib));

/// The strict protocol, but for what is done to it.
fn strict_but(change: impl FnOnce(&mut Protocol)) -> Protocol {
    let mut protocol = Protocol::strict();
    change(&mut protocol);
    assert_ne!(protocol, Protocol::strict(), "nothing was changed");
    protocol
}

fn leave_out(steps: &mut Vec<Step>, step: Step) {
    steps.retain(|&other| other != step);
}

fn replace(steps: &mut [Step], step: Step, by: Step) {
    steps.iter_mut().filter(|other| **other == step).for_each(|other| *other = by);
}

/// Moves a step to where another is, which goes behind it.
fn move_before(steps: &mut Vec<Step>, step: Step, other: Step) {
    leave_out(steps, step);
    let index = steps.iter().position(|&at| at == other).unwrap();
    steps.insert(index, step);
}

/// Whoever waited for a lock may be ahead of the signal, and a query sees what was signalled.
#[test]
fn a_query_is_no_fence() {
    let protocol = strict_but(|strict| replace(&mut strict.persist, Step::Echo, Step::Query));
    protocol.shortest("A plain query for a fence", LIB, QUIET, Sought::Stays).assert_has(&[
        "A reads lib v1",
        "B has the realm's lock, exclusive",
        "B commits: the DELETE and the notification of lib",
        "A has the realm's lock, shared",
        "A starts a query as a fence",
        "A has its fence back, and checks: unchanged",
        "A commits: its row of lib has landed",
        "PostgreSQL signals the listening backends",
        "STALE: the row of lib",
    ]);
}

/// Its place in the queue may be before an invalidation that was waited for.
#[test]
fn an_echo_from_before_the_lock_is_no_fence() {
    let realm = Step::Realm(Shared);
    let protocol = strict_but(|strict| move_before(&mut strict.persist, Step::Echo, realm));
    protocol.shortest("An echo that was already under way", LIB, QUIET, Sought::Stays).assert_has(&[
        "A reads lib v1",
        "A starts an echo, behind 0 notifications",
        "B commits: the DELETE and the notification of lib",
        "A has the realm's lock, shared",
        "A has its fence back, and checks: unchanged",
        "A commits: its row of lib has landed",
        "STALE: the row of lib",
    ]);
}

/// REPEATABLE READ, or one statement that locks and deletes: it does not see the row that landed while it waited.
#[test]
fn a_snapshot_from_before_the_lock_misses_a_row() {
    let realm = Step::Realm(Exclusive);
    let protocol = strict_but(|strict| {
        let lock = strict.invalidate.iter().position(|&step| step == realm).unwrap();
        strict.invalidate.insert(lock, Step::View);
    });
    protocol.shortest("A snapshot from before the lock", LIB, QUIET, Sought::Stays).assert_has(&[
        "B sees the database as it is now",
        "A commits: its row of lib has landed",
        "B has the realm's lock, exclusive",
        "B deletes lib, finds no row",
        "STALE: the row of lib",
    ]);
}

/// A COMMIT that was sent may take effect after its process has died, and only its own locks last until then.
#[test]
fn a_lock_of_another_connection_is_let_go_too_early() {
    let protocol = strict_but(|strict| strict.locks = Holder::OtherConnection);
    let bounds = Bounds { crashes: 1, ..QUIET };
    protocol.shortest("Locks on another connection", LIB, bounds, Sought::Stays).assert_has(&[
        "A has its fence back, and checks: unchanged",
        "A inserts lib",
        "A is killed",
        "B has the realm's lock, exclusive",
        "B deletes lib, finds no row",
        "B commits: the DELETE and the notification of lib",
        "PostgreSQL commits what is left of a lost client: the row of lib",
        "STALE: the row of lib",
    ]);
    let protocol = strict_but(|strict| strict.locks = Holder::OtherConnection);
    assert_needed("lock in the transaction that writes", Bounds { disconnects: 1, ..QUIET }, protocol);
}

fn persist(change: impl FnOnce(&mut Vec<Step>)) -> Protocol {
    strict_but(|strict| change(&mut strict.persist))
}

fn invalidate(change: impl FnOnce(&mut Vec<Step>)) -> Protocol {
    strict_but(|strict| change(&mut strict.invalidate))
}

#[test]
fn a_persist_needs_every_rule() {
    let check = |dependencies, proven| Step::Check { dependencies, proven };
    let strict = check(true, true);
    for (rule, protocol) in [
        (
            "take the snapshot first",
            persist(|steps| move_before(steps, Step::Snapshot, Step::Global(Shared))),
        ),
        ("lock the realm", persist(|steps| leave_out(steps, Step::Realm(Shared)))),
        ("lock everything", persist(|steps| leave_out(steps, Step::Global(Shared)))),
        ("have a fence", persist(|steps| leave_out(steps, Step::Echo))),
        ("have an echo for a fence", persist(|steps| replace(steps, Step::Echo, Step::Query))),
        (
            "start the fence under all locks",
            persist(|steps| move_before(steps, Step::Echo, Step::Realm(Shared))),
        ),
        ("check at all", persist(|steps| leave_out(steps, strict))),
        ("check the dependencies too", persist(|steps| replace(steps, strict, check(false, true)))),
        (
            "check under the locks",
            persist(|steps| {
                leave_out(steps, Step::Echo);
                move_before(steps, strict, Step::Global(Shared));
                steps.insert(3, Step::Echo);
            }),
        ),
        ("hold the locks until the end", persist(|steps| steps.insert(steps.len() - 1, Step::Unlock))),
    ] {
        assert_needed(rule, QUIET, protocol);
    }
    // With LISTEN in force again and the global bump still to come, an echo does come back.
    let trusting = persist(|steps| replace(steps, strict, check(true, false)));
    assert_needed("discard while unproven", Bounds { losses: 1, ..QUIET }, trusting);
}

#[test]
fn an_invalidation_needs_every_rule() {
    let (delete, lock) = (Step::Delete(Notifies::Targets), Step::Realm(Exclusive));
    let after = |step, other| {
        move |steps: &mut Vec<Step>| {
            leave_out(steps, step);
            let index = steps.iter().position(|&at| at == other).unwrap();
            steps.insert(index + 1, step);
        }
    };
    for (rule, protocol) in [
        ("lock the realm", invalidate(|steps| leave_out(steps, lock))),
        ("lock it exclusively", invalidate(|steps| replace(steps, lock, Step::Realm(Shared)))),
        ("lock it before the DELETE", invalidate(after(lock, delete))),
        ("compute the fan-out at all", invalidate(|steps| leave_out(steps, Step::FanOut))),
        ("compute the fan-out under the lock", invalidate(|steps| move_before(steps, Step::FanOut, lock))),
        ("see what is there once it has the lock", invalidate(|steps| steps.insert(1, Step::View))),
        ("notify at all", invalidate(|steps| replace(steps, delete, Step::Delete(Notifies::Nothing)))),
        (
            "notify even if no row was there",
            invalidate(|steps| {
                replace(steps, delete, Step::Delete(Notifies::DeletedRows));
            }),
        ),
        ("hold the locks until the end", invalidate(|steps| steps.insert(steps.len() - 1, Step::Unlock))),
    ] {
        assert_needed(rule, QUIET, protocol);
    }
    let two = invalidate(|steps| {
        replace(steps, delete, Step::Delete(Notifies::Nothing));
        steps.extend([Step::Notify, Step::Commit]);
    });
    assert_needed("delete and notify in one transaction", QUIET, two);
}

#[test]
fn clearing_needs_the_same_locks() {
    let realm = |change: &dyn Fn(&mut Vec<Step>)| strict_but(|strict| change(&mut strict.clear_realm));
    let all = |change: &dyn Fn(&mut Vec<Step>)| strict_but(|strict| change(&mut strict.clear_all));
    let exclusive = Step::Realm(Exclusive);
    for (rule, protocol) in [
        ("lock the realm", realm(&|steps| leave_out(steps, exclusive))),
        ("lock it exclusively", realm(&|steps| replace(steps, exclusive, Step::Realm(Shared)))),
        ("lock everything", all(&|steps| leave_out(steps, Step::Global(Exclusive)))),
        ("lock it exclusively", all(&|steps| replace(steps, Step::Global(Exclusive), Step::Global(Shared)))),
    ] {
        assert_needed(rule, QUIET, protocol);
    }
}

#[test]
fn a_listener_that_listens_again_bumps_after_listen() {
    let bounds = Bounds { losses: 1, ..QUIET };
    assert_needed("resynchronise", bounds, strict_but(|strict| strict.resync = Resync::Never));
    assert_needed("after LISTEN", bounds, strict_but(|strict| strict.resync = Resync::BeforeListen));
}

/// Rules that keep no row from being stale, and what they are for.
#[test]
fn some_rules_are_not_for_this() {
    // Two invalidations, so that they can meet.
    let bounds = Bounds { invalidations: 2, crashes: 1, ..QUIET };
    let never_stale = |title, protocol: Protocol| protocol.assert_never_stale(title, bounds, true);
    // Under the fence one's own notification is as good as another's. The local bump is for checks without one.
    never_stale("no local bump", invalidate(|steps| leave_out(steps, Step::Bump)));
    // Whom it would hold up, `clearAllModules`, deletes every row anyway. It keeps invalidations in order among each other:
    // without it, a `clearAllModules` may wait for their rows while it holds the lock that every persist needs.
    let global = Step::Global(Shared);
    never_stale("no global lock of an invalidation", invalidate(|steps| leave_out(steps, global)));
    let clear_realm = strict_but(|strict| leave_out(&mut strict.clear_realm, global));
    never_stale("no global lock of a clearing of the realm", clear_realm);
}
