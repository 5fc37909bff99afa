//! The steps of an invalidation.

use crate::database::{Delete, Transaction};
use crate::keys::Keys;
use crate::protocol::{Named, Notifies, Protocol, Step};
use crate::world::{Invalidation, Operation, World};

impl World {
    /// The first step of a new invalidation.
    pub fn start_invalidation(
        &self,
        protocol: &Protocol,
        process: usize,
        operation: Operation,
    ) -> Option<Self> {
        let mut world = self.clone();
        world.left.invalidations -= 1;
        world.processes[process].invalidation = Some(Invalidation {
            operation,
            next: 0,
            targets: operation.covers(protocol.layout),
            covers: [0; 3],
            view: None,
            transaction: Transaction::default(),
        });
        world.step_invalidation(protocol, process)
    }

    /// The next step, if nothing has to be waited for.
    pub fn step_invalidation(&self, protocol: &Protocol, process: usize) -> Option<Self> {
        let mut world = self.clone();
        let mut task = world.processes[process].invalidation.take()?;
        let steps = protocol.steps(task.operation);
        let visible = world.database.visible();
        match steps[usize::from(task.next)] {
            Step::Edit => {
                for module in task.operation.covers(protocol.layout).iter() {
                    world.files[module as usize] += 1;
                    task.covers[module as usize] = world.files[module as usize];
                }
            }
            Step::View => task.view = Some(visible),
            Step::FanOut => {
                if let Operation::Invalidate(module) = task.operation {
                    let found = protocol.dependents(module, task.view.unwrap_or(visible));
                    task.targets = match protocol.named {
                        Named::Each | Named::ToldOfOneRealm => task.targets.or(found),
                        Named::UnderOneRealm => task.targets.or(found.and(protocol.layout.realm_of(module))),
                        Named::WithoutTheChange => found,
                    };
                }
            }
            Step::Bump => {
                let told = protocol.told(&task);
                if let Some(persist) = &mut world.processes[process].persist {
                    persist.bump(protocol, told);
                }
            }
            Step::Delete(notifies) => {
                let rows = task.targets.and(visible).and(task.view.unwrap_or(Keys::ALL));
                if !world.grants_rows(rows) {
                    return None;
                }
                task.transaction.delete = Some(Delete { rows, covers: task.covers });
                task.transaction.notify = match notifies {
                    Notifies::Nothing => None,
                    Notifies::Targets => Some(protocol.told(&task)),
                    Notifies::DeletedRows => (!rows.is_empty()).then_some(rows),
                };
            }
            Step::Notify => task.transaction.notify = Some(protocol.told(&task)),
            step => {
                let realms = protocol.layout.realms(task.operation.covers(protocol.layout));
                world.step_transaction(protocol, &mut task.transaction, realms, step)?;
            }
        }
        task.next += 1;
        if usize::from(task.next) < steps.len() {
            world.processes[process].invalidation = Some(task);
        }
        Some(world)
    }
}
