//! One look at a server, by the very way that a listener takes: does LISTEN work there, and if not, why? And what the
//! server says of itself, as far as it matters to a listener.
//!
//! One question a fact, and none is relied on: a server may keep some to itself, and a relative of PostgreSQL may not
//! understand others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::connect::{Settings, Verified};
use super::lineage::Lineage;
use super::login::{Login, limited};
use super::reader::Deaf;
use super::session::Session;
use super::thread::{self, panic_text};
use crate::error::Error;

/// What was found, as far as it went.
#[derive(Debug, Default)]
pub struct ProbeFindings {
    /// Where the server is; `None` if no session came about.
    pub address: Option<String>,
    /// What was checked of the server, if the connection is over TLS: the fact `tls` says so.
    pub verified: Option<Verified>,
    /// Which server it is, see [`IDENTITY`](super::IDENTITY); `None` if it does not say.
    pub server: Option<String>,
    /// What the server says of itself.
    pub facts: Vec<ProbeFact>,
    /// Whether LISTEN was proven.
    pub listens: bool,
    /// How long each echo took.
    pub echoes: Vec<Duration>,
    /// What it ended by, before it was through.
    pub failure: Option<Error>,
}

/// Connects once, asks the server about itself, LISTENs on `channels` with a proof, sends itself `echoes` echoes, and
/// says goodbye. All that on a thread of its own, on which `reply` is called in the end. Every step has a deadline of
/// `settings`.
///
/// # Errors
/// [`Error::Thread`] if the operating system gives no thread.
pub fn examine(
    settings: Settings,
    channels: Vec<String>,
    echoes: u32,
    reply: impl FnOnce(ProbeFindings) + Send + 'static,
) -> Result<(), Error> {
    thread::spawn(move || {
        let mut findings = ProbeFindings::default();
        let look = AssertUnwindSafe(|| look(&settings, &channels, echoes, &mut findings));
        let outcome = catch_unwind(look).unwrap_or_else(|panic| Err(Error::Panic(panic_text(&*panic))));
        findings.failure = outcome.err();
        reply(findings);
    })
    .map(drop)
}

fn look(
    settings: &Settings,
    channels: &[String],
    echoes: u32,
    findings: &mut ProbeFindings,
) -> Result<(), Error> {
    let look = async {
        let login = Login::connect(settings, &mut Lineage::default()).await?;
        findings.address = Some(login.server.address.to_string());
        findings.verified = Some(login.verified());
        findings.server = login.identity.clone();
        let mut session = Session::new(login);
        let outcome = examine_session(&mut session, settings, channels, echoes, findings).await;
        session.login.close().await;
        outcome
    };
    thread::with_runtime(|runtime| runtime.block_on(look))?
}

async fn examine_session(
    session: &mut Session,
    settings: &Settings,
    channels: &[String],
    echoes: u32,
    findings: &mut ProbeFindings,
) -> Result<(), Error> {
    // Asked first, so that they are there where LISTEN fails.
    for (name, query) in QUESTIONS {
        let address = session.login.server.address.clone();
        let asked = session.login.first_row(query);
        let asked = limited(&address, "a question", settings.attempt_timeout, asked).await;
        let answer = match asked {
            Ok(row) => Ok(row.and_then(|row| Some(row.get(0)?.to_owned()))),
            Err(error) if error.sql_state().is_some() => Err(error),
            Err(error) => return Err(error),
        };
        findings.facts.push(ProbeFact { name, answer });
    }
    session.listen(settings, channels.iter().cloned().collect(), &Deaf).await?;
    findings.listens = true;
    for _ in 0..echoes {
        findings.echoes.push(session.echo(&Deaf, settings.timings.heartbeat_timeout).await?);
    }
    Ok(())
}

/// One answer of a server.
#[derive(Debug, Clone)]
pub struct ProbeFact {
    /// What was asked.
    pub name: &'static str,
    /// The answer in JSON; `None` where there is nothing of the kind, such as TLS on a connection in plain text.
    pub answer: Result<Option<String>, Error>,
}

/// Every question and how it is asked: a query of one column, in JSON, and at most one row. Qualified as in
/// [`sql`](super::sql).
const QUESTIONS: [(&str, &str); 9] = [
    ("version", "SELECT pg_catalog.to_json(pg_catalog.current_setting('server_version'))"),
    ("encoding", "SELECT pg_catalog.to_json(pg_catalog.current_setting('server_encoding'))"),
    (
        "session",
        "SELECT pg_catalog.json_build_object('user', current_user, 'database', pg_catalog.current_database())",
    ),
    (
        "tls",
        "SELECT pg_catalog.json_build_object('version', version, 'cipher', cipher) FROM pg_catalog.pg_stat_ssl \
         WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND ssl",
    ),
    ("queue", "SELECT pg_catalog.to_json(pg_catalog.pg_notification_queue_usage())"),
    ("connections", CONNECTIONS),
    ("settings", SETTINGS),
    ("listeners", LISTENERS),
    ("locks", LOCKS),
];

/// How many there may be of users without privileges, and how many there are. Whose sessions are kept from us shows
/// no type; those of databases are clients', but for a few workers.
const CONNECTIONS: &str = "SELECT pg_catalog.json_build_object( \
    'limit', CAST(pg_catalog.current_setting('max_connections') AS pg_catalog.int4) \
        OPERATOR(pg_catalog.-) CAST(pg_catalog.current_setting('superuser_reserved_connections') AS pg_catalog.int4) \
        OPERATOR(pg_catalog.-) \
            COALESCE(CAST(pg_catalog.current_setting('reserved_connections', true) AS pg_catalog.int4), 0), \
    'used', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
        WHERE backend_type OPERATOR(pg_catalog.=) 'client backend' \
            OR backend_type IS NULL AND datid IS NOT NULL))";

/// What a role, a database or the server has set for every session, and who is there to acknowledge a commit.
const SETTINGS: &str = "SELECT pg_catalog.json_build_object( \
    'idleSessionTimeoutMs', (SELECT CAST(reset_val AS pg_catalog.int4) FROM pg_catalog.pg_settings \
        WHERE name OPERATOR(pg_catalog.=) 'idle_session_timeout'), \
    'synchronousCommit', pg_catalog.current_setting('synchronous_commit'), \
    'synchronousStandbyNames', pg_catalog.current_setting('synchronous_standby_names'), \
    'synchronousStandbys', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication \
        WHERE sync_state OPERATOR(pg_catalog.=) ANY (ARRAY['sync', 'quorum'])), \
    'hiddenStandbys', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication WHERE sync_state IS NULL))";

/// Sessions of this database that look like listeners, by the name that ours have or by the statement that they sent
/// last. PostgreSQL itself tells nobody who listens, and shows the statements of others to the privileged only.
const LISTENERS: &str = "SELECT pg_catalog.json_build_object( \
    'hidden', pg_catalog.count(*) FILTER \
        (WHERE query OPERATOR(pg_catalog.=) '<insufficient privilege>' AND NOT ours), \
    'sessions', COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object( \
        'pid', pid, 'user', usename, 'application', application_name, 'state', state, \
        'transactionSeconds', EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) xact_start) \
    ) ORDER BY pid) FILTER (WHERE ours OR asks), '[]')) \
    FROM (SELECT *, application_name OPERATOR(pg_catalog.~~) 'pg-generations/%' \
            OR query OPERATOR(pg_catalog.~~) '%NOTIFY \"pggen\\_echo\\_%' AS ours, \
        query OPERATOR(pg_catalog.~*) '(^|;)[[:space:]]*LISTEN[[:space:]]' AS asks \
        FROM pg_catalog.pg_stat_activity \
        WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database() \
            AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()) AS session";

/// Who holds the advisory locks of strict mode in this database, and who waits for them. PostgreSQL does not say since
/// when a lock is held: for a transaction it is not longer than since its begin, for a session that is idle at least
/// since it became so. Whose sessions are kept from us shows neither.
const LOCKS: &str = "SELECT pg_catalog.json_build_object( \
    'holders', COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object( \
        'pid', held.pid, 'user', usename, 'application', application_name, 'state', state, 'mode', mode, \
        'everything', classid OPERATOR(pg_catalog.=) 1885824865, \
        'seconds', EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) \
            COALESCE(xact_start, state_change)) \
    ) ORDER BY held.pid) FILTER (WHERE granted), '[]'), \
    'waiting', COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object( \
        'pid', held.pid, 'user', usename, 'application', application_name, \
        'seconds', EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) waitstart), \
        'blockedBy', pg_catalog.to_json(pg_catalog.pg_blocking_pids(held.pid)) \
    ) ORDER BY held.pid) FILTER (WHERE NOT granted), '[]')) \
    FROM pg_catalog.pg_locks AS held \
    LEFT JOIN pg_catalog.pg_stat_activity AS session ON session.pid OPERATOR(pg_catalog.=) held.pid \
    WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND objsubid OPERATOR(pg_catalog.=) 2 \
        AND classid OPERATOR(pg_catalog.=) ANY (ARRAY[1885824865, 1885824882]) \
        AND database OPERATOR(pg_catalog.=) (SELECT oid FROM pg_catalog.pg_database \
            WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())";
