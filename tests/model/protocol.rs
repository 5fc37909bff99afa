//! The protocols: what a persist and each invalidation do, step by step.
//!
//! A protocol is a list of steps for each operation, so that a weaker one is the strict one with a step moved or left out.

use crate::database::Lock;
use crate::keys::{Keys, Layout, Module};
use crate::world::{Invalidation, Operation};

/// What a process does at a time. Anything may happen between two steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    // --- persist
    /// Take a snapshot of the counters. Everything is compared with it.
    Snapshot,
    ReadModule,
    ReadDependencies,
    /// Start a fence: a NOTIFY to oneself, which takes its place in the queue.
    Echo,
    /// Start a fence: a query on the listener's connection, which does not.
    Query,
    /// Wait for the fence, if one was started, and compare.
    Check {
        /// The dependencies too, or the module alone.
        dependencies: bool,
        /// Discard while the counters are unproven.
        proven: bool,
    },
    Insert,

    // --- invalidate
    /// The file changes. Then the invalidation is called.
    Edit,
    /// Take the snapshot that all later statements see: what a REPEATABLE READ transaction does at its first statement,
    /// and a statement that both waits for the lock and deletes. (They differ in a row that was updated since, which the
    /// first refuses to delete and fails. Here it is deleted, as by the second.)
    View,
    /// Ask which rows depend on the module.
    FanOut,
    /// Bump one's own counters.
    Bump,
    Delete(Notifies),
    Notify,

    // --- both
    Global(Lock),
    Realm(Lock),
    /// Let go of the locks before the end of the transaction, which session-level locks can do.
    Unlock,
    Commit,
}

/// What a DELETE notifies in the same statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notifies {
    Nothing,
    Targets,
    /// `SELECT pg_notify(…) FROM deleted`.
    DeletedRows,
}

/// When a listener that listens again bumps the global generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resync {
    AfterListen,
    BeforeListen,
    Never,
}

/// Who holds a transaction's locks, if it takes any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// The transaction that writes.
    Transaction,
    /// Another connection of the same process. When the process is gone, so are the locks, whatever the server still commits.
    OtherConnection,
}

/// What a persist says that it was built from: what it locks and checks, and what its row tells those who look for a fan-out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BuiltFrom {
    Transitive,
    /// What the module itself names.
    Direct,
}

/// What becomes of the dependents that an invalidation has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// All are deleted and told of, each under the realm that it is in.
    Each,
    /// All are taken for modules of the realm of what has changed: nothing by their names is there.
    UnderOneRealm,
    /// All are deleted, and told of as if they were in that realm.
    ToldOfOneRealm,
    /// They are taken for all that is to be invalidated.
    WithoutTheChange,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    pub layout: Layout,
    pub built_from: BuiltFrom,
    pub named: Named,
    pub persist: Vec<Step>,
    pub invalidate: Vec<Step>,
    pub clear_realm: Vec<Step>,
    pub clear_all: Vec<Step>,
    pub resync: Resync,
    pub locks: Holder,
}

const CHECK_MODULE: Step = Step::Check { dependencies: false, proven: true };
const CHECK_ALL: Step = Step::Check { dependencies: true, proven: true };

impl Protocol {
    /// No transactions: check, then INSERT; DELETE, then notify.
    pub fn unfenced() -> Self {
        use Step::*;
        let clear = vec![Edit, Bump, Delete(Notifies::Nothing), Commit, Notify, Commit];
        Self {
            layout: Layout::OneRealm,
            built_from: BuiltFrom::Transitive,
            named: Named::Each,
            persist: vec![Snapshot, ReadModule, ReadDependencies, CHECK_MODULE, Insert, Commit],
            invalidate: vec![Edit, Bump, FanOut, Bump, Delete(Notifies::Nothing), Commit, Notify, Commit],
            clear_realm: clear.clone(),
            clear_all: clear,
            resync: Resync::AfterListen,
            locks: Holder::Transaction,
        }
    }

    /// The same with DELETE and notify in one statement.
    pub fn single_statement() -> Self {
        use Step::*;
        let clear = vec![Edit, Bump, Delete(Notifies::Targets), Commit];
        Self {
            invalidate: vec![Edit, Bump, FanOut, Bump, Delete(Notifies::Targets), Commit],
            clear_realm: clear.clone(),
            clear_all: clear,
            ..Self::unfenced()
        }
    }

    /// The same with a fence before the check, and no locks.
    pub fn fenced(dependencies: bool) -> Self {
        use Step::*;
        let check = Check { dependencies, proven: true };
        Self {
            persist: vec![Snapshot, ReadModule, ReadDependencies, Echo, check, Insert, Commit],
            ..Self::single_statement()
        }
    }

    /// Both in a transaction, under locks.
    pub fn strict() -> Self {
        use Lock::{Exclusive, Shared};
        use Step::*;
        let clear = |global, realm: Option<Step>| {
            [Some(Edit), Some(global), realm, Some(Bump), Some(Delete(Notifies::Targets)), Some(Commit)]
                .into_iter()
                .flatten()
                .collect()
        };
        Self {
            persist: vec![
                Snapshot,
                ReadModule,
                ReadDependencies,
                Global(Shared),
                Realm(Shared),
                Echo,
                CHECK_ALL,
                Insert,
                Commit,
            ],
            invalidate: vec![
                Edit,
                Global(Shared),
                Realm(Exclusive),
                FanOut,
                Bump,
                Delete(Notifies::Targets),
                Commit,
            ],
            clear_realm: clear(Global(Shared), Some(Realm(Exclusive))),
            clear_all: clear(Global(Exclusive), None),
            ..Self::unfenced()
        }
    }

    /// The strict protocol with dependencies in other realms.
    pub fn strict_chain() -> Self {
        Self { layout: Layout::Chain, ..Self::strict() }
    }

    /// What a persist of `module` says that it was built from, itself included.
    pub fn built_from(&self, module: Module) -> Keys {
        let dependencies = match self.built_from {
            BuiltFrom::Transitive => self.layout.dependencies(module),
            BuiltFrom::Direct => self.layout.direct(module),
        };
        Keys::of(module).or(dependencies)
    }

    /// Those of these rows that say that they were built from `module`, or from another of them that does.
    pub fn dependents(&self, module: Module, rows: Keys) -> Keys {
        let mut found = Keys::of(module);
        loop {
            let more = rows
                .iter()
                .filter(|&row| !self.built_from(row).and(found).is_empty())
                .collect::<Keys>()
                .or(found);
            if more == found {
                return found.without(Keys::of(module));
            }
            found = more;
        }
    }

    /// What an invalidation bumps and notifies.
    pub fn told(&self, task: &Invalidation) -> Keys {
        match (self.named, task.operation) {
            (Named::ToldOfOneRealm, Operation::Invalidate(module)) => {
                task.targets.and(self.layout.realm_of(module))
            }
            _ => task.targets,
        }
    }

    pub fn steps(&self, operation: Operation) -> &[Step] {
        match operation {
            Operation::Invalidate(_) => &self.invalidate,
            Operation::ClearRealm => &self.clear_realm,
            Operation::ClearAll => &self.clear_all,
        }
    }

    /// Whether it matters that listeners are signalled after the locks are free.
    ///
    /// To an echo it does not: it is delivered with all that is before it in the queue, signalled or not. And to a
    /// listener that is only waiting, a late signal is nothing but a late delivery.
    pub fn sees_signals(&self) -> bool {
        self.persist.contains(&Step::Query)
    }
}
