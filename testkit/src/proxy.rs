//! A TCP proxy between a client and its server that fails on request, in the ways networks do.

mod relay;
mod shared;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use self::shared::{AtLimit, Counts, End, Flow, Shared};
use crate::{DEADLINE, RUNTIME, block_on, by_way_of, host_and_port};

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
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::new(host_and_port(url)));
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
        by_way_of(self.port(), url).into()
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
        self.shared.count(|counts| counts.limit = Some((bytes, AtLimit::Cut)));
    }

    /// Lets this many more bytes through to clients, all together, and holds what follows.
    pub fn hold_after(&self, bytes: usize) {
        assert!(bytes > 0, "that is `hold`");
        self.shared.count(|counts| counts.limit = Some((bytes, AtLimit::Hold)));
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

    /// Holds all, both ways, from the moment at which there have been this many connections: the last of them has had no byte.
    pub fn hold_at(&self, connections: usize) {
        self.shared.count(|counts| counts.hold_at = Some(connections));
    }

    /// Forwards again, this way alone.
    pub fn forward(&self, direction: Direction) {
        self.shared.set(direction, Flow::Forward);
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
        self.shared.count(|counts| (counts.limit, counts.hold_at) = (None, None));
        self.shared.rules.send_modify(|rules| {
            (rules.trickling, rules.delay) = (false, Duration::ZERO);
        });
        self.forward(Direction::Both);
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
