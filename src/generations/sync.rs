//! The atomics and the mutex of the counters: the real ones, or loom's when it checks the model.

#[cfg(not(pg_generations_loom))]
pub(super) use parking_lot::Mutex;
#[cfg(not(pg_generations_loom))]
pub(super) use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(pg_generations_loom)]
pub(super) use self::model::Mutex;
#[cfg(pg_generations_loom)]
pub(super) use loom::sync::atomic::{AtomicU64, Ordering};

#[cfg(pg_generations_loom)]
mod model {
    use loom::sync::MutexGuard;
    use std::sync::PoisonError;

    /// loom's mutex with parking_lot's face: it is never poisoned.
    pub(in super::super) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(in super::super) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(in super::super) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
