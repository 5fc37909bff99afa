//! The stream between a connection's socket, or its TLS, and tokio-postgres.
//!
//! Only [`Tap::poll_read`] reads the socket. It takes the notifications out, and tokio-postgres finds the rest in memory.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::connect::{Handshake, Methods};
use super::dial::{Socket, Stream};
use super::frames::{Frames, Notification};
use crate::error::Error;

/// One stream, shared by its reader and tokio-postgres within one thread.
#[derive(Clone)]
pub(super) struct Tap(Rc<RefCell<Wire>>);

struct Wire {
    line: Line,
    frames: Frames,
    /// How reading ended, once it has.
    end: Option<io::Result<()>>,
    /// Whether something is to be written that the socket does not take yet.
    blocked: bool,
}

enum Line {
    Plain(Socket),
    Tls(Box<<Handshake as TlsConnect<Socket>>::Stream>),
    /// The handshake has the socket.
    Upgrading,
}

impl Tap {
    /// Where `awaits_tls`, the server first answers, in one byte, whether it has TLS. A request for any way to log in
    /// that is not among `methods` is an error.
    pub fn new(socket: Socket, methods: Option<Methods>, awaits_tls: bool) -> Self {
        let (line, frames) = (Line::Plain(socket), Frames::new(methods, awaits_tls));
        Self(Rc::new(RefCell::new(Wire { line, frames, end: None, blocked: false })))
    }

    /// Reads the socket once, and hands on the notifications among what came. Once the stream has ended, which
    /// tokio-postgres learns, nothing comes any more.
    pub fn poll_read(
        &self,
        cx: &mut Context<'_>,
        hear: impl FnMut(Notification<'_>),
    ) -> Poll<Result<(), Error>> {
        let wire = &mut *self.0.borrow_mut();
        let (Ok(stream), None) = (wire.line.stream(), &wire.end) else { return Poll::Pending };
        let mut room = ReadBuf::new(wire.frames.room());
        let outcome = ready!(stream.poll_read(cx, &mut room));
        let came = room.filled().len();
        match outcome {
            Ok(()) if came > 0 => wire.frames.cut(came, hear)?,
            outcome => wire.end = Some(outcome),
        }
        Poll::Ready(Ok(()))
    }

    /// Whether nothing is to be done but to read the socket when it can be read.
    pub fn is_idle(&self) -> bool {
        let Wire { frames, end, blocked, .. } = &*self.0.borrow();
        !frames.has_rest() && end.is_none() && !blocked
    }

    /// Whether there may be more to read than the socket has.
    pub fn has_buffer(&self) -> bool {
        matches!(self.0.borrow().line, Line::Tls(_))
    }

    fn write<T>(
        &self,
        work: impl FnOnce(Pin<&mut dyn Stream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let wire = &mut *self.0.borrow_mut();
        let written = work(wire.line.stream()?);
        wire.blocked = written.is_pending();
        written
    }
}

impl Line {
    fn stream(&mut self) -> io::Result<Pin<&mut dyn Stream>> {
        match self {
            Self::Plain(socket) => Ok(Pin::new(socket)),
            Self::Tls(stream) => Ok(Pin::new(stream)),
            Self::Upgrading => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.borrow_mut();
        if !wire.frames.take(buf) {
            // Whoever reads the socket polls tokio-postgres afterwards: nothing has to be woken.
            let end = wire.end.as_mut().map(|end| mem::replace(end, Ok(())));
            return end.map_or(Poll::Pending, Poll::Ready);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(|stream| stream.poll_shutdown(cx))
    }
}

impl TlsStream for Tap {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.0.borrow().line {
            Line::Tls(stream) => stream.channel_binding(),
            Line::Plain(_) | Line::Upgrading => ChannelBinding::none(),
        }
    }
}

/// Puts TLS between the tap and its socket. `None` for plain text, where tokio-postgres does not ask for it.
pub(super) struct Upgrade(pub Option<Handshake>);

impl TlsConnect<Tap> for Upgrade {
    type Stream = Tap;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Tap>>>>;

    fn connect(self, tap: Tap) -> Self::Future {
        let line = mem::replace(&mut tap.0.borrow_mut().line, Line::Upgrading);
        Box::pin(async move {
            let (Line::Plain(socket), Some(handshake)) = (line, self.0) else {
                return Err(ErrorKind::NotConnected.into());
            };
            let stream = handshake.connect(socket).await?;
            tap.0.borrow_mut().line = Line::Tls(Box::new(stream));
            Ok(tap)
        })
    }
}
