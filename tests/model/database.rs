//! PostgreSQL: rows, advisory locks, row locks, and the queue of notifications.

use crate::keys::{Keys, Layout, Module, Realms};
use crate::protocol::{Holder, Protocol, Step};
use crate::world::{Process, UNREAD, Versions, Window, World};

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Database {
    /// The committed rows.
    pub rows: [Option<Row>; 3],
    /// What committed invalidations promised: no row built from an older version.
    pub promised: Versions,
    /// Notifications, in the order of commits.
    pub queue: Vec<Notification>,
    /// Transactions whose client is gone and whose COMMIT may or may not have been received, in no particular order.
    pub orphans: Vec<Transaction>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Row {
    pub built: Versions,
    /// For the story only: why it was let through, although it was stale when it landed.
    pub through: Option<Window>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Notification {
    pub keys: Keys,
    /// PostgreSQL signals the listening backends after it has released the transaction's locks.
    pub signalled: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Lock {
    #[default]
    None,
    Shared,
    Exclusive,
}

impl Lock {
    fn conflicts(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Exclusive, Self::Shared | Self::Exclusive) | (Self::Shared, Self::Exclusive)
        )
    }
}

/// What a transaction has done and holds; empty between transactions.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Transaction {
    pub global: Lock,
    pub realms: [Lock; 3],
    pub upsert: Option<(Module, Row)>,
    pub delete: Option<Delete>,
    pub notify: Option<Keys>,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Delete {
    /// The rows that were there to be deleted.
    pub rows: Keys,
    pub covers: Versions,
}

impl Transaction {
    /// Rows that others have to wait for.
    fn locked_rows(&self) -> Keys {
        let upsert = self.upsert.map_or(Keys::NONE, |(module, _)| Keys::of(module));
        self.delete.as_ref().map_or(upsert, |delete| upsert.or(delete.rows))
    }

    pub fn is_open(&self) -> bool {
        *self != Self::default()
    }

    /// There is something to commit, so a COMMIT may be under way.
    pub fn has_written(&self) -> bool {
        self.upsert.is_some() || self.delete.is_some() || self.notify.is_some()
    }
}

impl Database {
    pub fn new(layout: Layout, rows: Keys) -> Self {
        let row = |module: Module| {
            let read = Keys::of(module).or(layout.dependencies(module));
            let built = Module::ALL.map(|file| if read.contains(file) { 0 } else { UNREAD });
            rows.contains(module).then_some(Row { built, through: None })
        };
        Self { rows: Module::ALL.map(row), promised: [0; 3], queue: Vec::new(), orphans: Vec::new() }
    }

    pub fn visible(&self) -> Keys {
        Module::ALL.into_iter().filter(|&module| self.rows[module as usize].is_some()).collect()
    }

    /// The files of which what is built from `built` has an older version than was promised.
    pub fn outdated(&self, built: &Versions) -> Keys {
        let older = |&file: &Module| built[file as usize] < self.promised[file as usize];
        Module::ALL.into_iter().filter(older).collect()
    }

    /// The position behind all notifications.
    pub fn end(&self) -> u8 {
        self.queue.len() as u8
    }

    /// The position behind all notifications that the listening backends were signalled for.
    pub fn signalled(&self) -> u8 {
        self.queue.iter().rposition(|notification| notification.signalled).map_or(0, |last| last as u8 + 1)
    }
}

impl World {
    /// Every open transaction. Who asks for others' takes its own out of the world first.
    fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.processes.iter().flat_map(Process::transactions).chain(&self.database.orphans)
    }

    /// The steps that are common to all transactions; none if it has to wait. The transaction is out of the world.
    ///
    /// The locks of several realms are taken one by one, in one order. Here they are in one step: to hold some of them while one waits
    /// for the next keeps others from more, and in one order makes no circle.
    pub fn step_transaction(
        &mut self,
        protocol: &Protocol,
        mine: &mut Transaction,
        realms: Realms,
        step: Step,
    ) -> Option<()> {
        let taken =
            |other: &Transaction, lock| realms.iter().any(|realm| other.realms[realm].conflicts(lock));
        match step {
            Step::Global(lock) if self.transactions().any(|other| other.global.conflicts(lock)) => {
                return None;
            }
            Step::Realm(lock) if self.transactions().any(|other| taken(other, lock)) => return None,
            Step::Global(lock) => mine.global = lock,
            Step::Realm(lock) => realms.iter().for_each(|realm| mine.realms[realm] = lock),
            Step::Unlock => (mine.global, mine.realms) = Default::default(),
            Step::Commit => self.commit(std::mem::take(mine), !protocol.sees_signals()),
            step => unreachable!("{step:?} is another operation's"),
        }
        Some(())
    }

    /// Whether a statement that writes these rows need not wait for another transaction.
    ///
    /// A DELETE waits for a row that it sees and that another is updating; a row that another is just inserting it does
    /// not see, and passes by.
    pub fn grants_rows(&self, rows: Keys) -> bool {
        !self.transactions().any(|other| !other.locked_rows().and(rows).is_empty())
    }

    /// In one step: the rows are there for all to see, the notification is in the queue, the locks are free.
    ///
    /// Delivery is a step of its own for each listener, so whoever waited for one of the locks may be ahead of it.
    pub fn commit(&mut self, transaction: Transaction, signals_at_once: bool) {
        let database = &mut self.database;
        if let Some((module, mut row)) = transaction.upsert {
            let stale = !database.outdated(&row.built).is_empty();
            row.through = stale.then_some(row.through.unwrap_or(Window::Commit));
            database.rows[module as usize] = Some(row);
        }
        if let Some(Delete { rows, covers }) = transaction.delete {
            for module in rows.iter() {
                database.rows[module as usize] = None;
            }
            for (promised, covered) in database.promised.iter_mut().zip(covers) {
                *promised = covered.max(*promised);
            }
            // A row that comes back under the same key is another one, which no older snapshot has.
            for process in &mut self.processes {
                if let Some(view) = process.invalidation.as_mut().and_then(|other| other.view.as_mut()) {
                    *view = view.without(rows);
                }
            }
        }
        if let Some(keys) = transaction.notify {
            database.queue.push(Notification { keys, signalled: signals_at_once });
        }
    }

    /// The client is gone. What is not committing is rolled back; what is has an outcome that nobody knows yet.
    pub fn abandon(&mut self, protocol: &Protocol, mut transaction: Transaction) {
        if !transaction.has_written() {
            return;
        }
        if let Some((_, row)) = &mut transaction.upsert {
            row.through = None;
        }
        if protocol.locks == Holder::OtherConnection {
            (transaction.global, transaction.realms) = Default::default();
        }
        self.database.orphans.push(transaction);
        self.database.orphans.sort_unstable();
    }
}
