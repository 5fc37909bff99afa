//! The statements a session sends: pure functions, tested without a server.
//!
//! Every function, operator, type and relation is named with its schema. A role that may create in a schema on the
//! search path, as every role may in `public` up to PostgreSQL 14, otherwise puts a function of its own in front of
//! PostgreSQL's and has it run with the rights of the session's role. The settings of the path are the second line of
//! defence: the first would also hold behind a pooler that hands the next statement to another session.

use std::time::Duration;

use postgres_protocol::escape::{escape_identifier, escape_literal};

/// Only what PostgreSQL itself brings. Without its name the schema of temporary objects would come first.
const CATALOG_ONLY: &str = "search_path = pg_catalog, pg_temp";

/// Makes the session one that may idle for ever, waits for no lock long, and holds up nothing: a client that has not
/// read for `patience` is given up, since what waits for it fills the queue of notifications, which all sessions share.
/// A Unix socket has no such limit.
///
/// The server converts text from `encoding`, that of the database, to UTF-8, and ends what it is doing where that fails, as
/// it may with anything that a client has sent. So from others it is to convert nothing.
pub(super) fn prepare_session(lock_timeout: Duration, patience: Duration, encoding: &str) -> String {
    let raw = if encoding == "UTF8" { "" } else { "SET client_encoding = SQL_ASCII; " };
    format!(
        "{raw}SET {CATALOG_ONLY}; SET idle_session_timeout = 0; SET statement_timeout = 0; SET lock_timeout = {}; \
         SET tcp_user_timeout = {}",
        milliseconds(lock_timeout),
        milliseconds(patience)
    )
}

/// As a setting takes them: at least one, for 0 stands for no limit.
fn milliseconds(duration: Duration) -> u128 {
    duration.as_millis().clamp(1, i32::MAX as u128)
}

/// Takes back what [`prepare_session`] and [`listen`] did. Behind a pooler the session goes on with someone else.
pub(super) const RESET_SESSION: &str = "UNLISTEN *; RESET search_path; RESET idle_session_timeout; \
    RESET statement_timeout; RESET lock_timeout; RESET tcp_user_timeout; RESET client_encoding";

/// A query for a session that is not [prepared](prepare_session) and is to stay as it is.
pub(super) fn isolated(query: &str) -> String {
    format!("SET LOCAL {CATALOG_ONLY}; {query}")
}

/// Who we are to the server, and what kind of server it is: `pid`, `recovering`, `read_only`.
pub(super) const IDENTIFY: &str = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery(), \
    pg_catalog.current_setting('default_transaction_read_only')";

/// The query whose text tells one database of one running server from every other: the cluster, the database in it, and since when the
/// server runs, which is another moment for its standby and for a server that was started again. A server may keep
/// the first from us.
pub const IDENTITY: &str = "SELECT pg_catalog.concat_ws('/', \
    (SELECT system_identifier FROM pg_catalog.pg_control_system()), \
    (SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()), \
    EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()))";

/// Whether two answers to [`IDENTITY`] name the same database of the same cluster, be it of two servers or from before
/// and after a start.
pub(super) fn same_database(one: &str, other: &str) -> bool {
    let database = |identity| str::rsplit_once(identity, '/').map(|(database, _)| database);
    database(one).is_some_and(|one| one.contains('/') && database(other) == Some(one))
}

/// Which cluster it is, and the name of the file that its primary writes to, which begins with the timeline. (What `pg_control_checkpoint`
/// says of the timeline is older: for minutes after a promotion it is the one before.)
pub(super) const POSITION: &str = "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()), \
    pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())";

/// Makes the server answer, and with that pass on what it was told, at the least cost: an empty query.
pub(super) const NOTHING: &str = "";

/// Has the server find out which part of its notification queue everybody has read. It does so by itself only while
/// the queue grows; one that was full would stay so until somebody asks.
pub(super) const LOOK_FOR_ROOM: &str = "SELECT pg_catalog.pg_notification_queue_usage()";

/// Subscribes to every channel in one transaction: all of them, or an error. `encoding` is that of the database.
pub(super) fn listen<'a>(channels: impl IntoIterator<Item = &'a str>, encoding: &str) -> String {
    channels
        .into_iter()
        .map(|channel| format!("LISTEN {}", name_of_channel(channel, encoding)))
        .collect::<Vec<_>>()
        .join("; ")
}

/// In a session whose text the server does not convert, only ASCII with escapes stands for the same name in every
/// encoding.
fn name_of_channel(channel: &str, encoding: &str) -> String {
    if channel.is_ascii() || encoding == "UTF8" || encoding == "SQL_ASCII" {
        return escape_identifier(channel);
    }
    let escaped: String = channel
        .chars()
        .map(|c| match c {
            '"' => r#""""#.to_owned(),
            '\\' => r"\\".to_owned(),
            c if c.is_ascii() => c.to_string(),
            c => format!("\\+{:06x}", u32::from(c)),
        })
        .collect();
    format!("U&\"{escaped}\"")
}

/// Ends the subscription to a channel.
pub(super) fn unlisten(channel: &str, encoding: &str) -> String {
    format!("UNLISTEN {}", name_of_channel(channel, encoding))
}

/// So many bytes has the longest name that PostgreSQL keeps whole (`NAMEDATALEN - 1`).
const LONGEST_NAME: usize = 63;

/// Says what is wrong with the name of a channel. LISTEN would cut a longer one, and then listen to another channel.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_channel(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the name of a channel must not be empty".into());
    }
    if name.contains('\0') {
        return Err("the name of a channel must not contain a NUL character".into());
    }
    if name.len() > LONGEST_NAME {
        return Err(format!(
            "the name of a channel must have at most {LONGEST_NAME} bytes in UTF-8, and {name:?} has {}",
            name.len()
        ));
    }
    Ok(())
}

/// Sends one notification, and gives up if a lock keeps it: a backend that waits for one does not notice that nobody
/// waits for it any more. Leaves the session as it was.
pub(super) fn notify_within(lock_timeout: Duration, channel: &str, payload: &str) -> String {
    format!(
        "SET LOCAL {CATALOG_ONLY}; SET LOCAL lock_timeout = {}; {}",
        milliseconds(lock_timeout),
        notify(channel, payload)
    )
}

/// Sends one notification.
pub(super) fn notify(channel: &str, payload: &str) -> String {
    // The library marks a literal with a backslash as an escape string by a leading blank and E, which is valid here.
    format!("NOTIFY {}, {}", escape_identifier(channel), escape_literal(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_the_same_on_a_standby_and_after_a_restart() {
        assert!(same_database("7/5/1.5", "7/5/2"));
        assert!(!same_database("7/5/1.5", "7/6/1.5"));
        assert!(!same_database("7/5/1.5", "8/5/1.5"));
        assert!(!same_database("5/1", "5/2"));
        assert!(!same_database("", ""));
    }

    #[test]
    fn channels_are_quoted_and_subscribed_together() {
        assert_eq!(listen(["plain", r#"od"d; --"#], "UTF8"), r#"LISTEN "plain"; LISTEN "od""d; --""#);
    }

    #[test]
    fn a_name_that_the_encoding_may_not_have_is_escaped() {
        assert_eq!(listen([r#"a\"é😀"#], "WIN1252"), r#"LISTEN U&"a\\""\+0000e9\+01f600""#);
        assert_eq!(listen([r"a\b"], "WIN1252"), r#"LISTEN "a\b""#);
        for whole in ["UTF8", "SQL_ASCII"] {
            assert_eq!(listen(["é"], whole), r#"LISTEN "é""#);
        }
    }

    #[test]
    fn a_channel_is_left_by_the_name_it_was_subscribed_by() {
        assert_eq!(unlisten("é", "LATIN1"), r#"UNLISTEN U&"\+0000e9""#);
        assert_eq!(unlisten(r#"od"d; --"#, "UTF8"), r#"UNLISTEN "od""d; --""#);
    }

    #[test]
    fn names_that_postgres_would_change_are_refused() {
        for good in ["a", "\"; --", "A b", &"é".repeat(31), &"x".repeat(63)] {
            check_channel(good).unwrap();
        }
        for bad in ["", "a\0b", &"é".repeat(32), &"x".repeat(64)] {
            check_channel(bad).unwrap_err();
        }
    }

    #[test]
    fn a_payload_cannot_break_out_of_its_literal() {
        assert_eq!(notify("c", "it's"), r#"NOTIFY "c", 'it''s'"#);
        assert_eq!(notify("c", r"a\'b"), r#"NOTIFY "c",  E'a\\''b'"#);
    }

    #[test]
    fn no_time_out_is_zero_which_would_mean_none_or_more_than_a_setting_takes() {
        let prepared = |millis| {
            prepare_session(Duration::from_millis(millis), Duration::from_millis(2 * millis), "UTF8")
        };
        for (millis, lock, user) in [(0, 1, 1), (1_250, 1_250, 2_500), (i32::MAX as u64, i32::MAX, i32::MAX)]
        {
            let settings = format!("lock_timeout = {lock}; SET tcp_user_timeout = {user}");
            assert!(prepared(millis).ends_with(&settings), "{}", prepared(millis));
        }
    }
}
