//! Several subscriptions to several channels on one connection.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pg_generations::error::Error;
use pg_generations::listen::{
    Conninfo, Covers, Event, Fence, InGap, Listener, Observer, Settings, SharedObserver, State, Timings,
};

use crate::harness::{Harness, patient, shut_down, started, told, unhurried, wait};
use testkit::{Admin, DEADLINE, Database, Direction, Proxy, until};

/// What a subscriber was told: `"listening"`, `"heard PAYLOAD"`, `"lost"`, …
#[derive(Default)]
pub struct Ear {
    told: Mutex<Vec<String>>,
    more: Condvar,
    panics_at: Mutex<Option<&'static str>>,
}

impl Ear {
    pub fn told(&self) -> Vec<String> {
        self.told.lock().clone()
    }

    pub fn wait_for(&self, what: &str, times: usize) {
        let mut told = self.told.lock();
        let count = |told: &Vec<String>| told.iter().filter(|text| *text == what).count();
        let late = self.more.wait_while_for(&mut told, |told| count(told) < times, DEADLINE);
        assert!(!late.timed_out(), "waited for {times} × {what:?} in {told:?}");
    }
}

impl Observer for Ear {
    fn event(&self, event: Event<'_>) {
        let text = match event {
            Event::Listening { .. } => "listening".into(),
            Event::Notification { payload, .. } => format!("heard {payload}"),
            Event::Undecodable { .. } => "undecodable".into(),
            Event::Lost { .. } => "lost".into(),
            Event::Resynced { .. } => "resynced".into(),
            Event::Failed { error } => format!("failed {}", error.code()),
            Event::Stopping => "stopping".into(),
            Event::Stopped => "stopped".into(),
            _ => return,
        };
        let panics = self.panics_at.lock().take_if(|at| *at == text).is_some();
        self.told.lock().push(text);
        self.more.notify_all();
        assert!(!panics, "an observer that panics on purpose");
    }
}

pub fn subscribed(listener: &Listener, channel: &str) -> (Listener, Arc<Ear>) {
    let (subscription, ear) = subscribing(listener, channel);
    wait(subscription.until_listening(None)).unwrap();
    (subscription, ear)
}

pub fn subscribing(listener: &Listener, channel: &str) -> (Listener, Arc<Ear>) {
    let ear = Arc::new(Ear::default());
    (listener.subscribe(channel, Arc::clone(&ear) as SharedObserver, DEADLINE).unwrap(), ear)
}

pub fn left(subscription: &Listener) {
    wait(subscription.close()).unwrap();
}

/// No heartbeat, and short pauses.
pub fn quick() -> Timings {
    Timings { reconnect_max_delay: Duration::from_millis(50), ..patient() }
}

/// Everything that was committed before has been heard when this returns.
pub fn fenced(listens: &Listener) {
    let fence = Fence { covers: Covers::Acknowledged, limit: DEADLINE, in_gap: InGap::Wait };
    wait(listens.fence(fence)).unwrap();
}

/// Leaves, and gives what says so when it is done.
pub fn leaving(subscription: &Listener) -> mpsc::Receiver<Result<(), Error>> {
    told(subscription.close())
}

/// A connection that nothing but subscriptions uses.
fn connection(url: &str, timings: Timings) -> Listener {
    struct Nobody;
    impl Observer for Nobody {
        fn event(&self, _: Event<'_>) {}
    }
    connection_for(url, timings, None, Nobody)
}

/// A connection that begins with a channel.
fn connection_for(
    url: &str,
    timings: Timings,
    first: Option<&str>,
    observer: impl Observer + Send + Sync + 'static,
) -> Listener {
    let settings = Settings::new(&Conninfo::from_url(url).unwrap(), timings).unwrap();
    Listener::spawn(settings, first, Arc::new(observer), None).unwrap()
}

/// What the one connection said last.
fn last_statement(admin: &Admin) -> String {
    let rows = admin.query(
        "SELECT query FROM pg_stat_activity WHERE application_name LIKE 'pg-generations/%' \
         AND datname = current_database()",
    );
    assert_eq!(rows.len(), 1, "one connection serves all: {rows:?}");
    rows[0][0].clone().unwrap()
}

#[test]
fn each_hears_its_channel_and_the_first_hears_its_own() {
    let database = Database::create();
    let admin = database.admin();
    let harness = Harness::new();
    let listener = harness.listen(&database.url, patient());
    let names = ["plain", "With Capitals", r#"qu"o'te; --"#, "канал", &"x".repeat(63)];
    let ears: Vec<_> = names.iter().map(|name| subscribed(&listener, name)).collect();
    for name in names {
        admin.notify(name, name);
    }
    admin.notify("Plain", "another channel");
    harness.assert_hears(&admin);
    for (name, (_, ear)) in names.iter().zip(&ears) {
        assert_eq!(ear.told(), ["listening".to_owned(), format!("heard {name}")]);
    }
    assert_eq!(harness.record.count("notification"), 1);
    last_statement(&admin);
    shut_down(&listener);
    for (_, ear) in &ears {
        assert_eq!(ear.told()[2..], ["stopping", "stopped"]);
    }
}

#[test]
fn the_first_says_listen_and_the_last_unlisten() {
    let database = Database::create();
    let admin = database.admin();
    let listener = connection(&database.url, patient());
    let (first, _) = subscribed(&listener, "c");
    assert_eq!(last_statement(&admin), r#"LISTEN "c""#);
    fenced(&first);
    let (second, ear) = subscribed(&listener, "c");
    left(&first);
    assert_eq!(last_statement(&admin), "");
    assert_eq!(first.state().0, State::Stopped);
    admin.notify("c", "1");
    fenced(&second);
    assert_eq!(ear.told(), ["listening", "heard 1"]);
    left(&second);
    assert_eq!(last_statement(&admin), r#"UNLISTEN "c""#);
    left(&second);
    assert_eq!(wait(second.until_listening(None)).unwrap_err().code(), "PGGEN_STOPPED");
    admin.notify("c", "2");
    fenced(&listener);
    assert_eq!(ear.told()[2..], ["stopping", "stopped"]);
}

#[test]
fn who_has_left_hears_nothing_more_though_others_do() {
    let database = Database::create();
    let admin = database.admin();
    let listener = connection(&database.url, patient());
    let (leaver, left_ear) = subscribed(&listener, "c");
    let (stayer, stayed_ear) = subscribed(&listener, "c");
    drop(leaver.close());
    admin.notify("c", "1");
    fenced(&stayer);
    assert_eq!(left_ear.told(), ["listening", "stopping", "stopped"]);
    assert_eq!(stayed_ear.told(), ["listening", "heard 1"]);
    drop(stayer);
    stayed_ear.wait_for("stopped", 1);
}

/// Both while the listener's thread is busy elsewhere, so that nothing has been said to the server when it goes on.
#[test]
fn who_comes_while_the_last_leaves_takes_its_place() {
    struct Busy {
        begun: mpsc::Sender<()>,
        end: Mutex<mpsc::Receiver<()>>,
    }
    impl Observer for Busy {
        fn event(&self, event: Event<'_>) {
            if let Event::Notification { .. } = event {
                self.begun.send(()).unwrap();
                self.end.lock().recv_timeout(DEADLINE).unwrap();
            }
        }
    }
    let database = Database::create();
    let admin = database.admin();
    let ((begun, is_busy), (go_on, end)) = (mpsc::channel(), mpsc::channel());
    let observer = Busy { begun, end: Mutex::new(end) };
    let listener = connection_for(&database.url, patient(), Some("own"), observer);
    let (leaver, old) = subscribed(&listener, "c");
    admin.notify("own", "");
    is_busy.recv_timeout(DEADLINE).unwrap();
    let gone = leaving(&leaver);
    let (newcomer, new) = subscribing(&listener, "c");
    assert!(gone.try_recv().is_err());
    go_on.send(()).unwrap();
    gone.recv_timeout(DEADLINE).unwrap().unwrap();
    wait(newcomer.until_listening(None)).unwrap();
    assert_eq!(last_statement(&admin), r#"LISTEN "c""#, "the channel was never given up");
    admin.notify("c", "1");
    fenced(&newcomer);
    assert_eq!(new.told(), ["listening", "heard 1"]);
    assert_eq!(old.told(), ["listening", "stopping", "stopped"]);
    shut_down(&listener);
}

#[test]
fn who_has_left_hears_nothing_more_though_the_server_does_not_know_yet() {
    let database = Database::create();
    let admin = database.admin();
    let proxy = Proxy::to(&database.url);
    let listener = connection(&proxy.url(&database.url), patient());
    let (leaver, ear) = subscribed(&listener, "c");
    let (_stays, other) = subscribed(&listener, "other");
    proxy.hold(Direction::ToServer);
    let gone = leaving(&leaver);
    admin.notify("c", "1");
    admin.notify("other", "2");
    other.wait_for("heard 2", 1);
    assert!(gone.try_recv().is_err());
    proxy.heal();
    gone.recv_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(ear.told(), ["listening", "stopping", "stopped"]);
    shut_down(&listener);
}

#[test]
fn a_channel_that_the_server_refuses_fails_those_who_wait_for_it_and_nobody_else() {
    let database = Database::create();
    let admin = database.admin();
    let name = format!("latin1_{}", std::process::id());
    admin.execute(&format!("DROP DATABASE IF EXISTS {name}"));
    admin.execute(&format!(
        "CREATE DATABASE {name} ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    ));
    let mut url = url::Url::parse(&database.url).unwrap();
    url.set_path(&name);
    let harness = Harness::new();
    let listener = harness.listen(url.as_str(), patient());
    let odd = r#"ca"f\é"#;
    let (other, ear) = subscribed(&listener, odd);
    let refused: Vec<_> = (0..3).map(|_| subscribing(&listener, "канал")).collect();
    for (subscription, ear) in &refused {
        let error = wait(subscription.until_listening(None)).unwrap_err();
        assert_eq!((error.code(), error.sql_state()), ("PGGEN_SERVER_ERROR", Some("22P05")));
        assert_eq!(ear.told(), ["failed PGGEN_SERVER_ERROR", "stopped"]);
        assert_eq!(subscription.state().0, State::Stopped);
        left(subscription);
    }
    let there = Admin::connect(url.as_str());
    harness.assert_hears(&there);
    there.notify(odd, "here");
    ear.wait_for("heard here", 1);
    assert_eq!(other.state().0, State::Listening);
    assert_eq!(harness.record.count("lost"), 0);
    shut_down(&listener);
    drop(there);
    until("the database to be free", || admin.try_execute(&format!("DROP DATABASE {name}")).is_ok());
}

#[test]
fn a_start_that_fails_fails_all_and_so_does_a_shutdown() {
    let database = Database::create();
    let mut url = url::Url::parse(&database.url).unwrap();
    url.set_path("no_such_database");
    let listener = connection(url.as_str(), patient());
    let (early, early_ear) = subscribing(&listener, "c");
    assert_eq!(wait(early.until_listening(None)).unwrap_err().code(), "PGGEN_UNKNOWN_DATABASE");
    let _ = started(&listener);
    let (late, late_ear) = subscribing(&listener, "c");
    assert_eq!(wait(late.until_listening(None)).unwrap_err().code(), "PGGEN_UNKNOWN_DATABASE");
    for ear in [early_ear, late_ear] {
        ear.wait_for("stopped", 1);
        assert_eq!(ear.told(), ["failed PGGEN_UNKNOWN_DATABASE", "stopped"]);
    }

    let proxy = Proxy::to(&database.url);
    proxy.hold(Direction::Both);
    let listener = connection(&proxy.url(&database.url), patient());
    let (waiting, ear) = subscribing(&listener, "c");
    shut_down(&listener);
    assert_eq!(wait(waiting.until_listening(None)).unwrap_err().code(), "PGGEN_STOPPED");
    assert_eq!(ear.told(), ["stopping", "stopped"]);
    left(&waiting);
}

#[test]
fn an_observer_that_panics_keeps_nobody_from_being_told() {
    let database = Database::create();
    let admin = database.admin();
    for at in ["lost", "resynced", "heard boom"] {
        let harness = Harness::new();
        let listener = harness.listen(&database.url, unhurried());
        let quiet = [subscribed(&listener, "c"), subscribed(&listener, "d")];
        let (_panics, ear) = subscribed(&listener, "c");
        let more = [subscribed(&listener, "c"), subscribed(&listener, "d")];
        *ear.panics_at.lock() = Some(at);
        if at == "heard boom" {
            admin.notify("c", "boom");
        } else {
            admin.terminate(harness.backend());
        }
        let losses = if at == "resynced" { 2 } else { 1 };
        for (_, ear) in quiet.iter().chain(&more) {
            ear.wait_for("resynced", losses);
            let told: Vec<_> = ear.told().into_iter().filter(|text| !text.starts_with("heard")).collect();
            let gap = ["lost", "resynced"];
            assert_eq!(told[1..], std::iter::repeat_n(gap, losses).collect::<Vec<_>>().concat());
        }
        harness.record.wait_for("resynced", losses);
        harness.assert_hears(&admin);
        shut_down(&listener);
    }
}

#[test]
fn names_that_postgres_would_change_are_refused() {
    let database = Database::create();
    let listener = connection(&database.url, patient());
    for name in ["", "a\0b", &"é".repeat(32)] {
        let refused: Result<_, Error> = listener.subscribe(name, Arc::new(Ear::default()), DEADLINE);
        assert_eq!(refused.err().map(|error| error.code()), Some("PGGEN_INVALID_OPTIONS"));
    }
}
