//! PostgreSQL servers: one for all tests of a binary, and private ones for those that stop or kill it.
//!
//! `tools/postgres/serve.ts` runs them. It ends its server when its input ends, so with this process at the latest.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{Admin, until};

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
    process: Child,
    // Taken by `drop`, which ends the server.
    pipes: Option<std::sync::Mutex<Pipes>>,
}

struct Pipes {
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl PostgresServer {
    pub fn start() -> Self {
        Self::start_with(&json!({}))
    }

    /// With `ServerOptions` of `tools/postgres/cluster.ts`, such as `{"settings": {"max_connections": 20}}`.
    pub fn start_with(options: &Value) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(
            root.join("node_modules/tsx").exists(),
            "these tests run a PostgreSQL that npm installs: run `npm ci` first"
        );
        let mut process = Command::new("node")
            .args(["--import", "tsx", "tools/postgres/serve.ts", &options.to_string()])
            .current_dir(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("node, which runs the tests' PostgreSQL: {error}"));
        let mut pipes = Pipes {
            commands: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()).lines(),
        };
        let ready = pipes.answer();
        Self {
            url: ready["url"].as_str().unwrap().to_owned(),
            port: ready["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap(),
            data: ready["data"].as_str().unwrap().into(),
            process,
            pipes: Some(pipes.into()),
        }
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
        let mut pipes = self.pipes.as_ref().unwrap().lock().unwrap();
        writeln!(pipes.commands, "{command}").unwrap();
        pipes.answer();
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.pipes = None;
        let _ = self.process.wait();
    }
}

impl Pipes {
    /// The next line; serve.ts has the deadlines and says so when one has passed.
    fn answer(&mut self) -> Value {
        let line = self.answers.next().expect("serve.ts ended without a word").unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{}", answer["error"].as_str().unwrap_or_default());
        answer
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
