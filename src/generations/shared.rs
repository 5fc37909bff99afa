//! Counters that every thread of the process finds by their name.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;

use super::{GenerationCounters, Options, OutOfMemory};

static SHARED: Mutex<BTreeMap<String, Shared>> = Mutex::new(BTreeMap::new());

struct Shared {
    capacity: usize,
    counters: Arc<GenerationCounters>,
}

/// Why there are no such counters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SharedError {
    /// Counters of this name were made with another capacity.
    #[error("the shared counters {name:?} exist with a capacity of {capacity}: ask for that, or for none")]
    OtherCapacity {
        /// The name asked for.
        name: String,
        /// The capacity that the counters of this name were made with.
        capacity: usize,
    },
    /// There is no memory for new ones.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

impl GenerationCounters {
    /// The counters of this name, made when it is first asked for. Without options: as they are, or the default's.
    ///
    /// They live as long as the process, so a name is to stand for a purpose, never for a datum. Options that require a
    /// listener make existing counters require one too. Costs a lock and a look-up; what comes back is best kept.
    ///
    /// # Errors
    ///
    /// If counters of this name exist with another capacity, or the process cannot have the memory for new ones.
    pub fn shared(name: &str, options: Option<Options>) -> Result<Arc<Self>, SharedError> {
        let mut all = SHARED.lock();
        if let Some(shared) = all.get(name) {
            let (wanted, capacity) = (options.unwrap_or_default(), shared.capacity);
            if options.is_some() && wanted.capacity() != capacity {
                return Err(SharedError::OtherCapacity { name: name.to_owned(), capacity });
            }
            if wanted.requires_listener() {
                shared.counters.require_listener();
            }
            return Ok(Arc::clone(&shared.counters));
        }
        let options = options.unwrap_or_default();
        let counters = Arc::new(Self::try_new(options)?);
        let shared = Shared { capacity: options.capacity(), counters: Arc::clone(&counters) };
        all.insert(name.to_owned(), shared);
        Ok(counters)
    }
}

#[cfg(all(test, not(pg_generations_loom)))]
mod tests {
    use super::*;

    fn shared(name: &str) -> Arc<GenerationCounters> {
        GenerationCounters::shared(name, None).expect("no options, no conflict")
    }

    #[test]
    fn a_name_stands_for_the_same_counters_in_every_thread() {
        let here = shared("same");
        let there = std::thread::spawn(|| shared("same")).join().expect("it does not panic");
        assert!(Arc::ptr_eq(&here, &there));
        assert!(!Arc::ptr_eq(&here, &shared("other")));
    }

    #[test]
    fn they_outlive_everyone_who_asked() {
        let snapshot = shared("kept").snapshot();
        shared("kept").bump_global();
        assert!(shared("kept").changed_since(snapshot, "r", "m"));
    }

    #[test]
    fn another_capacity_for_an_existing_name_is_an_error_and_a_required_listener_is_not() {
        let options = |capacity| Options::default().with_capacity(capacity).ok();
        let first = GenerationCounters::shared("small", options(5)).expect("the first may choose");
        for agreed in [None, options(5)] {
            assert!(GenerationCounters::shared("small", agreed).is_ok_and(|same| Arc::ptr_eq(&same, &first)));
        }
        let requiring = options(5).map(Options::with_required_listener);
        assert!(first.proven());
        assert!(GenerationCounters::shared("small", requiring).is_ok_and(|same| !same.proven()));
        assert!(GenerationCounters::shared("small", options(5)).is_ok_and(|same| !same.proven()), "for good");
        let refused = GenerationCounters::shared("small", options(6)).expect_err("it is 5");
        assert_eq!(
            refused.to_string(),
            "the shared counters \"small\" exist with a capacity of 5: ask for that, or for none"
        );
    }
}
