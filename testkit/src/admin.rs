//! Somebody else on the database: peers that notify, operators that terminate.

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::{RUNTIME, block_on};

/// A connection of its own, to run SQL with.
pub struct Admin {
    client: Client,
}

impl Admin {
    pub fn connect(url: &str) -> Self {
        Self::try_connect(url).unwrap()
    }

    pub fn try_connect(url: &str) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = block_on("a connection", tokio_postgres::connect(url, NoTls))?;
        RUNTIME.spawn(connection);
        Ok(Self { client })
    }

    /// Runs statements whose rows do not matter.
    pub fn execute(&self, sql: &str) {
        self.try_execute(sql).unwrap();
    }

    pub fn try_execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        block_on(sql, self.client.batch_execute(sql))
    }

    /// The rows of a query, each column as text.
    pub fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let messages = block_on(sql, self.client.simple_query(sql)).unwrap();
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect()).collect()
    }

    pub fn notify(&self, channel: &str, payload: &str) {
        block_on("NOTIFY", self.client.execute("SELECT pg_notify($1, $2)", &[&channel, &payload])).unwrap();
    }

    /// The backends of this database that go by this `application_name`.
    pub fn backends(&self, application_name: &str) -> Vec<i32> {
        let sql =
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1";
        let rows = block_on(sql, self.client.query(sql, &[&application_name])).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Terminates a backend and waits for its end.
    pub fn terminate(&self, pid: i32) {
        let sql = "SELECT pg_terminate_backend($1, 10000)";
        let row = block_on(sql, self.client.query_one(sql, &[&pid])).unwrap();
        assert!(row.get::<_, bool>(0), "backend {pid} did not end");
    }
}
