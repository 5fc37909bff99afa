//! A TCP proxy between a client and its server that fails on request, in the ways networks do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{DEADLINE, RUNTIME, block_on};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToClient,
    ToServer,
    Both,
}

/// Listens on a port of 127.0.0.1, the same for its whole life, and forwards to a server. Ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    rules: watch::Sender<Rules>,
    counts: Mutex<Counts>,
    counted: Condvar,
}

#[derive(Clone, Copy)]
struct Rules {
    to_client: Flow,
    to_server: Flow,
    refusing: bool,
    dropped: bool,
    /// Rises with every cut; connections from before it end, in this way.
    age: u64,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Forward,
    /// Read and thrown away.
    Swallow,
    /// Not read, so that the sender's window fills up; delivered when healed.
    Hold,
}

#[derive(Clone, Copy)]
enum End {
    Fin,
    Rst,
}

#[derive(Default)]
struct Counts {
    listening: bool,
    accepted: usize,
    /// The age of every open connection.
    open: Vec<u64>,
    /// Bytes thrown away.
    swallowed: usize,
    /// Bytes that may still go to clients before everything is cut.
    left: Option<usize>,
}

impl Proxy {
    /// A proxy to the host and port of a PostgreSQL URL.
    pub fn to(url: &str) -> Self {
        let url = url::Url::parse(url).unwrap();
        let upstream = format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5432));
        let rules = Rules {
            to_client: Flow::Forward,
            to_server: Flow::Forward,
            refusing: false,
            dropped: false,
            age: 0,
            end: End::Fin,
        };
        let listener = block_on("a free port", listen_on_free_port());
        let address = listener.local_addr().unwrap();
        let counts = Mutex::new(Counts { listening: true, ..Counts::default() });
        let shared =
            Arc::new(Shared { upstream, rules: watch::Sender::new(rules), counts, counted: Condvar::new() });
        RUNTIME.spawn(accept(shared.clone(), listener));
        Self { address, shared }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The same URL by way of this proxy.
    pub fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port())).unwrap();
        url.into()
    }

    /// Ends all connections in order (FIN). New ones are welcome, here and below.
    pub fn cut(&self) {
        self.shared.sever(End::Fin);
        self.wait_for_the_severed();
    }

    /// Ends all connections with a reset (RST).
    pub fn reset(&self) {
        self.shared.sever(End::Rst);
        self.wait_for_the_severed();
    }

    /// Lets this many more bytes through to clients, all together, and then cuts: in the middle of a message, say.
    pub fn cut_after(&self, bytes: usize) {
        assert!(bytes > 0, "that is `cut`");
        self.shared.counts.lock().left = Some(bytes);
    }

    /// Throws away what comes, an end of the connection too, while all sockets stay open: a half-open connection.
    pub fn swallow(&self, direction: Direction) {
        self.set(direction, Flow::Swallow);
    }

    /// Forwards nothing for now; what comes meanwhile is delivered after [`heal`](Self::heal).
    pub fn hold(&self, direction: Direction) {
        self.set(direction, Flow::Hold);
    }

    /// Refuses new connections (ECONNREFUSED); those that exist are left alone.
    pub fn refuse(&self) {
        self.shared.rules.send_modify(|rules| rules.refusing = true);
        self.wait("the port to close", |counts| !counts.listening);
    }

    /// Takes new connections again.
    pub fn accept(&self) {
        self.shared.rules.send_modify(|rules| rules.refusing = false);
        self.wait("the port to open", |counts| counts.listening);
    }

    /// Back to a network without faults.
    pub fn heal(&self) {
        self.shared.counts.lock().left = None;
        self.set(Direction::Both, Flow::Forward);
        self.accept();
    }

    /// How many connections are open now.
    pub fn open(&self) -> usize {
        self.shared.counts.lock().open.len()
    }

    /// How many connections there have ever been.
    pub fn accepted(&self) -> usize {
        self.shared.counts.lock().accepted
    }

    pub fn wait_for_open(&self, connections: usize) {
        self.wait(&format!("{connections} open connections"), |counts| counts.open.len() == connections);
    }

    pub fn wait_for_accepted(&self, connections: usize) {
        self.wait(&format!("{connections} connections"), |counts| counts.accepted >= connections);
    }

    /// Waits until this many bytes have been swallowed since the proxy began.
    pub fn wait_for_swallowed(&self, bytes: usize) {
        self.wait(&format!("{bytes} swallowed bytes"), |counts| counts.swallowed >= bytes);
    }

    fn set(&self, direction: Direction, flow: Flow) {
        self.shared.rules.send_modify(|rules| {
            if direction != Direction::ToServer {
                rules.to_client = flow;
            }
            if direction != Direction::ToClient {
                rules.to_server = flow;
            }
        });
    }

    fn wait_for_the_severed(&self) {
        let age = self.shared.rules.borrow().age;
        self.wait("connections to end", |counts| counts.open.iter().all(|&born| born >= age));
    }

    fn wait(&self, what: &str, done: impl Fn(&Counts) -> bool) {
        let mut counts = self.shared.counts.lock();
        let waited = self.shared.counted.wait_while_for(&mut counts, |counts| !done(counts), DEADLINE);
        assert!(!waited.timed_out(), "proxy: waited {DEADLINE:?} for {what}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.rules.send_modify(|rules| rules.dropped = true);
        self.shared.sever(End::Fin);
    }
}

impl Shared {
    fn sever(&self, end: End) {
        self.rules.send_modify(|rules| {
            rules.age += 1;
            rules.end = end;
        });
    }

    /// How many of these bytes may go to a client, and whether `cut_after` wants a cut then.
    fn allowance(&self, bytes: usize) -> (usize, bool) {
        let mut counts = self.counts.lock();
        let Some(left) = counts.left else { return (bytes, false) };
        counts.left = (bytes < left).then(|| left - bytes);
        (bytes.min(left), bytes >= left)
    }

    fn count(&self) -> Counting<'_> {
        Counting { counts: self.counts.lock(), counted: &self.counted }
    }
}

/// Access to the counts that wakes those who wait for them.
struct Counting<'a> {
    counts: MutexGuard<'a, Counts>,
    counted: &'a Condvar,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.counted.notify_all();
    }
}

/// A port below those that the system gives to outgoing connections: else, while it is closed, a client that keeps
/// trying could be given this very port as its own and connect to itself.
async fn listen_on_free_port() -> TcpListener {
    loop {
        let port = 10_240 + (getrandom::u32().unwrap() % 22_000) as u16;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
    }
}

async fn accept(shared: Arc<Shared>, mut listener: TcpListener) {
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
        shared.count().counts.listening = false;
        let accepting = rules.wait_for(|rules| !rules.refusing || rules.dropped).await;
        if accepting.is_ok_and(|rules| rules.dropped) {
            return;
        }
        listener = TcpListener::bind(address).await.expect("the proxy's own port is free");
        shared.count().counts.listening = true;
    }
}

async fn connect(shared: Arc<Shared>, client: TcpStream) {
    let born = shared.rules.borrow().age;
    let Ok(server) = TcpStream::connect(&shared.upstream).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    {
        let mut counting = shared.count();
        counting.counts.accepted += 1;
        counting.counts.open.push(born);
    }
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
    forget(shared, born);
    if let Some(mut client) = unread {
        let _ = tokio::time::timeout(DEADLINE, tokio::io::copy(&mut client, &mut tokio::io::sink())).await;
    }
}

fn forget(shared: &Shared, born: u64) {
    let mut counting = shared.count();
    let at = counting.counts.open.iter().position(|&other| other == born).unwrap();
    counting.counts.open.swap_remove(at);
}

/// Carries bytes one way, as the rules say at the time. An error ends the connection, unless it is swallowed.
async fn pump(
    shared: &Shared,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
) -> io::Result<()> {
    let mut rules = shared.rules.subscribe();
    let flow =
        |rules: &Rules| if direction == Direction::ToClient { rules.to_client } else { rules.to_server };
    let mut buffer = [0; 16 * 1024];
    loop {
        let _ = rules.wait_for(|rules| flow(rules) != Flow::Hold).await;
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = rules.wait_for(|rules| flow(rules) == Flow::Hold) => continue,
        };
        if let Ok(bytes @ 1..) = read {
            let now = rules.wait_for(|rules| flow(rules) != Flow::Hold).await.map(|rules| flow(&rules));
            if now.is_ok_and(|flow| flow == Flow::Forward) {
                forward(shared, &mut to, &buffer[..bytes], direction).await?;
            } else {
                shared.count().counts.swallowed += bytes;
            }
        } else {
            let _ = rules.wait_for(|rules| flow(rules) == Flow::Forward).await;
            read?;
            return to.shutdown().await;
        }
    }
}

async fn forward(
    shared: &Shared,
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    direction: Direction,
) -> io::Result<()> {
    if direction == Direction::ToServer {
        return to.write_all(bytes).await;
    }
    let (allowed, spent) = shared.allowance(bytes.len());
    to.write_all(&bytes[..allowed]).await?;
    if spent {
        shared.sever(End::Fin);
        // Nothing more may pass until that has been seen.
        std::future::pending::<()>().await;
    }
    Ok(())
}
