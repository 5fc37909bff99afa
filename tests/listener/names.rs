//! A host name that moves to another address.
//!
//! The C library resolves names. A library loaded before it answers for one of them, in a process that this binary
//! starts from itself.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use pg_generations::generations::Verdict;

use crate::harness::{Harness, shut_down, unhurried};
use testkit::{Admin, PostgresServer, Proxy, until};

/// Where `moving.test` is at the moment.
const FILE: &str = "MOVING_NAME_FILE";

#[test]
fn a_name_that_moves_is_followed() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: nothing can be loaded before the C library of this system");
        return;
    }
    match env::var_os(FILE) {
        Some(file) => follow(Path::new(&file)),
        None => again_with_a_name("names::a_name_that_moves_is_followed"),
    }
}

fn again_with_a_name(test: &str) {
    let directory = env::temp_dir().join(format!("pg-generations-names-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let library = directory.join("names.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/listener/names.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().expect("cc, a C compiler").success());
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).env("LD_PRELOAD", library).env(FILE, directory.join("name"));
    let output = again.output().unwrap();
    fs::remove_dir_all(directory).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn follow(name: &Path) {
    let points_to = |address| {
        // In one step: a look-up may come at any moment.
        fs::write(name.with_extension("new"), address).unwrap();
        fs::rename(name.with_extension("new"), name).unwrap();
    };
    let servers = [PostgresServer::start(), PostgresServer::start()];
    let admins = servers.each_ref().map(|server| Admin::connect(&server.url));
    let one = Proxy::to(&servers[0].url);
    let other = one.twin(&servers[1].url, "127.0.0.2");
    let listens_to = |harness: &Harness, admin: &Admin, proxy: &Proxy| {
        proxy.wait_for_open(1);
        harness.assert_hears(admin);
    };

    points_to("127.0.0.1");
    let mut url = url::Url::parse(&one.url(&servers[0].url)).unwrap();
    url.set_host(Some("moving.test")).unwrap();
    let harness = Harness::new();
    let listener = harness.listen(url.as_str(), unhurried());
    listens_to(&harness, &admins[0], &one);

    // The first server is still there, and would take us.
    let before = harness.counters.snapshot();
    points_to("127.0.0.2");
    one.cut();
    harness.record.wait_for("resynced", 1);
    assert_eq!(harness.check(before), Verdict::Changed);
    listens_to(&harness, &admins[1], &other);
    assert_eq!(one.open(), 0);

    // Between two addresses there may be none for a while.
    let before = harness.counters.snapshot();
    points_to("");
    other.cut();
    until("a name that is not found", || harness.record.count("retrying 4 PGGEN_HOST_NOT_FOUND") > 0);
    assert_eq!(harness.check(before), Verdict::Unproven);
    points_to("127.0.0.1");
    harness.record.wait_for("resynced", 2);
    assert_eq!(harness.check(before), Verdict::Changed);
    listens_to(&harness, &admins[0], &one);
    shut_down(&listener);
}
