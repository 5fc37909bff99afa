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

/// Every question and how it is asked: a query of one column, in JSON, and at most one row.
pub(super) const QUESTIONS: [(&str, &str); 7] = [
    ("version", "SELECT to_json(current_setting('server_version'))"),
    ("session", "SELECT json_build_object('user', current_user, 'database', current_database())"),
    (
        "tls",
        "SELECT json_build_object('version', version, 'cipher', cipher) FROM pg_stat_ssl \
         WHERE pid = pg_backend_pid() AND ssl",
    ),
    ("queue", "SELECT to_json(pg_notification_queue_usage())"),
    ("connections", CONNECTIONS),
    ("settings", SETTINGS),
    ("listeners", LISTENERS),
];

/// How many there may be of users without privileges, and how many there are. Whose sessions are kept from us shows
/// no type; those of databases are clients', but for a few workers.
const CONNECTIONS: &str = "SELECT json_build_object( \
    'limit', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int \
        - coalesce(current_setting('reserved_connections', true)::int, 0), \
    'used', (SELECT count(*) FROM pg_stat_activity \
        WHERE backend_type = 'client backend' OR backend_type IS NULL AND datid IS NOT NULL))";

/// What a role, a database or the server has set for every session, and who is there to acknowledge a commit.
const SETTINGS: &str = "SELECT json_build_object( \
    'idleSessionTimeoutMs', (SELECT reset_val::int FROM pg_settings WHERE name = 'idle_session_timeout'), \
    'synchronousCommit', current_setting('synchronous_commit'), \
    'synchronousStandbyNames', current_setting('synchronous_standby_names'), \
    'synchronousStandbys', (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')), \
    'hiddenStandbys', (SELECT count(*) FROM pg_stat_replication WHERE sync_state IS NULL))";

/// Sessions of this database that look like listeners, by the name that ours have or by the statement that they sent
/// last. PostgreSQL itself tells nobody who listens, and shows the statements of others to the privileged only.
const LISTENERS: &str = "SELECT json_build_object( \
    'hidden', count(*) FILTER (WHERE query = '<insufficient privilege>' AND NOT ours), \
    'sessions', coalesce(json_agg(json_build_object( \
        'pid', pid, 'user', usename, 'application', application_name, 'state', state, \
        'transactionSeconds', extract(epoch FROM clock_timestamp() - xact_start) \
    ) ORDER BY pid) FILTER (WHERE ours OR asks), '[]')) \
    FROM (SELECT *, application_name LIKE 'pg-generations/%' OR query LIKE '%NOTIFY \"pggen\\_echo\\_%' AS ours, \
        query ~* '(^|;)[[:space:]]*LISTEN[[:space:]]' AS asks \
        FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()) AS session";
