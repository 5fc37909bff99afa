//! Deliveries, and all that goes wrong: connections that are lost, processes that are killed, outcomes that are unknown.

use crate::keys::Keys;
use crate::protocol::{Protocol, Resync};
use crate::world::{Link, Process, World};

impl World {
    /// A listening backend was signalled, and sends what it has not sent yet; a listener applies the first of it.
    pub fn deliver(&self, protocol: &Protocol, process: usize) -> Option<Self> {
        let Process { link, position, .. } = self.processes[process];
        if !link.delivers() || position >= self.database.signalled() {
            return None;
        }
        let mut world = self.clone();
        world.processes[process].position += 1;
        world.bump(protocol, process, self.database.queue[usize::from(position)].keys);
        Some(world)
    }

    pub fn signal(&self, notification: usize) -> Option<Self> {
        let mut world = self.clone();
        let signalled = &mut world.database.queue[notification].signalled;
        (!std::mem::replace(signalled, true)).then_some(world)
    }

    /// The connection ends, and the listener sees that it does.
    pub fn lose(&self, process: usize) -> Option<Self> {
        let mut world = self.clone();
        if !world.processes[process].link.delivers() || world.left.losses == 0 {
            return None;
        }
        world.left.losses -= 1;
        world.down(process);
        Some(world)
    }

    /// The connection dies, and nobody sees it.
    pub fn silence(&self, process: usize) -> Option<Self> {
        let mut world = self.clone();
        if world.processes[process].link != Link::Proven || world.left.losses == 0 {
            return None;
        }
        world.left.losses -= 1;
        world.processes[process].link = Link::Silent;
        world.processes[process].position = 0;
        Some(world)
    }

    /// The heartbeat's deadline passes.
    pub fn notice(&self, process: usize) -> Option<Self> {
        let mut world = self.clone();
        if world.processes[process].link != Link::Silent {
            return None;
        }
        world.down(process);
        Some(world)
    }

    /// The next step of a listener that was lost: LISTEN again, and bump the global generation.
    pub fn reconnect(&self, protocol: &Protocol, process: usize) -> Option<Self> {
        let mut world = self.clone();
        let (listens, bumps, next) = match (world.processes[process].link, protocol.resync) {
            (Link::Down, Resync::AfterListen) => (true, false, Link::Listening),
            (Link::Down, Resync::BeforeListen) => (false, true, Link::Bumped),
            (Link::Down, Resync::Never) => (true, false, Link::Proven),
            (Link::Listening, _) => (false, true, Link::Proven),
            (Link::Bumped, _) => (true, false, Link::Proven),
            (Link::Proven | Link::Silent, _) => return None,
        };
        if listens {
            world.processes[process].position = world.database.end();
        }
        if bumps {
            world.bump(protocol, process, Keys::ALL);
        }
        world.processes[process].link = next;
        Some(world)
    }

    /// Killed between two steps, and started again: without a snapshot, a result or a listener.
    pub fn crash(&self, protocol: &Protocol, process: usize) -> Option<Self> {
        let mut world = self.clone();
        world.left.crashes = world.left.crashes.checked_sub(1)?;
        let fresh = Process { link: Link::Down, position: 0, persist: None, invalidation: None };
        let killed = std::mem::replace(&mut world.processes[process], fresh);
        if let Some(persist) = killed.persist {
            world.abandon(protocol, persist.transaction);
        }
        if let Some(invalidation) = killed.invalidation {
            world.abandon(protocol, invalidation.transaction);
        }
        Some(world)
    }

    /// The connection of a persist's transaction ends; the process learns no outcome and gives up.
    pub fn disconnect_persist(&self, protocol: &Protocol, process: usize) -> Option<Self> {
        let mut world = self.clone();
        let task = world.processes[process].persist.take().filter(|task| task.transaction.is_open())?;
        world.left.disconnects = world.left.disconnects.checked_sub(1)?;
        world.abandon(protocol, task.transaction);
        Some(world)
    }

    /// The same for an invalidation, which has then not been acknowledged.
    pub fn disconnect_invalidation(&self, protocol: &Protocol, process: usize) -> Option<Self> {
        let mut world = self.clone();
        let task = world.processes[process].invalidation.take().filter(|task| task.transaction.is_open())?;
        world.left.disconnects = world.left.disconnects.checked_sub(1)?;
        world.abandon(protocol, task.transaction);
        Some(world)
    }

    /// The COMMIT of a client that is gone had been received after all.
    pub fn commit_orphan(&self, protocol: &Protocol, orphan: usize) -> Self {
        let mut world = self.clone();
        let transaction = world.database.orphans.remove(orphan);
        world.commit(transaction, !protocol.sees_signals());
        world
    }

    /// It had not, and the server rolls back.
    pub fn roll_back_orphan(&self, orphan: usize) -> Self {
        let mut world = self.clone();
        world.database.orphans.remove(orphan);
        world
    }

    fn bump(&mut self, protocol: &Protocol, process: usize, keys: Keys) {
        if let Some(persist) = &mut self.processes[process].persist {
            persist.bump(protocol, keys);
        }
    }

    /// A fence that is waiting rejects, and its persist is rolled back.
    fn down(&mut self, process: usize) {
        let process = &mut self.processes[process];
        process.link = Link::Down;
        process.position = 0;
        process.persist.take_if(|persist| persist.fence.is_some());
    }
}
