//! One look at a server: what is found where LISTEN works, and where it does not.

use std::sync::mpsc;

use pg_generations::listen::{Conninfo, IDENTITY, ProbeFindings, Settings, Timings, Verified, examine};
use pg_generations::payload::CHANNEL;
use serde_json::{Value, json};

use crate::harness::{Harness, patient, shut_down, watchful};
use crate::tls;
use testkit::{Admin, DEADLINE, Database, Pooler, PostgresServer, until};

fn look_with(url: &str, timings: Timings) -> ProbeFindings {
    let settings = Settings::new(&Conninfo::from_url(url).unwrap(), timings).unwrap();
    let (sender, receiver) = mpsc::channel();
    examine(settings, vec![CHANNEL.into()], 3, move |found| sender.send(found).unwrap()).unwrap();
    receiver.recv_timeout(DEADLINE).expect("no findings")
}

fn look(url: &str) -> ProbeFindings {
    look_with(url, patient())
}

/// What the server answered; `null` for nothing of the kind.
fn fact(found: &ProbeFindings, name: &str) -> Value {
    let fact = found.facts.iter().find(|fact| fact.name == name).unwrap_or_else(|| panic!("no fact {name}"));
    let answer = fact.answer.as_ref().unwrap_or_else(|error| panic!("{name}: {error}"));
    answer.as_deref().map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

/// Who is listed.
fn pids(listeners: &Value) -> Vec<i64> {
    let sessions = listeners["sessions"].as_array().unwrap();
    let mut pids: Vec<_> = sessions.iter().map(|session| session["pid"].as_i64().unwrap()).collect();
    pids.sort_unstable();
    pids
}

fn code(found: &ProbeFindings) -> Option<&'static str> {
    found.failure.as_ref().map(pg_generations::error::Error::code)
}

#[test]
fn a_server_where_listen_works() {
    let database = Database::create();
    let name = "pg-generations test of a look";
    let found = look(&format!("{}?application_name={}", database.url, name.replace(' ', "%20")));
    assert_eq!(code(&found), None);
    assert!(found.listens);
    assert_eq!(found.echoes.len(), 3);

    let admin = database.admin();
    let answer = |sql: &str| admin.query(sql)[0][0].clone();
    assert_eq!(found.server, answer(IDENTITY));
    assert_eq!(fact(&found, "version").as_str(), answer("SHOW server_version").as_deref());
    assert_eq!(fact(&found, "session")["database"].as_str(), answer("SELECT current_database()").as_deref());
    assert!((0.0..=1.0).contains(&fact(&found, "queue").as_f64().unwrap()));
    let connections = fact(&found, "connections");
    assert!(
        connections["used"].as_u64() >= Some(1)
            && connections["used"].as_u64() < connections["limit"].as_u64()
    );
    let settings = fact(&found, "settings");
    assert_eq!(settings["synchronousStandbyNames"], "");
    assert_eq!(settings["synchronousStandbys"], 0);
    // It has said goodbye before it told.
    assert!(admin.backends(name).is_empty());
}

#[test]
fn a_pooler_is_found_out_and_what_it_let_through_is_told() {
    let database = Database::create();
    let pooler = Pooler::before(&database.url);
    let found = look_with(&pooler.url(&database.url), watchful());
    assert_eq!(code(&found), Some("PGGEN_LISTEN_SWALLOWED"));
    assert!(!found.listens && found.echoes.is_empty());
    assert_ne!(fact(&found, "version"), Value::Null);
}

#[test]
fn where_there_is_no_session_there_are_no_facts() {
    let primary = PostgresServer::start();
    let standby = primary.standby();
    let url = primary.url.replace(&primary.port.to_string(), "1");
    for (url, expected) in [
        (standby.url.as_str(), "PGGEN_READ_ONLY_SERVER"),
        (&url, "PGGEN_UNREACHABLE"),
        ("postgres://nobody@host.invalid/nothing", "PGGEN_HOST_NOT_FOUND"),
    ] {
        let found = look(url);
        assert_eq!(code(&found), Some(expected));
        assert!(found.address.is_none() && found.facts.is_empty() && !found.listens);
    }
}

#[test]
fn a_full_queue_is_seen_and_is_why_nothing_can_be_proven() {
    let Some(server) = PostgresServer::with_a_tiny_queue() else { return };
    let idler = Admin::connect(&server.url);
    idler.execute("LISTEN another");
    idler.execute("BEGIN");
    let admin = Admin::connect(&server.url);
    while admin.try_execute("SELECT pg_notify('another', repeat('x', 7900))").is_ok() {}

    let found = look(&server.url);
    assert_eq!(found.failure.as_ref().and_then(|error| error.sql_state()), Some("54000"));
    assert!(!found.listens);
    assert!(fact(&found, "queue").as_f64().unwrap() > 0.9);
    let sessions = fact(&found, "listeners")["sessions"].clone();
    // Its last statement is BEGIN: only the privileged could know that it listens, and not even they do.
    assert_eq!(sessions, json!([]));
}

#[test]
fn listeners_are_told_by_their_name_or_by_what_they_said_last() {
    let database = Database::create();
    let harness = Harness::new();
    let ours = harness.listen(&database.url, patient());
    let admin = database.admin();
    admin.execute("LISTEN something");
    let pid: i32 = admin.query("SELECT pg_backend_pid()")[0][0].as_ref().unwrap().parse().unwrap();
    admin.execute("SELECT 1; LISTEN something");
    let bystander = database.admin();
    bystander.query("SELECT 'listen to me'");
    // A client named otherwise is known by its echoes.
    let renamed = Harness::new();
    let other = renamed.listen(&format!("{}?application_name=other", database.url), watchful());
    renamed.record.wait_for("echo", 1);

    let found = look(&database.url);
    let listeners = fact(&found, "listeners");
    let mut expected = [harness.backend(), pid, renamed.backend()].map(i64::from);
    expected.sort_unstable();
    assert_eq!(pids(&listeners), expected);
    assert_eq!(listeners["hidden"], 0);
    shut_down(&ours);
    shut_down(&other);
}

#[test]
fn what_is_kept_from_the_unprivileged_is_counted() {
    let server = PostgresServer::start();
    let admin = Admin::connect(&server.url);
    admin.execute("CREATE ROLE plain LOGIN");
    admin.execute("LISTEN something");
    let harness = Harness::new();
    let ours = harness.listen(&server.url, patient());
    let url = server.url.replace("postgres@", "plain@");
    let looked = |hidden: u64| {
        let listeners = fact(&look(&url), "listeners");
        listeners["hidden"] == hidden && pids(&listeners) == [i64::from(harness.backend())]
    };
    // Sessions of the server's own start-up may still be on their way out.
    until("one session whose statement is hidden, and one that is known by its name", || looked(1));
    shut_down(&ours);
}

#[test]
fn who_holds_the_locks_of_strict_mode_and_who_waits_for_them() {
    let database = Database::create();
    let none = fact(&look(&database.url), "locks");
    assert_eq!(none, json!({ "holders": [], "waiting": [] }));

    let pid = |admin: &Admin| admin.query("SELECT pg_backend_pid()")[0][0].as_ref().unwrap().parse().unwrap();
    let (idle, persisting, invalidating) = (database.admin(), database.admin(), database.admin());
    let pids: [i64; 3] = [pid(&idle), pid(&persisting), pid(&invalidating)];
    // A session's lock, a transaction's, others that look like ours, and one that is waited for.
    idle.execute("SELECT pg_advisory_lock(1885824882, -7), pg_advisory_lock(1, 0)");
    idle.execute("SELECT pg_advisory_lock((1885824865::int8 << 32) + 5)");
    persisting.execute("BEGIN; SELECT pg_advisory_xact_lock_shared(1885824865, 0)");
    std::thread::scope(|scope| {
        scope.spawn(|| invalidating.execute("SELECT pg_advisory_xact_lock(1885824882, -7)"));
        let admin = database.admin();
        let wait = format!("SELECT FROM pg_locks WHERE NOT granted AND pid = {}", pids[2]);
        until("a wait", || !admin.query(&wait).is_empty());
        let locks = fact(&look(&database.url), "locks");
        idle.execute("SELECT pg_advisory_unlock_all()");
        let mut held: Vec<_> = locks["holders"].as_array().unwrap().iter().collect();
        held.sort_by_key(|holder| holder["everything"].as_bool());
        let [realm, everything] = held[..] else { panic!("{locks}") };
        assert_eq!((&realm["pid"], &realm["mode"]), (&json!(pids[0]), &json!("ExclusiveLock")));
        assert_eq!((&everything["pid"], &everything["mode"]), (&json!(pids[1]), &json!("ShareLock")));
        assert_eq!(everything["state"], "idle in transaction");
        assert!(
            held.iter().all(|holder| holder["seconds"].as_f64() >= Some(0.0) && holder["user"].is_string())
        );
        let [waiter] = &locks["waiting"].as_array().unwrap()[..] else { panic!("{locks}") };
        assert_eq!((&waiter["pid"], &waiter["blockedBy"]), (&json!(pids[2]), &json!([pids[0]])));
        assert!(waiter["seconds"].as_f64() >= Some(0.0));
    });
}

#[test]
fn it_is_told_what_was_checked_of_the_server() {
    let server = &*tls::SERVER;
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/testkit/certificates/ca.crt");
    let cases = [
        ("disable".to_owned(), false, Verified::Nothing),
        ("prefer".to_owned(), true, Verified::Nothing),
        ("no-verify".to_owned(), true, Verified::Nothing),
        (format!("verify-ca&sslrootcert={root}"), true, Verified::Authority),
        (format!("require&sslrootcert={root}"), true, Verified::Authority),
        (format!("verify-full&sslrootcert={root}"), true, Verified::Host),
    ];
    for (mode, encrypted, verified) in cases {
        let found = look(&format!("postgres://postgres@localhost:{}/postgres?sslmode={mode}", server.port));
        assert_eq!(code(&found), None, "{mode}");
        assert_eq!((fact(&found, "tls").is_object(), found.verified), (encrypted, Some(verified)), "{mode}");
    }
}
