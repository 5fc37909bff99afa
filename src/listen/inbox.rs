//! What the server sends without being asked, handed on in the moment it is read, and the echoes among it that the
//! session waits for.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use futures_util::{Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::unconstrained;
use tokio_postgres::{AsyncMessage, Connection, Notification};

use super::event::{Event, Observer};
use crate::error::Error;

/// A connection, as far as it is read.
pub(super) struct Inbox {
    messages: Messages,
    /// The encoding of the database.
    encoding: String,
    /// Why nothing comes any more.
    ended: Option<Error>,
    /// Ours alone, by its random name.
    echo_channel: String,
    /// The echoes we wait for, by nonce. Anyone who learns our channel's name may send to it, so the sender counts
    /// too: our own backend, or `None` for a peer's, whose process id we do not know.
    expected: HashMap<String, Option<i32>>,
}

type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Send>>;

impl Inbox {
    pub fn new<S, T>(mut connection: Connection<S, T>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let encoding = connection.parameter("server_encoding").unwrap_or_default().to_owned();
        // As a stream: awaiting it as a future would throw its notifications away.
        Self::of(stream::poll_fn(move |cx| connection.poll_message(cx)).boxed(), encoding)
    }

    fn of(messages: Messages, encoding: String) -> Self {
        let echo_channel = format!("pggen_echo_{}", nonce());
        Self { messages, encoding, ended: None, echo_channel, expected: HashMap::new() }
    }

    /// The encoding of the database, as the server calls it.
    pub fn encoding(&self) -> &str {
        &self.encoding
    }

    /// Where to send what [`expect`](Self::expect) gives.
    pub fn echo_channel(&self) -> &str {
        &self.echo_channel
    }

    /// Makes a nonce and waits for it from now on.
    pub fn expect(&mut self, from: Option<i32>) -> String {
        let nonce = nonce();
        self.expected.insert(nonce.clone(), from);
        nonce
    }

    /// Whether the nonce has not come yet.
    pub fn expects(&self, nonce: &str) -> bool {
        self.expected.contains_key(nonce)
    }

    pub fn forget(&mut self, nonce: &str) {
        self.expected.remove(nonce);
    }

    /// Does `work` while handing on whatever arrives. An error of the connection ends both.
    pub async fn during<T>(
        &mut self,
        sink: &dyn Observer,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        if let Some(reason) = &self.ended {
            return Err(reason.clone());
        }
        // However much arrives, it gets its turn: what reading may do at a time is not its concern.
        let mut work = pin!(unconstrained(work));
        // It begins before anything is read. A statement that is sent once the connection has ended does not know why
        // that was; one that was sent before waits for its answer.
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            return Ok(output);
        }
        poll_fn(|cx| {
            loop {
                // What has arrived goes first, for it is not to wait for anything. A result that is there counts, even
                // if the connection ended with it: it says why.
                let received = self.poll_receive(cx, sink);
                if let Poll::Ready(output) = work.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                ready!(received)?;
            }
        })
        .await
    }

    /// Waits for the answer to a statement of a session that listens while handing on whatever arrives. What is wrong
    /// with a notification may come as the statement's answer.
    pub async fn answer<T>(
        &mut self,
        sink: &dyn Observer,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        let answer = self.during(sink, statement).await?;
        answer.map_err(|error| Error::while_listening(error, &self.encoding))
    }

    pub async fn until_heard(&mut self, nonce: &str, sink: &dyn Observer) -> Result<(), Error> {
        while self.expects(nonce) {
            self.receive(sink).await?;
        }
        Ok(())
    }

    /// Waits until nothing comes any more, and hands on nothing.
    pub async fn until_closed(&mut self) {
        while self.receive(&Deaf).await.is_ok() {}
    }

    /// Waits for one message and hands it on. Dropping the future loses nothing.
    async fn receive(&mut self, sink: &dyn Observer) -> Result<(), Error> {
        poll_fn(|cx| self.poll_receive(cx, sink)).await
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, sink: &dyn Observer) -> Poll<Result<(), Error>> {
        if let Some(reason) = &self.ended {
            return Poll::Ready(Err(reason.clone()));
        }
        let reason = match ready!(self.messages.poll_next_unpin(cx)) {
            Some(Ok(message)) => {
                if let AsyncMessage::Notification(notification) = message {
                    self.hand_on(&notification, sink);
                }
                return Poll::Ready(Ok(()));
            }
            Some(Err(error)) => Error::while_listening(error, &self.encoding),
            None => Error::ConnectionClosed,
        };
        Poll::Ready(Err(self.ended.insert(reason).clone()))
    }

    fn hand_on(&mut self, notification: &Notification, sink: &dyn Observer) {
        let (channel, payload) = (notification.channel(), notification.payload());
        let process_id = notification.process_id();
        if channel != self.echo_channel {
            sink.event(Event::Notification { channel, payload, process_id });
        } else if let Some(from) = self.expected.get(payload)
            && from.is_none_or(|pid| pid == process_id)
        {
            self.forget(payload);
        }
    }
}

/// For where there is nothing to hear.
pub(super) struct Deaf;

impl Observer for Deaf {
    fn event(&self, _: Event<'_>) {}
}

/// 64 random bits: enough that nobody guesses it, short enough to read in a log.
fn nonce() -> String {
    // Without the operating system's randomness an echo would still be unique, by this process and moment.
    let bits = getrandom::u64().unwrap_or_else(|_| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(32)
    });
    format!("{bits:016x}")
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::FutureExt;

    use super::*;

    /// A connection that ends as soon as it is read, and is not to be read again; why, and whether it was read.
    fn ended() -> (Inbox, String, Arc<AtomicBool>) {
        let error = "no_such_setting=1".parse::<tokio_postgres::Config>().expect_err("no such setting");
        let reason = error.to_string();
        let read = Arc::new(AtomicBool::new(false));
        let (mut end, was_read) = (Some(Err(error)), Arc::clone(&read));
        let messages = stream::poll_fn(move |_| {
            was_read.store(true, Ordering::Relaxed);
            Poll::Ready(Some(end.take().expect("read once")))
        });
        (Inbox::of(messages.boxed(), "UTF8".to_owned()), reason, read)
    }

    /// What comes of work that goes on at once.
    fn during<T>(inbox: &mut Inbox, work: impl Future<Output = T>) -> Result<T, String> {
        inbox.during(&Deaf, work).now_or_never().expect("at once").map_err(|error| error.to_string())
    }

    #[test]
    fn everybody_learns_why_the_connection_ended() {
        let (mut inbox, reason, _) = ended();
        for _ in 0..2 {
            assert!(during(&mut inbox, pending::<()>()).expect_err("it ended").contains(&reason));
        }
        assert!(during(&mut inbox, ready(())).expect_err("it ended").contains(&reason));
    }

    #[test]
    fn a_result_that_comes_with_the_end_is_kept_and_the_reason_is_not_lost() {
        let (mut inbox, reason, read) = ended();
        let answer = poll_fn(|_| if read.load(Ordering::Relaxed) { Poll::Ready(7) } else { Poll::Pending });
        assert_eq!(during(&mut inbox, answer), Ok(7));
        assert!(during(&mut inbox, pending::<()>()).expect_err("it ended").contains(&reason));
    }

    #[test]
    fn a_statement_is_sent_before_the_end_is_read_so_that_it_does_not_hide_the_reason() {
        let (mut inbox, reason, read) = ended();
        let mut sent_too_late = None;
        let statement = poll_fn(|_| {
            let too_late = *sent_too_late.get_or_insert_with(|| read.load(Ordering::Relaxed));
            if too_late { Poll::Ready(()) } else { Poll::Pending }
        });
        assert!(during(&mut inbox, statement).expect_err("it ended").contains(&reason));
    }
}
