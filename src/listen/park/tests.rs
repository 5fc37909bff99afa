use std::future::pending;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::deadlines::timeout;
use super::super::thread;
use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

fn block_on<T>(work: impl Future<Output = T>) -> T {
    thread::with_runtime(|runtime| runtime.block_on(with_bell(work))).expect("a runtime")
}

/// Parks whenever it is polled, at a socket with nothing to read.
async fn parked() {
    let (socket, _peer) = UnixStream::pair().expect("a pair");
    let direct = Direct::of(&socket).expect("a handle");
    poll_fn(|_| {
        park(&direct, || panic!("there is nothing to read"));
        Poll::Pending
    })
    .await
}

#[test]
fn whatever_is_woken_is_polled_at_once_also_behind_what_parks() {
    let (ask, asked) = mpsc::channel::<oneshot::Sender<()>>();
    let other = std::thread::spawn(move || asked.iter().for_each(|answer| answer.send(()).expect("waits")));
    block_on(async {
        for _ in 0..2_000 {
            let (sender, receiver) = oneshot::channel();
            ask.send(sender).expect("listens");
            let answered = async {
                tokio::select! {
                    biased;
                    () = parked() => {}
                    answer = receiver => answer.expect("an answer"),
                }
            };
            timeout(DEADLINE, answered).await.expect("woken");
        }
    });
    drop(ask);
    other.join().expect("no panic");
}

#[test]
fn deadlines_come_as_they_would_in_the_runtime() {
    block_on(async {
        for millis in [0, 1, 2, 20] {
            let limit = Duration::from_millis(millis);
            let both = async { tokio::join!(parked(), timeout(limit, pending::<()>()), late(DEADLINE)) };
            timeout(limit, both).await.expect_err("the end of time");
        }
    });
    async fn late(limit: Duration) {
        timeout(limit, pending::<()>()).await.expect_err("long over");
        panic!("a deadline was missed");
    }
}

#[test]
fn what_comes_is_read_without_the_runtime_until_there_is_something_else_to_do() {
    let (mut socket, mut peer) = UnixStream::pair().expect("a pair");
    let direct = Direct::of(&socket).expect("a handle");
    let mut heard = Vec::new();
    block_on(poll_fn(|_| {
        peer.write_all(b"a").expect("room");
        park(&direct, || {
            assert!(is_parked());
            let mut bytes = [0; 9];
            let read = socket.read(&mut bytes).expect("something");
            heard.extend_from_slice(&bytes[..read]);
            if heard.len() < 5 {
                peer.write_all(b"b").expect("room");
            }
            heard.len() < 5
        });
        assert!(!is_parked());
        if heard.len() < 5 { Poll::Pending } else { Poll::Ready(()) }
    }));
    assert_eq!(heard, b"aabbb");
}
