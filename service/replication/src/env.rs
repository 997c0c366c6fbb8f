//! What is handed in from outside: sockets and time. The binary hands in the machine's; a simulator its own.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use ostraka_core::{UnixMs, limits};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream between two hosts.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}
pub type BoxIo = Box<dyn Io>;

/// A bound, listening socket.
pub trait Listener: Send + 'static {
    /// The next connection and the peer's address as text (`ip:port`).
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, SocketAddr)>>;
    fn local_addr(&self) -> io::Result<SocketAddr>;
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

/// Where work runs that would block: snapshots written and read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offload {
    /// On the runtime's blocking threads, beside everything else.
    #[default]
    Threads,
    /// Right where it is asked for. Simulators, whose one thread no seed may lose control of.
    Inline,
}

impl Offload {
    /// # Errors
    /// What `work` returns, or that it panicked.
    pub async fn run<T, F>(self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        match self {
            Offload::Inline => work(),
            Offload::Threads => match tokio::task::spawn_blocking(work).await {
                Ok(result) => result,
                Err(panicked) => Err(io::Error::other(panicked.to_string())),
            },
        }
    }

    /// As [`run`](Self::run), for seconds of computing that nobody waits for: on a thread of its own, to which whatever
    /// else this process does comes first.
    ///
    /// # Errors
    /// As [`run`](Self::run), or that there is no thread to be had.
    pub async fn run_behind_all<T, F>(self, name: &str, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        if self == Offload::Inline {
            return work();
        }
        let (sender, done) = oneshot::channel();
        let whole = move || {
            step_back();
            // Whoever asked may have gone.
            let _ = sender.send(work());
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(whole)?;
        let panicked = |_| io::Error::other(format!("the thread `{name}` panicked"));
        done.await.map_err(panicked)?
    }
}

/// This thread gets the processor when no other wants it, and about a tenth of it otherwise, so that it ends. On Linux niceness
/// is a thread's, not its process's: setpriority(2).
fn step_back() {
    #[cfg(feature = "sled")]
    if let Err(error) = rustix::process::setpriority_process(None, limits::BEHIND_ALL_NICENESS) {
        tracing::debug!(%error, "a thread keeps the priority of all others");
    }
}

/// The machine's own network.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioNet;

impl Net for TokioNet {
    fn bind<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(addr).await?;
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            let stream = TcpStream::connect(addr).await?;
            // Nagle's algorithm would hold small messages back until the peer's delayed acknowledgement, 40 ms.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxIo)
        })
    }
}

impl Listener for TcpListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, SocketAddr)>> {
        Box::pin(async move {
            let (stream, peer) = TcpListener::accept(self).await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as BoxIo, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}
