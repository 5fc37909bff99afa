//! TLS: what every mode takes and what it refuses, and that nothing falls back to plain text.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use pg_generations::error::Error;
use pg_generations::listen::{Conninfo, Event, Listener, Observer, Settings, Timings};
use serde_json::json;

use crate::harness::{Harness, patient, shut_down, started, told, unhurried};
use testkit::{Admin, DEADLINE, PostgresServer, until};

/// Its certificate is for `localhost`. Nobody is refused but for what the roles' names say.
pub static SERVER: LazyLock<PostgresServer> = LazyLock::new(|| {
    let server = serve("server.crt");
    Admin::connect(&server.url).execute(
        "CREATE ROLE client LOGIN; CREATE ROLE plain_only LOGIN; CREATE ROLE scram LOGIN PASSWORD 'secret'",
    );
    server
});

static EXPIRED: LazyLock<PostgresServer> = LazyLock::new(|| serve("expired.crt"));

fn serve(certificate: &str) -> PostgresServer {
    let text = |name| fs::read_to_string(path(name)).unwrap();
    PostgresServer::start_with(&json!({
        "settings": { "ssl": "on", "ssl_ca_file": "ca.crt" },
        "files": {
            "server.crt": text(certificate),
            "server.key": text("server.key"),
            "ca.crt": text("ca.crt"),
        },
        "hba": [
            "hostssl all client 127.0.0.1/32 trust clientcert=verify-full",
            "hostssl all plain_only 127.0.0.1/32 reject",
            "hostssl all scram 127.0.0.1/32 scram-sha-256",
        ],
    }))
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testkit/certificates").join(name)
}

fn url(server: &PostgresServer, user: &str, host: &str, settings: &str) -> String {
    format!("postgres://{user}@{host}:{}/postgres?{}", server.port, with_paths(settings))
}

/// In these tests a `$` stands for the directory of the certificates.
fn with_paths(settings: &str) -> String {
    settings.replace('$', path("").to_str().unwrap())
}

/// Starts a listener and tells how it is connected: its row of `pg_stat_ssl`. Then shuts it down, and sees to it that
/// nothing is left of it.
fn connect(server: &PostgresServer, url: &str) -> Result<Vec<Option<String>>, Error> {
    let harness = Harness::new();
    let listener = harness.spawn(url, patient());
    let outcome = started(&listener);
    let admin = Admin::connect(&server.url);
    let connection = outcome.map(|()| {
        let pid = harness.backend();
        let sql = format!("SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = {pid}");
        let mut rows = admin.query(&sql);
        shut_down(&listener);
        assert!(admin.query(&format!("SELECT pid FROM pg_stat_activity WHERE pid = {pid}")).is_empty());
        rows.remove(0)
    });
    if connection.is_err() {
        assert_eq!(harness.record.count("retrying"), 0, "what TLS refuses does not heal");
    }
    connection
}

fn outcome(server: &PostgresServer, url: &str) -> String {
    match connect(server, url) {
        Ok(row) if row[0].as_deref() == Some("t") => "TLS".into(),
        Ok(_) => "plain".into(),
        Err(error) => {
            assert_eq!(error.code(), "PGGEN_TLS", "{error}");
            error.to_string()
        }
    }
}

#[test]
fn every_mode_against_every_server() {
    const NAME: &str = "host name does not match: it is for DnsName(\"localhost\")";
    const EXPIRY: &str = "expired";
    const ISSUER: &str = "issuer is unknown";
    const NONE: &str = "server has no TLS";
    // Settings, and what comes of them: as it should be, under another name, expired, without TLS.
    let rows: [(&str, [&str; 4]); 15] = [
        ("", ["TLS", "TLS", "TLS", "plain"]),
        ("sslmode=disable", ["plain", "plain", "plain", "plain"]),
        ("sslmode=allow", ["TLS", "TLS", "TLS", "plain"]),
        ("sslmode=prefer", ["TLS", "TLS", "TLS", "plain"]),
        ("sslmode=no-verify", ["TLS", "TLS", "TLS", NONE]),
        ("sslmode=no-verify&sslrootcert=$another-ca.crt", ["TLS", "TLS", "TLS", NONE]),
        ("sslmode=require", ["TLS", "TLS", "TLS", NONE]),
        ("sslmode=require&sslrootcert=$ca.crt", ["TLS", "TLS", EXPIRY, NONE]),
        ("sslmode=require&sslrootcert=$another-ca.crt", [ISSUER, ISSUER, EXPIRY, NONE]),
        ("sslmode=verify-ca&sslrootcert=$ca.crt", ["TLS", "TLS", EXPIRY, NONE]),
        ("sslmode=verify-ca&sslrootcert=$another-ca.crt", [ISSUER, ISSUER, EXPIRY, NONE]),
        ("sslmode=verify-full&sslrootcert=$ca.crt", ["TLS", NAME, EXPIRY, NONE]),
        ("sslmode=verify-full&sslrootcert=$another-ca.crt", [ISSUER, ISSUER, EXPIRY, NONE]),
        ("ssl=true&sslrootcert=$ca.crt", ["TLS", NAME, EXPIRY, NONE]),
        ("sslrootcert=$ca.crt", ["TLS", NAME, EXPIRY, NONE]),
    ];
    let without_tls = PostgresServer::start();
    let servers = [
        (&*SERVER, "localhost"),
        (&*SERVER, "127.0.0.1"),
        (&*EXPIRED, "localhost"),
        (&without_tls, "localhost"),
    ];
    for (settings, expected) in rows {
        for ((server, host), expected) in servers.into_iter().zip(expected) {
            let actual = outcome(server, &url(server, "postgres", host, settings));
            assert!(actual.contains(expected), "{settings} at {host}: {actual}, not {expected}");
        }
    }
}

#[test]
fn an_authority_is_no_server_and_the_message_says_so() {
    let server = serve("self-signed.crt");
    let with = |settings| outcome(&server, &url(&server, "postgres", "localhost", settings));
    let refusal = with("sslmode=verify-full&sslrootcert=$self-signed.crt");
    assert!(refusal.contains("an authority's own (CA:TRUE)"), "{refusal}");
    assert_eq!(with("sslmode=require"), "TLS");
}

#[test]
fn a_client_certificate_says_who_we_are() {
    let server = &*SERVER;
    let missing = outcome(server, &url(server, "client", "localhost", "sslmode=require"));
    assert!(missing.contains("requires a valid client certificate"), "{missing}");
    let settings = "sslmode=require&sslcert=$client.crt&sslkey=$client.key";
    let row = connect(server, &url(server, "client", "localhost", settings)).unwrap();
    assert_eq!(row[1].as_deref(), Some("/CN=client"));
    // It is the certificate of `client`, and of nobody else.
    let settings = "sslmode=require&sslcert=$server.crt&sslkey=$server.key";
    let error = connect(server, &url(server, "client", "localhost", settings)).unwrap_err();
    assert_eq!(error.code(), "PGGEN_AUTHENTICATION_FAILED", "{error}");
}

#[test]
fn a_client_certificate_that_the_server_refuses_is_told_of() {
    let server = &*SERVER;
    let settings = "sslmode=require&sslcert=$stranger.crt&sslkey=$client.key";
    // In TLS 1.3 the refusal comes late. A reset may overtake it, and then it takes another attempt to hear it.
    let timings = Timings { connect_timeout: DEADLINE, ..patient() };
    let listener = Harness::new().spawn(&url(server, "client", "localhost", settings), timings);
    let error = started(&listener).unwrap_err();
    assert_eq!(error.code(), "PGGEN_TLS", "{error}");
    assert!(error.to_string().contains("check the client certificate"), "{error}");
}

#[test]
fn scram_is_bound_to_the_channel() {
    let server = &*SERVER;
    let bound = |settings| connect(server, &url(server, "scram:secret", "localhost", settings));
    assert_eq!(bound("sslmode=require&channel_binding=require").unwrap()[0].as_deref(), Some("t"));
    // `postgres` is trusted, so nothing is bound.
    let url = url(server, "postgres", "localhost", "sslmode=require&channel_binding=require");
    assert_eq!(connect(server, &url).unwrap_err().code(), "PGGEN_AUTHENTICATION_FAILED");
}

#[test]
fn a_server_that_has_tls_but_not_for_us_is_asked_without_where_that_will_do() {
    let server = &*SERVER;
    assert_eq!(outcome(server, &url(server, "plain_only", "localhost", "sslmode=prefer")), "plain");
    let error = connect(server, &url(server, "plain_only", "localhost", "sslmode=require")).unwrap_err();
    assert_eq!(error.code(), "PGGEN_AUTHENTICATION_FAILED");
}

#[test]
fn nothing_follows_in_plain_text_where_tls_is_demanded() {
    for mode in ["no-verify", "require", "verify-full"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://u:secret@{}/d?sslmode={mode}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut request, mut rest) = ([0; 8], Vec::new());
            socket.read_exact(&mut request).unwrap();
            socket.write_all(b"N").unwrap();
            // A reset is an end, too.
            let _ = socket.read_to_end(&mut rest);
            rest
        });
        let harness = Harness::new();
        assert_eq!(started(&harness.spawn(&url, patient())).unwrap_err().code(), "PGGEN_TLS");
        assert_eq!(server.join().unwrap(), b"");
    }
}

#[test]
fn once_listening_a_refusal_is_retried_for_ever() {
    let server = serve("server.crt");
    let harness = Harness::new();
    let settings = "sslmode=verify-full&sslrootcert=$ca.crt";
    let listener = harness.listen(&url(&server, "postgres", "localhost", settings), unhurried());
    Admin::connect(&server.url).execute("ALTER SYSTEM SET ssl = off");
    server.restart();
    until("a refusal for want of TLS", || {
        harness
            .record
            .events()
            .iter()
            .any(|event| event.starts_with("retrying") && event.ends_with("PGGEN_TLS"))
    });
    Admin::connect(&server.url).execute("ALTER SYSTEM SET ssl = on");
    server.restart();
    harness.record.wait_for("resynced", 1);
    harness.assert_hears(&Admin::connect(&server.url));
    shut_down(&listener);
}

#[test]
fn certificates_are_read_anew_for_every_attempt() {
    let server = &*SERVER;
    let roots = std::env::temp_dir().join(format!("pg-generations-roots-{}", std::process::id()));
    let put = |name| fs::copy(path(name), &roots).unwrap();
    put("ca.crt");
    let harness = Harness::new();
    let settings = format!("sslmode=verify-full&sslrootcert={}", roots.display());
    let listener = harness.listen(&url(server, "postgres", "localhost", &settings), unhurried());
    put("another-ca.crt");
    Admin::connect(&server.url).terminate(harness.backend());
    harness.record.wait_for("retrying 1 PGGEN_TLS", 1);
    put("ca.crt");
    harness.record.wait_for("resynced", 1);
    assert_eq!(harness.record.count("lost PGGEN_CONNECTION_LOST"), 1);
    shut_down(&listener);
    fs::remove_file(roots).unwrap();
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let cases = [
        ("sslmode=verify-full&sslrootcert=/nowhere/root.crt", "sslrootcert: cannot read /nowhere/root.crt"),
        ("sslmode=verify-full&sslrootcert=$server.key", "sslrootcert (ssl.ca) holds no certificate"),
        ("sslmode=require&sslcert=$client.crt", "sslcert (ssl.cert) needs an sslkey"),
        ("sslmode=require&sslkey=$client.key", "sslkey (ssl.key) needs an sslcert"),
        ("sslmode=require&sslcert=$client.crt&sslkey=$ca.crt", "sslkey (ssl.key) holds no private key"),
        ("sslmode=require&sslcert=$client.crt&sslkey=$server.key", "do not make a pair"),
        ("sslmode=verify-ca", "needs a root certificate"),
    ];
    for (settings, message) in cases {
        // They are read first: nobody is connected to.
        let url = format!("postgres://nobody@127.0.0.1:1/nothing?{}", with_paths(settings));
        let error = started(&Harness::new().spawn(&url, patient())).unwrap_err();
        assert_eq!(error.code(), "PGGEN_INVALID_OPTIONS");
        assert!(error.to_string().contains(message), "{error}");
    }
}

/// Has a thousand notifications sent for every thousand that it hears, so that there always is one to read.
struct Storm {
    admin: Admin,
    heard: AtomicUsize,
    over: AtomicBool,
}

impl Storm {
    fn send(&self, notifications: usize) {
        let sql = format!("SELECT pg_notify('storm', i::text) FROM generate_series(1, {notifications}) AS i");
        // In a thread without the listener's runtime.
        std::thread::scope(|scope| scope.spawn(|| self.admin.execute(&sql)).join()).unwrap();
    }
}

impl Observer for Storm {
    fn event(&self, event: Event<'_>) {
        if matches!(event, Event::Notification { .. })
            && self.heard.fetch_add(1, Ordering::Relaxed).is_multiple_of(1_000)
            && !self.over.load(Ordering::Relaxed)
        {
            self.send(1_000);
        }
    }
}

#[test]
fn a_storm_keeps_nothing_else_from_its_turn() {
    let server = &*SERVER;
    let url = url(server, "postgres", "localhost", "sslmode=verify-full&sslrootcert=$ca.crt");
    let settings = Settings::new(&Conninfo::from_url(&url).unwrap(), unhurried()).unwrap();
    let (heard, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let storm = Arc::new(Storm { admin: Admin::connect(&server.url), heard, over });
    let listener = Listener::spawn(settings, Some("storm"), Arc::clone(&storm) as _, None).unwrap();
    started(&listener).unwrap();
    storm.send(20_000);
    until("the storm", || storm.heard.load(Ordering::Relaxed) > 0);
    let answer = told(listener.until_listening(None)).recv_timeout(DEADLINE);
    storm.over.store(true, Ordering::Relaxed);
    answer.expect("an answer").unwrap();
    shut_down(&listener);
}
