//! Which ways to log in will do: libpq's `require_auth`.
//!
//! The library answers whatever the server asks for, and does not tell what that was. So the server's first message is
//! looked at where it is read, and one that is ruled out does not reach the library.

use crate::error::Error;

/// libpq's names, what the server's request for each is called in an error, and its codes in the protocol.
const METHODS: [(&str, &str, &[u32]); 7] = [
    ("none", "nothing (none)", &[0]),
    ("password", "the password in plain text (password)", &[3]),
    ("md5", "the password's MD5 hash (md5)", &[5]),
    ("gss", "GSSAPI (gss)", &[2, 7]),
    ("sspi", "SSPI (sspi)", &[9]),
    // The only SASL that the library knows.
    ("scram-sha-256", "SCRAM (scram-sha-256)", &[10]),
    ("oauth", "OAuth (oauth)", &[]),
];

/// The ways to log in that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen) struct Methods([bool; METHODS.len()]);

impl Methods {
    /// Reads what `require_auth` says; `None` if all do.
    pub fn new(list: &str) -> Result<Option<Self>, Error> {
        if list.is_empty() {
            return Ok(None);
        }
        let invalid = || {
            let names = METHODS.map(|(name, ..)| name).join(", ");
            Error::InvalidOptions(format!(
                "require_auth (PGREQUIREAUTH) must be a list of {names}, or of these with an exclamation mark each"
            ))
        };
        let excludes = list.trim_start().starts_with('!');
        let mut named = [false; METHODS.len()];
        for item in list.split(',').map(str::trim) {
            let name = if excludes { item.strip_prefix('!').ok_or_else(invalid)? } else { item };
            let index = METHODS.iter().position(|(known, ..)| *known == name).ok_or_else(invalid)?;
            named[index] = true;
        }
        Ok(Some(Self(named.map(|named| named != excludes))))
    }

    /// Reads the body of the server's request, of which the first four bytes say what is asked for.
    ///
    /// # Errors
    /// [`Error::RuledOut`].
    pub fn refuse(self, request: &[u8]) -> Result<(), Error> {
        let known = METHODS.iter().zip(self.0).find(|((_, _, codes), _)| {
            request.first_chunk().is_some_and(|&code| codes.contains(&u32::from_be_bytes(code)))
        });
        match known {
            Some((&(_, asked, _), false)) => Err(Error::RuledOut { asked }),
            // What is not known here the library does not know either.
            Some((_, true)) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(list: &str) -> Methods {
        Methods::new(list).unwrap().unwrap()
    }

    fn passes(list: &str, code: u32) -> bool {
        methods(list).refuse(&code.to_be_bytes()).is_ok()
    }

    #[test]
    fn a_list_names_what_will_do_or_what_will_not() {
        assert_eq!(Methods::new("").unwrap(), None);
        assert!(passes("scram-sha-256", 10) && !passes("scram-sha-256", 0) && !passes("scram-sha-256", 3));
        assert!(passes("none, md5", 0) && passes("none, md5", 5) && !passes("none, md5", 10));
        assert!(!passes("!password,!md5", 3) && passes("!password,!md5", 10) && passes("!password,!md5", 0));
        assert!(!passes("!none", 0));
        assert!(!passes("oauth", 10));
        for bad in ["scram", "password,!md5", "!password,md5", "md5,", "!", "!!md5", ",", "s3cret"] {
            let error = Methods::new(bad).unwrap_err();
            assert!(error.to_string().contains("require_auth") && !error.to_string().contains("s3cret"));
        }
    }
}
