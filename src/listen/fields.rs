//! Connection settings as a user gives them: by libpq's keywords, in a URL, an object, or the environment.
//!
//! Settings come in layers; a field that one layer leaves out falls through to the next. Which layers there are
//! and in which order is the caller's business.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use super::libpq::{Demands, SETTINGS};
use crate::error::Error;

/// Where a password comes from. Its debug print shows nothing of it.
#[derive(Clone)]
pub enum Password {
    /// Known from the start.
    Fixed(String),
    /// Asked for before every attempt, as short-lived tokens need it.
    Ask(Ask),
}

/// A question that is put to the caller, anew each time.
#[derive(Clone)]
pub struct Ask(Arc<dyn Fn() -> Answer + Send + Sync>);

/// The answer to an [`Ask`], once it comes; or why there is none.
pub type Answer = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

impl Ask {
    /// A question that `ask` puts.
    pub fn new(ask: impl Fn() -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(super) fn ask(&self) -> Answer {
        (self.0)()
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ask(_)")
    }
}

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
    /// The addresses of these hosts, where their names are not to be resolved, separated by commas.
    pub host_address: Option<String>,
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
    /// `allow` or `disable`: whether the server may see our certificate.
    pub ssl_cert_mode: Option<String>,
    /// The oldest TLS that will do.
    pub ssl_min_version: Option<String>,
    /// The newest.
    pub ssl_max_version: Option<String>,
    /// The ways to log in that will do, or, each with an exclamation mark, those that will not.
    pub require_auth: Option<String>,
    /// `disable`, `prefer` or `require`.
    pub channel_binding: Option<String>,
    /// What `pg_stat_activity` shows.
    pub application_name: Option<String>,
    /// The same, if no layer gives one.
    pub fallback_application_name: Option<String>,
    /// Command-line options for the server's backend, as in `PGOPTIONS`.
    pub options: Option<String>,
    /// `any`, `read-write` or `primary`.
    pub target_session_attrs: Option<String>,
    /// The limit for one attempt to connect, in seconds; 0 stands for none of its own.
    pub connect_timeout: Option<String>,
    /// The role to log in as where none is given.
    pub default_user: Option<String>,
    /// Settings that are refused where they demand something.
    pub demands: Demands,
}

impl Fields {
    /// Gives one of libpq's settings, by its keyword; another keyword changes nothing.
    pub fn set(&mut self, keyword: &str, value: String) {
        let field = match keyword {
            "host" => &mut self.host,
            "hostaddr" => &mut self.host_address,
            "port" => &mut self.port,
            "user" => &mut self.user,
            "password" => return self.password = Some(Password::Fixed(value)),
            "dbname" => &mut self.database,
            "sslmode" => &mut self.ssl_mode,
            "requiressl" if value.starts_with('1') => {
                self.ssl_mode.get_or_insert_with(|| "require".into());
                return;
            }
            "sslrootcert" => return self.ssl_root_cert = file(value),
            "sslcert" => return self.ssl_cert = file(value),
            "sslkey" => return self.ssl_key = file(value),
            "sslcertmode" => &mut self.ssl_cert_mode,
            "ssl_min_protocol_version" => &mut self.ssl_min_version,
            "ssl_max_protocol_version" => &mut self.ssl_max_version,
            "require_auth" => &mut self.require_auth,
            "channel_binding" => &mut self.channel_binding,
            "application_name" => &mut self.application_name,
            "fallback_application_name" => &mut self.fallback_application_name,
            "options" => &mut self.options,
            "target_session_attrs" => &mut self.target_session_attrs,
            "connect_timeout" => &mut self.connect_timeout,
            _ => return self.demands.note(keyword, &value),
        };
        *field = Some(value);
    }

    /// Reads libpq's variables, `HOME`, and `USER` for the name of the process's user. An empty variable counts as unset.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let mut fields = Self {
            ssl_directory: get("HOME").map(|home| PathBuf::from(home).join(".postgresql")),
            default_user: get("USER"),
            ..Self::default()
        };
        for setting in &SETTINGS {
            if let Some(value) = setting.variable.and_then(get) {
                fields.set(setting.keyword, value);
            }
        }
        fields
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
            ("fallback_application_name", self.fallback_application_name.as_ref()),
            ("options", self.options.as_ref()),
        ];
        match sent.iter().find(|(_, text)| text.is_some_and(|text| text.contains('\0'))) {
            Some((name, _)) => Err(Error::InvalidOptions(format!("{name} must not contain a NUL character"))),
            None => Ok(()),
        }
    }

    /// A URL in the wrong place would be shown, with its password, by the errors of the server or the file system.
    pub(super) fn check_for_url(&self) -> Result<(), Error> {
        let file = |pem: &Option<Pem>| match pem {
            Some(Pem::File(path)) => Some(path.to_string_lossy().into_owned()),
            Some(Pem::Text(_)) | None => None,
        };
        let shown = [
            ("user", self.user.clone()),
            ("database", self.database.clone()),
            ("options", self.options.clone()),
            ("sslrootcert", file(&self.ssl_root_cert)),
            ("sslcert", file(&self.ssl_cert)),
            ("sslkey", file(&self.ssl_key)),
        ];
        let url = shown.iter().find(|(_, text)| text.as_ref().is_some_and(|text| text.contains("://")));
        let login = self.database.as_ref().and_then(|name| name.split_once(':'));
        match url {
            Some((name, _)) => Err(Error::InvalidOptions(format!("{name} must not be a URL"))),
            None if login.is_some_and(|(_, rest)| rest.contains('@')) => {
                Err(Error::InvalidOptions("the database must be a name, and not user:password@host".into()))
            }
            None => Ok(()),
        }
    }

    /// These fields, and where one is not set, that of `lower`.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        Self {
            // An address belongs to the host beside it: below another host it would lead elsewhere.
            host_address: self.host_address.or(lower.host_address.filter(|_| self.host.is_none())),
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
            ssl_cert_mode: self.ssl_cert_mode.or(lower.ssl_cert_mode),
            ssl_min_version: self.ssl_min_version.or(lower.ssl_min_version),
            ssl_max_version: self.ssl_max_version.or(lower.ssl_max_version),
            require_auth: self.require_auth.or(lower.require_auth),
            channel_binding: self.channel_binding.or(lower.channel_binding),
            application_name: self.application_name.or(lower.application_name),
            fallback_application_name: self.fallback_application_name.or(lower.fallback_application_name),
            options: self.options.or(lower.options),
            target_session_attrs: self.target_session_attrs.or(lower.target_session_attrs),
            connect_timeout: self.connect_timeout.or(lower.connect_timeout),
            default_user: self.default_user.or(lower.default_user),
            demands: self.demands.or(lower.demands),
        }
    }
}

/// An empty path is none, as libpq has it.
fn file(path: String) -> Option<Pem> {
    (!path.is_empty()).then(|| Pem::File(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn an_address_goes_with_its_host() {
        let addressed = |host: Option<&str>| Fields {
            host: host.map(str::to_owned),
            host_address: Some("10.0.0.1".into()),
            ..Fields::default()
        };
        let named = || Fields { host: Some("a".into()), ..Fields::default() };
        assert_eq!(named().or(addressed(Some("b"))).host_address, None);
        assert_eq!(named().or(addressed(None)).host_address, None);
        assert_eq!(addressed(None).or(named()).host.as_deref(), Some("a"));
        assert!(Fields::default().or(addressed(Some("b"))).host_address.is_some());
    }

    #[test]
    fn the_oldest_variable_for_tls_yields_to_the_others() {
        let env = |mode: Option<&'static str>| {
            Fields::from_env(move |name| match name {
                "PGREQUIRESSL" => Some("1".into()),
                "PGSSLMODE" => mode.map(str::to_owned),
                _ => None,
            })
        };
        assert_eq!(env(None).ssl_mode.as_deref(), Some("require"));
        assert_eq!(env(Some("verify-full")).ssl_mode.as_deref(), Some("verify-full"));
    }
}
