//! Fewer states to the same end: each reduction replaces a state by one that can still do at least as much harm.

use crate::database::Transaction;
use crate::keys::Module;
use crate::protocol::{Protocol, Step};
use crate::world::{Link, Persist, Process, UNREAD, Version, World};

impl World {
    pub fn reduced(mut self, protocol: &Protocol) -> Self {
        self.drop_doomed(protocol);
        self.forget_what_cannot_matter();
        self.trim_queue();
        self.count_versions_from_promised();
        self.processes.sort_unstable();
        self
    }

    /// A persist whose check is bound to fail does nothing any more but hold others up.
    fn drop_doomed(&mut self, protocol: &Protocol) {
        for process in &mut self.processes {
            process.persist.take_if(|persist| persist.is_doomed(protocol));
        }
    }

    /// Without a persist, nobody asks the counters.
    fn forget_what_cannot_matter(&mut self) {
        let left = &mut self.left;
        let busy = |process: &Process| process.persist.is_some() || process.invalidation.is_some();
        if left.persists == 0 {
            for process in self.processes.iter_mut().filter(|process| process.persist.is_none()) {
                (process.link, process.position) = (Link::Proven, 0);
            }
            if self.processes.iter().all(|process| process.persist.is_none()) {
                left.losses = 0;
            }
            if left.invalidations == 0 && !self.processes.iter().any(busy) {
                (left.crashes, left.disconnects) = (0, 0);
            }
        }
    }

    /// What every listener is past is history.
    fn trim_queue(&mut self) {
        let persists = self.left.persists;
        let asked =
            |process: &&mut Process| process.link.delivers() && (persists > 0 || process.persist.is_some());
        let past = self.processes.iter_mut().filter(asked).map(|process| process.position).min();
        let past = past.unwrap_or(self.database.end());
        self.database.queue.drain(..usize::from(past));
        for process in &mut self.processes {
            process.position = process.position.saturating_sub(past);
            if let Some(fence) = process.persist.as_mut().and_then(|persist| persist.fence.as_mut()) {
                *fence = fence.saturating_sub(past);
            }
        }
    }

    /// Versions are only compared with what was promised, and what is outdated is outdated.
    fn count_versions_from_promised(&mut self) {
        for file in Module::ALL.map(|module| module as usize) {
            let promised = self.database.promised[file];
            let Some(base) = promised.checked_sub(1) else { continue };
            self.files[file] -= base;
            self.database.promised[file] -= base;
            let rows = self.database.rows.iter_mut().flatten().map(|row| &mut row.built[file]);
            rows.for_each(|built| lower(built, base));
            for process in &mut self.processes {
                if let Some(persist) = &mut process.persist {
                    lower(&mut persist.built[file], base);
                    persist.transaction.count_versions_from(file, base);
                }
                if let Some(invalidation) = &mut process.invalidation {
                    // What is promised already need not be promised again. 0 stands for that.
                    let covers = &mut invalidation.covers[file];
                    *covers = if *covers > promised { *covers - base } else { 0 };
                    invalidation.transaction.count_versions_from(file, base);
                }
            }
            self.database.orphans.iter_mut().for_each(|orphan| orphan.count_versions_from(file, base));
        }
        self.database.orphans.sort_unstable();
    }
}

fn lower(built: &mut Version, base: Version) {
    if *built != UNREAD {
        *built = built.saturating_sub(base);
    }
}

impl Transaction {
    fn count_versions_from(&mut self, file: usize, base: Version) {
        if let Some((_, row)) = &mut self.upsert {
            lower(&mut row.built[file], base);
        }
        if let Some(delete) = &mut self.delete {
            let covers = &mut delete.covers[file];
            *covers = if *covers > base + 1 { *covers - base } else { 0 };
        }
    }
}

impl Persist {
    fn is_doomed(&self, protocol: &Protocol) -> bool {
        let to_come = &protocol.persist[usize::from(self.next)..];
        let fails = |step: &Step| match *step {
            Step::Check { dependencies, .. } => self.knows_of_change(protocol, dependencies),
            _ => false,
        };
        !to_come.contains(&Step::Snapshot) && to_come.iter().any(fails)
    }
}
