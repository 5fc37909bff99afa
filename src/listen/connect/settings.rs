//! Settings that can be dialled: checked, and with the defaults filled in.

use std::time::Duration;

use tokio_postgres::config::ChannelBinding;

use super::authentication::Methods;
use super::conninfo::{Ask, Conninfo};
use super::target::{DEFAULT_PORT, Target, targets};
use super::timings::Timings;
use super::tls::Tls;
use crate::error::Error;

/// Everything a session needs to know, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(in crate::listen) targets: Vec<Target>,
    /// Whether a server that refuses writes is passed over.
    pub(in crate::listen) read_write: bool,
    ask_password: Option<Ask>,
    pub(in crate::listen) tls: Tls,
    /// The ways to log in that will do, if not all do.
    pub(in crate::listen) methods: Option<Methods>,
    not_given: NotGiven,
    /// Tells which server and database a caller works on, see [`IDENTITY`](crate::listen::IDENTITY): it has to be ours.
    pub(in crate::listen) expected_server: Option<Ask>,
    /// The limit for connecting to one address and preparing the session.
    pub(in crate::listen) attempt_timeout: Duration,
    pub(in crate::listen) timings: Timings,
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
    fn of(given: &Conninfo) -> Self {
        let missing = |keyword| given.get(keyword).is_none();
        let host = missing("host") && missing("hostaddr");
        let (user, database) = (missing("user"), missing("dbname"));
        let connection = host && user && database && missing("port") && missing("password");
        Self { connection, host, user, database }
    }
}

/// The longest that one address may take when no `connect_timeout` says otherwise: a second address, or the next
/// attempt, must not wait for a dead one for ever.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

impl Settings {
    /// Checks what is given and fills in libpq's defaults.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] names the setting.
    pub fn new(given: &Conninfo, timings: Timings) -> Result<Self, Error> {
        given.check()?;
        let invalid = |why: &str| Err(Error::InvalidOptions(why.into()));
        let addresses = given.get("hostaddr");
        let targets = targets(
            given.get("host").or(addresses).unwrap_or("localhost"),
            addresses.unwrap_or_default(),
            given.get("port").unwrap_or(DEFAULT_PORT),
        )?;
        let read_write = match given.get("target_session_attrs") {
            None => targets.len() > 1,
            Some("any") => false,
            Some("read-write" | "primary") => true,
            Some(_) => {
                return invalid(
                    "target_session_attrs must be any, read-write or primary: a listener needs the primary",
                );
            }
        };
        let channel_binding = match given.get("channel_binding") {
            None | Some("prefer") => ChannelBinding::Prefer,
            Some("disable") => ChannelBinding::Disable,
            Some("require") => ChannelBinding::Require,
            Some(_) => return invalid("channel_binding must be disable, prefer or require"),
        };
        let attempt_timeout = match given.get("connect_timeout").map(str::parse::<u32>) {
            None | Some(Ok(0)) => ATTEMPT_TIMEOUT,
            Some(Ok(seconds)) => Duration::from_secs(seconds.into()),
            Some(Err(_)) => return invalid("connect_timeout must be a whole number of seconds"),
        };

        let mut base = tokio_postgres::Config::new();
        base.channel_binding(channel_binding);
        let application_name = given.get("application_name").or(given.get("fallback_application_name"));
        base.application_name(application_name.map_or_else(default_application_name, str::to_owned));
        if let Some(user) = given.get("user").or(given.get("default_user")) {
            base.user(user);
        }
        if let Some(password) = given.get("password") {
            base.password(password);
        }
        if let Some(database) = given.get("dbname") {
            base.dbname(database);
        }
        if let Some(options) = given.get("options") {
            base.options(options);
        }
        Ok(Self {
            targets,
            read_write,
            ask_password: None,
            tls: Tls::new(given)?,
            methods: Methods::new(given.get("require_auth").unwrap_or_default())?,
            not_given: NotGiven::of(given),
            expected_server: None,
            attempt_timeout,
            timings: timings.capped(),
            base,
        })
    }

    /// Asks for the password before every attempt, as short-lived tokens need it; one that was given does not count.
    #[must_use]
    pub fn asking_password(mut self, ask: Ask) -> Self {
        self.ask_password = Some(ask);
        self.not_given.connection = false;
        self
    }

    /// Has every session compared with the server and the database that a caller works on, before it is believed.
    ///
    /// `ask` gives the answer to [`IDENTITY`](crate::listen::IDENTITY) from there. An error stands for "not known", and then
    /// nothing is compared.
    #[must_use]
    pub fn expecting(self, ask: Ask) -> Self {
        Self { expected_server: Some(ask), ..self }
    }

    /// What the protocol needs to log in, with the password of the moment.
    pub(in crate::listen) async fn login(&self) -> Result<tokio_postgres::Config, Error> {
        let mut config = self.base.clone();
        if let Some(ask) = &self.ask_password {
            config.password(ask.ask().await.map_err(Error::PasswordFunction)?);
        }
        Ok(config)
    }

    /// An error of connecting, and, where a default may be to blame, that it is one.
    pub(in crate::listen) fn explain(&self, error: Error) -> Error {
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

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, Error> {
        let given =
            pairs.iter().fold(Conninfo::default(), |given, (keyword, value)| given.with(keyword, value));
        Settings::new(&given, Timings::default())
    }

    #[test]
    fn several_hosts_want_a_server_that_takes_writes() {
        let two = ("host", "a,b");
        let both = settings(&[two]).unwrap();
        assert!(both.read_write);
        assert_eq!(both.targets.iter().map(|t| t.port).collect::<Vec<_>>(), [5432, 5432]);
        assert!(!settings(&[]).unwrap().read_write);
        assert!(!settings(&[two, ("target_session_attrs", "any")]).unwrap().read_write);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let url = "postgres://u:s3cret@h/d";
        let cases = [
            ("port", "0", "port"),
            ("port", "65536", "port"),
            ("port", "1,2", "port"),
            ("host", "a,,b", "host"),
            ("host", "@socket", "abstract"),
            ("host", url, "host"),
            ("host", "u:s3cret@h", "host"),
            ("dbname", url, "database"),
            ("host", "u:s3cret", "host"),
            ("host", "a,u:s3cret", "host"),
            ("dbname", "u:s3cret@h", "database"),
            ("user", url, "user"),
            ("options", url, "options"),
            ("sslrootcert", url, "sslrootcert"),
            ("sslcert", url, "sslcert"),
            ("sslkey", url, "sslkey"),
            ("hostaddr", "s3cret", "hostaddr"),
            ("hostaddr", "::1,::1", "hostaddr"),
            ("sslmode", "maybe", "sslmode"),
            ("target_session_attrs", "standby", "target_session_attrs"),
            ("connect_timeout", "soon", "connect_timeout"),
            ("application_name", "a\0b", "application_name"),
            ("password", "\0", "password"),
        ];
        for (keyword, value, name) in cases {
            let beside = if keyword == "hostaddr" { &[("host", "a")][..] } else { &[] };
            let error = settings(&[beside, &[(keyword, value)]].concat()).unwrap_err();
            assert_eq!(error.code(), "PGGEN_INVALID_OPTIONS");
            let text = error.to_string();
            assert!(text.contains(name) && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn what_only_resembles_a_url_is_taken() {
        settings(&[
            ("host", "::1,fe80::1%eth0,/run/a:b@c,h"),
            ("user", "u:x@corp.example"),
            ("dbname", "d@e:f"),
            ("options", "-c search_path=a -c timezone=Europe/Paris"),
            ("application_name", "https://app.example/"),
            ("sslmode", "disable"),
        ])
        .unwrap();
    }

    #[test]
    fn an_error_that_a_default_may_have_made_says_so() {
        let explained = |pairs: &[_], error| settings(pairs).unwrap().explain(error).to_string();
        let refused = || Error::Unreachable {
            address: "127.0.0.1:5432".into(),
            source: std::sync::Arc::new(std::io::ErrorKind::ConnectionRefused.into()),
        };
        let system = ("default_user", "u");
        assert!(
            explained(&[system], refused()).ends_with("(no connection was given: these are the defaults)")
        );
        let some = [system, ("dbname", "d")];
        assert!(explained(&some, refused()).ends_with("(no host was given: localhost is the default)"));
        assert_eq!(explained(&[system, ("host", "h")], refused()), refused().to_string());
    }

    #[test]
    fn what_cannot_be_checked_is_not_left_out() {
        let contradictions: [&[(&str, &str)]; _] = [
            &[("sslmode", "prefer"), ("sslrootcert", "/root.crt")],
            &[("sslmode", "require"), ("sslrootcert", "system")],
            &[("sslmode", "verify-ca"), ("sslrootcert", "system")],
            &[("sslmode", "disable"), ("sslcrl", "/list")],
            &[("sslcertmode", "require")],
            &[("ssl_min_protocol_version", "TLSv2")],
            &[("ssl_max_protocol_version", "TLSv1.1")],
            &[("ssl_min_protocol_version", "TLSv1.3"), ("ssl_max_protocol_version", "TLSv1.2")],
            &[("channel_binding", "maybe")],
            &[("require_auth", "scram")],
        ];
        for pairs in contradictions {
            assert_eq!(settings(pairs).unwrap_err().code(), "PGGEN_INVALID_OPTIONS", "{pairs:?}");
        }
        let harmless = [
            ("sslcrl", ""),
            ("sslcertmode", "allow"),
            ("ssl_min_protocol_version", "TLSv1"),
            ("ssl_max_protocol_version", "TLSv1.3"),
            ("sslrootcert", ""),
            ("require_auth", ""),
        ];
        for pair in harmless {
            settings(&[pair]).unwrap();
        }
    }

    #[test]
    fn no_debug_print_shows_a_password() {
        let shown = format!("{:?}", settings(&[("password", "s3cret"), ("sslkey", "s3cret\n")]).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
