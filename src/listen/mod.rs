//! A connection that LISTENs for ever, on a thread of its own.
//!
//! This module knows PostgreSQL's LISTEN and nothing of what a payload means: it hands [`Event`]s to [`Observer`]s, in
//! the thread that reads the socket, with no queue in between.
//!
//! The thread is an actor: a [`Listener`] sends it commands and gets [`Reply`]s, and all state is the thread's.

mod authentication;
mod config;
mod desk;
mod dial;
mod event;
mod fence;
mod fields;
mod handle;
mod inbox;
mod libpq;
mod lineage;
mod login;
mod probe;
mod session;
mod sql;
mod state;
mod subscriptions;
mod supervisor;
mod target;
mod thread;
mod tls;
mod url;
mod waiter;

pub use self::config::{Settings, Timings};
pub use self::event::{Event, Observer, SharedObserver, State};
pub use self::fence::{Covers, Fence, InGap};
pub use self::fields::{Answer, Ask, Fields, Password, Pem};
pub use self::handle::Listener;
pub use self::libpq::keywords;
pub use self::probe::{Fact, Findings, examine};
pub use self::sql::{IDENTITY, check_channel};
pub use self::tls::Verified;
pub use self::waiter::Reply;
