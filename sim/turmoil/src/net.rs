//! turmoil's network behind the seams of the service and of its client.
//!
//! Two things are made more honest here. A connection to a host that cannot be reached hangs, where turmoil refuses it
//! at once. And a lost message is counted, and takes all that was sent after it on that connection with it: turmoil's
//! TCP does not send again, so what follows a hole never arrives.

use std::hash::Hasher;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use ostraka_client::Connect;
use ostraka_node::env::{BoxFuture, BoxIo, Listener, Net};
use siphasher::sip::SipHasher13;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

use crate::stage::{Host, SharedStage};

/// A digest of everything that was sent, and when: two runs that differ anywhere soon differ here.
#[derive(Default)]
pub(crate) struct Trace {
    hasher: SipHasher13,
    pub(crate) messages: u64,
}

impl Trace {
    fn note(&mut self, at_micros: u64, from: Host, to: Host, bytes: &[u8]) {
        self.messages += 1;
        self.hasher.write_u64(at_micros);
        self.hasher.write_usize(from.0 << 8 | to.0);
        self.hasher.write(bytes);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.hasher.finish()
    }
}

/// The network as one host sees it.
#[derive(Clone)]
pub(crate) struct HostNet {
    pub(crate) stage: SharedStage,
    pub(crate) host: Host,
}

impl HostNet {
    async fn dial(&self, addr: &str) -> io::Result<Wire> {
        let refused = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{addr}: {why}"));
        let (name, port) = addr.rsplit_once(':').ok_or_else(|| refused("no port"))?;
        let port: u16 = port.parse().map_err(|_| refused("no port"))?;
        let to = self
            .stage
            .host_named(name)
            .ok_or_else(|| refused("no such host"))?;
        let connected = TcpStream::connect((name, port)).await;
        if self.stage.links.lock().attempt(self.host, to) {
            // Nobody refuses where nobody hears. Whoever calls has a timeout.
            std::future::pending::<()>().await;
        }
        Ok(self.wire(connected?, to))
    }

    fn wire(&self, stream: TcpStream, to: Host) -> Wire {
        Wire {
            stream: Some(stream),
            stage: self.stage.clone(),
            from: self.host,
            to,
            deaf: false,
        }
    }
}

impl Net for HostNet {
    fn bind<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(addr).await?;
            Ok(Box::new(Port {
                listener,
                net: self.clone(),
            }) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move { Ok(Box::new(self.dial(addr).await?) as BoxIo) })
    }
}

impl Connect for HostNet {
    fn connect<'a>(
        &'a self,
        authority: &'a str,
    ) -> ostraka_client::BoxFuture<'a, io::Result<ostraka_client::BoxIo>> {
        Box::pin(async move { Ok(Box::new(self.dial(authority).await?) as ostraka_client::BoxIo) })
    }
}

struct Port {
    listener: TcpListener,
    net: HostNet,
}

impl Listener for Port {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, SocketAddr)>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            let from = self.net.stage.host_at(peer.ip());
            Ok((Box::new(self.net.wire(stream, from)) as BoxIo, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One end of a connection.
pub(crate) struct Wire {
    /// Taken when this is dropped.
    stream: Option<TcpStream>,
    stage: SharedStage,
    from: Host,
    to: Host,
    /// A message was lost: nothing arrives any more, a farewell neither.
    deaf: bool,
}

impl Wire {
    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("it is there until the drop"))
    }

    fn note(&self, bytes: &[u8]) {
        let at_micros = self.stage.elapsed_micros();
        self.stage.trace.lock().note(at_micros, self.from, self.to, bytes);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.deaf {
            // Dropped, it would say goodbye, and the peer would take a message with its end missing for a whole one.
            std::mem::forget(self.stream.take());
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(buf.len()));
        }
        let (from, to) = (self.from, self.to);
        if self.stage.links.lock().loses(from, to) {
            self.deaf = true;
            self.note(b"lost");
            return Poll::Ready(Ok(buf.len()));
        }
        let written = self.stream().poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.stage.links.lock().sent(from, to);
            self.note(&buf[..*bytes]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        self.stream().poll_shutdown(cx)
    }
}
