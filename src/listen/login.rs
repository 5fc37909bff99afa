//! From settings to a connection that is logged in to the right server.

use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::connect::{Connector, Settings, Target, Verified};
use super::deadlines::timeout;
use super::dial::{Address, dial, resolve};
use super::lineage::{Lineage, Position};
use super::reader::{Deaf, Reader};
use super::{sql, thread};
use crate::error::Error;

/// The first PostgreSQL whose LISTEN we rely on (`idle_session_timeout` exists from there on).
const OLDEST_SERVER: u32 = 14;

/// How long a caller may take to say which server it works on. It has a shorter deadline of its own, after which it says
/// that it does not know; this one is for a caller that does nothing at all.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long a goodbye may take before the socket is simply dropped.
const GOODBYE_LIMIT: Duration = Duration::from_millis(800);

/// A connection that is logged in.
pub(super) struct Login {
    pub client: Client,
    pub reader: Reader,
    /// The process id of the server's backend.
    pub backend_pid: i32,
    /// What server this is, if it says; see [`sql::IDENTITY`].
    pub identity: Option<String>,
    pub server: Server,
}

/// One server and how to talk to it: what a second connection needs to reach the very same.
#[derive(Clone)]
pub(super) struct Server {
    pub address: Address,
    /// The name it was asked for by, which is what its certificate has to be for.
    host: String,
    /// `None` for plain text.
    tls: Option<Connector>,
}

impl Login {
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
                Ok(login) => return Ok(login),
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
                let mut login = Self::log_in(settings, server).await?;
                login.identify(settings).await?;
                login.follow(lineage).await?;
                Ok(login)
            });
            let compared = match attempt.await {
                Ok(login) => login.compared(settings).await,
                Err(error) => Err(error),
            };
            match compared {
                Ok(login) => return Ok(login),
                Err(error) => failure = Some(passed_over(failure, error)?),
            }
        }
        Err(failure.unwrap_or(Error::ConnectionClosed))
    }

    /// What of the server was checked before it was believed, where the connection is over TLS.
    pub fn verified(&self) -> Verified {
        self.server.tls.as_ref().map_or(Verified::Nothing, |tls| tls.verifies)
    }

    async fn log_in(settings: &Settings, server: Server) -> Result<Self, Error> {
        match &server.tls {
            None => Self::log_in_over(settings, server, SslMode::Disable).await,
            Some(tls) if !tls.optional => Self::log_in_over(settings, server, SslMode::Require).await,
            Some(_) => match Self::log_in_over(settings, server.clone(), SslMode::Prefer).await {
                // It has TLS, and does not take us over it.
                Err(error) if error.precedes_login() => {
                    Self::log_in_over(settings, server, SslMode::Disable).await
                }
                outcome => outcome,
            },
        }
    }

    async fn log_in_over(settings: &Settings, server: Server, mode: SslMode) -> Result<Self, Error> {
        let mut config = settings.login().await?;
        config.ssl_mode(mode);
        let handshake = server.tls.as_ref().map(|tls| tls.handshake(&server.host));
        let socket = dial(&server.address, settings.timings.heartbeat_timeout).await?;
        let (client, reader) = Reader::log_in(socket, handshake, &config, settings.methods).await?;
        check_version(reader.parameter("server_version"), &server.address)?;
        Ok(Self { client, reader, server, backend_pid: 0, identity: None })
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
            // A comparison of servers finds that this one does not tell.
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
        let messages = self.reader.during(&Deaf, self.client.simple_query(&query)).await??;
        Ok(messages.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        }))
    }

    /// Ends the session politely, as far as the network lets us.
    pub async fn close(self) {
        let Self { client, mut reader, .. } = self;
        // The library sends Terminate when its client is dropped; the socket then waits for the server's close.
        drop(client);
        let _ = timeout(GOODBYE_LIMIT, reader.until_closed()).await;
    }
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
pub(super) async fn send_once(settings: &Settings, server: &Server, statement: &str) -> Result<(), Error> {
    let mut peer = Login::log_in(settings, server.clone()).await?;
    let sent = peer.reader.during(&Deaf, peer.client.batch_execute(statement)).await;
    peer.close().await;
    Ok(sent??)
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

fn check_version(version: &str, address: &Address) -> Result<(), Error> {
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    match version[..digits].parse::<u32>() {
        Ok(major) if major < OLDEST_SERVER => {
            Err(Error::UnsupportedServer { address: address.to_string(), version: version.to_owned() })
        }
        // A version we cannot read is somebody's fork: let it show what it can do.
        _ => Ok(()),
    }
}
