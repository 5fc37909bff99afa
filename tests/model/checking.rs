//! The model: which steps there are in a state, and what is looked for.

use stateright::{Model, Property};

use crate::keys::{Keys, Module};
use crate::protocol::Protocol;
use crate::world::{Bounds, Operation, Version, Window, World};

/// Processes by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    StartPersist(usize, Module),
    Persist(usize),
    StartInvalidation(usize, Operation),
    Invalidation(usize),
    Deliver(usize),
    Signal(usize),
    Reconnect(usize),
    Notice(usize),
    // --- faults
    Lose(usize),
    Silence(usize),
    Crash(usize),
    DisconnectPersist(usize),
    DisconnectInvalidation(usize),
    // --- what is left behind by them
    CommitOrphan(usize),
    RollBackOrphan(usize),
}

impl Action {
    fn is_fault(self) -> bool {
        matches!(
            self,
            Self::Lose(_)
                | Self::Silence(_)
                | Self::Crash(_)
                | Self::DisconnectPersist(_)
                | Self::DisconnectInvalidation(_)
        )
    }
}

#[derive(Clone)]
pub struct Cache {
    pub protocol: Protocol,
    pub bounds: Bounds,
    pub operations: Vec<Operation>,
    pub sought: Sought,
    /// For a story: A alone builds, and only this module; B alone invalidates; there are no rows at first.
    pub scene: Option<Module>,
    /// Look at fewer states. A path through them makes no sense as a story.
    pub reduced: bool,
}

/// What the search is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sought {
    /// A stale row, at any moment.
    Stale,
    /// A stale row that stays: nobody is doing anything, and nothing that is on its way will remove it.
    ///
    /// A listener that died silently may still notice, and reconnect: neither touches a row.
    Stays,
    /// One that stays, and came through this window.
    Through(Window),
    /// One for each window.
    Each,
    /// Somebody has begun, and nobody can go on.
    Stuck,
}

impl Model for Cache {
    type State = World;
    type Action = Action;

    /// Without rows, and with every combination of rows that are built from the files as they are.
    fn init_states(&self) -> Vec<World> {
        let layout = self.protocol.layout;
        let mut rows = vec![Keys::NONE];
        if self.scene.is_none() {
            for module in layout.modules().iter() {
                rows.extend(rows.clone().into_iter().map(|others| others.or(Keys::of(module))));
            }
        }
        rows.into_iter().map(|rows| World::new(self.bounds, layout, rows)).collect()
    }

    /// Of equally short stories the first is told, so the order is: tasks, then listeners and faults, when they must.
    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let processes = world.processes.iter().enumerate();
        for (process, tasks) in processes.clone() {
            if tasks.persist.is_some() {
                actions.push(Action::Persist(process));
            } else if world.left.persists > 0 && self.scene.is_none_or(|_| process == 0) {
                let modules = self.scene.map_or(self.protocol.layout.modules(), Keys::of);
                actions.extend(modules.iter().map(|module| Action::StartPersist(process, module)));
            }
        }
        for (process, tasks) in processes.clone() {
            if tasks.invalidation.is_some() {
                actions.push(Action::Invalidation(process));
            } else if world.left.invalidations > 0 && self.scene.is_none_or(|_| process == 1) {
                let start = |&operation| Action::StartInvalidation(process, operation);
                actions.extend(self.operations.iter().map(start));
            }
        }
        for orphan in 0..world.database.orphans.len() {
            actions.extend([Action::CommitOrphan(orphan), Action::RollBackOrphan(orphan)]);
        }
        if self.protocol.sees_signals() {
            actions.extend((0..world.database.queue.len()).map(Action::Signal));
        }
        for (process, _) in processes.clone() {
            actions.extend([Action::Deliver(process), Action::Notice(process), Action::Reconnect(process)]);
        }
        for (process, _) in processes {
            actions.extend([Action::Crash(process), Action::Silence(process), Action::Lose(process)]);
            actions.extend([Action::DisconnectPersist(process), Action::DisconnectInvalidation(process)]);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let protocol = &self.protocol;
        let next = match action {
            Action::StartPersist(process, module) => world.start_persist(protocol, process, module),
            Action::Persist(process) => world.step_persist(protocol, process),
            Action::StartInvalidation(process, operation) => {
                world.start_invalidation(protocol, process, operation)
            }
            Action::Invalidation(process) => world.step_invalidation(protocol, process),
            Action::Deliver(process) => world.deliver(protocol, process),
            Action::Signal(notification) => world.signal(notification),
            Action::Reconnect(process) => world.reconnect(protocol, process),
            Action::Notice(process) => world.notice(process),
            Action::Lose(process) => world.lose(process),
            Action::Silence(process) => world.silence(process),
            Action::Crash(process) => world.crash(protocol, process),
            Action::DisconnectPersist(process) => world.disconnect_persist(protocol, process),
            Action::DisconnectInvalidation(process) => world.disconnect_invalidation(protocol, process),
            Action::CommitOrphan(orphan) => Some(world.commit_orphan(protocol, orphan)),
            Action::RollBackOrphan(orphan) => Some(world.roll_back_orphan(orphan)),
        }?;
        Some(if self.reduced { next.reduced(protocol) } else { next })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let through = |name, condition: fn(&Self, &World) -> bool| Property::sometimes(name, condition);
        if self.sought == Sought::Each {
            return vec![
                through("Delivery", |_, world| world.stays_stale_through(Window::Delivery)),
                through("Silence", |_, world| world.stays_stale_through(Window::Silence)),
                through("Notify", |_, world| world.stays_stale_through(Window::Notify)),
                through("Commit", |_, world| world.stays_stale_through(Window::Commit)),
                through("Dependency", |_, world| world.stays_stale_through(Window::Dependency)),
                through("FanOut", |_, world| world.stays_stale_through(Window::FanOut)),
            ];
        }
        let sound = Property::always(SOUND, |model: &Self, world: &World| !model.found(world));
        if self.scene.is_some() {
            // Alone: stateright keeps the last discovery of many, and stops at the first, which is the shortest, only when
            // nothing else is sought.
            return vec![sound];
        }
        vec![
            sound,
            Property::sometimes(LANDED, |_: &Self, world: &World| world.has_row_since(0)),
            Property::sometimes(LANDED_AFTER, |_: &Self, world: &World| world.has_row_since(1)),
        ]
    }
}

pub const SOUND: &str = "no stale row";
pub const LANDED: &str = "a row is built from a file that has changed";
pub const LANDED_AFTER: &str = "a row lands after its module was invalidated";

impl Cache {
    /// Everybody does everything.
    pub fn new(protocol: Protocol, bounds: Bounds, sought: Sought) -> Self {
        let operations = Operation::every(protocol.layout);
        Self { protocol, bounds, operations, sought, scene: None, reduced: true }
    }

    fn is_stuck(&self, world: &World) -> bool {
        let goes_on = |action| {
            let starts = matches!(action, Action::StartPersist(..) | Action::StartInvalidation(..));
            !starts && !action.is_fault() && self.next_state(world, action).is_some()
        };
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        !world.at_rest() && !actions.into_iter().any(goes_on)
    }

    fn found(&self, world: &World) -> bool {
        match self.sought {
            Sought::Each => false,
            Sought::Stuck => self.is_stuck(world),
            Sought::Stale => world.stale_rows().next().is_some(),
            Sought::Stays => world.at_rest() && world.stale_rows().next().is_some(),
            Sought::Through(window) => world.stays_stale_through(window),
        }
    }
}

impl World {
    /// There is a row of a module whose file has changed, built after that, while this much was promised of it.
    fn has_row_since(&self, promised: Version) -> bool {
        Module::ALL.into_iter().any(|module| {
            let built = self.database.rows[module as usize].map_or(0, |row| row.built[module as usize]);
            built >= 1 && self.database.promised[module as usize] >= promised
        })
    }

    fn stays_stale_through(&self, window: Window) -> bool {
        self.at_rest() && self.stale_rows().any(|(_, through)| through == window)
    }

    /// The rows built from an older version of a file than a committed invalidation covered, and how they got in.
    pub fn stale_rows(&self) -> impl Iterator<Item = (Module, Window)> {
        Module::ALL.into_iter().filter_map(|module| {
            let row = self.database.rows[module as usize]?;
            let stale = !self.database.outdated(&row.built).is_empty();
            stale.then_some((module, row.through.unwrap_or(Window::FanOut)))
        })
    }
}
