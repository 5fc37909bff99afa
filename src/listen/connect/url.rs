//! `postgres://` URLs.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::conninfo::Conninfo;
use super::libpq::is_setting;
use super::target::DEFAULT_PORT;
use crate::error::Error;

impl Conninfo {
    /// Reads a `postgres://` or `postgresql://` URL. Query parameters that are no settings of libpq are ignored.
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
        // A raw @ in a password is not valid, but common, and it does no harm. A raw / or ? in one does:
        // what follows would be taken for a setting, which messages show. The @ that ends the password then follows
        // too, so no @ is taken there.
        if database.contains('@') || query.contains('@') {
            return Err(invalid("percent-encode / ? # and @ in user and password, and @ in the query"));
        }
        let (login, servers) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (hosts, ports) = servers.split(',').map(host_and_port).unzip::<_, _, Vec<_>, Vec<_>>();

        let decode = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.map(Cow::into_owned).map_err(|_| invalid("an escape in it is not UTF-8"))
        };
        // One port that is left out among several stands for the default; all left out stand for nothing.
        let ports_given = ports.iter().any(|port| !port.is_empty());
        let ports = ports.into_iter().map(|port| if port.is_empty() { DEFAULT_PORT } else { port });
        let mut settings = Self::default();
        let parts = [
            ("host", decode(&hosts.join(","))?),
            ("port", if ports_given { ports.collect::<Vec<_>>().join(",") } else { String::new() }),
            ("user", decode(user)?),
            ("password", decode(password)?),
            ("dbname", decode(database)?),
        ];
        for (keyword, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
            settings.set(keyword, value);
        }
        // Another way to say it, which node-postgres and JDBC know; sslmode is the more exact one.
        let (mut mode, mut exact) = (None, false);
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            // As in libpq, a plus sign is one, and not a blank.
            let (key, value) = (decode(key)?, decode(value)?);
            match (&*key, &*value) {
                ("ssl", "true" | "1") => mode = Some("verify-full"),
                ("ssl", "false" | "0") => mode = Some("disable"),
                ("ssl", _) => return Err(invalid("ssl must be true or false")),
                _ if is_setting(&key) => {
                    exact |= key == "sslmode";
                    settings.set(&key, value);
                }
                _ => {}
            }
        }
        if let Some(mode) = mode
            && !exact
        {
            settings.set("sslmode", mode.into());
        }
        Ok(settings)
    }
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
    use crate::listen::{Settings, Timings};

    fn url(text: &str) -> Conninfo {
        Conninfo::from_url(text).unwrap()
    }

    #[test]
    fn a_url_gives_each_of_its_parts() {
        let settings = url(
            "postgres://al%40ice:p%3Ass@a.example:1,b.example:2/data?application_name=x&options=-c%20a%3Db&sslmode=disable",
        );
        assert_eq!(settings.get("host"), Some("a.example,b.example"));
        assert_eq!(settings.get("port"), Some("1,2"));
        assert_eq!(settings.get("user"), Some("al@ice"));
        assert_eq!(settings.get("password"), Some("p:ss"));
        assert_eq!(settings.get("dbname"), Some("data"));
        assert_eq!(settings.get("application_name"), Some("x"));
        assert_eq!(settings.get("options"), Some("-c a=b"));
        assert_eq!(settings.get("sslmode"), Some("disable"));
    }

    #[test]
    fn a_query_is_decoded_as_the_rest_is() {
        let settings = url("postgres://h/d?application_name=a+b%2Bc%20d&&user=x=y");
        assert_eq!(settings.get("application_name"), Some("a+b+c d"));
        assert_eq!(settings.get("user"), Some("x=y"));
    }

    #[test]
    fn a_url_leaves_out_what_it_does_not_say() {
        let settings = url("postgresql://");
        assert!(
            settings.get("host").is_none()
                && settings.get("port").is_none()
                && settings.get("user").is_none()
        );
        assert!(settings.get("password").is_none() && settings.get("dbname").is_none());
        assert_eq!(url("postgres:///only").get("dbname"), Some("only"));
        assert_eq!(url("postgres://%2Fvar%2Frun/d").get("host"), Some("/var/run"));
        assert_eq!(url("postgres://h/d?schema=public&pgbouncer=true").get("host"), Some("h"));
    }

    #[test]
    fn a_port_left_out_is_left_out_unless_its_neighbour_has_one() {
        assert_eq!(url("postgres://a,b/d").get("port"), None);
        assert_eq!(url("postgres://a:1,b/d").get("port"), Some("1,5432"));
        let v6 = url("postgres://[::1]:7/d");
        assert_eq!((v6.get("host"), v6.get("port")), (Some("::1"), Some("7")));
        assert_eq!(url("postgres://[::1]/d").get("port"), None);
    }

    #[test]
    fn a_mode_has_other_names_which_yield_to_its_own() {
        let mode = |query: &str| url(&format!("postgres://h/d?{query}")).get("sslmode").map(str::to_owned);
        assert_eq!(mode("ssl=true").as_deref(), Some("verify-full"));
        assert_eq!(mode("requiressl=1").as_deref(), Some("require"));
        assert_eq!(mode("requiressl=0"), None);
        assert_eq!(mode("requiressl=1&ssl=true").as_deref(), Some("verify-full"));
        assert_eq!(mode("sslmode=disable&ssl=1&requiressl=1").as_deref(), Some("disable"));
        assert_eq!(mode("requiressl=1&sslmode=disable").as_deref(), Some("disable"));
    }

    #[test]
    fn a_bad_url_is_refused_without_repeating_it() {
        let bad_urls = [
            "",
            "nonsense",
            "http://u:s3cret@h/d",
            "host=h password=s3cret",
            "postgres://u:s3cret@h:port/d",
            "postgres://u:s3cret%ff@h",
            "postgres://h/d?password=s3cret%ff",
            "postgres://u:s3cret@a,,b",
            "postgres://u:s3cret@@h:x/d",
            "postgres://u:s3cret@h/d?ssl=maybe",
        ];
        for bad in bad_urls {
            let refused =
                Conninfo::from_url(bad).and_then(|settings| Settings::new(&settings, Timings::default()));
            let error = refused.unwrap_err();
            assert_eq!(error.code(), "PGGEN_INVALID_OPTIONS");
            assert!(!error.to_string().contains("s3"), "{error}");
        }
    }

    /// What is shown of settings, by an error or otherwise, is all but the password.
    #[test]
    fn no_piece_of_a_password_is_taken_for_anything_else() {
        // Everything that has a meaning further on in a URL, at every place of a password.
        let separators = "@ : / ? # & = , [ ] %40 %2F ?host= ?hostaddr= ?port= ?dbname= ?sslrootcert= \
            ?sslcert= ?options= ?application_name= /x?host= #?host= @x/?host= ?a&host= :// @[::1]:5/?host= :1/d?user=";
        let mut accepted = 0;
        for one in separators.split(' ') {
            for other in separators.split(' ') {
                for password in [
                    format!("s3a{one}s3b{other}s3c"),
                    format!("{one}s3b{other}"),
                    format!("s3a{one}{other}s3c"),
                ] {
                    for user in ["u", "u@corp.example"] {
                        let text = format!("postgres://{user}:{password}@h.example:6000/d?sslmode=disable");
                        match Conninfo::from_url(&text) {
                            Err(error) => assert!(!error.to_string().contains("s3"), "{text}: {error}"),
                            Ok(settings) => {
                                accepted += 1;
                                for (keyword, value) in settings.iter() {
                                    assert!(
                                        keyword == "password" || !value.contains("s3"),
                                        "{text}: {keyword}"
                                    );
                                }
                                assert_eq!(settings.get("host"), Some("h.example"), "{text}");
                            }
                        }
                    }
                }
            }
        }
        assert!(accepted > 100);
    }
}
