//! What the benchmarks measure with, and against: a program that moves bytes between a PostgreSQL and itself by blocking
//! calls, and does nothing else.
//!
//! ```sh
//! bare send PORT                     # the sender that every contender hears
//! bare inject PORT                   # a proxy that puts notifications into sessions
//! bare listen PORT DATABASE CHANNEL  # the floor: the least that a listener can cost
//! bare listen PORT DATABASE CHANNEL counters  # the least that one with counters can
//! ```
//!
//! All take commands from their standard input and answer on their standard output.

mod clock;
mod inject;
mod listen;
mod send;
mod wire;

use std::io::{Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let port = arguments.get(2).and_then(|port| port.parse().ok()).ok_or_else(|| Error::other("no port"))?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "send", _] => send::run(port),
        [_, "inject", _] => inject::run(port),
        [_, "listen", _, database, channel] => listen::run(port, database, channel, false),
        [_, "listen", _, database, channel, "counters"] => listen::run(port, database, channel, true),
        _ => Err(Error::other(
            "bare send PORT | bare inject PORT | bare listen PORT DATABASE CHANNEL [counters]",
        )),
    }
}
