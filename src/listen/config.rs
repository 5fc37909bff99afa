//! From what a user gives (a URL, fields, the environment) to settings that can be dialled.
//!
//! Settings come in layers; a field that one layer leaves out falls through to the next. Which layers there are
//! and in which order is the caller's business.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};

use crate::error::Error;

/// Where a password comes from. Its debug print shows nothing of it.
#[derive(Clone)]
pub enum Password {
    /// Known from the start.
    Fixed(String),
    /// Asked for before every attempt, as short-lived tokens need it.
    Ask(AskPassword),
}

/// A function that gives the password of the moment, or says why there is none.
pub type AskPassword = Arc<dyn Fn() -> PasswordFuture + Send + Sync>;
/// The answer of an [`AskPassword`], once it comes.
pub type PasswordFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "Fixed(_)",
            Self::Ask(_) => "Ask(_)",
        })
    }
}

/// One layer of connection settings, each as its source spells it.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    /// Host names, addresses or socket directories, separated by commas.
    pub host: Option<String>,
    /// One port for all hosts, or one for each, separated by commas.
    pub port: Option<String>,
    /// The role to log in as.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Password>,
    /// The database to connect to.
    pub database: Option<String>,
    /// `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`.
    pub ssl_mode: Option<String>,
    /// What `pg_stat_activity` shows.
    pub application_name: Option<String>,
    /// Command-line options for the server's backend, as in `PGOPTIONS`.
    pub options: Option<String>,
    /// `any`, `read-write` or `primary`.
    pub target_session_attrs: Option<String>,
    /// The limit for one attempt to connect, in seconds; 0 stands for none of its own.
    pub connect_timeout: Option<String>,
}

impl Fields {
    /// Reads a `postgres://` or `postgresql://` URL. Query parameters this package does not know are ignored.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`], with a message that repeats nothing of the URL.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let invalid = |why: &str| Error::InvalidOptions(format!("the connection URL is not valid: {why}"));
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(invalid("it must begin with postgres:// or postgresql://"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let parsed = tokio_postgres::Config::from_str(base)
            .map_err(|_| invalid("expected postgres://user:password@host:port/database, percent-encoded"))?;

        let mut fields = Self {
            host: join(parsed.get_hosts().iter().map(|host| match host {
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(directory) => directory.to_string_lossy().into_owned(),
            })),
            port: join(parsed.get_ports().iter().map(u16::to_string)),
            user: parsed.get_user().map(str::to_owned),
            password: parsed.get_password().map(|p| Password::Fixed(String::from_utf8_lossy(p).into_owned())),
            database: parsed.get_dbname().map(str::to_owned),
            ..Self::default()
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = Some(value.into_owned());
            match &*key {
                "host" => fields.host = value,
                "port" => fields.port = value,
                "user" => fields.user = value,
                "password" => fields.password = value.map(Password::Fixed),
                "dbname" => fields.database = value,
                "sslmode" => fields.ssl_mode = value,
                "application_name" => fields.application_name = value,
                "options" => fields.options = value,
                "target_session_attrs" => fields.target_session_attrs = value,
                "connect_timeout" => fields.connect_timeout = value,
                _ => {}
            }
        }
        Ok(fields)
    }

    /// Reads libpq's variables through `lookup`. An empty variable counts as unset.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Self {
            host: get("PGHOST"),
            port: get("PGPORT"),
            user: get("PGUSER"),
            password: get("PGPASSWORD").map(Password::Fixed),
            database: get("PGDATABASE"),
            ssl_mode: get("PGSSLMODE"),
            application_name: get("PGAPPNAME"),
            options: get("PGOPTIONS"),
            target_session_attrs: get("PGTARGETSESSIONATTRS"),
            connect_timeout: get("PGCONNECT_TIMEOUT"),
        }
    }

    /// These fields, and where one is not set, that of `lower`.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        Self {
            host: self.host.or(lower.host),
            port: self.port.or(lower.port),
            user: self.user.or(lower.user),
            password: self.password.or(lower.password),
            database: self.database.or(lower.database),
            ssl_mode: self.ssl_mode.or(lower.ssl_mode),
            application_name: self.application_name.or(lower.application_name),
            options: self.options.or(lower.options),
            target_session_attrs: self.target_session_attrs.or(lower.target_session_attrs),
            connect_timeout: self.connect_timeout.or(lower.connect_timeout),
        }
    }
}

/// How long the listener waits for what.
#[derive(Debug, Clone)]
pub struct Timings {
    /// An echo is sent this often.
    pub heartbeat_interval: Duration,
    /// An echo that takes longer is a lost connection.
    pub heartbeat_timeout: Duration,
    /// A first start gives up after this long, on errors that might heal.
    pub connect_timeout: Duration,
    /// The longest pause between two attempts to reconnect.
    pub reconnect_max_delay: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(10),
            heartbeat_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(30),
            reconnect_max_delay: Duration::from_secs(5),
        }
    }
}

/// Everything a session needs to know, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) targets: Vec<Target>,
    /// Whether a server that refuses writes is passed over.
    pub(super) read_write: bool,
    pub(super) password: Option<Password>,
    /// The limit for connecting to one address and preparing the session.
    pub(super) attempt_timeout: Duration,
    pub(super) timings: Timings,
    base: tokio_postgres::Config,
}

/// One server to try.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// A name, an address, or a directory that holds a Unix socket.
    pub host: String,
    pub port: u16,
}

/// The longest that one address may take when no `connect_timeout` says otherwise: a second address, or the next
/// attempt, must not wait for a dead one for ever.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

impl Settings {
    /// Checks `fields` and fills in libpq's defaults.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] names the field; [`Error::Tls`] if TLS is demanded.
    pub fn new(fields: Fields, timings: Timings) -> Result<Self, Error> {
        let targets =
            targets(fields.host.as_deref().unwrap_or("localhost"), fields.port.as_deref().unwrap_or("5432"))?;
        let read_write = match fields.target_session_attrs.as_deref() {
            None => targets.len() > 1,
            Some("any") => false,
            Some("read-write" | "primary") => true,
            Some(_) => {
                return Err(Error::InvalidOptions(
                    "target_session_attrs must be any, read-write or primary: a listener needs the primary"
                        .into(),
                ));
            }
        };
        check_ssl_mode(fields.ssl_mode.as_deref())?;
        let limit = match fields.connect_timeout.as_deref() {
            None => ATTEMPT_TIMEOUT,
            Some(seconds) => match seconds.parse::<u32>() {
                Ok(0) => ATTEMPT_TIMEOUT,
                Ok(seconds) => Duration::from_secs(seconds.into()),
                Err(_) => {
                    return Err(Error::InvalidOptions(
                        "connect_timeout must be a whole number of seconds".into(),
                    ));
                }
            },
        };

        let mut base = tokio_postgres::Config::new();
        base.ssl_mode(SslMode::Disable);
        base.application_name(fields.application_name.unwrap_or_else(default_application_name));
        if let Some(user) = fields.user {
            base.user(user);
        }
        if let Some(database) = fields.database {
            base.dbname(database);
        }
        if let Some(options) = fields.options {
            base.options(options);
        }
        Ok(Self {
            targets,
            read_write,
            password: fields.password,
            attempt_timeout: limit.min(timings.connect_timeout),
            timings,
            base,
        })
    }

    /// What the protocol needs to log in, with the password of the moment.
    pub(super) async fn login(&self) -> Result<tokio_postgres::Config, Error> {
        let mut config = self.base.clone();
        match &self.password {
            None => {}
            Some(Password::Fixed(password)) => {
                config.password(password);
            }
            Some(Password::Ask(ask)) => {
                config.password(ask().await.map_err(Error::PasswordFunction)?);
            }
        }
        Ok(config)
    }
}

fn join(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

fn targets(hosts: &str, ports: &str) -> Result<Vec<Target>, Error> {
    let hosts: Vec<_> = hosts.split(',').map(str::trim).collect();
    if hosts.iter().any(|host| host.is_empty()) {
        return Err(Error::InvalidOptions("host must not be empty".into()));
    }
    let ports = ports
        .split(',')
        .map(|port| port.trim().parse().ok().filter(|&port| port != 0))
        .collect::<Option<Vec<u16>>>()
        .ok_or_else(|| Error::InvalidOptions("port must be a whole number from 1 to 65535".into()))?;
    if ports.len() != 1 && ports.len() != hosts.len() {
        return Err(Error::InvalidOptions(format!(
            "{} hosts and {} ports: give one port for all hosts, or one for each",
            hosts.len(),
            ports.len()
        )));
    }
    let ports = ports.iter().copied().cycle();
    Ok(hosts.into_iter().zip(ports).map(|(host, port)| Target { host: host.to_owned(), port }).collect())
}

/// There is no TLS yet; where it is demanded, plain text is no substitute.
fn check_ssl_mode(mode: Option<&str>) -> Result<(), Error> {
    match mode {
        None | Some("disable" | "allow" | "prefer") => Ok(()),
        Some("require" | "verify-ca" | "verify-full") => Err(Error::Tls(
            "the connection demands TLS, which this version of pg-generations does not support".into(),
        )),
        Some(_) => Err(Error::InvalidOptions(
            "sslmode must be disable, allow, prefer, require, verify-ca or verify-full".into(),
        )),
    }
}

/// Tells an operator which process this is.
fn default_application_name() -> String {
    format!("pg-generations/{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Fields {
        Fields::from_url(text).unwrap()
    }

    fn fixed(password: Option<Password>) -> Option<String> {
        match password {
            Some(Password::Fixed(text)) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn a_url_gives_each_of_its_parts() {
        let fields = url(
            "postgres://al%40ice:p%3Ass@a.example:1,b.example:2/data?application_name=x&options=-c%20a%3Db&sslmode=disable",
        );
        assert_eq!(fields.host.as_deref(), Some("a.example,b.example"));
        assert_eq!(fields.port.as_deref(), Some("1,2"));
        assert_eq!(fields.user.as_deref(), Some("al@ice"));
        assert_eq!(fixed(fields.password).as_deref(), Some("p:ss"));
        assert_eq!(fields.database.as_deref(), Some("data"));
        assert_eq!(fields.application_name.as_deref(), Some("x"));
        assert_eq!(fields.options.as_deref(), Some("-c a=b"));
        assert_eq!(fields.ssl_mode.as_deref(), Some("disable"));
    }

    #[test]
    fn a_url_leaves_out_what_it_does_not_say() {
        let fields = url("postgresql://");
        assert!(fields.host.is_none() && fields.port.is_none() && fields.user.is_none());
        assert!(fields.password.is_none() && fields.database.is_none());
        assert_eq!(url("postgres:///only").database.as_deref(), Some("only"));
        assert_eq!(url("postgres://%2Fvar%2Frun/d").host.as_deref(), Some("/var/run"));
        assert_eq!(url("postgres://h/d?schema=public").host.as_deref(), Some("h"));
    }

    #[test]
    fn a_bad_url_is_refused_without_repeating_it() {
        for bad in [
            "",
            "nonsense",
            "http://u:s3cret@h/d",
            "postgres://u:s3cret@h:port/d",
            "postgres://u:s3/cret@h:x/d",
            "postgres://u:s3cret%zz@h",
        ] {
            match Fields::from_url(bad) {
                Err(error) => {
                    assert_eq!(error.code(), "PGGEN_INVALID_OPTIONS");
                    assert!(!error.to_string().contains("s3"), "{error}");
                }
                Ok(fields) => panic!("{bad:?} gave {fields:?}"),
            }
        }
    }

    #[test]
    fn a_field_left_out_falls_through_to_the_next_layer() {
        let explicit = Fields { host: Some("explicit".into()), ..Fields::default() };
        let env = Fields::from_env(|name| match name {
            "PGHOST" => Some("env".into()),
            "PGPORT" => Some("7".into()),
            "PGUSER" => Some(String::new()),
            _ => None,
        });
        let merged = explicit.or(env);
        assert_eq!(merged.host.as_deref(), Some("explicit"));
        assert_eq!(merged.port.as_deref(), Some("7"));
        assert_eq!(merged.user, None);
    }

    #[test]
    fn several_hosts_want_a_server_that_takes_writes() {
        let settings = |fields| Settings::new(fields, Timings::default());
        let two = || Fields { host: Some("a,b".into()), ..Fields::default() };
        let both = settings(two()).unwrap();
        assert!(both.read_write);
        assert_eq!(both.targets.iter().map(|t| t.port).collect::<Vec<_>>(), [5432, 5432]);
        assert!(!settings(Fields::default()).unwrap().read_write);
        let any = Fields { target_session_attrs: Some("any".into()), ..two() };
        assert!(!settings(any).unwrap().read_write);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let cases = [
            (Fields { port: Some("0".into()), ..Fields::default() }, "port"),
            (Fields { port: Some("65536".into()), ..Fields::default() }, "port"),
            (Fields { port: Some("1,2".into()), ..Fields::default() }, "port"),
            (Fields { host: Some("a,,b".into()), ..Fields::default() }, "host"),
            (Fields { ssl_mode: Some("maybe".into()), ..Fields::default() }, "sslmode"),
            (
                Fields { target_session_attrs: Some("standby".into()), ..Fields::default() },
                "target_session_attrs",
            ),
            (Fields { connect_timeout: Some("soon".into()), ..Fields::default() }, "connect_timeout"),
        ];
        for (fields, name) in cases {
            let error = Settings::new(fields, Timings::default()).unwrap_err();
            assert_eq!(error.code(), "PGGEN_INVALID_OPTIONS");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn tls_that_is_demanded_is_never_left_out() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let fields = Fields { ssl_mode: Some(mode.into()), ..Fields::default() };
            assert_eq!(Settings::new(fields, Timings::default()).unwrap_err().code(), "PGGEN_TLS");
        }
    }

    #[test]
    fn no_debug_print_shows_a_password() {
        let settings = Settings::new(url("postgres://u:s3cret@h/d"), Timings::default()).unwrap();
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert!(!format!("{:?}", url("postgres://u:s3cret@h/d?password=s3cret2")).contains("s3cret"));
    }
}
