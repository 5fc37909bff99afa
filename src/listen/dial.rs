//! From a host name to a connected socket.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connect::Target;
use super::park::Direct;
use super::{park, thread};
use crate::error::Error;

/// One place to connect to, resolved. A second connection goes to the very same server by using the same address.
#[derive(Debug, Clone)]
pub(super) enum Address {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Every address of `target`, in the resolver's order. An address needs no look-up, and no thread for one.
pub(super) async fn resolve(target: &Target) -> Result<Vec<Address>, Error> {
    if let Some(address) = target.address {
        return Ok(vec![Address::Tcp(SocketAddr::new(address, target.port))]);
    }
    #[cfg(unix)]
    if target.host.starts_with('/') {
        return Ok(vec![Address::Unix(PathBuf::from(format!("{}/.s.PGSQL.{}", target.host, target.port)))]);
    }
    if let Ok(address) = target.host.parse::<IpAddr>() {
        return Ok(vec![Address::Tcp((address, target.port).into())]);
    }
    let not_found = |source| Error::HostNotFound { host: target.host.clone(), source: Arc::new(source) };
    let name = (target.host.clone(), target.port);
    let found = thread::blocking(move || name.to_socket_addrs()).await?.map_err(not_found)?;
    let addresses: Vec<_> = found.map(Address::Tcp).collect();
    if addresses.is_empty() {
        return Err(not_found(io::Error::other("it has no address")));
    }
    Ok(addresses)
}

/// Connects, and prepares the socket for a peer that may vanish: `patience` is how long data may stay
/// unacknowledged, or a silent peer unasked, before the kernel gives the connection up.
pub(super) async fn dial(address: &Address, patience: Duration) -> Result<Socket, Error> {
    connect(address, patience)
        .await
        .map_err(|source| Error::Unreachable { address: address.to_string(), source: Arc::new(source) })
}

async fn connect(address: &Address, patience: Duration) -> io::Result<Socket> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let socket = SockRef::from(&stream);
            // The kernel counts these in whole seconds, from 1 to 32,767.
            let seconds = patience.clamp(Duration::from_secs(1), Duration::from_secs(32_767));
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(seconds).with_interval(seconds))?;
            #[cfg(any(target_os = "linux", target_os = "android"))]
            socket.set_tcp_user_timeout(Some(patience))?;
            let direct = Direct::of(&stream);
            Ok(Socket { stream: Box::new(stream), direct })
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let stream = tokio::net::UnixStream::connect(path).await?;
            let direct = Direct::of(&stream);
            Ok(Socket { stream: Box::new(stream), direct })
        }
    }
}

/// What bytes go over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connected socket whose shutdown waits until the server has closed its end too.
///
/// PostgreSQL closes a session's socket last of all. So once a shutdown completes, the session has left
/// `pg_stat_activity`, its LISTEN is gone, and its connection slot is free.
pub(super) struct Socket {
    stream: Box<dyn Stream>,
    direct: Option<Direct>,
}

impl Socket {
    /// What the thread can [park](park::park) at.
    pub fn direct(&self) -> Option<Direct> {
        self.direct.clone()
    }
}

#[cfg(test)]
impl Socket {
    pub fn of(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { stream: Box::new(stream), direct: None }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(direct) = &self.direct
            && park::is_parked()
        {
            return match direct.read(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    Poll::Ready(Ok(()))
                }
                // The runtime has been asked before, and knows by itself when there is more.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            };
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Shutting down twice is harmless, and a peer that is gone already is what we are waiting for.
        if ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_err() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let mut rest = [0; 4096];
            let mut rest = ReadBuf::new(&mut rest);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
