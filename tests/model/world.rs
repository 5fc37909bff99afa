//! The state: source files, one database, two processes, and what may still go wrong.

use crate::database::{Database, Transaction};
use crate::keys::{Keys, Layout, Module};

pub type Version = u8;
/// A version for each module, by `Module as usize`.
pub type Versions = [Version; 3];
/// The version of a file that a build has not read: no invalidation outdates it.
pub const UNREAD: Version = Version::MAX;

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct World {
    /// The truth.
    pub files: Versions,
    pub database: Database,
    pub processes: [Process; 2],
    /// What may still happen.
    pub left: Bounds,
}

/// How often each thing may still happen, to all processes together.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Bounds {
    pub persists: u8,
    pub invalidations: u8,
    /// `kill -9`. The process is started again at once.
    pub crashes: u8,
    /// Ends of a listener's connection, noticed or not.
    pub losses: u8,
    /// Ends of a connection on which a transaction is open. Its outcome is unknown if it was committing.
    pub disconnects: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Process {
    pub link: Link,
    /// How many notifications of the queue its listener is past.
    pub position: u8,
    pub persist: Option<Persist>,
    pub invalidation: Option<Invalidation>,
}

/// A listener's connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Link {
    /// Listening, and the counters are proven.
    Proven,
    /// Half open: nothing comes in, and nobody knows. The counters are believed to be proven.
    Silent,
    /// Lost, and known to be. Unproven.
    Down,
    /// LISTEN is in force again, the global bump is still to be made. Unproven.
    Listening,
    /// The global bump was made, LISTEN is still to come: what a protocol that resynchronises too early does. Unproven.
    Bumped,
}

impl Link {
    pub fn believed(self) -> bool {
        matches!(self, Self::Proven | Self::Silent)
    }

    pub fn delivers(self) -> bool {
        matches!(self, Self::Proven | Self::Listening)
    }
}

/// A build, and the attempt to store what was built.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Persist {
    pub module: Module,
    /// The next of the protocol's steps.
    pub next: u8,
    /// The files as they were read, `UNREAD` otherwise.
    pub built: Versions,
    /// What was bumped since the snapshot: all that a check can tell.
    ///
    /// The counters themselves are a clock and a stamp for each key; `changedSince` compares a key's stamp with a
    /// snapshot. Of all that, a snapshot sees just this set.
    pub bumped: Keys,
    /// The position in the queue that the listener has to be past before the fence returns.
    pub fence: Option<u8>,
    pub transaction: Transaction,
    /// For the story only: why the check did not see that the result is stale already.
    pub missed: Option<Window>,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Invalidation {
    pub operation: Operation,
    /// The next of the protocol's steps.
    pub next: u8,
    /// What is deleted, bumped and notified.
    pub targets: Keys,
    /// The versions below which no row shall survive; 0 for a file that is not this invalidation's business.
    pub covers: Versions,
    /// The rows of a snapshot that was taken too early.
    pub view: Option<Keys>,
    pub transaction: Transaction,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Operation {
    Invalidate(Module),
    ClearRealm,
    ClearAll,
}

impl Operation {
    /// All that there are. A clearing of a realm says nothing of rows in others, so it is only where there is one.
    pub fn every(layout: Layout) -> Vec<Self> {
        let clear_realm = (layout == Layout::OneRealm).then_some(Self::ClearRealm);
        layout.modules().iter().map(Self::Invalidate).chain(clear_realm).chain([Self::ClearAll]).collect()
    }

    /// The modules whose files changed before.
    pub fn covers(self, layout: Layout) -> Keys {
        match self {
            Self::Invalidate(module) => Keys::of(module),
            Self::ClearRealm | Self::ClearAll => layout.modules(),
        }
    }
}

/// How a stale row came to stay.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Window {
    /// W1: at the check, the notification was still on its way.
    Delivery,
    /// W1: at the check, the notification was lost in a connection that died silently.
    Silence,
    /// W2: at the check, the rows were deleted, and nobody was going to notify any more.
    Notify,
    /// W3: the invalidation came between the check, or the fence that it waited for, and the commit of the row.
    Commit,
    /// W4: the dependency was known to have changed, the dependent had no row and was not named, and only it was checked.
    Dependency,
    /// W4: the row landed after the fan-out was computed, and the DELETE passed it by.
    FanOut,
}

impl Process {
    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        let persist = self.persist.as_ref().map(|persist| &persist.transaction);
        let invalidation = self.invalidation.as_ref().map(|invalidation| &invalidation.transaction);
        persist.into_iter().chain(invalidation)
    }
}

impl World {
    /// With rows of these modules, built from the files as they are.
    pub fn new(left: Bounds, layout: Layout, rows: Keys) -> Self {
        let process = Process { link: Link::Proven, position: 0, persist: None, invalidation: None };
        Self {
            files: [0; 3],
            database: Database::new(layout, rows),
            processes: [process.clone(), process],
            left,
        }
    }

    /// Nobody is doing anything, and nothing is on its way.
    pub fn at_rest(&self) -> bool {
        let end = self.database.queue.len();
        self.database.orphans.is_empty()
            && self.processes.iter().all(|process| {
                process.persist.is_none()
                    && process.invalidation.is_none()
                    && (!process.link.delivers() || usize::from(process.position) == end)
            })
    }
}
