//! What went wrong, in the terms of this crate: from the errors of PostgreSQL, of its library, and of the system.
//!
//! Errors are told apart by their types and SQLSTATEs. Where there is neither, the constants below are the texts that
//! are looked for, and no other file looks at any.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::pki_types::InvalidDnsNameError;
use tokio_postgres::error::SqlState;

use super::Error;

/// tokio-postgres, whose kinds are private: the login failed for good, without a word of the server. The channel, for
/// one, cannot be bound as demanded. Tested by `tls::scram_is_bound_to_the_channel`.
const NOT_AUTHENTICATED: &str = "authentication error";
/// tokio-postgres: it is to send a password and has none. Tested by `settings::a_missing_password_is_told_as_such`.
const NO_PASSWORD: &str = "password missing";
/// tokio-postgres: the server has no TLS. Tested by `tls::every_mode_against_every_server`.
const NO_TLS: &str = "server does not support TLS";
/// PostgreSQL, whose SQLSTATE for it says no more than that the login failed. A server that speaks another language is
/// not understood, and the error then says just that. Tested by `settings::a_certificate_is_kept_from_the_server_if_it_is_to_be`.
const NO_CERTIFICATE: &str = "connection requires a valid client certificate";
/// glibc and musl: the standard library keeps the resolver's text, but not its number. Tested by
/// `names::a_name_that_moves_is_followed`.
const NOT_RESOLVED_NOW: [&str; 2] = ["Temporary failure", "Try again"];

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code().cloned() else {
            if let Some(reason) = tls_refusal(&error) {
                return Self::Tls(reason);
            }
            let hopeless = error.to_string() == NOT_AUTHENTICATED || source_text(&error) == NO_PASSWORD;
            let error = Arc::new(error);
            return if hopeless { Self::Authentication(error) } else { Self::ConnectionLost(error) };
        };
        if error.as_db_error().is_some_and(|db| db.message() == NO_CERTIFICATE) {
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

/// Whether the resolver could not be asked, and not whether it knew no such name.
pub(super) fn is_temporary(resolver: &io::Error) -> bool {
    let text = resolver.to_string();
    NOT_RESOLVED_NOW.iter().any(|temporary| text.contains(temporary))
}

/// What happened, in one line: the server's own words when it spoke, else the chain of causes.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
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
    if source.to_string() == NO_TLS {
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
        Problem::Other(other) if matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) => {
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
