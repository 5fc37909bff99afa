//! How counters are made.

use thiserror::Error;

/// How many module stamps, and as many realm stamps, counters keep unless told otherwise.
pub const DEFAULT_CAPACITY: usize = 100_000;

/// The most stamps of either kind that counters can be made to keep.
pub const MAX_CAPACITY: usize = 1 << 24;

/// How counters are made; valid by construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub(super) capacity: u32,
    require_listener: bool,
}

/// A capacity outside 1 to [`MAX_CAPACITY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the capacity of generation counters must be from 1 to {MAX_CAPACITY}, not {0}")]
pub struct CapacityError(pub usize);

/// The process cannot have the memory that counters of this capacity reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no memory for a capacity of {0}: give a smaller one, or the process more memory")]
pub struct OutOfMemory(pub usize);

impl Options {
    /// Keeps at most `capacity` module stamps and as many realm stamps.
    ///
    /// A stamp costs 40 to 48 bytes, reserved at once and used as stamps come in: 8 MB for the default's two
    /// tables. What is forgotten beyond that only ever causes the needless discard of a result whose snapshot is
    /// older than the last `capacity` bumped URLs.
    ///
    /// # Errors
    ///
    /// If `capacity` is 0 or above [`MAX_CAPACITY`].
    pub fn with_capacity(self, capacity: usize) -> Result<Self, CapacityError> {
        match u32::try_from(capacity) {
            Ok(valid) if (1..=MAX_CAPACITY).contains(&capacity) => Ok(Self { capacity: valid, ..self }),
            _ => Err(CapacityError(capacity)),
        }
    }

    /// Makes the counters unproven from birth, until a listener listens.
    ///
    /// Without this, counters that no listener was ever attached to are proven: there is only one process, which
    /// bumps them itself.
    pub fn with_required_listener(self) -> Self {
        Self { require_listener: true, ..self }
    }

    /// The number of module stamps, and of realm stamps, to keep.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Whether the counters are unproven from birth.
    pub fn requires_listener(&self) -> bool {
        self.require_listener
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { capacity: DEFAULT_CAPACITY as u32, require_listener: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_documented_ones() {
        let options = Options::default();
        assert_eq!((options.capacity(), options.requires_listener()), (100_000, false));
        assert!(options.with_required_listener().requires_listener());
    }

    #[test]
    fn a_capacity_is_from_1_to_the_maximum() {
        for capacity in [1, 2, DEFAULT_CAPACITY, MAX_CAPACITY] {
            assert_eq!(Options::default().with_capacity(capacity).map(|made| made.capacity()), Ok(capacity));
        }
        for capacity in [0, MAX_CAPACITY + 1, usize::MAX] {
            assert_eq!(Options::default().with_capacity(capacity), Err(CapacityError(capacity)));
        }
        assert_eq!(
            CapacityError(0).to_string(),
            "the capacity of generation counters must be from 1 to 16777216, not 0"
        );
    }
}
