//! The connections of a proxy, and how they fail.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Direction;
use super::shared::{AtLimit, End, Flow, Rules, Shared};
use crate::DEADLINE;

/// A port below those that the system gives to outgoing connections: else, while it is closed, a client that keeps
/// trying could be given this very port as its own and connect to itself.
pub async fn listen_on_free_port() -> TcpListener {
    loop {
        let port = 10_240 + (getrandom::u32().unwrap() % 22_000) as u16;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
    }
}

pub async fn accept(shared: Arc<Shared>, mut listener: TcpListener) {
    let address = listener.local_addr().unwrap();
    let mut rules = shared.rules.subscribe();
    loop {
        tokio::select! {
            Ok(_) = rules.wait_for(|rules| rules.refusing || rules.dropped) => {}
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    tokio::spawn(connect(shared.clone(), client));
                }
                continue;
            }
        }
        drop(listener);
        shared.count(|counts| counts.listening = false);
        let accepting = rules.wait_for(|rules| !rules.refusing || rules.dropped).await;
        if accepting.is_ok_and(|rules| rules.dropped) {
            return;
        }
        listener = TcpListener::bind(address).await.expect("the proxy's own port is free");
        shared.count(|counts| counts.listening = true);
    }
}

async fn connect(shared: Arc<Shared>, client: TcpStream) {
    let born = shared.rules.borrow().age;
    let upstream = shared.upstream.lock().clone();
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    shared.count(|counts| {
        counts.accepted += 1;
        counts.open.push(born);
        if counts.hold_at == Some(counts.accepted) {
            shared.set(Direction::Both, Flow::Hold);
        }
    });
    relay(&shared, client, server, born).await;
}

async fn relay(shared: &Shared, mut client: TcpStream, mut server: TcpStream, born: u64) {
    let end = {
        let mut rules = shared.rules.subscribe();
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let upstream = pump(shared, from_client, to_server, Direction::ToServer);
        let downstream = pump(shared, from_server, to_client, Direction::ToClient);
        tokio::select! {
            Ok(rules) = rules.wait_for(|rules| rules.age != born) => Some(rules.end),
            _ = async { tokio::try_join!(upstream, downstream) } => None,
        }
    };
    match end {
        Some(End::Rst) => {
            let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
        }
        // Before the socket is closed: closing one that has unread bytes resets it.
        Some(End::Fin) => drop(client.shutdown().await),
        None => {}
    }
    drop(server);
    let unread = matches!(end, Some(End::Fin)).then_some(client);
    shared.count(|counts| {
        let at = counts.open.iter().position(|&other| other == born).unwrap();
        counts.open.swap_remove(at);
    });
    if let Some(mut client) = unread {
        let _ = tokio::time::timeout(DEADLINE, tokio::io::copy(&mut client, &mut tokio::io::sink())).await;
    }
}

/// Carries bytes one way, as the rules say at the time. An error ends the connection, unless it is swallowed.
async fn pump(
    shared: &Shared,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
) -> io::Result<()> {
    let mut rules = shared.rules.subscribe();
    let mut buffer = [0; 16 * 1024];
    let mut whole = true;
    loop {
        let _ = rules.wait_for(|rules| rules.flow(direction) != Flow::Hold).await;
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = rules.wait_for(|rules| rules.flow(direction) == Flow::Hold) => continue,
        };
        let delay = rules.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if let Ok(bytes @ 1..) = read {
            whole = whole && deliver(shared, &mut rules, &buffer[..bytes], &mut to, direction).await?;
            if !whole {
                // What follows would come out of a gap, and in TCP there are none.
                shared.count(|counts| counts.swallowed += bytes);
            }
        } else {
            let _ = rules.wait_for(|rules| rules.flow(direction) == Flow::Forward).await;
            read?;
            return to.shutdown().await;
        }
    }
}

/// Returns false if the rules are to swallow it.
async fn deliver(
    shared: &Shared,
    rules: &mut watch::Receiver<Rules>,
    mut bytes: &[u8],
    to: &mut (impl AsyncWrite + Unpin),
    direction: Direction,
) -> io::Result<bool> {
    while !bytes.is_empty() {
        let now = rules.wait_for(|rules| rules.flow(direction) != Flow::Hold).await;
        let now = *now.map_err(io::Error::other)?;
        if now.flow(direction) == Flow::Swallow {
            return Ok(false);
        }
        let piece = if now.trickling { 1 } else { bytes.len() };
        let (allowed, then) =
            if direction == Direction::ToClient { shared.allowance(piece) } else { (piece, None) };
        to.write_all(&bytes[..allowed]).await?;
        bytes = &bytes[allowed..];
        if let Some(AtLimit::Cut) = then {
            shared.sever(End::Fin);
            // Nothing more may pass until that has been seen.
            std::future::pending::<()>().await;
        }
        if now.trickling {
            // The other end may have read it by then.
            tokio::task::yield_now().await;
        }
    }
    Ok(true)
}
