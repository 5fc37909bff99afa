//! What is heard on a connection, and what takes it: the vocabulary of this module.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::Error;

/// Takes what a subscription hears.
///
/// Called on the listener's thread, but for [`Event::Stopping`], which comes from the thread that closes it. The socket
/// is not read while a call lasts, so an observer must return at once, must never wait for I/O, and must not ask the
/// listener anything.
pub trait Observer {
    /// Takes one event.
    fn event(&self, event: Event<'_>);
}

/// An observer that is called from several threads.
pub type SharedObserver = Arc<dyn Observer + Send + Sync>;

/// What happens to a subscription, in the order of its happening.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// LISTEN is in force and proven, for the first time since the start.
    Listening {
        /// The server's process id of our session.
        backend_pid: i32,
        /// Which server this is, see [`IDENTITY`](super::IDENTITY); `None` if it does not say.
        server: Option<&'a str>,
    },
    /// A notification on the channel.
    Notification {
        /// Its channel.
        channel: &'a str,
        /// Its payload; anyone who can connect to the database may have written it.
        payload: &'a str,
        /// The backend that sent it.
        process_id: i32,
    },
    /// A heartbeat came back.
    Echo {
        /// From sending to receiving.
        round_trip: Duration,
        /// When it came back.
        at: SystemTime,
    },
    /// The session ended, for whatever reason. Notifications may be missed from now on.
    Lost {
        /// The reason.
        error: &'a Error,
    },
    /// Attempts keep failing. Said of the 1st, 2nd, 4th, 8th, … in a row, so that a long outage stays quiet.
    Retrying {
        /// How many attempts failed in a row.
        attempt: u32,
        /// Why the latest did.
        error: &'a Error,
    },
    /// LISTEN is in force and proven again. What was sent during the gap is lost for good.
    Resynced {
        /// How long nothing was heard.
        gap: Duration,
        /// The server's process id of our new session.
        backend_pid: i32,
        /// Which server this is now.
        server: Option<&'a str>,
    },
    /// LISTEN never was in force, and will not be.
    Failed {
        /// The reason.
        error: &'a Error,
    },
    /// The subscription is being closed. No event but `Stopped` comes after this one.
    Stopping,
    /// It is closed. The last event.
    Stopped,
}

/// Where a subscription is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not running: closed, or LISTEN failed.
    Stopped,
    /// Trying to listen for the first time.
    Connecting,
    /// LISTEN is in force.
    Listening,
    /// It was listening and tries to again.
    Reconnecting,
}
