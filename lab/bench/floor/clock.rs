//! The clocks that every process of a benchmark shares, in nanoseconds.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What `process.hrtime` reads in Node.
pub fn monotonic() -> u64 {
    read(ClockId::Monotonic)
}

/// Since 1970.
pub fn real() -> u64 {
    read(ClockId::Realtime)
}

/// Of all threads of this process.
pub fn cpu() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// Sleeps until that time of the monotonic clock.
pub fn sleep_until(time: u64) {
    std::thread::sleep(Duration::from_nanos(time.saturating_sub(monotonic())));
}

fn read(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
