//! The tests' own tools, kept honest.

#![allow(clippy::unwrap_used, reason = "a failed assumption here is a failed test")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use testkit::{Admin, DEADLINE, Database, Direction, PostgresServer, Proxy, StopMode, until};

/// Both ends of a connection through a proxy.
struct Line {
    proxy: Proxy,
    client: TcpStream,
    server: TcpStream,
}

impl Line {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::to(&format!("postgres://{}", listener.local_addr().unwrap()));
        let client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        let (server, _) = listener.accept().unwrap();
        proxy.wait_for_open(1);
        for end in [&client, &server] {
            end.set_read_timeout(Some(DEADLINE)).unwrap();
        }
        Self { proxy, client, server }
    }
}

fn receive(from: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    from.read_exact(&mut buffer).unwrap();
    buffer
}

#[test]
fn a_proxy_forwards_and_cuts() {
    let Line { proxy, mut client, mut server } = Line::new();
    client.write_all(b"ping").unwrap();
    assert_eq!(receive(&mut server, 4), b"ping");
    server.write_all(b"pong").unwrap();
    assert_eq!(receive(&mut client, 4), b"pong");

    proxy.cut();
    assert_eq!(proxy.open(), 0);
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn a_proxy_resets() {
    let Line { proxy, mut client, server: _server } = Line::new();
    proxy.reset();
    assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_proxy_cuts_in_the_middle_of_a_message() {
    let Line { proxy, mut client, mut server } = Line::new();
    proxy.cut_after(5);
    server.write_all(b"message").unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"messa");
    proxy.wait_for_open(0);
}

#[test]
fn a_proxy_holds_in_the_middle_of_a_message() {
    let Line { proxy, mut client, mut server } = Line::new();
    proxy.hold_after(5);
    server.write_all(b"message").unwrap();
    assert_eq!(receive(&mut client, 5), b"messa");
    proxy.wait_for_limit();
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    proxy.heal();
    assert_eq!(receive(&mut client, 2), b"ge");
}

#[test]
fn a_proxy_delivers_slowly_and_in_order() {
    let Line { proxy, mut client, mut server } = Line::new();
    let text: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let exchange = |client: &mut TcpStream, server: &mut TcpStream| {
        client.write_all(&text).unwrap();
        assert_eq!(receive(server, text.len()), text);
        server.write_all(&text).unwrap();
        assert_eq!(receive(client, text.len()), text);
    };
    proxy.trickle();
    exchange(&mut client, &mut server);
    proxy.heal();
    let (delay, began) = (Duration::from_millis(100), Instant::now());
    proxy.delay(delay);
    exchange(&mut client, &mut server);
    assert!(began.elapsed() >= 2 * delay);
}

#[test]
fn a_proxy_swallows_and_goes_on_to() {
    let Line { proxy, mut client, mut server } = Line::new();
    proxy.swallow(Direction::ToClient);
    server.write_all(b"lost").unwrap();
    client.write_all(b"through").unwrap();
    assert_eq!(receive(&mut server, 7), b"through");

    proxy.wait_for_swallowed(4);
    proxy.heal();
    server.write_all(b"lost, too").unwrap();
    proxy.wait_for_swallowed(13);
    drop(server);
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_proxy_swallows_an_end_until_it_is_healed() {
    let Line { proxy, mut client, mut server } = Line::new();
    proxy.swallow(Direction::Both);
    server.write_all(b"lost").unwrap();
    drop(server);
    proxy.wait_for_swallowed(4);
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    assert_eq!(proxy.open(), 1);
    proxy.heal();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_proxy_holds_from_a_connection_on_and_forwards_one_way() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::to(&format!("postgres://{}", listener.local_addr().unwrap()));
    proxy.hold_at(2);
    let [mut first, mut second] = [(), ()].map(|()| {
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        client.write_all(b"up").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"down").unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        server.set_nonblocking(true).unwrap();
        (client, server)
    });
    proxy.wait_for_accepted(2);
    proxy.forward(Direction::ToClient);
    for (client, _) in [&mut first, &mut second] {
        assert_eq!(receive(client, 4), b"down");
    }
    let (_, server) = &mut second;
    assert_eq!(server.read(&mut [0; 2]).unwrap_err().kind(), ErrorKind::WouldBlock);
    proxy.heal();
    server.set_nonblocking(false).unwrap();
    assert_eq!(receive(server, 2), b"up");
}

#[test]
fn a_proxy_holds_even_the_end() {
    let Line { proxy, mut client, mut server } = Line::new();
    proxy.hold(Direction::Both);
    server.write_all(b"late").unwrap();
    drop(server);
    assert_eq!(proxy.open(), 1);
    proxy.heal();
    assert_eq!(receive(&mut client, 4), b"late");
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_proxy_refuses_and_accepts_on_one_port() {
    let Line { proxy, .. } = Line::new();
    proxy.refuse();
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.accept();
    TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
}

#[test]
fn databases_are_apart_and_backends_can_be_terminated() {
    let (one, other) = (Database::create(), Database::create());
    assert_ne!(one.url, other.url);

    let proxy = Proxy::to(&one.url);
    let victim = Admin::connect(&proxy.url(&one.url));
    victim.execute("SET application_name = 'victim'");
    assert!(other.admin().backends("victim").is_empty());

    let admin = one.admin();
    let [pid] = admin.backends("victim")[..] else { panic!("one victim") };
    admin.terminate(pid);
    proxy.wait_for_open(0);
    assert!(admin.backends("victim").is_empty());
}

#[test]
fn a_private_server_survives_its_deaths() {
    let server = PostgresServer::start_with(&serde_json::json!({ "settings": { "max_connections": 17 } }));
    let url = server.create_database();
    let admin = Admin::connect(&url);
    assert_eq!(admin.query("SHOW max_connections"), [[Some("17".to_owned())]]);
    admin.execute("CREATE TABLE kept AS SELECT 42 AS answer");

    for mode in [StopMode::Fast, StopMode::Immediate, StopMode::Smart] {
        server.stop(mode);
        assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err());
        server.start_again();
    }
    server.restart();
    server.kill9();
    server.start_again();
    assert_eq!(Admin::connect(&url).query("SELECT answer FROM kept"), [[Some("42".to_owned())]]);

    let port = server.port;
    drop(server);
    until("the port to be free", || TcpStream::connect(("127.0.0.1", port)).is_err());
}
