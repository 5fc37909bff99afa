//! As much of PostgreSQL's protocol as it takes to listen and to notify: blocking, without a library.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

/// A connection to a server on this machine that trusts every client.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What has been read and not been taken yet.
    unread: std::ops::Range<usize>,
    pub backend_pid: i32,
}

impl Connection {
    pub fn open(port: u16, database: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let mut body = 196_608_i32.to_be_bytes().to_vec();
        for text in ["user", "postgres", "database", database, "application_name", "bare", ""] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        stream.write_all(&length_of(&body))?;
        stream.write_all(&body)?;
        let mut new = Self { stream, buffer: vec![0; 1 << 16], unread: 0..0, backend_pid: 0 };
        loop {
            match new.message()? {
                (b'K', body) => new.backend_pid = i32_at(body, 0),
                (b'Z', _) => return Ok(new),
                (b'E', body) => return Err(failure(body)),
                _ => {}
            }
        }
    }

    /// Runs one statement to its end. Notifications that come meanwhile are thrown away.
    pub fn query(&mut self, sql: &str) -> Result<()> {
        let mut message = vec![b'Q'];
        let body = [sql.as_bytes(), &[0]].concat();
        message.extend_from_slice(&length_of(&body));
        message.extend_from_slice(&body);
        self.stream.write_all(&message)?;
        self.until_ready()
    }

    /// The cheapest round trip there is: a Sync and its answer.
    pub fn sync(&mut self) -> Result<()> {
        self.stream.write_all(&[b'S', 0, 0, 0, 4])?;
        self.until_ready()
    }

    /// Waits for the next message: its kind and its body.
    pub fn message(&mut self) -> Result<(u8, &[u8])> {
        while self.unread.len() < 5 {
            self.read_more()?;
        }
        let kind = self.buffer[self.unread.start];
        let size = 1 + usize::try_from(i32_at(&self.buffer, self.unread.start + 1)).unwrap_or(4);
        while self.unread.len() < size {
            self.read_more()?;
        }
        let start = self.unread.start;
        self.unread.start += size;
        Ok((kind, &self.buffer[start + 5..start + size]))
    }

    /// For another thread to end it with.
    pub fn stream(&self) -> Result<TcpStream> {
        self.stream.try_clone()
    }

    fn until_ready(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        loop {
            match self.message()? {
                (b'E', body) => outcome = Err(failure(body)),
                (b'Z', _) => return outcome,
                _ => {}
            }
        }
    }

    fn read_more(&mut self) -> Result<()> {
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.unread.end == self.buffer.len() {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let read = self.stream.read(&mut self.buffer[self.unread.end..])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.unread.end += read;
        Ok(())
    }
}

/// The length that goes before a body, and counts itself.
fn length_of(body: &[u8]) -> [u8; 4] {
    (body.len() as u32 + 4).to_be_bytes()
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    bytes.get(at..at + 4).map_or(0, |four| i32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

fn failure(body: &[u8]) -> Error {
    Error::other(String::from_utf8_lossy(body).replace('\0', " "))
}
