//! Connection poolers: PgBouncer where it is installed, and everywhere a stand-in for one in transaction mode.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::tool::Tool;
use crate::{RUNTIME, block_on, by_way_of, host_and_port, skipped};

const READY_FOR_QUERY: u8 = b'Z';
const NOTIFICATION: u8 = b'A';
const BACKEND_KEY: u8 = b'K';

/// A real one, before a server whose user needs no password. Ends when dropped.
pub struct PgBouncer {
    /// The server's URL by way of this pooler.
    pub url: String,
    _tool: Tool,
}

impl PgBouncer {
    /// In the mode `transaction` or `session`. `None`, and a word on standard error, where none is installed.
    pub fn before(url: &str, mode: &str) -> Option<Self> {
        let (tool, ready) = Tool::run(&["testkit/postgres/serve-pgbouncer.ts", mode, url]);
        let through = ready["url"].as_str().map(str::to_owned);
        if through.is_none() {
            skipped("no pgbouncer is installed");
        }
        Some(Self { url: through?, _tool: tool })
    }
}

/// A stand-in for one, which keeps some notifications from its clients. Listens on a port of 127.0.0.1. Ends when dropped.
pub struct Pooler {
    port: u16,
    task: JoinHandle<()>,
}

/// Which notifications go nowhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Swallows {
    /// What the server sends while the client is idle: transaction mode, as far as LISTEN can tell.
    WhileIdle,
    /// What the session sent itself.
    ItsOwn,
}

impl Pooler {
    /// One in transaction mode, before the host and port of a PostgreSQL URL. Its clients must not ask for TLS.
    pub fn before(url: &str) -> Self {
        Self::start(url, Swallows::WhileIdle)
    }

    /// One that passes on what other sessions send, and nothing that a session sends to itself.
    pub fn without_echoes(url: &str) -> Self {
        Self::start(url, Swallows::ItsOwn)
    }

    fn start(url: &str, swallows: Swallows) -> Self {
        let upstream = host_and_port(url);
        let listener = block_on("a free port", TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = RUNTIME.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(&upstream).await {
                    tokio::spawn(pool(client, server, swallows));
                }
            }
        });
        Self { port, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same URL by way of this pooler.
    pub fn url(&self, url: &str) -> String {
        let mut url = by_way_of(self.port, url);
        url.query_pairs_mut().append_pair("sslmode", "disable");
        url.into()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pool(client: TcpStream, server: TcpStream, swallows: Swallows) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let busy = Arc::new(AtomicBool::new(true));
    let asking = {
        let busy = Arc::clone(&busy);
        async move {
            let mut bytes = [0; 8192];
            while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                busy.store(true, Ordering::SeqCst);
                if to_server.write_all(&bytes[..count]).await.is_err() {
                    break;
                }
            }
        }
    };
    let answering = async move {
        let mut own = None;
        while let Ok(kind) = from_server.read_u8().await {
            let Ok(length) = from_server.read_u32().await else { break };
            let mut body = vec![0; length as usize - 4];
            if from_server.read_exact(&mut body).await.is_err() {
                break;
            }
            let process_id = body.first_chunk::<4>().copied();
            let swallowed = match swallows {
                Swallows::WhileIdle => !busy.load(Ordering::SeqCst),
                Swallows::ItsOwn => process_id == own,
            };
            if kind == NOTIFICATION && swallowed {
                continue;
            }
            if kind == BACKEND_KEY {
                own = process_id;
            }
            if kind == READY_FOR_QUERY {
                busy.store(false, Ordering::SeqCst);
            }
            let message = [&[kind], &length.to_be_bytes()[..], &body].concat();
            if to_client.write_all(&message).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = asking => {}
        () = answering => {}
    }
}
