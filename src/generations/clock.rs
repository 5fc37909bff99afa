//! The clock that every generation is drawn from.

use std::sync::LazyLock;

use super::sync::{AtomicU64, Ordering};

/// A snapshot that no clock issues, so every check of it says changed (or unproven).
pub const NEVER_ISSUED: u64 = u64::MAX;

/// A strictly rising counter. Its value now is a snapshot; its next value is the stamp of a bump.
///
/// All counters of a process share one clock, [`Clock::process`], so a snapshot is a single number that can be
/// held against any of them. Only tests need a clock of their own.
///
/// It starts at 1, so no snapshot is 0: a snapshot that a caller has not taken yet cannot be mistaken for one.
#[derive(Debug)]
pub struct Clock {
    word: AtomicU64,
}

impl Clock {
    /// A clock that stands at 1.
    pub fn new() -> Self {
        Self { word: AtomicU64::new(1) }
    }

    /// The clock of this process.
    pub fn process() -> &'static Self {
        static PROCESS: LazyLock<Clock> = LazyLock::new(Clock::new);
        &PROCESS
    }

    /// The value now: a snapshot that every earlier stamp is at most, and every later stamp greater than.
    ///
    /// Costs one load. Callable from any thread.
    pub fn now(&self) -> u64 {
        // Acquire, for the release in `draw`: a snapshot that already counts a bump is only ever held by
        // somebody who also sees what that bump was about.
        self.word.load(Ordering::Acquire)
    }

    /// The word behind [`Clock::now`], for readers that share memory instead of calling.
    ///
    /// Read it only. Its address is stable as long as the clock lives: for ever, for the process's.
    pub fn word(&self) -> &AtomicU64 {
        &self.word
    }

    /// Moves the clock on and returns the new value, which nobody else gets.
    pub(super) fn draw(&self) -> u64 {
        // Release, for the acquire in `now`. That two draws differ, and that a draw after another is greater,
        // needs no ordering: all changes of one atomic have one order, and each of these reads the latest.
        self.word.fetch_add(1, Ordering::Release) + 1
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads a snapshot that came as a JavaScript number.
///
/// What no clock can have issued (0, negative, fractional, above 2^53, infinite, NaN) becomes [`NEVER_ISSUED`].
pub fn snapshot_from_f64(number: f64) -> u64 {
    const MAX_EXACT: f64 = (1_u64 << 53) as f64;
    if (1.0..=MAX_EXACT).contains(&number) && number.fract() == 0.0 { number as u64 } else { NEVER_ISSUED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_greater_than_any_snapshot_before_it_and_at_most_any_after() {
        let clock = Clock::new();
        assert_eq!(clock.now(), 1);
        assert_eq!(clock.draw(), 2);
        assert_eq!(clock.now(), 2);
        assert_eq!(clock.draw(), 3);
        assert_eq!(clock.word().load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_process_has_one_clock() {
        assert!(std::ptr::eq(Clock::process(), Clock::process()));
    }

    #[test]
    fn whole_numbers_up_to_2_to_the_53_are_snapshots() {
        for number in [1_u64, 2, 42, (1 << 53) - 1, 1 << 53] {
            assert_eq!(snapshot_from_f64(number as f64), number);
        }
    }

    #[test]
    fn other_numbers_were_never_issued() {
        let above = ((1_u64 << 53) + 2) as f64;
        let odd = [0.0, f64::MIN_POSITIVE, 0.5, 1.000_000_1, above, f64::MAX, f64::INFINITY, f64::NAN];
        for number in odd.into_iter().flat_map(|odd| [odd, -odd]).chain([-1.0]) {
            assert_eq!(snapshot_from_f64(number), NEVER_ISSUED, "{number}");
        }
    }
}
