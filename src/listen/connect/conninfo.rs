//! Connection settings as a user gives them: a map by libpq's keywords.
//!
//! Settings come in layers; what one layer leaves out falls through to the next. Which layers there are and in which
//! order is the caller's business.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::libpq::{self, Handling};
use super::pem::Pem;
use crate::error::Error;

/// A question that is put to the caller, anew each time.
#[derive(Clone)]
pub struct Ask(Arc<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>);

impl Ask {
    /// A question that `ask` puts. It gives the answer, once that comes; or why there is none.
    pub fn new(ask: impl Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(in crate::listen) fn ask(&self) -> BoxFuture<'static, Result<String, String>> {
        (self.0)()
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ask(_)")
    }
}

/// The settings that name a file or hold the PEM itself.
const PEMS: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

/// One layer of connection settings, or several merged: values by libpq's keywords. Its debug print shows no value.
///
/// `sslrootcert`, `sslcert` and `sslkey` may hold PEM in the place of a file's name. Three settings are none of libpq's:
/// `servername`, for which the server's certificate has to be, if not for the host; `home`, where libpq's files are; and
/// `default_user`, the role to log in as where no layer has a `user`.
#[derive(Clone, Default)]
pub struct Conninfo(BTreeMap<&'static str, String>);

impl Conninfo {
    /// These settings and one more, in the same layer.
    #[must_use]
    pub fn with(mut self, keyword: &str, value: &str) -> Self {
        self.set(keyword, value.to_owned());
        self
    }

    /// Gives a setting; one that has no effect, or is not known, changes nothing.
    pub(super) fn set(&mut self, keyword: &str, value: String) {
        match libpq::known(keyword) {
            None => {}
            Some("requiressl") if value.starts_with('1') => {
                self.0.entry("sslmode").or_insert_with(|| "require".into());
            }
            Some("requiressl") => {}
            // An empty path is none, as libpq has it.
            Some(keyword) if value.is_empty() && PEMS.contains(&keyword) => {
                self.0.remove(keyword);
            }
            Some(keyword) => {
                self.0.insert(keyword, value);
            }
        }
    }

    /// These settings, and where one is not given, that of `lower`.
    #[must_use]
    pub fn or(mut self, lower: Self) -> Self {
        let named = self.0.contains_key("host");
        for (keyword, value) in lower.0 {
            // An address belongs to the host beside it: below another host it would lead elsewhere.
            if !(named && keyword == "hostaddr") {
                self.0.entry(keyword).or_insert(value);
            }
        }
        self
    }

    pub(super) fn get(&self, keyword: &str) -> Option<&str> {
        debug_assert!(libpq::known(keyword).is_some(), "{keyword} is in no table");
        self.0.get(keyword).map(String::as_str)
    }

    pub(super) fn pem(&self, keyword: &str) -> Option<Pem> {
        self.get(keyword).map(Pem::of)
    }

    /// What is wrong whatever the other settings are.
    pub(super) fn check(&self) -> Result<(), Error> {
        // PostgreSQL's protocol ends each text with a NUL, and so do the names of files.
        if let Some((keyword, _)) = self.0.iter().find(|(_, value)| value.contains('\0')) {
            return Err(invalid(keyword, "must not contain a NUL character"));
        }
        for setting in &libpq::SETTINGS {
            if let Handling::Refused(harmless) = setting.handling
                && self
                    .get(setting.keyword)
                    .is_some_and(|value| !value.is_empty() && !harmless.contains(&value))
            {
                return Err(libpq::refusal(setting));
            }
        }
        self.check_for_url()
    }

    /// A URL in the wrong place would be shown, with its password, by the errors of the server or the file system.
    fn check_for_url(&self) -> Result<(), Error> {
        let shown = ["user", "dbname", "options"].into_iter().chain(PEMS);
        for keyword in shown {
            if self.get(keyword).is_some_and(|value| value.contains("://") && !value.contains('\n')) {
                return Err(invalid(keyword, "must not be a URL"));
            }
        }
        let login = self.get("dbname").and_then(|name| name.split_once(':'));
        if login.is_some_and(|(_, rest)| rest.contains('@')) {
            return Err(invalid("dbname", "must be a name, and not user:password@host"));
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(keyword, value)| (*keyword, value.as_str()))
    }
}

impl FromIterator<(String, String)> for Conninfo {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut layer = Self::default();
        pairs.into_iter().for_each(|(keyword, value)| layer.set(&keyword, value));
        layer
    }
}

impl IntoIterator for Conninfo {
    type Item = (&'static str, String);
    type IntoIter = std::collections::btree_map::IntoIter<&'static str, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Debug for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Names the setting, and repeats nothing of it.
fn invalid(keyword: &str, why: &str) -> Error {
    let name = if keyword == "dbname" { "the database (dbname)" } else { keyword };
    Error::InvalidOptions(format!("{name} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(pairs: &[(&str, &str)]) -> Conninfo {
        pairs.iter().fold(Conninfo::default(), |layer, (keyword, value)| layer.with(keyword, value))
    }

    #[test]
    fn a_setting_left_out_falls_through_to_the_next_layer() {
        let merged = layer(&[("host", "explicit")]).or(layer(&[("host", "lower"), ("port", "7")]));
        assert_eq!(merged.get("host"), Some("explicit"));
        assert_eq!(merged.get("port"), Some("7"));
        assert_eq!(merged.get("user"), None);
    }

    #[test]
    fn an_address_goes_with_its_host() {
        let addressed = || layer(&[("hostaddr", "10.0.0.1")]);
        let named = || layer(&[("host", "a")]);
        assert_eq!(named().or(addressed().with("host", "b")).get("hostaddr"), None);
        assert_eq!(named().or(addressed()).get("hostaddr"), None);
        assert_eq!(addressed().or(named()).get("host"), Some("a"));
        assert!(Conninfo::default().or(addressed()).get("hostaddr").is_some());
    }

    #[test]
    fn no_debug_print_shows_a_value() {
        let settings = layer(&[("password", "s3cret"), ("sslkey", "s3cret\n")]);
        assert_eq!(format!("{settings:?}"), r#"{"password", "sslkey"}"#);
        assert_eq!(format!("{:?}", settings.pem("sslkey")), "Some(Text(_))");
    }
}
