//! The floor: a thread that blocks in `read` on a socket, finds the notifications in what it gets, and looks into none; or
//! decodes them and bumps counters, and does nothing else that a listener does.

use std::io::{Result, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use pg_generations::feed::{Feed, FeedOptions, OnGap};
use pg_generations::generations::{GenerationCounters, Options};

use crate::clock;
use crate::wire::Connection;

static COUNT: AtomicU64 = AtomicU64::new(0);
static LAST_AT: AtomicU64 = AtomicU64::new(0);

/// Listens until its standard input ends. Commands, a line each, and their answers:
///
/// * `seen N`: how many notifications have come and when the latest did, as soon as N have
/// * `cpu`: the processor time of this process
/// * `sync N`: how long N round trips took, on a second connection that listens
pub fn run(port: u16, database: &str, channel: &str, with_counters: bool) -> Result<()> {
    let feed = with_counters.then(counters);
    let mut connection = Connection::open(port, database)?;
    connection.query(&format!("LISTEN {channel}"))?;
    println!("listening {}", connection.backend_pid);
    thread::spawn(move || {
        while let Ok((kind, body)) = connection.message() {
            if kind == b'A' {
                if let Some(feed) = &feed {
                    let _junk = feed.dispatch(payload(body));
                }
                LAST_AT.store(clock::monotonic(), Ordering::Relaxed);
                COUNT.fetch_add(1, Ordering::Release);
            }
        }
    });
    let mut second = None;
    for line in stdin().lines() {
        match *line?.split(' ').collect::<Vec<_>>() {
            ["seen", n] => println!("{}", seen(n.parse().unwrap_or(0))),
            ["cpu"] => println!("{}", clock::cpu()),
            ["sync", n] => {
                if second.is_none() {
                    let mut connection = Connection::open(port, database)?;
                    connection.query("LISTEN another_channel")?;
                    second = Some(connection);
                }
                let times = second.as_mut().map_or(Ok(String::new()), |connection| syncs(connection, n));
                println!("{}", times?);
            }
            _ => println!("what?"),
        }
    }
    Ok(())
}

fn counters() -> Feed {
    let counters = Some(Arc::new(GenerationCounters::new(Options::default())));
    Feed::new(
        FeedOptions { counters, queue_calls: false, max_queued_calls: 1, on_gap: OnGap::Discard },
        |_| {},
    )
}

/// A notification is the sender's process id, the channel and the payload, both with a zero after them.
fn payload(body: &[u8]) -> &str {
    let find = || {
        let texts = body.get(4..)?;
        let channel = texts.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(texts.get(channel + 1..texts.len() - 1)?).ok()
    };
    find().unwrap_or_default()
}

fn seen(enough: u64) -> String {
    loop {
        let count = COUNT.load(Ordering::Acquire);
        if count >= enough {
            return format!("{count} {}", LAST_AT.load(Ordering::Relaxed));
        }
        thread::sleep(Duration::from_micros(500));
    }
}

fn syncs(connection: &mut Connection, n: &str) -> Result<String> {
    let mut times = Vec::new();
    for _ in 0..n.parse().unwrap_or(0) {
        let start = clock::monotonic();
        connection.sync()?;
        times.push((clock::monotonic() - start).to_string());
    }
    Ok(times.join(" "))
}
