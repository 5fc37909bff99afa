//! Counters that every thread of the process finds by their name.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;

use super::{GenerationCounters, Options};

static SHARED: Mutex<BTreeMap<String, Shared>> = Mutex::new(BTreeMap::new());

struct Shared {
    options: Options,
    counters: Arc<GenerationCounters>,
}

/// Counters of this name were made with other options.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the shared counters {name:?} exist with a capacity of {}: ask for that, or for none", .options.capacity())]
pub struct SharedError {
    /// The name asked for.
    pub name: String,
    /// What the counters of this name were made with.
    pub options: Options,
}

impl GenerationCounters {
    /// The counters of this name, made when it is first asked for. Without options: as they are, or the default's.
    ///
    /// They live as long as the process, so a name is to stand for a purpose, never for a datum. Costs a lock and a
    /// look-up; what comes back is best kept.
    ///
    /// # Errors
    ///
    /// If counters of this name exist and were made with other options.
    pub fn shared(name: &str, options: Option<Options>) -> Result<Arc<Self>, SharedError> {
        let mut all = SHARED.lock();
        if let Some(shared) = all.get(name) {
            return match options {
                Some(other) if other != shared.options => {
                    Err(SharedError { name: name.to_owned(), options: shared.options })
                }
                _ => Ok(Arc::clone(&shared.counters)),
            };
        }
        let options = options.unwrap_or_default();
        let counters = Arc::new(Self::new(options));
        all.insert(name.to_owned(), Shared { options, counters: Arc::clone(&counters) });
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
    fn other_options_for_an_existing_name_are_an_error() {
        let options = |capacity| Options::default().with_capacity(capacity).ok();
        let first = GenerationCounters::shared("small", options(5)).expect("the first may choose");
        for agreed in [None, options(5)] {
            assert!(GenerationCounters::shared("small", agreed).is_ok_and(|same| Arc::ptr_eq(&same, &first)));
        }
        let refused = GenerationCounters::shared("small", options(6)).expect_err("it is 5");
        assert_eq!(
            refused.to_string(),
            "the shared counters \"small\" exist with a capacity of 5: ask for that, or for none"
        );
    }
}
