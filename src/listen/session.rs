//! One connection's life: connect, LISTEN, prove that LISTEN delivers, listen with a heartbeat, say goodbye.
//!
//! Whatever the session waits for, it goes on reading its [`Inbox`], also in the middle of a heartbeat.

use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::TlsConnect;
use tokio_postgres::{Client, Connection, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::authentication::GuardedTls;
use super::channels::{Channels, Step};
use super::connect::Settings;
use super::connect::Target;
use super::dial::{Address, Socket, dial, resolve};
use super::fences::{Covers, Fences};
use super::inbox::{Deaf, Inbox};
use super::lineage::{Lineage, Position};
use super::tls::{Connector, Verified};
use super::{Event, Sink, sql, thread};
use crate::error::Error;

/// The first PostgreSQL whose LISTEN we rely on (`idle_session_timeout` exists from there on).
const OLDEST_SERVER: u32 = 14;

/// How long a caller may take to say which server it works on. It has a shorter deadline of its own, after which it says
/// that it does not know; this one is for a caller that does nothing at all.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long a goodbye may take before the socket is simply dropped.
const GOODBYE_LIMIT: Duration = Duration::from_millis(800);

/// A connection that is logged in.
pub(super) struct Session {
    client: Client,
    inbox: Inbox,
    server: Server,
    /// The channels whose LISTEN is in force.
    present: HashSet<String>,
    backend_pid: i32,
    identity: Option<String>,
}

/// One server and how to talk to it: what a second connection needs to reach the very same.
#[derive(Clone)]
struct Server {
    address: Address,
    /// The name it was asked for by, which is what its certificate has to be for.
    host: String,
    /// `None` for plain text.
    tls: Option<Connector>,
}

impl Session {
    /// Connects to the first server, of all that the settings name, that takes us and is the adapter's. A server's
    /// refusal of who we are is final; any other failure leads on to the next address.
    pub async fn connect(settings: &Settings, lineage: &mut Lineage) -> Result<Self, Error> {
        Self::connect_to_any(settings, lineage).await.map_err(|error| settings.explain(error))
    }

    async fn connect_to_any(settings: &Settings, lineage: &mut Lineage) -> Result<Self, Error> {
        let tls = limited(
            &"the file system",
            "reading the certificates",
            settings.attempt_timeout,
            load_tls(settings),
        )
        .await?;
        let mut failure = None;
        for target in &settings.targets {
            match Self::connect_to(target, &tls, settings, lineage).await {
                Ok(session) => return Ok(session),
                Err(error) => failure = Some(passed_over(failure, error)?),
            }
        }
        Err(failure.unwrap_or(Error::ConnectionClosed))
    }

    async fn connect_to(
        target: &Target,
        tls: &Option<Connector>,
        settings: &Settings,
        lineage: &mut Lineage,
    ) -> Result<Self, Error> {
        let limit = settings.attempt_timeout;
        let mut failure = None;
        for address in limited(&target.host, "resolving the host name", limit, resolve(target)).await? {
            let server = Server { address: address.clone(), host: target.host.clone(), tls: tls.clone() };
            let attempt = limited(&address, "connecting", limit, async {
                let mut session = Self::log_in(settings, server).await?;
                session.identify(settings).await?;
                session.follow(lineage).await?;
                Ok(session)
            });
            let compared = match attempt.await {
                Ok(session) => session.compared(settings).await,
                Err(error) => Err(error),
            };
            match compared {
                Ok(session) => return Ok(session),
                Err(error) => failure = Some(passed_over(failure, error)?),
            }
        }
        Err(failure.unwrap_or(Error::ConnectionClosed))
    }

    /// The process id of the server's backend.
    pub fn backend_pid(&self) -> i32 {
        self.backend_pid
    }

    /// What server this is, if it says; see [`sql::IDENTITY`].
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.server.address
    }

    /// What of the server was checked before it was believed, where the connection is over TLS.
    pub fn verified(&self) -> Verified {
        self.server.tls.as_ref().map_or(Verified::Nothing, |tls| tls.verifies)
    }

    /// LISTENs on all channels that are there for certain, and proves it: when this returns, every notification that
    /// is committed from now on will be delivered.
    ///
    /// The proof is a nonce sent by a second connection while this one is idle. One sent by this connection proves
    /// less: the server answers it before the command ends, and so even a pooler in transaction mode, which
    /// forwards nothing to an idle client, lets it through.
    ///
    /// Where it fails and the session goes on, behind a pooler for instance, the session is as it was before.
    pub async fn listen(&mut self, settings: &Settings, channels: &Channels) -> Result<(), Error> {
        let outcome = self.subscribe_and_prove(settings, channels).await;
        if let Err(error) = &outcome
            && (error.sql_state().is_some() || matches!(error, Error::ListenSwallowed { .. }))
        {
            let reset = self.inbox.during(channels, self.client.batch_execute(sql::RESET_SESSION));
            let _ = timeout(settings.timings.heartbeat_timeout, reset).await;
        }
        outcome
    }

    async fn subscribe_and_prove(&mut self, settings: &Settings, channels: &Channels) -> Result<(), Error> {
        let sink: &dyn Sink = channels;
        self.present = channels.kept();
        let server = self.server.clone();
        let address = &server.address;
        let statements = format!(
            "{}; {}",
            sql::prepare_session(lock_timeout(settings), patience(settings)),
            sql::listen(
                self.present.iter().map(String::as_str).chain([self.inbox.echo_channel()]),
                self.inbox.encoding()
            )
        );
        let subscribe = self.inbox.answer(sink, self.client.batch_execute(&statements));
        limited(address, "LISTEN", settings.attempt_timeout, subscribe).await?;

        let nonce = self.inbox.expect(None);
        let proof = sql::notify_within(lock_timeout(settings), self.inbox.echo_channel(), &nonce);
        let send = send_once(settings, &server, &proof);
        let sent = limited(address, "the proof of LISTEN", settings.attempt_timeout, async {
            self.inbox.during(sink, send).await?
        })
        .await;
        let limit = settings.timings.heartbeat_timeout;
        if let Err(error) = sent {
            if is_queue_full(&error) {
                self.look_for_room(limit, sink).await?;
            }
            return Err(error);
        }
        if let Ok(heard) = timeout(limit, self.inbox.until_heard(&nonce, sink)).await {
            return heard;
        }
        // Silence alone could be a dead connection or a slow one. The nonce was committed before this echo is sent, so
        // if the echo comes first, the nonce was swallowed. If both come, they prove nothing: this connection was not
        // idle any more.
        self.echo(sink, limit).await?;
        let address = address.to_string();
        if !self.inbox.expects(&nonce) {
            return Err(Error::Timeout { address, step: "the proof of LISTEN", limit });
        }
        Err(Error::ListenSwallowed { address })
    }

    /// Listens until the connection is lost, which is the only way this ends. Meanwhile serves those who wait for a
    /// fence, and those who come to a channel or leave it.
    pub async fn run(
        &mut self,
        settings: &Settings,
        fences: &Fences,
        channels: &Channels,
    ) -> Result<Infallible, Error> {
        let sink: &dyn Sink = channels;
        let (interval, limit) = (settings.timings.heartbeat_interval, settings.timings.heartbeat_timeout);
        // When the latest echo that came back was sent, not when it came back: it proves nothing of what was committed
        // while it was on its way, or while the process was frozen.
        let mut proven = Instant::now();
        loop {
            let mut due = pin!(sleep_until(proven + interval));
            loop {
                // Neither those at the fence nor those with channels can keep the others from their turn.
                let wanted = async {
                    tokio::select! {
                        covers = fences.wanted() => Wanted::Fence(covers),
                        step = channels.step(&self.present) => Wanted::Channel(step),
                    }
                };
                let wanted = async {
                    tokio::select! {
                        biased;
                        () = &mut due => Wanted::Heartbeat,
                        wanted = wanted => wanted,
                    }
                };
                match self.inbox.during(sink, wanted).await? {
                    Wanted::Fence(Covers::Acknowledged) => self.round_trip(limit, fences, sink).await?,
                    Wanted::Channel(step) => self.take(step, limit, channels).await?,
                    Wanted::Fence(Covers::Released) | Wanted::Heartbeat => break,
                }
            }
            let sent = Instant::now();
            // After a freeze or a slow echo there is less time left than an echo may take, or none.
            timeout_at(proven + interval + limit, self.heartbeat(limit, fences, sink))
                .await
                .unwrap_or(Err(Error::HeartbeatTimeout { limit }))?;
            proven = sent;
        }
    }

    /// Ends the session politely, as far as the network lets us.
    pub async fn close(self) {
        let Self { client, mut inbox, .. } = self;
        // The library sends Terminate when its client is dropped; the socket then waits for the server's close.
        drop(client);
        let _ = timeout(GOODBYE_LIMIT, inbox.until_closed()).await;
    }

    async fn log_in(settings: &Settings, server: Server) -> Result<Self, Error> {
        let Some(tls) = &server.tls else {
            return Self::log_in_over(settings, server, SslMode::Disable, NoTls).await;
        };
        let handshake = GuardedTls { handshake: tls.handshake(&server.host), methods: settings.methods };
        if !tls.optional {
            return Self::log_in_over(settings, server, SslMode::Require, handshake).await;
        }
        match Self::log_in_over(settings, server.clone(), SslMode::Prefer, handshake).await {
            // It has TLS, and does not take us over it.
            Err(error) if error.precedes_login() => {
                Self::log_in_over(settings, server, SslMode::Disable, NoTls).await
            }
            outcome => outcome,
        }
    }

    async fn log_in_over<T>(settings: &Settings, server: Server, mode: SslMode, tls: T) -> Result<Self, Error>
    where
        T: TlsConnect<Socket, Stream: Send + 'static>,
    {
        let mut config = settings.login().await?;
        config.ssl_mode(mode);
        let socket = dial(&server.address, settings.timings.heartbeat_timeout).await?;
        let socket = socket.guarded(settings.methods, mode != SslMode::Disable);
        let (client, connection) = config.connect_raw(socket, tls).await?;
        check_version(&connection, &server.address)?;
        Ok(Self {
            client,
            inbox: Inbox::new(connection),
            server,
            present: HashSet::new(),
            backend_pid: 0,
            identity: None,
        })
    }

    /// Learns our backend's process id and the server's identity, and passes over a server that cannot serve.
    async fn identify(&mut self, settings: &Settings) -> Result<(), Error> {
        let row = self.first_row(sql::IDENTIFY).await?;
        let column = |index| row.as_ref().and_then(|row| row.get(index)).ok_or(Error::ConnectionClosed);
        let (pid, recovering, read_only) = (column(0)?, column(1)?, column(2)?);
        if recovering == "t" || (settings.read_write && read_only == "on") {
            return Err(Error::ReadOnly { address: self.server.address.to_string() });
        }
        self.backend_pid = pid.parse().map_err(|_| Error::ConnectionClosed)?;
        self.identity = match self.first_row(sql::IDENTITY).await {
            Ok(row) => row.and_then(|row| Some(row.get(0)?.to_owned())),
            // Whoever compares servers will find that this one does not tell.
            Err(error) if error.sql_state().is_some() => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Itself, if it is on the server and the database that it has to be on, as far as that is known.
    async fn compared(self, settings: &Settings) -> Result<Self, Error> {
        let (Some(expected), Some(actual)) = (&settings.expected_server, &self.identity) else {
            return Ok(self);
        };
        // Asked anew for every session: after a failover only one of the two may have moved.
        let answer = async { Ok(expected.ask().await) };
        let step = "telling which server it is on";
        let answer = limited(&"the adapter", step, ANSWER_LIMIT, answer).await;
        let wrong = match answer {
            Ok(Ok(expected)) if expected != *actual => Error::WrongServer {
                address: self.server.address.to_string(),
                moved: sql::same_database(&expected, actual),
            },
            Ok(_) => return Ok(self),
            Err(late) => late,
        };
        self.close().await;
        Err(wrong)
    }

    /// Passes over a server that was the primary before the latest that was seen. One that does not tell is believed.
    async fn follow(&mut self, lineage: &mut Lineage) -> Result<(), Error> {
        let row = match self.first_row(sql::POSITION).await {
            Ok(row) => row,
            Err(error) if error.sql_state().is_some() => return Ok(()),
            Err(error) => return Err(error),
        };
        let position = row.and_then(|row| Position::parse(row.get(0), row.get(1)));
        position.map_or(Ok(()), |position| lineage.follow(position)).map_err(|(timeline, latest)| {
            Error::OldPrimary { address: self.server.address.to_string(), timeline, latest }
        })
    }

    /// The first row of what the server answers. For a session that does not listen yet.
    pub async fn first_row(&mut self, query: &str) -> Result<Option<SimpleQueryRow>, Error> {
        let query = sql::isolated(query);
        let messages = self.inbox.during(&Deaf, self.client.simple_query(&query)).await??;
        Ok(messages.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        }))
    }

    /// One heartbeat: an echo within the deadline, or proof of another kind that the connection delivers. It lets
    /// the fences through that were asked for before it.
    async fn heartbeat(&mut self, limit: Duration, fences: &Fences, sink: &dyn Sink) -> Result<(), Error> {
        let asked = fences.mark();
        match self.echo(sink, limit).await {
            Ok(round_trip) => {
                sink.event(Event::Echo { round_trip, at: SystemTime::now() });
                fences.pass(asked, Covers::Released);
                Ok(())
            }
            // NOTIFY takes a lock that is held through another's commit, perhaps for long. Our lock_timeout let go of
            // it, and what was pending has been delivered with the error, so the connection is alive. The next attempt
            // can wait for the next heartbeat, unless there is a fence that needs it: a backend that waits for the
            // lock delivers nothing meanwhile.
            Err(error) if error.sql_state() == Some("55P03") => {
                fences.pass(asked, Covers::Acknowledged);
                Ok(())
            }
            // The server's notification queue is full. Not our connection's fault, and no reason to leave it.
            Err(error) if is_queue_full(&error) => {
                fences.pass(asked, Covers::Acknowledged);
                fences.fail(asked, error);
                self.look_for_room(limit, sink).await
            }
            Err(error) => Err(error),
        }
    }

    /// Has the server notice room in its notification queue, for the next attempt.
    async fn look_for_room(&mut self, limit: Duration, sink: &dyn Sink) -> Result<(), Error> {
        match self.say(sql::LOOK_FOR_ROOM, limit, sink).await {
            // An administrator may have forbidden it.
            Err(Error::PermissionDenied(_) | Error::Server(_)) => Ok(()),
            outcome => outcome,
        }
    }

    /// Brings the session into line with what is wanted of one channel.
    async fn take(&mut self, step: Step, limit: Duration, channels: &Channels) -> Result<(), Error> {
        match step {
            Step::Listen(channel) => {
                match self.say(&sql::listen([channel.as_str()], self.inbox.encoding()), limit, channels).await
                {
                    Ok(()) => {
                        channels.settle(&channel);
                        self.present.insert(channel);
                    }
                    // The server's own word on this channel; the session goes on.
                    Err(error @ (Error::Server(_) | Error::PermissionDenied(_))) => {
                        channels.refused(&channel, &error);
                    }
                    Err(error) => return Err(error),
                }
            }
            Step::Unlisten(channel) => {
                self.say(&sql::unlisten(&channel), limit, channels).await?;
                self.present.remove(&channel);
                channels.left(&channel);
            }
            Step::Settle(channel) => channels.settle(&channel),
        }
        Ok(())
    }

    async fn say(&mut self, statement: &str, limit: Duration, sink: &dyn Sink) -> Result<(), Error> {
        let said = self.inbox.answer(sink, self.client.batch_execute(statement));
        timeout(limit, said).await.unwrap_or(Err(Error::HeartbeatTimeout { limit }))
    }

    /// A round trip that sends nothing to anybody, for the fences that it is enough for.
    async fn round_trip(&mut self, limit: Duration, fences: &Fences, sink: &dyn Sink) -> Result<(), Error> {
        let asked = fences.mark();
        self.say(sql::NOTHING, limit, sink).await?;
        fences.pass(asked, Covers::Acknowledged);
        Ok(())
    }

    /// Sends ourselves a nonce and waits until it comes back. Notifications come in the order of their commits, so
    /// by then everything committed before it was sent has been handed to the sink.
    pub async fn echo(&mut self, sink: &dyn Sink, limit: Duration) -> Result<Duration, Error> {
        let started = Instant::now();
        let nonce = self.inbox.expect(Some(self.backend_pid));
        let statement = sql::notify(self.inbox.echo_channel(), &nonce);
        let round_trip = async {
            self.inbox.answer(sink, self.client.batch_execute(&statement)).await?;
            self.inbox.until_heard(&nonce, sink).await
        };
        let outcome = timeout(limit, round_trip).await.unwrap_or(Err(Error::HeartbeatTimeout { limit }));
        self.inbox.forget(&nonce);
        outcome.map(|()| started.elapsed())
    }
}

/// What somebody wants of a session that listens.
enum Wanted {
    Heartbeat,
    Fence(Covers),
    Channel(Step),
}

/// Which failure to tell of, if no other address serves either; an `Err` if no other is to be tried.
fn passed_over(earlier: Option<Error>, error: Error) -> Result<Error, Error> {
    let unresolved = |error: &Error| matches!(error, Error::HostNotFound { .. });
    if !error.may_heal() && !unresolved(&error) && !matches!(error, Error::WrongServer { .. }) {
        return Err(error);
    }
    // One that may heal keeps a start going. A name that does not resolve tells the least.
    let weight = |error: &Error| (error.may_heal(), !unresolved(error));
    Ok(match earlier {
        Some(earlier) if weight(&earlier) > weight(&error) => earlier,
        _ => error,
    })
}

/// Runs one statement on a connection of its own, to the same server.
async fn send_once(settings: &Settings, server: &Server, statement: &str) -> Result<(), Error> {
    let mut peer = Session::log_in(settings, server.clone()).await?;
    let sent = peer.inbox.during(&Deaf, peer.client.batch_execute(statement)).await;
    peer.close().await;
    Ok(sent??)
}

/// Whether there was no room for a notification on the server.
fn is_queue_full(error: &Error) -> bool {
    error.sql_state() == Some("54000")
}

/// Reads the files of certificates in a thread of its own: a file system may hang.
async fn load_tls(settings: &Settings) -> Result<Option<Connector>, Error> {
    let tls = settings.tls.clone();
    if !tls.reads_files() {
        return tls.load();
    }
    thread::blocking(move || tls.load()).await?
}

pub(super) async fn limited<T>(
    address: &impl ToString,
    step: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = || Error::Timeout { address: address.to_string(), step, limit };
    timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
}

/// Well below the heartbeat's deadline, so that a NOTIFY stuck behind another's commit gives up before we do.
fn lock_timeout(settings: &Settings) -> Duration {
    settings.timings.heartbeat_timeout / 4
}

/// How long the server waits for a client that does not read: as long as the client believes a connection on which nothing comes. Earlier
/// would end sessions that go on, and later would hold up others for nothing.
fn patience(settings: &Settings) -> Duration {
    settings.timings.heartbeat_interval + settings.timings.heartbeat_timeout
}

fn check_version<T>(connection: &Connection<Socket, T>, address: &Address) -> Result<(), Error>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let version = connection.parameter("server_version").unwrap_or_default();
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    match version[..digits].parse::<u32>() {
        Ok(major) if major < OLDEST_SERVER => {
            Err(Error::UnsupportedServer { address: address.to_string(), version: version.to_owned() })
        }
        // A version we cannot read is somebody's fork: let it show what it can do.
        _ => Ok(()),
    }
}
