//! The counters against maps that forget nothing.

use std::collections::{HashMap, HashSet};

use pg_generations::generations::{GenerationCounters, Verdict};
use proptest::prelude::*;

use crate::counters;
/// What somebody does with the counters: realms and modules by number.
#[derive(Debug, Clone)]
enum Bump {
    Module(usize, usize),
    Modules(usize, Vec<usize>),
    Realm(usize),
    Global,
}

const REALMS: [&str; 3] = ["http://a/", "http://b/", "http://b/c/"];
const MODULES: [&str; 5] = ["http://a/x", "http://b/c/x", "c/x", "x", ""];

fn bump() -> impl Strategy<Value = Bump> {
    let (realm, module) = (0..REALMS.len(), 0..MODULES.len());
    let modules = prop_oneof![
        9 => prop::collection::vec(module.clone(), 0..6),
        1 => prop::collection::vec(module.clone(), 60..140),
    ];
    prop_oneof![
        6 => (realm.clone(), module).prop_map(|(realm, module)| Bump::Module(realm, module)),
        3 => (realm.clone(), modules).prop_map(|(realm, modules)| Bump::Modules(realm, modules)),
        2 => realm.prop_map(Bump::Realm),
        1 => Just(Bump::Global),
    ]
}

/// The counters the plain way: three maps and a clock, and nothing is forgotten.
#[derive(Default)]
struct Model {
    clock: u64,
    modules: HashMap<(usize, usize), u64>,
    realms: HashMap<usize, u64>,
    global: u64,
}

impl Model {
    fn draw(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn apply(&mut self, bump: &Bump) {
        match bump {
            Bump::Module(realm, module) => {
                let stamp = self.draw();
                self.modules.insert((*realm, *module), stamp);
            }
            Bump::Modules(realm, modules) => {
                for module in modules {
                    self.apply(&Bump::Module(*realm, *module));
                }
            }
            Bump::Realm(realm) => {
                let stamp = self.draw();
                self.realms.insert(*realm, stamp);
            }
            Bump::Global => self.global = self.draw(),
        }
    }

    fn module(&self, realm: usize, module: usize) -> u64 {
        self.modules.get(&(realm, module)).copied().unwrap_or(0)
    }

    fn realm(&self, realm: usize) -> u64 {
        self.realms.get(&realm).copied().unwrap_or(0)
    }

    fn changed(&self, snapshot: u64, realm: usize, modules: &[usize]) -> bool {
        snapshot == 0
            || snapshot > self.clock
            || self.global > snapshot
            || self.realm(realm) > snapshot
            || modules.iter().any(|&module| self.module(realm, module) > snapshot)
    }
}

fn apply(counters: &GenerationCounters, bump: &Bump) {
    match bump {
        Bump::Module(realm, module) => counters.bump_module(REALMS[*realm], MODULES[*module]),
        Bump::Modules(realm, modules) => {
            counters.bump_modules(REALMS[*realm], modules.iter().map(|&module| MODULES[module]));
        }
        Bump::Realm(realm) => counters.bump_realm(REALMS[*realm]),
        Bump::Global => counters.bump_global(),
    }
}

proptest! {
    /// Whatever is forgotten, no change is missed; and while nothing is forgotten, all is as if nothing could be.
    #[test]
    fn no_change_is_missed(
        capacity in 1..=REALMS.len() * MODULES.len(),
        bumps in prop::collection::vec(bump(), 0..40),
        list in prop::collection::vec(0..MODULES.len(), 0..80),
    ) {
        let (counters, mut model) = (counters(capacity), Model { clock: 1, ..Model::default() });
        let mut snapshots = vec![0, 1, 3, 10];
        let mut bumped = HashSet::new();
        let mut last = HashMap::new();
        for bump in &bumps {
            apply(&counters, bump);
            model.apply(bump);
            prop_assert_eq!(counters.snapshot(), model.clock);
            snapshots.push(counters.snapshot());
            bumped.extend(model.modules.keys().copied());
            let exact = bumped.len() <= capacity && model.realms.len() <= capacity;

            prop_assert_eq!(counters.global_generation(), model.global);
            for (realm, &realm_url) in REALMS.iter().enumerate() {
                let generation = counters.realm_generation(realm_url);
                prop_assert!(generation >= model.realm(realm));
                prop_assert!(!exact || generation == model.realm(realm));
                for (module, &module_url) in MODULES.iter().enumerate() {
                    let generation = counters.module_generation(realm_url, module_url);
                    prop_assert!(generation >= model.module(realm, module));
                    prop_assert!(!exact || generation == model.module(realm, module));
                    prop_assert!(generation >= last.insert((realm, module), generation).unwrap_or(0));

                    for &snapshot in &snapshots {
                        let changed = counters.changed_since(snapshot, realm_url, module_url);
                        let model_changed = model.changed(snapshot, realm, &[module]);
                        prop_assert!(changed || !model_changed);
                        prop_assert!(!exact || changed == model_changed);
                    }
                }
                for &snapshot in &snapshots {
                    let urls = list.iter().map(|&module| MODULES[module]);
                    let changed = counters.check_any(snapshot, realm_url, urls) != Verdict::Unchanged;
                    let model_changed = model.changed(snapshot, realm, &list);
                    prop_assert!(changed || !model_changed);
                    prop_assert!(!exact || changed == model_changed);
                }
            }
        }
    }
}
