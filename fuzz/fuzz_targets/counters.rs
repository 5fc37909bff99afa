//! Any sequence of bumps and checks, at any capacity: never "unchanged" where a model that forgets nothing says
//! "changed", and exactly the model where nothing had to be forgotten.

#![no_main]

use std::collections::HashMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use pg_generations::generations::{GenerationCounters, Options};

#[derive(Debug, Arbitrary)]
struct Run {
    capacity: u8,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Module { realm: u8, module: u8 },
    Realm { realm: u8 },
    Global,
    Check { age: u8, realm: u8, module: u8 },
}

#[derive(Default)]
struct Model {
    modules: HashMap<(u8, u8), u64>,
    realms: HashMap<u8, u64>,
    global: u64,
}

fuzz_target!(|run: Run| {
    let capacity = usize::from(run.capacity) + 1;
    let counters = GenerationCounters::new(Options::default().with_capacity(capacity).unwrap());
    let mut model = Model::default();
    let mut snapshots = vec![counters.snapshot()];
    for step in run.steps {
        match step {
            Step::Module { realm, module } => {
                counters.bump_module(&realm.to_string(), &module.to_string());
                model.modules.insert((realm, module), counters.snapshot());
            }
            Step::Realm { realm } => {
                counters.bump_realm(&realm.to_string());
                model.realms.insert(realm, counters.snapshot());
            }
            Step::Global => {
                counters.bump_global();
                model.global = counters.snapshot();
            }
            Step::Check { age, realm, module } => {
                let snapshot = snapshots[snapshots.len() - 1 - usize::from(age) % snapshots.len()];
                let said = counters.changed_since(snapshot, &realm.to_string(), &module.to_string());
                let greatest = model
                    .global
                    .max(model.realms.get(&realm).copied().unwrap_or(0))
                    .max(model.modules.get(&(realm, module)).copied().unwrap_or(0));
                let truly = greatest > snapshot;
                assert!(said || !truly, "unchanged, wrongly");
                if model.modules.len() <= capacity && model.realms.len() <= capacity {
                    assert_eq!(said, truly, "changed, needlessly");
                }
            }
        }
        snapshots.push(counters.snapshot());
    }
});
