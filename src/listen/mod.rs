//! A connection that LISTENs for ever, on a thread of its own.
//!
//! This module knows PostgreSQL's LISTEN and nothing of what a payload means: it hands [`Event`]s to [`Observer`]s, in
//! the thread that reads the socket, with no queue in between.
//!
//! The thread is an actor: a [`Listener`] sends it commands and gets [`Reply`]s, and all state is the thread's.

mod actor;
mod connect;
mod deadlines;
mod dial;
mod event;
mod fence;
mod frames;
mod handle;
mod lineage;
mod login;
mod park;
mod probe;
mod reader;
mod session;
mod sql;
mod state;
mod subscriptions;
mod supervisor;
mod tap;
mod thread;
mod waiter;

pub use self::connect::{Ask, Conninfo, Settings, Timings, Verified, keywords};
pub use self::event::{Event, Observer, SharedObserver, State};
pub use self::fence::{Covers, Fence, InGap};
pub use self::handle::Listener;
pub use self::probe::{ProbeFact, ProbeFindings, examine};
pub use self::sql::{IDENTITY, check_channel};
pub use self::waiter::Reply;
