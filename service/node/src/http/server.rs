//! Serves a router over a listener that was handed in: HTTP/1.1, pipelined, bounded, drained at the end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ostraka_core::limits::HTTP_BUFFER_BYTES_MAX;
use ostraka_replication::{BoxIo, Listener};
use tokio::io::AsyncWriteExt;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::edge::Edge;
use super::progress::{Progress, Watchdog, WatchedIo};

/// Pause after a failed accept: it fails for want of files or memory, which a busy loop does not bring back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a connection over the limit is told before it is closed.
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    retry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A port that is being served.
pub struct Server {
    addr: SocketAddr,
    stop: CancellationToken,
    accepting: JoinHandle<JoinSet<()>>,
}

impl Server {
    /// Starts to serve `router`. `name` stands in log lines.
    ///
    /// # Errors
    /// If the listener does not know its own address.
    pub fn start(
        name: &'static str,
        listener: Box<dyn Listener>,
        router: Router,
        edge: &Edge,
        connections_max: usize,
    ) -> std::io::Result<Self> {
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let port = Port {
            name,
            edge: edge.over(router),
            connections_max,
            stop: stop.clone(),
        };
        let accepting = tokio::spawn(port.accept(listener));
        Ok(Self {
            addr,
            stop,
            accepting,
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, lets every connection finish what it is answering, and closes what is left after `within`.
    /// Streams must have been told before, or they hold their connections until then. `true` if nothing was cut off.
    pub async fn shutdown(self, within: Duration) -> bool {
        self.stop.cancel();
        let Ok(mut connections) = self.accepting.await else {
            return false;
        };
        let drained =
            tokio::time::timeout(within, async { while connections.join_next().await.is_some() {} });
        let clean = drained.await.is_ok();
        connections.shutdown().await;
        clean
    }
}

struct Port {
    name: &'static str,
    edge: Arc<super::edge::Served>,
    connections_max: usize,
    stop: CancellationToken,
}

impl Port {
    async fn accept(self, mut listener: Box<dyn Listener>) -> JoinSet<()> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return connections,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((io, peer)) => self.take(io, peer, &mut connections),
                    Err(error) => {
                        tracing::warn!(port = self.name, %error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn take(&self, mut io: BoxIo, peer: SocketAddr, connections: &mut JoinSet<()>) {
        if connections.len() >= self.connections_max {
            self.edge.log_refusal(|| {
                tracing::warn!(port = self.name, %peer, open = connections.len(), "too many connections: one was refused");
            });
            // One attempt into the empty socket buffer; a refused peer is not waited for.
            let _ = io.write_all(TOO_MANY_CONNECTIONS).now_or_never();
            return;
        }
        let connection = serve_connection(io, peer, Arc::clone(&self.edge), self.stop.child_token());
        connections.spawn(connection);
    }
}

async fn serve_connection(
    io: BoxIo,
    peer: SocketAddr,
    edge: Arc<super::edge::Served>,
    stop: CancellationToken,
) {
    let progress = Arc::new(Progress::of(peer.ip()));
    let io = TokioIo::new(WatchedIo::new(io, Arc::clone(&progress)));
    let service = service_fn(|request| {
        let (edge, open) = (Arc::clone(&edge), progress.begin_request());
        let progress = Arc::clone(&progress);
        async move {
            let response = edge.handle(request, progress).await;
            drop(open);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .pipeline_flush(true)
        .keep_alive(true)
        // hyper's own timer for request heads costs an allocation a request; the watchdog below covers it.
        .header_read_timeout(None)
        .max_buf_size(HTTP_BUFFER_BYTES_MAX)
        // The header would read the machine's clock, which no simulator controls.
        .auto_date_header(false)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut watchdog = Watchdog::default();
    let mut looks = tokio::time::interval(Watchdog::PERIOD);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            served = connection.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%peer, %error, "a connection ended early");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = looks.tick() => if let Some(stalled) = watchdog.look(&progress) {
                edge.log_refusal(|| tracing::info!(%peer, ?stalled, "a connection that got nowhere was closed"));
                return;
            },
        }
    }
}

#[cfg(test)]
mod tests;
