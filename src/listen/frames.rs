//! What the server sends, cut into messages: the notifications for us, all others for tokio-postgres.

use std::mem;

use tokio::io::ReadBuf;

use super::connect::Methods;
use crate::error::Error;

/// The longest notification there can be, and how much is read at a time. PostgreSQL's payloads end below 8,000 bytes, or
/// four times that in a server that was built with larger pages.
const ROOM: usize = 1 << 16;

/// A message's type and length.
const HEADER: usize = 5;

/// A NotificationResponse, as the bytes that the server sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notification<'a> {
    pub process_id: i32,
    pub channel: &'a [u8],
    pub payload: &'a [u8],
}

impl<'a> Notification<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let (process_id, texts) = body.split_first_chunk()?;
        let channel_end = texts.iter().position(|&byte| byte == 0)?;
        let (channel, rest) = texts.split_at(channel_end);
        let payload = rest.get(1..)?.strip_suffix(&[0])?;
        let process_id = i32::from_be_bytes(*process_id);
        (!payload.contains(&0)).then_some(Self { process_id, channel, payload })
    }
}

pub(super) struct Frames {
    buffer: Box<[u8]>,
    /// How much of the buffer is a message whose end is still to come.
    filled: usize,
    /// How much is still to come of a message that is longer than the buffer.
    passing: usize,
    /// Whether the server is yet to say, in a single byte, if it has TLS.
    awaits_tls: bool,
    /// The ways to log in that will do, until the server has asked for one.
    methods: Option<Methods>,
    /// Where tokio-postgres finds what is not for us, and how much of it has been taken.
    rest: Vec<u8>,
    taken: usize,
}

impl Frames {
    pub fn new(methods: Option<Methods>, awaits_tls: bool) -> Self {
        let buffer = vec![0; ROOM].into_boxed_slice();
        Self { buffer, filled: 0, passing: 0, awaits_tls, methods, rest: Vec::new(), taken: 0 }
    }

    /// Where to read to; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        // What comes after the answer about TLS belongs to the handshake.
        let end = if self.awaits_tls { 1 } else { self.buffer.len() };
        &mut self.buffer[self.filled..end]
    }

    /// Cuts what came to the [`room`](Self::room), and hands on the notifications.
    ///
    /// # Errors
    /// [`Error::RuledOut`]; [`Error::Garbled`] where it cannot be cut.
    pub fn cut(&mut self, came: usize, mut hear: impl FnMut(Notification<'_>)) -> Result<(), Error> {
        self.filled += came;
        let mut at = 0;
        while at < self.filled {
            let bytes = &mut self.buffer[at..self.filled];
            let passing = self.passing.max(usize::from(mem::take(&mut self.awaits_tls)));
            if passing > 0 {
                let part = passing.min(bytes.len());
                self.rest.extend_from_slice(&bytes[..part]);
                self.passing = passing - part;
                at += part;
                continue;
            }
            let Some(&[kind, ref length @ ..]) = bytes.first_chunk::<HEADER>() else { break };
            // The length counts itself.
            let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0) + 1;
            if length < HEADER {
                return Err(Error::Garbled("a length below 4"));
            }
            if length > ROOM {
                if kind == b'A' || self.methods.is_some() {
                    return Err(Error::Garbled("a message far too long"));
                }
                self.passing = length;
                continue;
            }
            let Some(message) = bytes.get_mut(..length) else { break };
            let body = &mut message[HEADER..];
            if let Some(methods) = self.methods.take()
                && kind == b'R'
            {
                // Only this message can ask for a way to log in: the library takes no other type in its place.
                methods.refuse(body)?;
            }
            if kind == b'A' {
                hear(Notification::parse(body).ok_or(Error::Garbled("a notification without its parts"))?);
            } else {
                if matches!(kind, b'E' | b'N') && str::from_utf8(body).is_err() {
                    body.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
                }
                self.rest.extend_from_slice(message);
            }
            at += length;
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    /// Whether there is something for tokio-postgres.
    pub fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Gives tokio-postgres of what is there as much as there is room for. Whether there was anything.
    pub fn take(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let there = &self.rest[self.taken..];
        let part = there.len().min(buf.remaining());
        buf.put_slice(&there[..part]);
        self.taken += part;
        if self.taken == self.rest.len() {
            self.rest.clear();
            self.taken = 0;
        }
        part > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind], &(body.len() as i32 + 4).to_be_bytes()[..], body].concat()
    }

    fn request(code: i32) -> Vec<u8> {
        message(b'R', &code.to_be_bytes())
    }

    fn notification(channel: &str, payload: &[u8]) -> Vec<u8> {
        message(b'A', &[&7_i32.to_be_bytes(), channel.as_bytes(), &[0], payload, &[0]].concat())
    }

    /// What is heard of `bytes`, and what is left for tokio-postgres, if so many come at a time.
    fn cut(mut frames: Frames, bytes: &[u8], size: usize) -> Result<(Vec<String>, Vec<u8>), Error> {
        let (mut heard, mut left) = (Vec::new(), Vec::new());
        let mut unread = bytes;
        while !unread.is_empty() {
            let room = frames.room();
            assert!(!room.is_empty());
            let (part, rest) = unread.split_at(size.min(unread.len()).min(room.len()));
            room[..part.len()].copy_from_slice(part);
            unread = rest;
            frames.cut(part.len(), |Notification { process_id, channel, payload }| {
                let text = String::from_utf8_lossy;
                heard.push(format!("{process_id} {} {}", text(channel), text(payload)));
            })?;
            let mut buf = [0; 100];
            let mut buf = ReadBuf::new(&mut buf);
            while frames.take(&mut buf) {
                left.extend_from_slice(buf.filled());
                buf.clear();
            }
        }
        Ok((heard, left))
    }

    fn plain() -> Frames {
        Frames::new(None, false)
    }

    fn guarded(awaits_tls: bool) -> Frames {
        Frames::new(Methods::new("scram-sha-256").unwrap(), awaits_tls)
    }

    const SIZES: [usize; 9] = [1, 2, 3, 5, 9, 64, 1_000, 65_535, usize::MAX];

    #[test]
    fn notifications_are_taken_out_however_the_stream_is_cut() {
        let longest = "x".repeat(8_000);
        let row = message(b'D', &[1; 3 * ROOM]);
        let status = message(b'S', b"TimeZone\0UTC\0");
        let parts = [
            notification("a", b""),
            status.clone(),
            notification("b", longest.as_bytes()),
            row.clone(),
            notification("c", "é".as_bytes()),
        ];
        for size in SIZES {
            let (heard, left) = cut(plain(), &parts.concat(), size).unwrap();
            assert_eq!(heard, ["7 a ".to_owned(), format!("7 b {longest}"), "7 c é".to_owned()]);
            assert!(left == [&status[..], &row].concat(), "{size}");
        }
    }

    #[test]
    fn a_request_is_seen_however_it_is_cut() {
        let answered = |answer: u8, rest: Vec<u8>| [vec![answer], rest].concat();
        for size in SIZES {
            for refused in [request(3), request(0)] {
                assert!(matches!(cut(guarded(false), &refused, size), Err(Error::RuledOut { .. })));
                let behind = answered(b'N', refused.clone());
                assert!(matches!(cut(guarded(true), &behind, size), Err(Error::RuledOut { .. })));
                assert!(cut(guarded(false), &refused[..8], size).is_ok_and(|(_, left)| left.is_empty()));
                assert_eq!(cut(plain(), &refused, size).unwrap().1, refused);
                // Only the first message can be one.
                let late = [message(b'N', &[0]), refused.clone()].concat();
                assert_eq!(cut(guarded(false), &late, size).unwrap().1, late);
            }
            for passed in [request(10), answered(b'E', Vec::new())] {
                assert_eq!(cut(guarded(passed.len() == 1), &passed, size).unwrap().1, passed);
            }
            let behind = answered(b'N', request(10));
            assert_eq!(cut(guarded(true), &behind, size).unwrap().1, behind);
        }
    }

    #[test]
    fn what_follows_the_answer_about_tls_is_not_read_with_it() {
        let mut frames = Frames::new(None, true);
        assert_eq!(frames.room().len(), 1);
        frames.cut(1, |_| panic!("nothing to hear")).unwrap();
        assert_eq!(frames.room().len(), ROOM);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let long = [&b"A"[..], &(ROOM as i32).to_be_bytes()].concat();
        let negative = [&b"S"[..], &(-1_i32).to_be_bytes()].concat();
        let body = |body: &[u8]| message(b'A', body);
        let garbled =
            [vec![b'A', 0, 0, 0, 3], negative, long, body(b""), body(b"1234a\0"), body(b"1234a\0b\0c\0"), {
                body(b"1234a\0b")
            }];
        for bytes in garbled {
            for size in SIZES {
                assert!(matches!(cut(plain(), &bytes, size), Err(Error::Garbled(_))), "{bytes:?}");
            }
        }
        // A request to log in that is too long to be looked at.
        let long = [&b"R"[..], &(ROOM as i32).to_be_bytes()].concat();
        assert!(matches!(cut(guarded(false), &long, 5), Err(Error::Garbled(_))));
    }

    #[test]
    fn an_error_in_another_encoding_can_be_read() {
        for kind in [b'E', b'N'] {
            let latin1 = message(kind, b"Mconnexion refus\xe9e\0\0");
            assert_eq!(cut(plain(), &latin1, 7).unwrap().1, message(kind, b"Mconnexion refus?e\0\0"));
            let utf8 = message(kind, "Mconnexion refusée\0\0".as_bytes());
            assert_eq!(cut(plain(), &utf8, 7).unwrap().1, utf8);
        }
    }
}
