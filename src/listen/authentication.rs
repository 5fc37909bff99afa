//! Which ways to log in will do: libpq's `require_auth`.
//!
//! The library answers whatever the server asks for, and does not tell what that was. So the server's first message is
//! looked at on its way to the library, which learns of one that is ruled out as an error of reading, before anything
//! is answered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::dial::Socket;
use crate::error::{Error, RuledOut};

/// libpq's names, what the server's request for each is called in an error, and its codes in the protocol.
const METHODS: [(&str, &str, &[u32]); 7] = [
    ("none", "nothing (none)", &[0]),
    ("password", "the password in plain text (password)", &[3]),
    ("md5", "the password's MD5 hash (md5)", &[5]),
    ("gss", "GSSAPI (gss)", &[2, 7]),
    ("sspi", "SSPI (sspi)", &[9]),
    // The only SASL that the library knows.
    ("scram-sha-256", "SCRAM (scram-sha-256)", &[10]),
    ("oauth", "OAuth (oauth)", &[]),
];

/// The ways to log in that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Methods([bool; METHODS.len()]);

impl Methods {
    /// Reads what `require_auth` says; `None` if all do.
    pub fn new(list: &str) -> Result<Option<Self>, Error> {
        if list.is_empty() {
            return Ok(None);
        }
        let invalid = || {
            let names = METHODS.map(|(name, ..)| name).join(", ");
            Error::InvalidOptions(format!(
                "require_auth (PGREQUIREAUTH) must be a list of {names}, or of these with an exclamation mark each"
            ))
        };
        let excludes = list.trim_start().starts_with('!');
        let mut named = [false; METHODS.len()];
        for item in list.split(',').map(str::trim) {
            let name = if excludes { item.strip_prefix('!').ok_or_else(invalid)? } else { item };
            let index = METHODS.iter().position(|(known, ..)| *known == name).ok_or_else(invalid)?;
            named[index] = true;
        }
        Ok(Some(Self(named.map(|named| named != excludes))))
    }

    /// The server's request `code`, if it is ruled out.
    fn refuse(self, code: u32) -> Result<(), RuledOut> {
        let known = METHODS.iter().zip(self.0).find(|((_, _, codes), _)| codes.contains(&code));
        match known {
            Some((&(_, asked, _), false)) => Err(RuledOut(asked)),
            // What is not known here the library does not know either.
            Some((_, true)) | None => Ok(()),
        }
    }
}

/// A stream whose first message from the server is looked at.
pub(super) struct Guarded<S> {
    stream: S,
    watch: Option<Watch>,
}

struct Watch {
    methods: Methods,
    /// Whether the server is yet to say if it has TLS.
    awaits_tls: bool,
    header: Vec<u8>,
}

impl<S> Guarded<S> {
    /// Looks for a request on `stream`. Where `awaits_tls`, the server first answers, in one byte, whether it has TLS;
    /// if so, the rest is not looked at.
    pub fn new(stream: S, methods: Option<Methods>, awaits_tls: bool) -> Self {
        let watch = methods.map(|methods| Watch { methods, awaits_tls, header: Vec::new() });
        Self { stream, watch }
    }
}

impl Watch {
    /// Looks at what has come; gives whether there is more to look at.
    fn see(&mut self, bytes: &[u8]) -> Result<bool, RuledOut> {
        for &byte in bytes {
            if std::mem::take(&mut self.awaits_tls) {
                if byte == b'S' {
                    return Ok(false);
                }
                continue;
            }
            self.header.push(byte);
            // A message has a type, a length, and here the code. The library takes no other type in its place.
            match *self.header {
                [kind, ..] if kind != b'R' => return Ok(false),
                [_, _, _, _, _, a, b, c, d] => {
                    return self.methods.refuse(u32::from_be_bytes([a, b, c, d])).map(|()| false);
                }
                _ => {}
            }
        }
        Ok(true)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(watch) = &mut self.watch
            && !watch.see(&buf.filled()[before..]).map_err(io::Error::other)?
        {
            self.watch = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Guarded<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// A handshake whose stream is looked at.
pub(super) struct GuardedTls<T> {
    pub handshake: T,
    pub methods: Option<Methods>,
}

impl<T> TlsConnect<Socket> for GuardedTls<T>
where
    T: TlsConnect<Socket, Future: Send + 'static, Stream: 'static, Error: 'static>,
{
    type Stream = Guarded<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let stream = self.handshake.connect(socket);
        Box::pin(async move { Ok(Guarded::new(stream.await?, self.methods, false)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(list: &str) -> Methods {
        Methods::new(list).unwrap().unwrap()
    }

    fn passes(list: &str, code: u32) -> bool {
        methods(list).refuse(code).is_ok()
    }

    #[test]
    fn a_list_names_what_will_do_or_what_will_not() {
        assert_eq!(Methods::new("").unwrap(), None);
        assert!(passes("scram-sha-256", 10) && !passes("scram-sha-256", 0) && !passes("scram-sha-256", 3));
        assert!(passes("none, md5", 0) && passes("none, md5", 5) && !passes("none, md5", 10));
        assert!(!passes("!password,!md5", 3) && passes("!password,!md5", 10) && passes("!password,!md5", 0));
        assert!(!passes("!none", 0));
        assert!(!passes("oauth", 10));
        for bad in ["scram", "password,!md5", "!password,md5", "md5,", "!", "!!md5", ",", "s3cret"] {
            let error = Methods::new(bad).unwrap_err();
            assert!(error.to_string().contains("require_auth") && !error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn a_request_is_seen_however_it_is_cut() {
        let request = |code: u8| [b'R', 0, 0, 0, 8, 0, 0, 0, code];
        let watch = |awaits_tls| Watch { methods: methods("scram-sha-256"), awaits_tls, header: Vec::new() };
        let plain = |code: u8| [&b"N"[..], &request(code)].concat();
        for size in 1..=10 {
            let outcome = |mut watch: Watch, bytes: &[u8]| -> Result<bool, RuledOut> {
                let mut more = true;
                for chunk in bytes.chunks(size) {
                    assert!(more, "nothing is looked at after the end");
                    more = watch.see(chunk)?;
                }
                Ok(more)
            };
            assert!(outcome(watch(false), &request(3)).is_err());
            assert!(outcome(watch(true), &plain(3)).is_err());
            assert!(!outcome(watch(false), &request(10)).unwrap());
            assert!(!outcome(watch(true), &plain(10)).unwrap());
            assert!(!outcome(watch(true), b"S").unwrap());
            assert!(outcome(watch(false), &request(3)[..8]).unwrap());
        }
        assert!(!watch(false).see(b"E").unwrap());
    }
}
