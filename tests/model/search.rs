//! Running the checker: for a story, or through everything.

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::checking::{Cache, LANDED, LANDED_AFTER, SOUND, Sought};
use crate::keys::Module;
use crate::protocol::Protocol;
use crate::story::Story;
use crate::world::{Bounds, Operation};

/// One of everything.
pub const ONE_OF_EACH: Bounds =
    Bounds { persists: 1, invalidations: 1, crashes: 1, losses: 1, disconnects: 1 };

impl Protocol {
    /// The shortest way to what is sought: A builds `module`, B does `operation`.
    pub fn shortest(self, title: &str, scene: (Module, Operation), bounds: Bounds, sought: Sought) -> Story {
        let (module, operation) = scene;
        let operations = vec![operation];
        let model = Cache { protocol: self, bounds, operations, sought, scene: Some(module), reduced: false };
        let checker = model.clone().checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let path = checker.discovery(SOUND).unwrap_or_else(|| panic!("{title}: no stale row was found"));
        let story = Story::new(&model, path);
        story.print(title);
        story
    }

    /// Whether there can be a stale row at any moment, whoever does what.
    pub fn may_be_stale(self, bounds: Bounds, reduced: bool) -> bool {
        let model = Cache { reduced, ..Cache::new(self, bounds, Sought::Stale) };
        let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        checker.discovery(SOUND).is_some()
    }

    /// Whether somebody can have begun, and nobody can go on: a deadlock, or a fence that never returns.
    pub fn may_be_stuck(self, bounds: Bounds) -> bool {
        let model = Cache { reduced: false, ..Cache::new(self, bounds, Sought::Stuck) };
        let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        checker.discovery(SOUND).is_some()
    }

    /// The windows through which a row can get that is stale, and stays.
    pub fn windows(self, bounds: Bounds) -> BTreeSet<&'static str> {
        let checker = Cache::new(self, bounds, Sought::Each).checker().spawn_bfs().join();
        checker.discoveries().into_keys().collect()
    }

    /// Looks at every state within the bounds: none has a stale row, and persists do succeed.
    pub fn assert_never_stale(self, title: &str, bounds: Bounds, reduced: bool) {
        let model = Cache { reduced, ..Cache::new(self, bounds, Sought::Stale) };
        let start = Instant::now();
        let threads = std::thread::available_parallelism().map_or(1, Into::into);
        let checker = model.clone().checker().threads(threads).spawn_bfs().join();
        if let Some(path) = checker.discovery(SOUND) {
            Story::new(&model, path).print(title);
            panic!("{title}: a stale row, {bounds:?}");
        }
        assert!(checker.is_done(), "there are states left");
        for property in [LANDED, LANDED_AFTER] {
            assert!(checker.discovery(property).is_some(), "never: {property}");
        }
        println!(
            "{title}: {} states, the deepest after {} steps, {:.1?}; {bounds:?}",
            checker.unique_state_count(),
            checker.max_depth(),
            start.elapsed(),
        );
    }
}

/// In all states, and in the reduced ones too, so that they cannot have lost what is looked for.
pub fn assert_needed(rule: &str, bounds: Bounds, protocol: Protocol) {
    for reduced in [false, true] {
        let stale = protocol.clone().may_be_stale(bounds, reduced);
        assert!(stale, "nothing is stale without the rule: {rule} (reduced: {reduced})");
    }
}
