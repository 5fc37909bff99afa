//! libpq's connection settings, and what becomes of each: the one table for URLs, option objects and the environment.
//!
//! A setting that demands something is honoured or refused, never left out in silence. The table in
//! `docs/connection.md` is this list.

use self::Handling::{Honoured, NoEffect, Refused};
use crate::error::Error;

/// What becomes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handling {
    /// It is read by [`Settings::new`](super::Settings::new), which refuses a value that cannot be honoured.
    Honoured,
    /// It is refused, except with these values, which demand nothing.
    Refused(&'static [&'static str]),
    /// It is accepted, since it demands nothing that it would have to be refused for.
    NoEffect,
}

/// One of libpq's settings.
#[derive(Debug)]
pub(super) struct Setting {
    pub keyword: &'static str,
    /// The variable that gives it.
    pub variable: Option<&'static str>,
    pub handling: Handling,
    /// What it is here, or why it is not, in Markdown.
    pub note: &'static str,
}

const fn setting(
    keyword: &'static str,
    variable: &'static str,
    handling: Handling,
    note: &'static str,
) -> Setting {
    let variable = if variable.is_empty() { None } else { Some(variable) };
    Setting { keyword, variable, handling, note }
}

/// The settings of libpq 18, `servicefile` of its successor, and the older `requiressl`, which it still takes.
#[rustfmt::skip]
pub(super) const SETTINGS: [Setting; 52] = [
    setting("host", "PGHOST", Honoured, "a name, an address or a socket directory; several are tried in order"),
    setting("hostaddr", "PGHOSTADDR", Honoured, "the address to dial; `host` is then the name for TLS alone"),
    setting("port", "PGPORT", Honoured, ""),
    setting("dbname", "PGDATABASE", Honoured, ""),
    setting("user", "PGUSER", Honoured, ""),
    setting("password", "PGPASSWORD", Honoured, ""),
    setting("passfile", "PGPASSFILE", NoEffect, "it is not read: a login that needs a password from it fails"),
    setting("require_auth", "PGREQUIREAUTH", Honoured, ""),
    setting("channel_binding", "PGCHANNELBINDING", Honoured, ""),
    setting("connect_timeout", "PGCONNECT_TIMEOUT", Honoured, "in seconds, for one address; 0 stands for the default, 10"),
    setting("application_name", "PGAPPNAME", Honoured, ""),
    setting("fallback_application_name", "", Honoured, ""),
    setting("options", "PGOPTIONS", Honoured, ""),
    setting("target_session_attrs", "PGTARGETSESSIONATTRS", Honoured, "`any`, `read-write` or `primary`; others are refused, since a standby has no LISTEN"),
    setting("sslmode", "PGSSLMODE", Honoured, ""),
    setting("requiressl", "PGREQUIRESSL", Honoured, "`1` is `sslmode=require` where no mode is given beside it"),
    setting("sslrootcert", "PGSSLROOTCERT", Honoured, "a file, or the PEM itself; `system` for the roots of the system"),
    setting("sslcert", "PGSSLCERT", Honoured, "a file, or the PEM itself"),
    setting("sslkey", "PGSSLKEY", Honoured, "a file, or the PEM itself"),
    setting("sslcertmode", "PGSSLCERTMODE", Honoured, "`allow` or `disable`; `require` is refused"),
    setting("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Honoured, "never below TLS 1.2"),
    setting("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Honoured, "`TLSv1.2` or `TLSv1.3`; an older one is refused"),
    setting("sslpassword", "", Refused(&[]), "a key with a passphrase cannot be read"),
    setting("sslcrl", "PGSSLCRL", Refused(&[]), "revocation lists are not checked"),
    setting("sslcrldir", "PGSSLCRLDIR", Refused(&[]), "revocation lists are not checked"),
    setting("sslsni", "PGSSLSNI", Refused(&["1"]), "the name of the host is always sent"),
    setting("sslnegotiation", "PGSSLNEGOTIATION", Refused(&["postgres"]), "TLS is always asked for first"),
    setting("sslcompression", "PGSSLCOMPRESSION", Refused(&["0"]), "TLS is never compressed"),
    setting("sslkeylogfile", "", Refused(&[]), "no keys are written to a file"),
    setting("requirepeer", "PGREQUIREPEER", Refused(&[]), "the owner of the server's process is not checked; use TLS and `sslmode=verify-full`"),
    setting("gssencmode", "PGGSSENCMODE", Refused(&["prefer", "disable"]), "there is no GSSAPI; use TLS and `sslmode=verify-full`"),
    setting("gssdelegation", "PGGSSDELEGATION", NoEffect, "there is no GSSAPI: a server that asks for it is refused"),
    setting("krbsrvname", "PGKRBSRVNAME", NoEffect, "there is no GSSAPI: a server that asks for it is refused"),
    setting("gsslib", "PGGSSLIB", NoEffect, "there is no GSSAPI: a server that asks for it is refused"),
    setting("scram_client_key", "", Refused(&[]), "give a password"),
    setting("scram_server_key", "", Refused(&[]), "give a password"),
    setting("oauth_issuer", "", Refused(&[]), "there is no OAuth; give a password"),
    setting("oauth_client_id", "", Refused(&[]), "there is no OAuth; give a password"),
    setting("oauth_client_secret", "", Refused(&[]), "there is no OAuth; give a password"),
    setting("oauth_scope", "", Refused(&[]), "there is no OAuth; give a password"),
    setting("service", "PGSERVICE", Refused(&[]), "service files are not read; give the settings themselves"),
    setting("servicefile", "PGSERVICEFILE", NoEffect, "it is looked at for a `service` alone, which is refused"),
    setting("load_balance_hosts", "PGLOADBALANCEHOSTS", Refused(&["disable"]), "hosts are tried in order"),
    setting("replication", "", Refused(&["false", "off", "no", "0"]), "a replication connection has no LISTEN"),
    setting("min_protocol_version", "PGMINPROTOCOLVERSION", Refused(&["3.0"]), "protocol 3.0 is spoken"),
    setting("max_protocol_version", "PGMAXPROTOCOLVERSION", NoEffect, "protocol 3.0 is spoken, the lowest that there is"),
    setting("client_encoding", "PGCLIENTENCODING", NoEffect, "it is UTF8, or SQL_ASCII where the database is not in UTF8"),
    setting("keepalives", "", NoEffect, KEEPALIVE),
    setting("keepalives_idle", "", NoEffect, KEEPALIVE),
    setting("keepalives_interval", "", NoEffect, KEEPALIVE),
    setting("keepalives_count", "", NoEffect, KEEPALIVE),
    setting("tcp_user_timeout", "", NoEffect, KEEPALIVE),
];

const KEEPALIVE: &str = "`heartbeatIntervalMs` and `heartbeatTimeoutMs` say when a connection is dead";

/// Settings that are none of libpq's, see [`Conninfo`](super::Conninfo).
const OWN: [&str; 3] = ["servername", "home", "default_user"];

/// Each setting's keyword, and the variable that gives it.
pub fn keywords() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    SETTINGS.iter().map(|setting| (setting.keyword, setting.variable))
}

/// Whether it is one of libpq's keywords.
pub(super) fn is_setting(keyword: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.keyword == keyword)
}

/// The keyword, if a setting of this name has an effect.
pub(super) fn known(keyword: &str) -> Option<&'static str> {
    let effective = SETTINGS.iter().filter(|setting| setting.handling != NoEffect);
    effective.map(|setting| setting.keyword).chain(OWN).find(|known| *known == keyword)
}

/// Says that a setting demands what cannot be honoured, and what to do instead. No value is shown, since it may be a
/// secret.
pub(super) fn refusal(Setting { keyword, variable, handling, note }: &Setting) -> Error {
    let name = variable.map_or_else(|| (*keyword).to_owned(), |variable| format!("{keyword} ({variable})"));
    let instead = match handling {
        Refused([]) | Honoured | NoEffect => "leave it out".to_owned(),
        Refused(harmless) => format!("leave it out, or give {}", harmless.join(" or ")),
    };
    Error::InvalidOptions(format!("{name} cannot be honoured: {note}; {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::{Conninfo, Settings, Timings};

    fn settings(keyword: &str, value: &str) -> Result<Settings, Error> {
        Settings::new(&Conninfo::default().with(keyword, value), Timings::default())
    }

    #[test]
    fn each_setting_is_handled_as_the_table_says() {
        let by_default = format!("{:?}", Settings::new(&Conninfo::default(), Timings::default()).unwrap());
        for Setting { keyword, handling, .. } in SETTINGS {
            let read = settings(keyword, "1").map_or(true, |settings| format!("{settings:?}") != by_default);
            match handling {
                Honoured => assert!(read, "{keyword} is not read"),
                NoEffect => assert!(!read, "{keyword} is read"),
                Refused(harmless) => {
                    for value in harmless.iter().chain([&""]) {
                        settings(keyword, value).unwrap_or_else(|error| panic!("{keyword}={value}: {error}"));
                    }
                    let error = settings(keyword, "s3cret").unwrap_err();
                    assert_eq!(error.code(), "PGGEN_INVALID_OPTIONS");
                    let text = error.to_string();
                    assert!(text.starts_with(keyword) && !text.contains("s3cret"), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_layer_takes_back_what_a_lower_one_demands() {
        let demanding = || Conninfo::default().with("gssencmode", "require");
        let settled = |keyword, value| {
            Settings::new(&Conninfo::default().with(keyword, value).or(demanding()), Timings::default())
        };
        settled("gssencmode", "disable").unwrap();
        let error = settled("sslmode", "disable").unwrap_err();
        assert!(error.to_string().contains("PGGSSENCMODE"), "{error}");
    }

    #[test]
    fn the_documents_have_this_table() {
        let documented = include_str!("../../../docs/connection.md")
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join("|"))
            .take(SETTINGS.len());
        let listed = SETTINGS.iter().map(|Setting { keyword, variable, handling, note }| {
            let variable = variable.map(|name| format!("`{name}`")).unwrap_or_default();
            let handling = match handling {
                Honoured => "honoured".to_owned(),
                NoEffect => "no effect".to_owned(),
                Refused([]) => "refused".to_owned(),
                Refused(harmless) => format!("refused, except `{}`", harmless.join("`, `")),
            };
            format!("|`{keyword}`|{variable}|{handling}|{note}|")
        });
        assert_eq!(documented.collect::<Vec<_>>().join("\n"), listed.collect::<Vec<_>>().join("\n"));
    }
}
