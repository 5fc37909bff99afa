//! What the server sends without being asked, handed on in the moment it is read, and the echoes among it that the
//! session waits for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::task::unconstrained;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Connection};

use super::connect::{Handshake, Methods};
use super::dial::Socket;
use super::event::{Event, Observer};
use super::frames::Notification;
use super::park::{self, Direct};
use super::tap::{Tap, Upgrade};
use crate::error::Error;

/// A connection, as far as it is read.
pub(super) struct Reader {
    tap: Tap,
    /// The socket to sleep at, and whether it may be done.
    direct: Option<Direct>,
    parks: bool,
    /// tokio-postgres' part of it, once it is logged in.
    connection: Option<Connection<Tap, Tap>>,
    encoding: String,
    /// Why nothing comes any more.
    ended: Option<Error>,
    expected: Expected,
}

/// The echoes that are waited for.
struct Expected {
    /// Ours alone, by its random name.
    channel: String,
    /// The senders, by nonce. Anyone who learns our channel's name may send to it, so the sender counts too: our own
    /// backend, or `None` for a peer's, whose process id we do not know.
    nonces: HashMap<String, Option<i32>>,
}

impl Reader {
    /// Logs in over `socket`, and over TLS as far as the `config` demands it.
    pub async fn log_in(
        socket: Socket,
        handshake: Option<Handshake>,
        config: &Config,
        methods: Option<Methods>,
    ) -> Result<(Client, Self), Error> {
        let direct = socket.direct();
        let tap = Tap::new(socket, methods, config.get_ssl_mode() != SslMode::Disable);
        let mut reader = Self::new(tap, direct);
        let login = config.connect_raw(reader.tap.clone(), Upgrade(handshake));
        let (client, connection) = reader.during(&Deaf, login).await??;
        reader.encoding = connection.parameter("server_encoding").unwrap_or_default().to_owned();
        reader.connection = Some(connection);
        Ok((client, reader))
    }

    fn new(tap: Tap, direct: Option<Direct>) -> Self {
        let expected = Expected { channel: format!("pggen_echo_{}", nonce()), nonces: HashMap::new() };
        Self { tap, direct, parks: false, connection: None, encoding: String::new(), ended: None, expected }
    }

    /// Nothing but this connection needs the runtime's reactor any more, so that the thread need not sleep there.
    pub fn park_from_now_on(&mut self) {
        self.parks = true;
    }

    /// What the server says of a setting; empty if it does not.
    pub fn parameter(&self, name: &str) -> &str {
        self.connection.as_ref().and_then(|connection| connection.parameter(name)).unwrap_or_default()
    }

    /// The encoding of the database, as the server calls it.
    pub fn encoding(&self) -> &str {
        &self.encoding
    }

    /// Where to send what [`expect`](Self::expect) gives.
    pub fn echo_channel(&self) -> &str {
        &self.expected.channel
    }

    /// Makes a nonce and waits for it from now on.
    pub fn expect(&mut self, from: Option<i32>) -> String {
        let nonce = nonce();
        self.expected.nonces.insert(nonce.clone(), from);
        nonce
    }

    /// Whether the nonce has not come yet.
    pub fn expects(&self, nonce: &str) -> bool {
        self.expected.nonces.contains_key(nonce)
    }

    pub fn forget(&mut self, nonce: &str) {
        self.expected.nonces.remove(nonce);
    }

    /// Does `work` while handing on whatever arrives. An error of the connection ends both.
    pub async fn during<T>(
        &mut self,
        observer: &dyn Observer,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        if let Some(reason) = &self.ended {
            return Err(reason.clone());
        }
        // However much arrives, it gets its turn: what reading may do at a time is not its concern.
        let mut work = pin!(unconstrained(work));
        // It begins before anything is read. A statement that is sent once the connection has ended does not know why
        // that was; one that was sent before waits for its answer.
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            return Ok(output);
        }
        poll_fn(|cx| {
            loop {
                // What has arrived goes first, for it is not to wait for anything. A result that is there counts, even
                // if the connection ended with it: it says why.
                let received = self.poll_receive(cx, observer);
                if let Poll::Ready(output) = work.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                match received {
                    Poll::Pending if !self.park(cx, observer)? => return Poll::Pending,
                    Poll::Pending => {}
                    Poll::Ready(received) => received?,
                }
            }
        })
        .await
    }

    /// Waits for the answer to a statement while handing on whatever arrives.
    pub async fn answer<T>(
        &mut self,
        observer: &dyn Observer,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        let answer = self.during(observer, statement).await?;
        Ok(answer?)
    }

    pub async fn until_heard(&mut self, nonce: &str, observer: &dyn Observer) -> Result<(), Error> {
        while self.expects(nonce) {
            self.receive(observer).await?;
        }
        Ok(())
    }

    /// Waits until nothing comes any more, and hands on nothing.
    pub async fn until_closed(&mut self) {
        while self.receive(&Deaf).await.is_ok() {}
    }

    /// Waits for one message and hands it on. Dropping the future loses nothing.
    async fn receive(&mut self, observer: &dyn Observer) -> Result<(), Error> {
        poll_fn(|cx| self.poll_receive(cx, observer)).await
    }

    /// Sleeps where nothing but notifications for others is read; gives whether something else was.
    fn park(&mut self, cx: &mut Context<'_>, observer: &dyn Observer) -> Result<bool, Error> {
        let Some(socket) = self.direct.clone().filter(|_| self.parks && self.tap.is_idle()) else {
            return Ok(false);
        };
        let mut outcome = Ok(false);
        park::park(&socket, || {
            outcome = self.read_parked(cx, observer);
            matches!(outcome, Ok(false))
        });
        outcome.map_err(|error| self.ended.insert(error).clone())
    }

    fn read_parked(&mut self, cx: &mut Context<'_>, observer: &dyn Observer) -> Result<bool, Error> {
        if let Poll::Ready(read) = self.poll_tap(cx, observer) {
            read?;
        }
        // It reads once, so that a storm does not outlast the bell and the deadlines. What TLS has read beyond that, the
        // socket does not tell.
        Ok(!self.tap.is_idle() || self.tap.has_buffer())
    }

    fn poll_tap(&mut self, cx: &mut Context<'_>, observer: &dyn Observer) -> Poll<Result<(), Error>> {
        self.tap.poll_read(cx, |notification| {
            if !self.expected.hear(&notification) {
                hand_on(notification, &self.encoding, observer);
            }
        })
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, observer: &dyn Observer) -> Poll<Result<(), Error>> {
        if let Some(reason) = &self.ended {
            return Poll::Ready(Err(reason.clone()));
        }
        let received = self.poll_tap(cx, observer);
        let reason = match received {
            Poll::Ready(Err(error)) => error,
            // It has more to do than to read: it also sends.
            received => match self.connection.as_mut().map(|connection| connection.poll_message(cx)) {
                None | Some(Poll::Pending) => return received,
                Some(Poll::Ready(Some(Ok(_)))) => return Poll::Ready(Ok(())),
                Some(Poll::Ready(Some(Err(error)))) => error.into(),
                Some(Poll::Ready(None)) => Error::ConnectionClosed,
            },
        };
        Poll::Ready(Err(self.ended.insert(reason).clone()))
    }
}

impl Expected {
    /// Whether it is for us alone, be it an echo or not.
    fn hear(&mut self, notification: &Notification<'_>) -> bool {
        let is_ours = notification.channel == self.channel.as_bytes();
        if is_ours
            && let Ok(nonce) = str::from_utf8(notification.payload)
            && let Some(from) = self.nonces.get(nonce)
            && from.is_none_or(|pid| pid == notification.process_id)
        {
            self.nonces.remove(nonce);
        }
        is_ours
    }
}

fn hand_on(notification: Notification<'_>, encoding: &str, observer: &dyn Observer) {
    let Notification { process_id, channel, payload } = notification;
    let (channel, text) = (decode(channel, encoding), decode(payload, encoding));
    observer.event(match (&channel, &text) {
        (Some(channel), Some(payload)) => Event::Notification { channel, payload, process_id },
        (channel, _) => Event::Undecodable { channel: channel.as_deref(), payload },
    });
}

/// What the server sends is not converted, unless it is UTF-8 already, so that no conversion can fail there. In a
/// database of another encoding the bytes of other text than ASCII may look like UTF-8 for something else.
fn decode<'a>(bytes: &'a [u8], encoding: &str) -> Option<Cow<'a, str>> {
    match encoding {
        // Of SQL_ASCII the server knows no more than what clients sent.
        "UTF8" | "SQL_ASCII" => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        _ if bytes.is_ascii() => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        "LATIN1" => Some(bytes.iter().copied().map(char::from).collect()),
        _ => None,
    }
}

/// For where there is nothing to hear.
pub(super) struct Deaf;

impl Observer for Deaf {
    fn event(&self, _: Event<'_>) {}
}

/// 64 random bits: enough that nobody guesses it, short enough to read in a log.
fn nonce() -> String {
    // Without the operating system's randomness an echo would still be unique, by this process and moment.
    let bits = getrandom::u64().unwrap_or_else(|_| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(32)
    });
    format!("{bits:016x}")
}
#[cfg(test)]
mod tests;
