//! The sender that all contenders hear: it notes when a statement was sent and when it was acknowledged.

use std::io::{Error, Result, stdin};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::wire::Connection;

/// So long after an acknowledgement this process stays still, so that whoever waits for its answer does not wake up,
/// and take a processor, while the notification is on its way.
const STILL: Duration = Duration::from_micros(700);

/// Runs commands until its standard input ends, a line each:
///
/// * `connect DATABASE`: opens the next connection, the first being 0
/// * `query C SQL`: when it was sent and acknowledged, by both clocks
/// * `at TIME C SQL`: the same, at that time of the monotonic clock
/// * `pace C COUNT INTERVAL SQL`: COUNT times, at a steady pace, with a number in place of each #; when the first was
///   sent and the last acknowledged
/// * `times C COUNT SQL`: how long each of COUNT took from send to acknowledgement, one after another
/// * `crowd COUNT DATABASE CHANNEL`: so many connections more that listen
/// * `disperse`: closes those
pub fn run(port: u16) -> Result<()> {
    let mut connections = Vec::new();
    let mut crowd = Vec::new();
    for line in stdin().lines() {
        let line = line?;
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match command {
            "connect" => {
                connections.push(Connection::open(port, rest)?);
                "connected".into()
            }
            "query" => query(&mut connections, rest)?,
            "at" => {
                let (time, rest) = word(rest)?;
                clock::sleep_until(time);
                query(&mut connections, rest)?
            }
            "pace" => pace(&mut connections, rest)?,
            "times" => times(&mut connections, rest)?,
            "crowd" => {
                let (count, rest) = word(rest)?;
                let (database, channel) = rest.split_once(' ').unwrap_or((rest, ""));
                for _ in 0..count {
                    crowd.push(listener(port, database, channel)?);
                }
                crowd.len().to_string()
            }
            "disperse" => {
                for stream in crowd.drain(..) {
                    stream.shutdown(Shutdown::Both)?;
                }
                "dispersed".into()
            }
            _ => return Err(Error::other(line)),
        };
        println!("{answer}");
    }
    Ok(())
}

fn query(connections: &mut [Connection], rest: &str) -> Result<String> {
    let (connection, sql) = choose(connections, rest)?;
    let (sent, sent_real) = (clock::monotonic(), clock::real());
    connection.query(sql)?;
    let (acknowledged, acknowledged_real) = (clock::monotonic(), clock::real());
    thread::sleep(STILL);
    Ok(format!("{sent} {acknowledged} {sent_real} {acknowledged_real}"))
}

fn pace(connections: &mut [Connection], rest: &str) -> Result<String> {
    let (connection, rest) = choose(connections, rest)?;
    let (count, rest) = word(rest)?;
    let (interval, sql) = word(rest)?;
    let start = clock::monotonic();
    for i in 0..count {
        clock::sleep_until(start + i * interval);
        connection.query(&sql.replace('#', &(i % 1_000).to_string()))?;
    }
    Ok(format!("{start} {}", clock::monotonic()))
}

fn times(connections: &mut [Connection], rest: &str) -> Result<String> {
    let (connection, rest) = choose(connections, rest)?;
    let (count, sql) = word(rest)?;
    let mut times = Vec::new();
    for _ in 0..count {
        let start = clock::monotonic();
        connection.query(sql)?;
        times.push((clock::monotonic() - start).to_string());
    }
    Ok(times.join(" "))
}

/// One more listening connection, with a thread that reads it to its end.
fn listener(port: u16, database: &str, channel: &str) -> Result<TcpStream> {
    let mut connection = Connection::open(port, database)?;
    connection.query(&format!("LISTEN {channel}"))?;
    let stream = connection.stream()?;
    thread::Builder::new().stack_size(1 << 16).spawn(move || while connection.message().is_ok() {})?;
    Ok(stream)
}

fn choose<'a, 'b>(connections: &'a mut [Connection], rest: &'b str) -> Result<(&'a mut Connection, &'b str)> {
    let (index, rest) = word(rest)?;
    let connection = connections.get_mut(index as usize).ok_or_else(|| Error::other("no such connection"))?;
    Ok((connection, rest))
}

/// A number, and what comes after it.
fn word(text: &str) -> Result<(u64, &str)> {
    let (number, rest) = text.split_once(' ').unwrap_or((text, ""));
    Ok((number.parse().map_err(|_| Error::other(format!("no number: {number}")))?, rest))
}
