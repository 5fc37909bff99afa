//! Connection settings as a user gives them: a URL, fields, the environment.
//!
//! Settings come in layers; a field that one layer leaves out falls through to the next. Which layers there are
//! and in which order is the caller's business.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::error::Error;

/// The port where none is given.
pub(super) const DEFAULT_PORT: &str = "5432";

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

/// Certificates, or a key, as PEM. Its debug print shows nothing of the text.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In a file, which is read before every attempt.
    File(PathBuf),
    /// Given as they are.
    Text(String),
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.write_str("Text(_)"),
        }
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
    /// `disable`, `allow`, `prefer`, `no-verify`, `require`, `verify-ca` or `verify-full`.
    pub ssl_mode: Option<String>,
    /// The authorities that may vouch for the server. A file named `system` stands for those the system trusts.
    pub ssl_root_cert: Option<Pem>,
    /// Our certificate, followed by those that lead from it to one the server knows.
    pub ssl_cert: Option<Pem>,
    /// Its private key.
    pub ssl_key: Option<Pem>,
    /// Whom the server's certificate has to be for, if not for the host.
    pub ssl_server_name: Option<String>,
    /// Where libpq's default files are: `~/.postgresql`.
    pub ssl_directory: Option<PathBuf>,
    /// A setting that demands something of TLS which cannot be given: leaving it out would weaken the rest.
    pub ssl_unsupported: Option<&'static str>,
    /// `disable`, `prefer` or `require`.
    pub channel_binding: Option<String>,
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
        let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) else {
            return Err(invalid("it must begin with postgres:// or postgresql://"));
        };
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = base.split_once('/').unwrap_or((base, ""));
        // A raw @ in a password is not valid, but it is what people write, and it does no harm. A raw / or ? does: what
        // follows would be taken for something that messages show.
        let stray = |text: &str| text.contains('@');
        if stray(database) || query.split('&').any(|pair| stray(pair.split('=').next().unwrap_or(pair))) {
            return Err(invalid("percent-encode / ? # and @ in user and password"));
        }
        let (login, servers) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (hosts, ports) = servers.split(',').map(host_and_port).unzip::<_, _, Vec<_>, Vec<_>>();

        let decode = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.map(Cow::into_owned).map_err(|_| invalid("an escape in it is not UTF-8"))
        };
        let set = |text: &str| if text.is_empty() { Ok(None) } else { decode(text).map(Some) };
        // One port that is left out among several stands for the default; all left out stand for nothing.
        let ports_given = ports.iter().any(|port| !port.is_empty());
        let ports = ports.into_iter().map(|port| if port.is_empty() { DEFAULT_PORT } else { port });
        let mut fields = Self {
            host: set(&hosts.join(","))?,
            port: ports_given.then(|| ports.collect::<Vec<_>>().join(",")),
            user: set(user)?,
            password: set(password)?.map(Password::Fixed),
            database: set(database)?,
            ..Self::default()
        };
        let mut ssl = None;
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = Some(value.into_owned());
            match &*key {
                "host" => fields.host = value,
                "port" => fields.port = value,
                "user" => fields.user = value,
                "password" => fields.password = value.map(Password::Fixed),
                "dbname" => fields.database = value,
                "sslmode" => fields.ssl_mode = value,
                "ssl" => ssl = value,
                "sslrootcert" => fields.ssl_root_cert = value.and_then(file),
                "sslcert" => fields.ssl_cert = value.and_then(file),
                "sslkey" => fields.ssl_key = value.and_then(file),
                "channel_binding" => fields.channel_binding = value,
                "application_name" => fields.application_name = value,
                "options" => fields.options = value,
                "target_session_attrs" => fields.target_session_attrs = value,
                "connect_timeout" => fields.connect_timeout = value,
                name => {
                    fields.ssl_unsupported = fields.ssl_unsupported.or(unsupported(name, value.as_deref()));
                }
            }
        }
        // Another way to say it, which node-postgres and JDBC know; sslmode is the more exact one.
        let mode = match ssl.as_deref() {
            None => None,
            Some("true" | "1") => Some("verify-full"),
            Some("false" | "0") => Some("disable"),
            Some(_) => return Err(invalid("ssl must be true or false")),
        };
        fields.ssl_mode = fields.ssl_mode.or(mode.map(str::to_owned));
        Ok(fields)
    }

    /// Reads libpq's variables, and `HOME`, through `lookup`. An empty variable counts as unset.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Self {
            host: get("PGHOST"),
            port: get("PGPORT"),
            user: get("PGUSER"),
            password: get("PGPASSWORD").map(Password::Fixed),
            database: get("PGDATABASE"),
            ssl_mode: get("PGSSLMODE"),
            ssl_root_cert: get("PGSSLROOTCERT").and_then(file),
            ssl_cert: get("PGSSLCERT").and_then(file),
            ssl_key: get("PGSSLKEY").and_then(file),
            ssl_server_name: None,
            ssl_directory: get("HOME").map(|home| PathBuf::from(home).join(".postgresql")),
            ssl_unsupported: UNSUPPORTED
                .iter()
                .find_map(|(name, variable)| unsupported(name, get(variable).as_deref())),
            channel_binding: get("PGCHANNELBINDING"),
            application_name: get("PGAPPNAME"),
            options: get("PGOPTIONS"),
            target_session_attrs: get("PGTARGETSESSIONATTRS"),
            connect_timeout: get("PGCONNECT_TIMEOUT"),
        }
    }

    /// PostgreSQL's protocol ends each text with a NUL.
    pub(super) fn check_for_nul(&self) -> Result<(), Error> {
        let password = match &self.password {
            Some(Password::Fixed(password)) => Some(password),
            Some(Password::Ask(_)) | None => None,
        };
        let sent = [
            ("user", self.user.as_ref()),
            ("password", password),
            ("database", self.database.as_ref()),
            ("application_name", self.application_name.as_ref()),
            ("options", self.options.as_ref()),
        ];
        match sent.iter().find(|(_, text)| text.is_some_and(|text| text.contains('\0'))) {
            Some((name, _)) => Err(Error::InvalidOptions(format!("{name} must not contain a NUL character"))),
            None => Ok(()),
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
            ssl_root_cert: self.ssl_root_cert.or(lower.ssl_root_cert),
            ssl_cert: self.ssl_cert.or(lower.ssl_cert),
            ssl_key: self.ssl_key.or(lower.ssl_key),
            ssl_server_name: self.ssl_server_name.or(lower.ssl_server_name),
            ssl_directory: self.ssl_directory.or(lower.ssl_directory),
            ssl_unsupported: self.ssl_unsupported.or(lower.ssl_unsupported),
            channel_binding: self.channel_binding.or(lower.channel_binding),
            application_name: self.application_name.or(lower.application_name),
            options: self.options.or(lower.options),
            target_session_attrs: self.target_session_attrs.or(lower.target_session_attrs),
            connect_timeout: self.connect_timeout.or(lower.connect_timeout),
        }
    }
}

/// An empty path is none, as libpq has it.
fn file(path: String) -> Option<Pem> {
    (!path.is_empty()).then(|| Pem::File(path.into()))
}

/// libpq's settings that demand more than we can check, and their variables.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
];

/// The name of a setting whose value demands more than is done.
fn unsupported(name: &str, value: Option<&str>) -> Option<&'static str> {
    let (name, _) = UNSUPPORTED.into_iter().find(|(known, _)| *known == name)?;
    // Below TLS 1.2 we never go.
    let value = value.filter(|value| !matches!(*value, "" | "TLSv1" | "TLSv1.1" | "TLSv1.2"));
    value.map(|_| name)
}

/// Splits `host`, `host:port`, `[v6]` and `[v6]:port`.
fn host_and_port(server: &str) -> (&str, &str) {
    if let Some((v6, rest)) = server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (v6, rest.strip_prefix(':').unwrap_or(rest));
    }
    server.split_once(':').unwrap_or((server, ""))
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
    fn a_port_left_out_is_left_out_unless_its_neighbour_has_one() {
        assert_eq!(url("postgres://a,b/d").port, None);
        assert_eq!(url("postgres://a:1,b/d").port.as_deref(), Some("1,5432"));
        let v6 = url("postgres://[::1]:7/d");
        assert_eq!((v6.host.as_deref(), v6.port.as_deref()), (Some("::1"), Some("7")));
        assert_eq!(url("postgres://[::1]/d").port, None);
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
}
