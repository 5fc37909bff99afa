//! One error for everything that can go wrong between a listener and its server.

use std::error::Error as StdError;
use std::io;
use std::str::Utf8Error;
use std::sync::Arc;
use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::InvalidDnsNameError;
use tokio_postgres::error::SqlState;

/// Why a listener could not start, or lost its session.
///
/// Cheap to clone, because everyone who waits for a start is told the same reason. No variant ever holds a
/// password or a connection URL.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A connection setting or an option makes no sense.
    #[error("{0}")]
    InvalidOptions(String),
    /// The host's name does not resolve.
    #[error("cannot resolve the host name {host:?} ({source}); check the host of the connection")]
    HostNotFound {
        /// The name as given.
        host: String,
        /// What the resolver said.
        source: Arc<io::Error>,
    },
    /// No connection to the address: refused, reset, no route.
    #[error("cannot connect to {address} ({source}); check host and port, and that the server is running")]
    Unreachable {
        /// Where the attempt went.
        address: String,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A step of setting a session up took longer than its limit.
    #[error("{address} did not finish {step} within {} ms", .limit.as_millis())]
    Timeout {
        /// Whom we waited for.
        address: String,
        /// What we waited for.
        step: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The server refused user, password or host.
    #[error("authentication failed: {}; check user, password and pg_hba.conf", describe(.0))]
    Authentication(Arc<tokio_postgres::Error>),
    /// The server asks for a way to log in that the settings rule out.
    #[error("the server asks for {asked}, which require_auth rules out; check require_auth and pg_hba.conf")]
    RuledOut {
        /// What it asks for.
        asked: &'static str,
    },
    /// The password function given by the caller failed, so that there was nothing to authenticate with.
    #[error("the password function failed: {0}")]
    PasswordFunction(String),
    /// The database does not exist.
    #[error("{}; check the database of the connection", describe(.0))]
    UnknownDatabase(Arc<tokio_postgres::Error>),
    /// The user may not connect, LISTEN or NOTIFY.
    #[error("permission denied: {}; grant the user CONNECT on the database", describe(.0))]
    PermissionDenied(Arc<tokio_postgres::Error>),
    /// A standby, or a server whose transactions are read-only: LISTEN does not work there.
    #[error("{address} is a standby or read-only; a listener needs the primary")]
    ReadOnly {
        /// The server asked.
        address: String,
    },
    /// The adapter works on another server or database, so that nothing that it invalidates would be heard.
    #[error(
        "{address} is {} than the adapter's, whose invalidations are not heard there; \
         give the connection that the adapter has",
        if *.moved { "another server, or another start of one," } else { "another database" }
    )]
    WrongServer {
        /// Where the connection goes.
        address: String,
        /// Whether it is the same database all the same: on another server of the cluster, or before a restart.
        moved: bool,
    },
    /// A primary that another server of its cluster has taken the place of, as an earlier session has seen.
    #[error(
        "{address} is an old primary: it is on timeline {timeline}, and {latest} has been seen. Stop it, or make it a standby; \
         start the listener anew if the cluster was taken back to it on purpose"
    )]
    OldPrimary {
        /// The server asked.
        address: String,
        /// The timeline that it is on.
        timeline: u32,
        /// The latest that was seen.
        latest: u32,
    },
    /// A server too old to be supported.
    #[error("{address} runs PostgreSQL {version}; version 14 or later is needed")]
    UnsupportedServer {
        /// The server asked.
        address: String,
        /// What it says of itself.
        version: String,
    },
    /// LISTEN succeeded, but a notification sent by another connection does not arrive.
    #[error(
        "LISTEN succeeded at {address}, but a notification sent by another connection never arrived; \
         this is what a pooler in transaction mode does: connect to the server itself, or to a pool in session mode"
    )]
    ListenSwallowed {
        /// The server or pooler asked.
        address: String,
    },
    /// TLS is demanded and cannot be had as it is demanded; the text says why.
    #[error("{0}")]
    Tls(String),
    /// The server is there but takes no connection now: starting up, shutting down, full.
    #[error("the server takes no connection now: {}", describe(.0))]
    ServerUnavailable(Arc<tokio_postgres::Error>),
    /// Any other error the server reported.
    #[error("the server reported an error: {}", describe(.0))]
    Server(Arc<tokio_postgres::Error>),
    /// The connection ended.
    #[error("the connection was lost: {}", describe(.0))]
    ConnectionLost(Arc<tokio_postgres::Error>),
    /// The connection ended without an error of its own.
    #[error("the connection was closed by the server")]
    ConnectionClosed,
    /// A notification came that has no meaning in UTF-8: the server could not convert it from the database's encoding,
    /// or did not try. Whatever else came with it is lost as well.
    #[error(
        "a notification cannot be converted from {encoding}, the encoding of the database, to UTF-8 ({}); every role \
         that can connect can send one: only a database with the encoding UTF8 is safe from it",
        describe(source)
    )]
    Undecodable {
        /// The encoding of the database, as the server calls it.
        encoding: String,
        /// What the server said, or our decoder.
        source: Arc<tokio_postgres::Error>,
    },
    /// Our own echo did not come back in time: the connection looks alive and delivers nothing.
    #[error("no echo came back within {} ms: the connection delivers nothing", .limit.as_millis())]
    HeartbeatTimeout {
        /// The heartbeat's deadline.
        limit: Duration,
    },
    /// The listener's thread panicked; a bug.
    #[error("the listener's thread panicked: {0}; please report this")]
    Panic(String),
    /// The operating system gave no thread or runtime.
    #[error("the operating system gives no thread ({0}): free some, or raise the limit of processes")]
    Thread(Arc<io::Error>),
    /// The listener's thread ended without an answer; a bug.
    #[error("the listener's thread ended without an answer; please report this")]
    Gone,
    /// A fence was not through in time.
    #[error("the fence was not through within {} ms", .limit.as_millis())]
    FenceTimeout {
        /// The limit the caller set.
        limit: Duration,
    },
    /// Nothing is heard at present, and the caller did not want to wait until something is.
    #[error("the listener is not listening at present: invalidations may be missed")]
    NotListening,
    /// An error of connecting, and what is to be known of the settings.
    #[error("{error} ({note})")]
    Explained {
        /// What went wrong.
        error: Box<Error>,
        /// What may be to blame.
        note: &'static str,
    },
    /// The listener was shut down first.
    #[error("the listener was shut down")]
    Stopped,
}

impl Error {
    /// A stable name for programs; the message is for people and may change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidOptions(_) => "PGGEN_INVALID_OPTIONS",
            Self::HostNotFound { .. } => "PGGEN_HOST_NOT_FOUND",
            Self::Unreachable { .. } => "PGGEN_UNREACHABLE",
            Self::Timeout { .. } => "PGGEN_TIMEOUT",
            Self::Authentication(_) | Self::RuledOut { .. } => "PGGEN_AUTHENTICATION_FAILED",
            Self::PasswordFunction(_) => "PGGEN_PASSWORD_FUNCTION_FAILED",
            Self::UnknownDatabase(_) => "PGGEN_UNKNOWN_DATABASE",
            Self::PermissionDenied(_) => "PGGEN_PERMISSION_DENIED",
            Self::ReadOnly { .. } => "PGGEN_READ_ONLY_SERVER",
            Self::WrongServer { .. } => "PGGEN_WRONG_SERVER",
            Self::OldPrimary { .. } => "PGGEN_OLD_PRIMARY",
            Self::UnsupportedServer { .. } => "PGGEN_UNSUPPORTED_SERVER",
            Self::ListenSwallowed { .. } => "PGGEN_LISTEN_SWALLOWED",
            Self::Tls(_) => "PGGEN_TLS",
            Self::ServerUnavailable(_) => "PGGEN_SERVER_UNAVAILABLE",
            Self::Server(_) => "PGGEN_SERVER_ERROR",
            Self::ConnectionLost(_) | Self::ConnectionClosed => "PGGEN_CONNECTION_LOST",
            Self::Undecodable { .. } => "PGGEN_UNDECODABLE",
            Self::HeartbeatTimeout { .. } => "PGGEN_HEARTBEAT_TIMEOUT",
            Self::Panic(_) => "PGGEN_PANIC",
            Self::Thread(_) | Self::Gone => "PGGEN_THREAD",
            Self::FenceTimeout { .. } => "PGGEN_FENCE_TIMEOUT",
            Self::NotListening => "PGGEN_NOT_LISTENING",
            Self::Explained { error, .. } => error.code(),
            Self::Stopped => "PGGEN_STOPPED",
        }
    }

    /// The five characters PostgreSQL gives its errors, when the server reported this one.
    #[must_use]
    pub fn sql_state(&self) -> Option<&str> {
        self.postgres().and_then(tokio_postgres::Error::code).map(SqlState::code)
    }

    /// What ended a session that listens, in a database with this encoding, or a statement of it.
    pub(crate) fn while_listening(error: tokio_postgres::Error, encoding: &str) -> Self {
        if is_undecodable(&error) {
            return Self::Undecodable { encoding: encoding.to_owned(), source: Arc::new(error) };
        }
        error.into()
    }

    /// Whether waiting may heal it. A first start gives up at once on what does not; a listener that has been
    /// listening retries for ever whatever the error.
    pub(crate) fn may_heal(&self) -> bool {
        match self {
            Self::HostNotFound { source, .. } => return is_temporary(source),
            Self::Explained { error, .. } => return error.may_heal(),
            _ => {}
        }
        !matches!(
            self,
            Self::InvalidOptions(_)
                | Self::Authentication(_)
                | Self::RuledOut { .. }
                | Self::PasswordFunction(_)
                | Self::UnknownDatabase(_)
                | Self::PermissionDenied(_)
                | Self::UnsupportedServer { .. }
                // A failover, in which one of the two is still to follow, heals.
                | Self::WrongServer { moved: false, .. }
                | Self::ListenSwallowed { .. }
                | Self::Tls(_)
                | Self::Panic(_)
                | Self::Thread(_)
                | Self::Stopped
        )
    }

    /// Whether TLS, or `pg_hba.conf`, refused a connection before any password was sent.
    pub(crate) fn precedes_login(&self) -> bool {
        // SQLSTATE 28000 would also be what follows a wrong password for LDAP. The name of the server's function
        // tells them apart in every language; who gives none, such as a pooler, is not understood that way.
        let routine = self.postgres().and_then(|e| e.as_db_error()?.routine());
        matches!(self, Self::Tls(_)) || routine == Some("ClientAuthentication")
    }

    fn postgres(&self) -> Option<&tokio_postgres::Error> {
        match self {
            Self::Authentication(e)
            | Self::UnknownDatabase(e)
            | Self::PermissionDenied(e)
            | Self::ServerUnavailable(e)
            | Self::Server(e)
            | Self::ConnectionLost(e)
            | Self::Undecodable { source: e, .. } => Some(e),
            Self::Explained { error, .. } => error.postgres(),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code().cloned() else {
            if let Some(&RuledOut(asked)) = inner(&error).and_then(|inner| inner.downcast_ref()) {
                return Self::RuledOut { asked };
            }
            if let Some(reason) = tls_refusal(&error) {
                return Self::Tls(reason);
            }
            // The library's kinds are private; these two mean that the login failed for good, without a word of
            // the server: it wants a password and there is none, or the channel cannot be bound as demanded.
            let hopeless = error.to_string() == "authentication error" || source_text(&error) == NO_PASSWORD;
            let error = Arc::new(error);
            return if hopeless { Self::Authentication(error) } else { Self::ConnectionLost(error) };
        };
        // PostgreSQL's code for it says no more than that the login failed.
        if error
            .as_db_error()
            .is_some_and(|db| db.message() == "connection requires a valid client certificate")
        {
            return Self::Tls(format!("{}; give sslcert and sslkey (ssl.cert, ssl.key)", describe(&error)));
        }
        let error = Arc::new(error);
        match state {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                Self::Authentication(error)
            }
            SqlState::INVALID_CATALOG_NAME => Self::UnknownDatabase(error),
            SqlState::INSUFFICIENT_PRIVILEGE => Self::PermissionDenied(error),
            SqlState::CANNOT_CONNECT_NOW | SqlState::TOO_MANY_CONNECTIONS => Self::ServerUnavailable(error),
            SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::IDLE_SESSION_TIMEOUT => {
                Self::ConnectionLost(error)
            }
            _ => Self::Server(error),
        }
    }
}

/// What the library says if it is to send a password and has none.
const NO_PASSWORD: &str = "password missing";

/// What the library's error is made of if the server asks for this, and it is ruled out.
#[derive(Debug, thiserror::Error)]
#[error("{0} is ruled out")]
pub(crate) struct RuledOut(pub &'static str);

/// Whether it is about a notification's bytes. It may come in place of a statement's own answer. An error about the
/// statement's bytes has a position in it: names that the encoding may not have are sent as escapes.
fn is_undecodable(error: &tokio_postgres::Error) -> bool {
    if let Some(db) = error.as_db_error() {
        let unconvertible = [SqlState::UNTRANSLATABLE_CHARACTER, SqlState::CHARACTER_NOT_IN_REPERTOIRE];
        return unconvertible.contains(db.code()) && db.position().is_none();
    }
    // Of SQL_ASCII nothing is converted; the library finds out.
    inner(error).is_some_and(|inner| inner.is::<Utf8Error>())
}

/// Whether the resolver could not be asked, and not whether it knew no such name. The standard library keeps the C
/// library's text of the difference, but not its number.
fn is_temporary(resolver: &io::Error) -> bool {
    let text = resolver.to_string();
    ["Temporary failure", "Try again"].iter().any(|temporary| text.contains(temporary))
}

/// What happened, in one line: the server's own words when it spoke, else the chain of causes.
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{}: {} ({})", db.severity(), db.message(), db.code().code());
    }
    if source_text(error) == NO_PASSWORD {
        return format!(
            "{NO_PASSWORD}: the server asks for one, none was given, and password files are not read"
        );
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What an error of reading or writing was made of.
fn inner(error: &tokio_postgres::Error) -> Option<&(dyn StdError + Send + Sync + 'static)> {
    error.source()?.downcast_ref::<io::Error>()?.get_ref()
}

/// Why TLS was refused, by us or by the server; `None` if it is not TLS that went wrong.
fn tls_refusal(error: &tokio_postgres::Error) -> Option<String> {
    let source = error.source()?;
    if source.to_string() == "server does not support TLS" {
        return Some(
            "the server has no TLS, and the connection demands it; set the server's ssl, or check sslmode"
                .into(),
        );
    }
    let inner = inner(error)?;
    if inner.is::<InvalidDnsNameError>() {
        return Some(
            "no certificate can be for a host of this name; give another, or an ssl.servername".into(),
        );
    }
    Some(match inner.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(problem) => {
            format!("the server's certificate is refused: {}", certificate_problem(problem))
        }
        rustls::Error::AlertReceived(alert) => format!(
            "the server refused TLS with the alert {alert:?}; check the client certificate (sslcert, ssl.cert)"
        ),
        other => format!("TLS failed: {other}"),
    })
}

fn certificate_problem(problem: &CertificateError) -> String {
    use CertificateError as Problem;
    match problem {
        Problem::Expired | Problem::ExpiredContext { .. } => "it has expired; renew it".into(),
        Problem::NotValidYet | Problem::NotValidYetContext { .. } => {
            "it is not valid yet; check the clocks".into()
        }
        Problem::UnknownIssuer => {
            "its issuer is unknown, for it is not from a root certificate; check sslrootcert (ssl.ca)".into()
        }
        Problem::NotValidForNameContext { expected, presented } => {
            let presented = if presented.is_empty() { "no host" } else { &presented.join(", ") };
            format!(
                "the host name does not match: it is for {presented} (by its subjectAltName), not for {}",
                expected.to_str()
            )
        }
        // What `openssl req -x509` makes, and the only one of its kind that PostgreSQL's users meet.
        Problem::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            "it is an authority's own (CA:TRUE), which vouches for others and not for a server; \
             have it issue one for the server"
                .into()
        }
        other => other.to_string(),
    }
}

fn source_text(error: &tokio_postgres::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}
