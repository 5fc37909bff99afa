use std::collections::VecDeque;
use std::future::{pending, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

/// A server that says one part after another, whatever it hears; how many parts were read.
struct Script(VecDeque<Vec<u8>>, Arc<AtomicUsize>);

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buf.put_slice(&self.0.pop_front().unwrap_or_default());
        self.1.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const REASON: &str = "the machine goes down";

/// A connection that ends as soon as it is read; whether it was read; and its client.
fn ending() -> (Reader, impl Fn() -> bool + Clone, Client) {
    let logged_in = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I".to_vec();
    let fields = format!("SFATAL\0C57P01\0M{REASON}\0\0");
    let end = [b"E\0\0\0", &[fields.len() as u8 + 4][..], fields.as_bytes()].concat();
    let parts = Arc::new(AtomicUsize::new(0));
    let socket = Socket::of(Script(VecDeque::from([logged_in, end]), Arc::clone(&parts)));
    let mut config = Config::new();
    config.user("u").ssl_mode(SslMode::Disable);
    let login = Reader::log_in(socket, None, &config, None);
    let (client, reader) = login.now_or_never().expect("at once").expect("logged in");
    (reader, move || parts.load(Ordering::Relaxed) > 1, client)
}

/// What comes of work that goes on at once.
fn during<T>(reader: &mut Reader, work: impl Future<Output = T>) -> Result<T, String> {
    reader.during(&Deaf, work).now_or_never().expect("at once").map_err(|error| error.to_string())
}

#[test]
fn everybody_learns_why_the_connection_ended() {
    let (mut reader, _, _client) = ending();
    for _ in 0..2 {
        assert!(during(&mut reader, pending::<()>()).expect_err("it ended").contains(REASON));
    }
    assert!(during(&mut reader, ready(())).expect_err("it ended").contains(REASON));
}

#[test]
fn a_result_that_comes_with_the_end_is_kept_and_the_reason_is_not_lost() {
    let (mut reader, was_read, _client) = ending();
    let answer = poll_fn(|_| if was_read() { Poll::Ready(7) } else { Poll::Pending });
    assert_eq!(during(&mut reader, answer), Ok(7));
    assert!(during(&mut reader, pending::<()>()).expect_err("it ended").contains(REASON));
}

#[test]
fn a_statement_is_sent_before_the_end_is_read_so_that_it_does_not_hide_the_reason() {
    let (mut reader, was_read, _client) = ending();
    let mut sent_too_late = None;
    let statement = poll_fn(|_| {
        let too_late = *sent_too_late.get_or_insert_with(&was_read);
        if too_late { Poll::Ready(()) } else { Poll::Pending }
    });
    assert!(during(&mut reader, statement).expect_err("it ended").contains(REASON));
}

#[test]
fn only_what_is_certain_is_decoded() {
    for (encoding, bytes, text) in [
        ("UTF8", "é".as_bytes(), Some("é")),
        ("UTF8", b"\xe9", None),
        ("SQL_ASCII", "é".as_bytes(), Some("é")),
        ("SQL_ASCII", b"\xff", None),
        ("LATIN1", b"\xe9\x81", Some("é\u{81}")),
        ("LATIN1", "é".as_bytes(), Some("Ã©")),
        ("WIN1252", b"ascii", Some("ascii")),
        ("WIN1252", b"\x80", None),
        ("WIN1252", "é".as_bytes(), None),
        ("EUC_JP", b"\xa4\xa2", None),
    ] {
        assert_eq!(decode(bytes, encoding).as_deref(), text, "{encoding} {bytes:?}");
    }
}
