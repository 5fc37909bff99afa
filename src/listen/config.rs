//! Settings that can be dialled: checked, and with the defaults filled in.

use std::time::Duration;

use tokio_postgres::config::ChannelBinding;

use super::fields::{DEFAULT_PORT, Fields, Password};
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
    /// [`Error::InvalidOptions`] names the field.
    pub fn new(fields: Fields, timings: Timings) -> Result<Self, Error> {
        let timings = timings.capped();
        fields.check_for_nul()?;
        let targets = targets(
            fields.host.as_deref().unwrap_or("localhost"),
            fields.port.as_deref().unwrap_or(DEFAULT_PORT),
        )?;
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
            tls,
            attempt_timeout: limit,
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
    fn a_bad_url_is_refused_without_repeating_it() {
        let bad_urls = [
            "",
            "nonsense",
            "http://u:s3cret@h/d",
            "postgres://u:s3cret@h:port/d",
            "postgres://u:s3/cret@h:x/d",
            "postgres://u:s3cret%ff@h",
            "postgres://u:p@s3cret/word@h/d",
            "postgres://u:p@s3cret?word@h/d",
            "postgres://u:s3cret@a,,b",
        ];
        for bad in bad_urls {
            let refused = Fields::from_url(bad).and_then(|fields| Settings::new(fields, Timings::default()));
            let error = refused.unwrap_err();
            assert_eq!(error.code(), "PGGEN_INVALID_OPTIONS");
            assert!(!error.to_string().contains("s3"), "{error}");
        }
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
            (Fields { application_name: Some("a\0b".into()), ..Fields::default() }, "application_name"),
            (Fields { password: Some(Password::Fixed("\0".into())), ..Fields::default() }, "password"),
        ];
        for (fields, name) in cases {
            let error = Settings::new(fields, Timings::default()).unwrap_err();
            assert_eq!(error.code(), "PGGEN_INVALID_OPTIONS");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_checked_is_not_left_out() {
        let contradictions = [
            "sslmode=prefer&sslrootcert=/root.crt",
            "sslmode=require&sslrootcert=system",
            "sslmode=verify-ca&sslrootcert=system",
            "sslmode=require&sslcrl=/list",
            "ssl_min_protocol_version=TLSv1.3",
            "channel_binding=maybe",
            "ssl=maybe",
        ];
        for query in contradictions {
            let refused = Fields::from_url(&format!("postgres://h/d?{query}"))
                .and_then(|fields| Settings::new(fields, Timings::default()));
            assert_eq!(refused.unwrap_err().code(), "PGGEN_INVALID_OPTIONS", "{query}");
        }
        for query in ["sslmode=disable&sslcrl=/list", "ssl_min_protocol_version=TLSv1.2", "sslrootcert="] {
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
