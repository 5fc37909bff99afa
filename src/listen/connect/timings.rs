//! How long a listener waits.

use std::time::Duration;

/// How long the listener waits for what.
#[derive(Debug, Clone)]
pub struct Timings {
    /// An echo is sent this often.
    pub heartbeat_interval: Duration,
    /// An echo that takes longer is a lost connection.
    pub heartbeat_timeout: Duration,
    /// A first start gives up after this long, on errors that might heal.
    pub connect_timeout: Duration,
    /// The longest pause between two attempts to reconnect.
    pub reconnect_max_delay: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(10),
            heartbeat_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(30),
            reconnect_max_delay: Duration::from_secs(5),
        }
    }
}

impl Timings {
    /// No wait is longer than this: PostgreSQL's own time-outs, and the kernel's, end here.
    const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

    pub(super) fn capped(self) -> Self {
        Self {
            heartbeat_interval: self.heartbeat_interval.min(Self::LONGEST),
            heartbeat_timeout: self.heartbeat_timeout.min(Self::LONGEST),
            connect_timeout: self.connect_timeout.min(Self::LONGEST),
            reconnect_max_delay: self.reconnect_max_delay.min(Self::LONGEST),
        }
    }
}
