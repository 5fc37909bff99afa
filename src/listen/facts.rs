//! What a server says of itself, as far as it matters to those who LISTEN and NOTIFY.
//!
//! One question a fact, and none is relied on: a server may keep some to itself, and a relative of PostgreSQL may not
//! understand others.

use crate::error::Error;

/// One answer of a server.
#[derive(Debug, Clone)]
pub struct Fact {
    /// What was asked.
    pub name: &'static str,
    /// The answer in JSON; `None` where there is nothing of the kind, such as TLS on a connection in plain text.
    pub answer: Result<Option<String>, Error>,
}

/// Every question and how it is asked: a query of one column, in JSON, and at most one row. Qualified as in
/// [`sql`](super::sql).
pub(super) const QUESTIONS: [(&str, &str); 9] = [
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
