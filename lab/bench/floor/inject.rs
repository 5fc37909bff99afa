//! A proxy before a PostgreSQL that puts notifications into the sessions of its clients: what a listener takes from the
//! moment that its socket has the bytes, without the server, whose scheduling differs by more than listeners do.

use std::collections::HashMap;
use std::io::{Error, Read, Result, Write, stdin};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock;

/// The listener has gone to sleep by then, and nothing else of the measurement runs on its processor.
const STILL: Duration = Duration::from_micros(1_500);

/// How long this process stays still after a notification, as the sender does.
const AFTERWARDS: Duration = Duration::from_micros(700);

/// The session of each database that listens.
type Sessions = Arc<Mutex<HashMap<String, TcpStream>>>;

/// Prints its port, and runs commands until its standard input ends:
///
/// * `inject DATABASE CHANNEL PAYLOAD`: by both clocks, when it was about to be sent
pub fn run(server: u16) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let sessions = Sessions::default();
    let of_clients = Arc::clone(&sessions);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that cannot be served is told by the end of its connection.
            let _served = serve(client, server, &of_clients);
        }
    });
    for line in stdin().lines() {
        let line = line?;
        let [command, database, channel, payload] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else {
            return Err(Error::other(line));
        };
        let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(session), "inject") = (sessions.get_mut(database), command) else {
            return Err(Error::other(format!("nothing listens in {database}")));
        };
        let body = [&1_i32.to_be_bytes()[..], channel.as_bytes(), b"\0", payload.as_bytes(), b"\0"].concat();
        let message = [b"A", &(body.len() as u32 + 4).to_be_bytes()[..], &body].concat();
        thread::sleep(STILL);
        let (sent, sent_real) = (clock::monotonic(), clock::real());
        session.write_all(&message)?;
        thread::sleep(AFTERWARDS);
        println!("{sent} {sent_real}");
    }
    Ok(())
}

fn serve(client: TcpStream, server: u16, sessions: &Sessions) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (back, forth) = ((server.try_clone()?, client.try_clone()?), (client, server));
    let sessions = Arc::clone(sessions);
    thread::spawn(move || pump(back.0, back.1, |_, _| Ok(())));
    thread::spawn(move || {
        let mut database = String::new();
        pump(forth.0, forth.1, |text, client| {
            if let Some((_, rest)) = text.split_once("\0database\0") {
                database = rest.split('\0').next().unwrap_or_default().to_owned();
            }
            if text.contains("LISTEN") {
                let client = client.try_clone()?;
                sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(database.clone(), client);
            }
            Ok(())
        })
    });
    Ok(())
}

fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    mut see: impl FnMut(&str, &TcpStream) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        see(&String::from_utf8_lossy(&buffer[..read]), &from)?;
        to.write_all(&buffer[..read])?;
    }
}
