//! The steps of a build and its persist.

use crate::database::{Row, Transaction};
use crate::keys::{Keys, Module};
use crate::protocol::{Protocol, Step};
use crate::world::{Link, Persist, Process, UNREAD, Window, World};

impl World {
    /// The first step of a new build.
    pub fn start_persist(&self, protocol: &Protocol, process: usize, module: Module) -> Option<Self> {
        let mut world = self.clone();
        world.left.persists -= 1;
        world.processes[process].persist = Some(Persist {
            module,
            next: 0,
            built: [UNREAD; 3],
            bumped: Keys::NONE,
            fence: None,
            transaction: Transaction::default(),
            missed: None,
        });
        world.step_persist(protocol, process)
    }

    /// The next step, if nothing has to be waited for.
    pub fn step_persist(&self, protocol: &Protocol, process: usize) -> Option<Self> {
        let mut world = self.clone();
        let mut task = world.processes[process].persist.take()?;
        let Self { files, database, processes, .. } = &mut world;
        let (module, link) = (task.module, processes[process].link);
        match protocol.persist[usize::from(task.next)] {
            Step::Snapshot => task.bumped = Keys::NONE,
            Step::ReadModule => task.built[module as usize] = files[module as usize],
            Step::ReadDependencies => {
                for dependency in protocol.layout.dependencies(module).iter() {
                    task.built[dependency as usize] = files[dependency as usize];
                }
            }
            // Without a connection it rejects, and everything is rolled back.
            Step::Echo | Step::Query if matches!(link, Link::Down | Link::Bumped) => return Some(world),
            Step::Echo => task.fence = Some(database.end()),
            Step::Query => task.fence = Some(database.signalled()),
            Step::Check { dependencies, proven } => {
                let fence = task.fence.take();
                if fence.is_some_and(|fence| !link.delivers() || processes[process].position < fence) {
                    return None;
                }
                if task.verdict(protocol, link, dependencies, proven) != Verdict::Unchanged {
                    return Some(world);
                }
                task.missed = world.missed(process, &task, fence.is_some());
                task.bumped = Keys::NONE;
            }
            Step::Insert => {
                if !world.grants_rows(Keys::of(module)) {
                    return None;
                }
                task.transaction.upsert =
                    Some((module, Row { built: task.built, through: task.missed.take() }));
            }
            step => {
                let realms = protocol.layout.realms(protocol.built_from(module));
                world.step_transaction(protocol, &mut task.transaction, realms, step)?;
            }
        }
        task.next += 1;
        if protocol.layout.dependencies(module).is_empty()
            && protocol.persist.get(usize::from(task.next)) == Some(&Step::ReadDependencies)
        {
            task.next += 1;
        }
        if usize::from(task.next) < protocol.persist.len() {
            world.processes[process].persist = Some(task);
        }
        Some(world)
    }

    /// Why a check says "unchanged" of what is outdated already.
    fn missed(&self, process: usize, task: &Persist, fenced: bool) -> Option<Window> {
        let Process { link, position, .. } = self.processes[process];
        let outdated = self.database.outdated(&task.built);
        let names = |keys: Keys| !keys.and(outdated).is_empty();
        let on_its_way = || {
            let sent = self.database.queue[usize::from(position)..].iter().any(|sent| names(sent.keys));
            let invalidations = self.processes.iter().filter_map(|process| process.invalidation.as_ref());
            sent || invalidations.into_iter().any(|invalidation| names(invalidation.targets))
        };
        Some(match () {
            () if outdated.is_empty() => return None,
            () if link == Link::Silent => Window::Silence,
            () if names(task.bumped) => Window::Dependency,
            // It committed after the fence had started, which is as good as after the check.
            () if fenced => return None,
            () if on_its_way() => Window::Delivery,
            () => Window::Notify,
        })
    }
}

impl Persist {
    /// What bumping `keys` does to this task's snapshot: nothing once it was compared.
    pub fn bump(&mut self, protocol: &Protocol, keys: Keys) {
        let check = protocol.persist.iter().position(|step| matches!(step, Step::Check { .. }));
        if check.is_some_and(|check| usize::from(self.next) <= check) {
            self.bumped = self.bumped.or(keys.and(protocol.built_from(self.module)));
        }
    }
}

/// What `check` answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Unchanged,
    Changed,
    Unproven,
}

impl Persist {
    pub fn verdict(&self, protocol: &Protocol, link: Link, dependencies: bool, proven: bool) -> Verdict {
        if proven && !link.believed() {
            Verdict::Unproven
        } else if self.knows_of_change(protocol, dependencies) {
            Verdict::Changed
        } else {
            Verdict::Unchanged
        }
    }

    pub fn knows_of_change(&self, protocol: &Protocol, dependencies: bool) -> bool {
        let checked = if dependencies { protocol.built_from(self.module) } else { Keys::of(self.module) };
        !self.bumped.and(checked).is_empty()
    }
}
