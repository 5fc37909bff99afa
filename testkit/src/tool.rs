//! Programs of `testkit/postgres` that serve for as long as their input is open, so until this process ends at the latest.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

/// Ends when dropped.
pub struct Tool {
    process: Child,
    // Taken by `drop`, which is the sign for the program to end.
    pipes: Option<Mutex<Pipes>>,
}

struct Pipes {
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Tool {
    /// Starts one, and waits for its first line.
    pub fn run(args: &[&str]) -> (Self, Value) {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        assert!(
            root.join("node_modules/tsx").exists(),
            "these tests run a PostgreSQL that npm installs: run `npm ci` first"
        );
        let mut process = Command::new("node")
            .args(["--import", "tsx"])
            .args(args)
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
        (Self { process, pipes: Some(pipes.into()) }, ready)
    }

    pub fn command(&self, command: &str) {
        let mut pipes = self.pipes.as_ref().unwrap().lock().unwrap();
        writeln!(pipes.commands, "{command}").unwrap();
        pipes.answer();
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.pipes = None;
        let _ = self.process.wait();
    }
}

impl Pipes {
    /// The next line; the program has the deadlines and says so when one has passed.
    fn answer(&mut self) -> Value {
        let line = self.answers.next().expect("the program ended without a word").unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{}", answer["error"].as_str().unwrap_or_default());
        answer
    }
}
