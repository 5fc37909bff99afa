//! A bounded table from keys to their greatest stamps. When it is full, the oldest stamp goes first.

use std::hint::black_box;

use zerocopy::FromZeros;

use super::keys::BATCH;

/// No entry. Entry 0 is the list's sentinel, so that zeroed memory is an empty index and an empty list.
const NONE: u32 = 0;

/// Stamps by key, in two structures over the same entries (numbered from 1):
///
/// * an index by open addressing with linear probing, at most half full, for finding a key;
/// * a doubly linked ring from the oldest stamp to the newest, for knowing what to forget.
///
/// Everything is allocated up front, so no call is ever slow because a table grows. It is allocated as zeroes,
/// which the system hands out as pages that take no memory until they are written.
pub(super) struct Stamps {
    /// Slots holding entries, each at or after its key's home, with no empty slot between.
    index: Box<[u32]>,
    entries: Box<[Entry]>,
    len: u32,
    floor: u64,
}

/// All of a key in one line of the processor's cache.
#[derive(FromZeros)]
#[repr(C, align(32))]
struct Entry {
    key: u128,
    stamp: u64,
    /// The entry stamped next after this one; the sentinel's is the oldest.
    newer: u32,
    /// The entry stamped last before this one; the sentinel's is the newest.
    older: u32,
}

impl Stamps {
    /// A table for `capacity` keys, at least 1. Every key reads as 0. `None` if there is no memory for it.
    pub(super) fn new(capacity: u32) -> Option<Self> {
        let entries = capacity as usize + 1;
        Some(Self {
            index: <[u32]>::new_box_zeroed_with_elems((2 * capacity as usize).next_power_of_two()).ok()?,
            entries: <[Entry]>::new_box_zeroed_with_elems(entries).ok()?,
            len: 0,
            floor: 0,
        })
    }

    /// The greatest stamp of `key`; if it is unknown, the greatest stamp it may ever have had.
    pub(super) fn get(&self, key: u128) -> u64 {
        match self.index[self.slot(key)] {
            NONE => self.floor,
            entry => self.entries[entry as usize].stamp,
        }
    }

    /// Stamps `key`. The stamp must be greater than every stamp before it, which makes it the key's greatest,
    /// and the order of stamping the order of stamps.
    pub(super) fn stamp(&mut self, key: u128, stamp: u64) {
        let entry = match self.index[self.slot(key)] {
            NONE => {
                let entry = self.vacant();
                // Looked for again, since making room may have moved the place.
                self.index[self.slot(key)] = entry;
                self.entries[entry as usize].key = key;
                entry
            }
            entry => {
                self.unlink(entry);
                entry
            }
        };
        self.entries[entry as usize].stamp = stamp;
        self.link_newest(entry);
    }

    /// Reads what the stamping of these keys will need, of at most [`BATCH`]. One read after another would wait for
    /// memory each time; these do not depend on each other, so that the processor waits for many at once.
    pub(super) fn warm(&self, keys: &[u128]) {
        let mut linked = [[NONE; 2]; BATCH];
        let mut entries = [NONE; BATCH];
        for (entry, &key) in entries.iter_mut().zip(keys) {
            *entry = self.index[self.home(key)];
        }
        for (linked, &entry) in linked.iter_mut().zip(&entries[..keys.len()]) {
            let Entry { newer, older, .. } = self.entries[entry as usize];
            *linked = [newer, older];
        }
        let links = linked[..keys.len()].as_flattened();
        black_box(links.iter().fold(0, |sum, &entry| sum ^ self.entries[entry as usize].older));
    }

    /// An entry that nobody uses: a fresh one, or else the one whose stamp is the oldest.
    fn vacant(&mut self) -> u32 {
        if (self.len as usize) < self.entries.len() - 1 {
            self.len += 1;
            return self.len;
        }
        let oldest = self.entries[NONE as usize].newer;
        // The floor first: at no point does the key read as less than its stamp.
        self.floor = self.entries[oldest as usize].stamp;
        self.unindex(self.entries[oldest as usize].key);
        self.unlink(oldest);
        oldest
    }

    /// Where the search for `key` ends: the slot that holds it, or the empty one where it would go.
    fn slot(&self, key: u128) -> usize {
        let mut slot = self.home(key);
        loop {
            let entry = self.index[slot];
            if entry == NONE || self.entries[entry as usize].key == key {
                return slot;
            }
            slot = self.after(slot);
        }
    }

    /// Takes `key` out of the index and closes the gap, so that no search ends early and no tombstones pile up.
    fn unindex(&mut self, key: u128) {
        let mut gap = self.slot(key);
        let mut slot = self.after(gap);
        while self.index[slot] != NONE {
            let home = self.home(self.entries[self.index[slot] as usize].key);
            // A key may move back as far as its home, and no further.
            if self.distance(home, slot) >= self.distance(gap, slot) {
                self.index[gap] = self.index[slot];
                gap = slot;
            }
            slot = self.after(slot);
        }
        self.index[gap] = NONE;
    }

    fn home(&self, key: u128) -> usize {
        // Keys are hashes already, so any bits will do.
        key as usize & (self.index.len() - 1)
    }

    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.index.len() - 1)
    }

    /// The steps from one slot forward to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.index.len() - 1)
    }

    fn link_newest(&mut self, entry: u32) {
        let newest = self.entries[NONE as usize].older;
        self.entries[entry as usize].older = newest;
        self.entries[entry as usize].newer = NONE;
        self.entries[newest as usize].newer = entry;
        self.entries[NONE as usize].older = entry;
    }

    fn unlink(&mut self, entry: u32) {
        let (older, newer) = (self.entries[entry as usize].older, self.entries[entry as usize].newer);
        self.entries[older as usize].newer = newer;
        self.entries[newer as usize].older = older;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// What a table says, the slow and obvious way: all stamps in order, only the last `capacity` keys known.
    #[derive(Default)]
    struct Model {
        order: Vec<(u128, u64)>,
        floor: u64,
    }

    impl Model {
        fn stamp(&mut self, capacity: usize, key: u128, stamp: u64) {
            self.order.retain(|&(known, _)| known != key);
            self.order.push((key, stamp));
            if self.order.len() > capacity {
                self.floor = self.order.remove(0).1;
            }
        }

        fn get(&self, key: u128) -> u64 {
            self.order.iter().find(|&&(known, _)| known == key).map_or(self.floor, |&(_, stamp)| stamp)
        }
    }

    impl Stamps {
        /// Every known key is found from its home, and the ring holds the same keys in stamp order.
        fn assert_sound(&self) {
            let mut indexed = HashMap::new();
            for (slot, &entry) in self.index.iter().enumerate().filter(|&(_, &entry)| entry != NONE) {
                let key = self.entries[entry as usize].key;
                assert!(indexed.insert(entry, key).is_none(), "an entry is indexed once");
                assert_eq!(self.slot(key), slot, "the key is where its search ends");
            }
            let (mut entry, mut previous, mut last_stamp, mut linked) = (self.entries[0].newer, NONE, 0, 0);
            while entry != NONE {
                assert!(indexed.contains_key(&entry));
                assert_eq!(self.entries[entry as usize].older, previous);
                assert!(self.entries[entry as usize].stamp > last_stamp);
                last_stamp = self.entries[entry as usize].stamp;
                previous = entry;
                entry = self.entries[entry as usize].newer;
                linked += 1;
            }
            assert_eq!(self.entries[0].older, previous);
            assert_eq!((linked, self.len as usize), (indexed.len(), indexed.len()));
        }
    }

    /// Keys that share few homes, the last slot (where probing wraps around) among them.
    fn colliding_key() -> impl Strategy<Value = u128> {
        (prop::sample::select(vec![0_u128, 1, 2, u64::MAX.into()]), 0_u128..4)
            .prop_map(|(home, other)| home | other << 64)
    }

    proptest! {
        #[test]
        fn a_table_says_what_its_model_says(
            capacity in 1_u32..=9,
            keys in prop::collection::vec(colliding_key(), 0..200),
        ) {
            let (mut table, mut model) = (Stamps::new(capacity).expect("memory"), Model::default());
            for (&key, stamp) in keys.iter().zip(1..) {
                table.stamp(key, stamp);
                model.stamp(capacity as usize, key, stamp);
                table.assert_sound();
                for key in keys.iter().copied().chain([1 << 100]) {
                    prop_assert_eq!(table.get(key), model.get(key));
                }
            }
        }
    }
}
