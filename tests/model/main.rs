//! The protocols that keep stale rows out of a cache table, checked in every order in which their steps can happen.
//!
//! # The world
//!
//! Two modules, `lib` and `app`, of one realm; `app` is built from its own file and from that of `lib`. Or three in a chain, each in a
//! realm of its own: `app` is built from `lib`, and `lib` from `base`. Two processes, which
//! both build rows and invalidate, also at the same time. A build takes a snapshot of the counters, reads the files, and
//! stores a row that remembers which versions it was built from. An invalidation follows a change of a file, as its caller
//! promises, and deletes the rows of the module and of all that depend on it, as far as rows say so.
//!
//! PostgreSQL is modelled as far as it matters: READ COMMITTED, with rows that others see once they are committed; row locks;
//! advisory locks, *global* and each *realm's*, shared or exclusive, until the end of the transaction; the queue of
//! notifications in the order of commits. A commit releases its locks **before** the listeners hear of it: delivery is a step
//! of its own for each listener. A fence is a query, which waits for what was signalled, or an echo, which takes its place in
//! the queue and waits for all that is before it.
//!
//! What goes wrong: a process is killed between any two steps; a listener's connection is lost, or dies silently until the
//! heartbeat finds out, and what is notified meanwhile is lost to it; the connection of a transaction ends, and if it had
//! written something, the server may commit it or roll it back, at any later time. The counters of a process whose listener
//! was lost are unproven until LISTEN is in force again and the global generation was bumped.
//!
//! Not modelled: capacity and widening (they only bump more), the order in which PostgreSQL grants locks (any is
//! possible here), loss of a commit that PostgreSQL acknowledged.
//!
//! # Stale
//!
//! From the moment the transaction with an invalidation's DELETE has committed, acknowledged or not, and for ever, there shall
//! be no row that is built from an older version of a file than the one it followed. A row that breaks this is *stale*.
//!
//! An invalidation that never commits promises nothing: its process died or learned of an error, and has to call it again.
//! One that dies after its DELETE has promised, whether or not it could notify.
//!
//! The strict protocol is held to just this. Weaker ones are shown to do worse: their stale row is still there when nobody is
//! doing anything and nothing is on its way any more.
//!
//! # Layout
//!
//! * `world`, `keys`: the state
//! * `protocol`: the protocols, as lists of steps
//! * `persist`, `invalidate`: what the steps do
//! * `database`: PostgreSQL's part
//! * `network`: deliveries and faults
//! * `checking`, `search`: the model as the checker sees it
//! * `reduce`: fewer states to the same end
//! * `story`: a path in words; `cargo test --test model -- --nocapture` prints them
//! * `windows`, `strict`, `rules`, `realms`: the tests
#![cfg(not(pg_generations_loom))]
#![allow(clippy::unwrap_used, reason = "a failed assumption here is a failed test")]

mod checking;
mod database;
mod invalidate;
mod keys;
mod network;
mod persist;
mod protocol;
mod realms;
mod reduce;
mod rules;
mod search;
mod story;
mod strict;
mod windows;
mod world;
