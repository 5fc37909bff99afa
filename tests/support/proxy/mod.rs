//! A TCP proxy between a client and its server that fails on request, in the ways networks do.

mod relay;

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{DEADLINE, RUNTIME, block_on};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToClient,
    ToServer,
    Both,
}

/// Listens on one address and port for its whole life, and forwards to a server. Ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<String>,
    rules: watch::Sender<Rules>,
    counts: Mutex<Counts>,
    counted: Condvar,
}

#[derive(Clone, Copy)]
struct Rules {
    to_client: Flow,
    to_server: Flow,
    /// Bytes are written singly.
    trickling: bool,
    /// What comes is kept for this long first.
    delay: Duration,
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
    /// Bytes that may still go to clients, and what happens then.
    limit: Option<(usize, AtLimit)>,
}

#[derive(Clone, Copy)]
enum AtLimit {
    Cut,
    Hold,
}

impl Proxy {
    /// A proxy to the host and port of a PostgreSQL URL.
    pub fn to(url: &str) -> Self {
        Self::start(url, block_on("a free port", relay::listen_on_free_port()))
    }

    /// A proxy to another server, on the same port of another address of this machine.
    pub fn twin(&self, url: &str, address: &str) -> Self {
        let listener = block_on("the port", TcpListener::bind((address, self.port())));
        Self::start(url, listener.expect("a port that is free at one address is free at the other"))
    }

    fn start(url: &str, listener: TcpListener) -> Self {
        let upstream = Mutex::new(host_and_port(url));
        let rules = Rules {
            to_client: Flow::Forward,
            to_server: Flow::Forward,
            trickling: false,
            delay: Duration::ZERO,
            refusing: false,
            dropped: false,
            age: 0,
            end: End::Fin,
        };
        let address = listener.local_addr().unwrap();
        let counts = Mutex::new(Counts { listening: true, ..Counts::default() });
        let shared =
            Arc::new(Shared { upstream, rules: watch::Sender::new(rules), counts, counted: Condvar::new() });
        RUNTIME.spawn(relay::accept(shared.clone(), listener));
        Self { address, shared }
    }

    /// From now on, connections are made to another server.
    pub fn redirect(&self, url: &str) {
        *self.shared.upstream.lock() = host_and_port(url);
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
        self.shared.count().limit = Some((bytes, AtLimit::Cut));
    }

    /// Lets this many more bytes through to clients, all together, and holds what follows.
    pub fn hold_after(&self, bytes: usize) {
        assert!(bytes > 0, "that is `hold`");
        self.shared.count().limit = Some((bytes, AtLimit::Hold));
    }

    /// Delivers what comes byte by byte, both ways.
    pub fn trickle(&self) {
        self.shared.rules.send_modify(|rules| rules.trickling = true);
    }

    /// Delivers what comes no sooner than after `delay`, both ways.
    pub fn delay(&self, delay: Duration) {
        self.shared.rules.send_modify(|rules| rules.delay = delay);
    }

    /// Throws away what comes, an end of the connection too, while all sockets stay open: a half-open connection. Where
    /// anything was thrown away, nothing comes through any more.
    pub fn swallow(&self, direction: Direction) {
        self.shared.set(direction, Flow::Swallow);
    }

    /// Forwards nothing for now; what comes meanwhile is delivered after [`heal`](Self::heal).
    pub fn hold(&self, direction: Direction) {
        self.shared.set(direction, Flow::Hold);
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
        self.shared.count().limit = None;
        self.shared.rules.send_modify(|rules| {
            (rules.trickling, rules.delay) = (false, Duration::ZERO);
        });
        self.shared.set(Direction::Both, Flow::Forward);
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

    /// Waits until as many bytes have passed as `cut_after` or `hold_after` lets through.
    pub fn wait_for_limit(&self) {
        self.wait("the limit of bytes", |counts| counts.limit.is_none());
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

impl Rules {
    fn flow(&self, direction: Direction) -> Flow {
        if direction == Direction::ToClient { self.to_client } else { self.to_server }
    }
}

impl Shared {
    fn sever(&self, end: End) {
        self.rules.send_modify(|rules| {
            rules.age += 1;
            rules.end = end;
        });
    }

    fn set(&self, direction: Direction, flow: Flow) {
        self.rules.send_modify(|rules| {
            if direction != Direction::ToServer {
                rules.to_client = flow;
            }
            if direction != Direction::ToClient {
                rules.to_server = flow;
            }
        });
    }

    /// How many of these bytes may go to a client, and what happens then.
    fn allowance(&self, bytes: usize) -> (usize, Option<AtLimit>) {
        let mut counts = self.count();
        match counts.limit {
            None => (bytes, None),
            Some((left, then)) if bytes < left => {
                counts.limit = Some((left - bytes, then));
                (bytes, None)
            }
            Some((left, then)) => {
                counts.limit = None;
                // Before the lock is released, so that whoever heals comes after it.
                match then {
                    AtLimit::Cut => {}
                    AtLimit::Hold => self.set(Direction::ToClient, Flow::Hold),
                }
                (left, Some(then))
            }
        }
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

impl Deref for Counting<'_> {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        &self.counts
    }
}

impl DerefMut for Counting<'_> {
    fn deref_mut(&mut self) -> &mut Counts {
        &mut self.counts
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.counted.notify_all();
    }
}

fn host_and_port(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5432))
}
