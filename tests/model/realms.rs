//! Dependencies in other realms. An invalidation has the exclusive lock of the realm of what has changed, and of no other.

use crate::checking::Sought;
use crate::keys::Module::{self, App, Base};
use crate::protocol::{BuiltFrom, Named, Protocol};
use crate::search::{ONE_OF_EACH, assert_needed};
use crate::world::Bounds;
use crate::world::Operation::{self, Invalidate};

const QUIET: Bounds = Bounds { crashes: 0, losses: 0, disconnects: 0, ..ONE_OF_EACH };
const APP_ON_BASE: (Module, Operation) = (App, Invalidate(Base));

fn chain_but(change: impl FnOnce(&mut Protocol)) -> Protocol {
    let mut protocol = Protocol::strict_chain();
    change(&mut protocol);
    assert_ne!(protocol, Protocol::strict_chain(), "nothing was changed");
    protocol
}

#[test]
fn strict_never_leaves_a_stale_row_across_realms() {
    let never_stale =
        |bounds| Protocol::strict_chain().assert_never_stale("strict, a chain of realms", bounds, true);
    never_stale(Bounds { crashes: 1, ..QUIET });
    never_stale(Bounds { losses: 1, ..QUIET });
    never_stale(Bounds { disconnects: 1, ..QUIET });
}

/// A persist that names only what its module imports itself neither waits for the lock of the realm of what has changed nor checks its
/// stamp. And a fan-out goes from row to row: where the one in between is missing, it ends.
#[test]
fn what_is_named_has_to_be_transitive() {
    let direct = chain_but(|strict| strict.built_from = BuiltFrom::Direct);
    direct.clone().shortest("Only direct dependencies", APP_ON_BASE, QUIET, Sought::Stays).assert_has(&[
        "A reads lib v1 and base v1 for app",
        "A commits: its row of app has landed",
        "B asks for the fan-out: base",
        "B commits: the DELETE and the notification of base",
        "STALE: the row of app",
    ]);
    assert_needed("name all dependencies", QUIET, direct);
}

#[test]
fn dependents_are_deleted_in_their_own_realms() {
    let one_realm = chain_but(|strict| strict.named = Named::UnderOneRealm);
    one_realm.clone().shortest("All under one realm", APP_ON_BASE, QUIET, Sought::Stays).assert_has(&[
        "A commits: its row of app has landed",
        "B asks for the fan-out: base",
        "B commits: the DELETE and the notification of base",
        "STALE: the row of app",
    ]);
    assert_needed("file each under its realm", QUIET, one_realm);
}

#[test]
fn what_has_changed_is_invalidated_too() {
    for layout in [Protocol::strict(), Protocol::strict_chain()] {
        assert_needed(
            "invalidate what changed",
            QUIET,
            Protocol { named: Named::WithoutTheChange, ..layout },
        );
    }
}

/// Whoever checks all that a result was built from has checked what changed, whose realm is known. It is for checks of less that
/// dependents are told of under their own realms.
#[test]
fn what_is_told_of_other_realms_is_for_weaker_checks() {
    let told = chain_but(|strict| strict.named = Named::ToldOfOneRealm);
    told.assert_never_stale("told of one realm only", Bounds { losses: 1, ..QUIET }, true);
}

/// `cargo test --release --test model -- --ignored --nocapture`
#[test]
#[ignore = "a minute in a release build, and a gigabyte of memory"]
fn strict_never_leaves_a_stale_row_across_realms_within_wider_bounds() {
    for bounds in [
        ONE_OF_EACH,
        Bounds { persists: 2, ..QUIET },
        Bounds { invalidations: 2, ..QUIET },
        Bounds { persists: 2, invalidations: 2, ..QUIET },
    ] {
        Protocol::strict_chain().assert_never_stale("strict, a chain of realms", bounds, true);
    }
}
