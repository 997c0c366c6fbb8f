//! What is handed in from outside: sockets and time. The binary hands in the machine's; a simulator its own.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use ostraka_core::UnixMs;
use tokio::io::{AsyncRead, AsyncWrite};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream between two hosts.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}
pub type BoxIo = Box<dyn Io>;

/// A bound, listening socket.
pub trait Listener: Send + 'static {
    /// The next connection and the peer's address as text (`ip:port`).
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, std::net::SocketAddr)>>;
    fn local_addr(&self) -> io::Result<std::net::SocketAddr>;
}

/// The network. Addresses are `host:port`, because simulators have host names.
pub trait Net: Send + Sync + 'static {
    fn bind<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;
    fn connect<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<BoxIo>>;
}

/// Wall-clock time. Monotonic waits go through tokio's timers, which simulators control.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> UnixMs;
}

pub type SharedNet = Arc<dyn Net>;
pub type SharedClock = Arc<dyn Clock>;
