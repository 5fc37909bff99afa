//! Settings that can be dialled: checked, and with the defaults filled in.

use std::time::Duration;

use tokio_postgres::config::ChannelBinding;

use super::authentication::Methods;
use super::fields::{Ask, Fields, Password};
use super::target::{DEFAULT_PORT, Target, targets};
use super::tls::Tls;
use crate::error::Error;

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

impl Timings {
    /// No wait is longer than this: PostgreSQL's own time-outs, and the kernel's, end here.
    const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

    fn capped(self) -> Self {
        Self {
            heartbeat_interval: self.heartbeat_interval.min(Self::LONGEST),
            heartbeat_timeout: self.heartbeat_timeout.min(Self::LONGEST),
            connect_timeout: self.connect_timeout.min(Self::LONGEST),
            reconnect_max_delay: self.reconnect_max_delay.min(Self::LONGEST),
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
    pub(super) tls: Tls,
    /// The ways to log in that will do, if not all do.
    pub(super) methods: Option<Methods>,
    not_given: NotGiven,
    /// Tells which server and database a caller works on, see [`IDENTITY`](super::IDENTITY): it has to be ours.
    pub(super) expected_server: Option<Ask>,
    /// The limit for connecting to one address and preparing the session.
    pub(super) attempt_timeout: Duration,
    pub(super) timings: Timings,
    base: tokio_postgres::Config,
}

/// Which settings have their defaults. An error that follows from them should say so.
#[derive(Debug, Clone, Copy)]
struct NotGiven {
    connection: bool,
    host: bool,
    user: bool,
    database: bool,
}

impl NotGiven {
    fn of(fields: &Fields) -> Self {
        let host = fields.host.is_none() && fields.host_address.is_none();
        let (user, database) = (fields.user.is_none(), fields.database.is_none());
        let connection = host && user && database && fields.port.is_none() && fields.password.is_none();
        Self { connection, host, user, database }
    }
}

/// The longest that one address may take when no `connect_timeout` says otherwise: a second address, or the next
/// attempt, must not wait for a dead one for ever.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

impl Settings {
    /// Checks `fields` and fills in libpq's defaults.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] names the field.
    pub fn new(fields: Fields, timings: Timings) -> Result<Self, Error> {
        let timings = timings.capped();
        fields.check_for_nul()?;
        fields.demands.check()?;
        fields.check_for_url()?;
        let addresses = fields.host_address.as_deref();
        let targets = targets(
            fields.host.as_deref().or(addresses).unwrap_or("localhost"),
            addresses.unwrap_or_default(),
            fields.port.as_deref().unwrap_or(DEFAULT_PORT),
        )?;
        let not_given = NotGiven::of(&fields);
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
        let tls = Tls::new(&fields)?;
        let methods = Methods::new(fields.require_auth.as_deref().unwrap_or_default())?;
        let channel_binding = match fields.channel_binding.as_deref() {
            None | Some("prefer") => ChannelBinding::Prefer,
            Some("disable") => ChannelBinding::Disable,
            Some("require") => ChannelBinding::Require,
            Some(_) => {
                return Err(Error::InvalidOptions(
                    "channel_binding must be disable, prefer or require".into(),
                ));
            }
        };
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
        base.channel_binding(channel_binding);
        let application_name = fields.application_name.or(fields.fallback_application_name);
        base.application_name(application_name.unwrap_or_else(default_application_name));
        if let Some(user) = fields.user.or(fields.default_user) {
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
            tls,
            methods,
            not_given,
            expected_server: None,
            attempt_timeout: limit,
            timings,
            base,
        })
    }

    /// Has every session compared with the server and the database that a caller works on, before it is believed.
    ///
    /// `ask` gives the answer to [`IDENTITY`](super::IDENTITY) from there. An error stands for "not known", and then
    /// nothing is compared.
    #[must_use]
    pub fn expecting(self, ask: Ask) -> Self {
        Self { expected_server: Some(ask), ..self }
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
                config.password(ask.ask().await.map_err(Error::PasswordFunction)?);
            }
        }
        Ok(config)
    }

    /// An error of connecting, and, where a default may be to blame, that it is one.
    pub(super) fn explain(&self, error: Error) -> Error {
        let note = match &error {
            _ if self.not_given.connection => "no connection was given: these are the defaults",
            Error::HostNotFound { .. } | Error::Unreachable { .. } | Error::Timeout { .. }
                if self.not_given.host =>
            {
                "no host was given: localhost is the default"
            }
            Error::Authentication(_) if self.not_given.user => {
                "no user was given: the process's own is the default"
            }
            Error::UnknownDatabase(_) | Error::PermissionDenied(_) if self.not_given.database => {
                "no database was given: the user's name is the default"
            }
            _ => return error,
        };
        Error::Explained { error: Box::new(error), note }
    }
}

/// Tells an operator which process this is.
fn default_application_name() -> String {
    format!("pg-generations/{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::Pem;

    fn url(text: &str) -> Fields {
        Fields::from_url(text).unwrap()
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
            (Fields { host: Some("@socket".into()), ..Fields::default() }, "abstract"),
            (Fields { host: Some("postgres://u:s3cret@h/d".into()), ..Fields::default() }, "host"),
            (Fields { host: Some("u:s3cret@h".into()), ..Fields::default() }, "host"),
            (Fields { database: Some("postgres://u:s3cret@h/d".into()), ..Fields::default() }, "database"),
            (Fields { host: Some("u:s3cret".into()), ..Fields::default() }, "host"),
            (Fields { host: Some("a,u:s3cret".into()), ..Fields::default() }, "host"),
            (Fields { database: Some("u:s3cret@h".into()), ..Fields::default() }, "database"),
            (Fields { user: Some("postgres://u:s3cret@h/d".into()), ..Fields::default() }, "user"),
            (Fields { options: Some("postgres://u:s3cret@h/d".into()), ..Fields::default() }, "options"),
            (
                Fields {
                    ssl_root_cert: Some(Pem::File("postgres://u:s3cret@h/d".into())),
                    ..Fields::default()
                },
                "sslrootcert",
            ),
            (
                Fields { ssl_cert: Some(Pem::File("postgres://u:s3cret@h/d".into())), ..Fields::default() },
                "sslcert",
            ),
            (
                Fields { ssl_key: Some(Pem::File("postgres://u:s3cret@h/d".into())), ..Fields::default() },
                "sslkey",
            ),
            (Fields { host_address: Some("s3cret".into()), ..Fields::default() }, "hostaddr"),
            (
                Fields { host_address: Some("::1,::1".into()), host: Some("a".into()), ..Fields::default() },
                "hostaddr",
            ),
            (Fields { ssl_mode: Some("maybe".into()), ..Fields::default() }, "sslmode"),
            (
                Fields { target_session_attrs: Some("standby".into()), ..Fields::default() },
                "target_session_attrs",
            ),
            (Fields { connect_timeout: Some("soon".into()), ..Fields::default() }, "connect_timeout"),
            (Fields { application_name: Some("a\0b".into()), ..Fields::default() }, "application_name"),
            (Fields { password: Some(Password::Fixed("\0".into())), ..Fields::default() }, "password"),
        ];
        for (fields, name) in cases {
            let error = Settings::new(fields, Timings::default()).unwrap_err();
            assert_eq!(error.code(), "PGGEN_INVALID_OPTIONS");
            let text = error.to_string();
            assert!(text.contains(name) && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn what_only_resembles_a_url_is_taken() {
        let fields = Fields {
            host: Some("::1,fe80::1%eth0,/run/a:b@c,h".into()),
            user: Some("u:x@corp.example".into()),
            database: Some("d@e:f".into()),
            options: Some("-c search_path=a -c timezone=Europe/Paris".into()),
            application_name: Some("https://app.example/".into()),
            ssl_mode: Some("disable".into()),
            ..Fields::default()
        };
        Settings::new(fields, Timings::default()).unwrap();
    }

    #[test]
    fn an_error_that_a_default_may_have_made_says_so() {
        let explained =
            |fields, error| Settings::new(fields, Timings::default()).unwrap().explain(error).to_string();
        let refused = || Error::Unreachable {
            address: "127.0.0.1:5432".into(),
            source: std::sync::Arc::new(std::io::ErrorKind::ConnectionRefused.into()),
        };
        let system = || Fields { default_user: Some("u".into()), ..Fields::default() };
        assert!(
            explained(system(), refused()).ends_with("(no connection was given: these are the defaults)")
        );
        let some = Fields { database: Some("d".into()), ..system() };
        assert!(explained(some, refused()).ends_with("(no host was given: localhost is the default)"));
        let host = Fields { host: Some("h".into()), ..system() };
        assert_eq!(explained(host, refused()), refused().to_string());
    }

    #[test]
    fn what_cannot_be_checked_is_not_left_out() {
        let contradictions = [
            "sslmode=prefer&sslrootcert=/root.crt",
            "sslmode=require&sslrootcert=system",
            "sslmode=verify-ca&sslrootcert=system",
            "sslmode=disable&sslcrl=/list",
            "sslcertmode=require",
            "ssl_min_protocol_version=TLSv2",
            "ssl_max_protocol_version=TLSv1.1",
            "ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
            "channel_binding=maybe",
            "require_auth=scram",
            "ssl=maybe",
        ];
        for query in contradictions {
            let refused = Fields::from_url(&format!("postgres://h/d?{query}"))
                .and_then(|fields| Settings::new(fields, Timings::default()));
            assert_eq!(refused.unwrap_err().code(), "PGGEN_INVALID_OPTIONS", "{query}");
        }
        let harmless = [
            "sslcrl=",
            "sslcertmode=allow",
            "ssl_min_protocol_version=TLSv1",
            "ssl_max_protocol_version=TLSv1.3",
            "sslrootcert=",
            "require_auth=",
        ];
        for query in harmless {
            Settings::new(url(&format!("postgres://h/d?{query}")), Timings::default()).unwrap();
        }
    }

    #[test]
    fn no_debug_print_shows_a_password() {
        let settings = Settings::new(url("postgres://u:s3cret@h/d"), Timings::default()).unwrap();
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert!(!format!("{:?}", url("postgres://u:s3cret@h/d?password=s3cret2")).contains("s3cret"));
        let key = Fields { ssl_key: Some(Pem::Text("s3cret".into())), ..Fields::default() };
        assert!(!format!("{:?}", Settings::new(key, Timings::default()).unwrap()).contains("s3cret"));
    }
}
