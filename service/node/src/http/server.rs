//! Serves a router over a listener that was handed in: HTTP/1.1, pipelined, bounded, drained at the end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use ostraka_api::ErrorCode;
use ostraka_core::limits::{
    ACCEPT_PAUSE_MS, HTTP_BUFFER_BYTES_MAX, HTTP_LINGER_BYTES_MAX, HTTP_LINGER_MS_MAX, HTTP_STALL_MS_MAX,
};
use ostraka_replication::{BoxIo, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::edge::Served;
use super::lane::Lane;
use super::problem::Problem;
use super::progress::{Progress, Watchdog};
use super::refusal;
use super::wire::Wire;

/// A port that is being served.
pub struct Server {
    addr: SocketAddr,
    stop: CancellationToken,
    accepting: JoinHandle<JoinSet<()>>,
}

impl Server {
    /// Starts to serve. `name` stands in log lines.
    ///
    /// # Errors
    /// If the listener does not know its own address.
    pub fn start(
        name: &'static str,
        listener: Box<dyn Listener>,
        served: Arc<Served>,
        connections_max: usize,
    ) -> std::io::Result<Self> {
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let port = Port {
            name,
            edge: served,
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
    pub async fn shutdown(self, patience: impl Future<Output = ()>) -> bool {
        self.stop.cancel();
        let Ok(mut connections) = self.accepting.await else {
            return false;
        };
        let clean = tokio::select! {
            biased;
            () = async { while connections.join_next().await.is_some() {} } => true,
            () = patience => false,
        };
        connections.shutdown().await;
        clean
    }
}

struct Port {
    name: &'static str,
    edge: Arc<Served>,
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
                        tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    }
                },
            }
        }
    }

    fn take(&self, mut io: BoxIo, peer: SocketAddr, connections: &mut JoinSet<()>) {
        if connections.len() >= self.connections_max {
            let problem = Problem::new(
                ErrorCode::Overloaded,
                "This node has as many connections as it takes; come back later or ask another.",
            );
            let answer = self.edge.refuse(&problem, peer, &self.name);
            // One attempt into the empty socket buffer; a refused peer is not waited for.
            let _ = io.write_all(&answer).now_or_never();
            return;
        }
        let connection = serve_connection(io, peer, Arc::clone(&self.edge), self.stop.child_token());
        connections.spawn(connection);
    }
}

async fn serve_connection(io: BoxIo, peer: SocketAddr, edge: Arc<Served>, stop: CancellationToken) {
    let progress = Arc::new(Progress::of(peer.ip()));
    let wire = Wire::new(io, Arc::clone(&progress));
    let service = service_fn(|request| {
        let (edge, open) = (Arc::clone(&edge), progress.begin_request());
        let progress = Arc::clone(&progress);
        async move {
            let response = edge.serve(request, progress).await;
            drop(open);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = http1::Builder::new()
        .keep_alive(true)
        // hyper's own timer for request heads costs an allocation a request; the watchdog below covers it.
        .header_read_timeout(None)
        .max_buf_size(HTTP_BUFFER_BYTES_MAX)
        // The wire gathers answers; hyper need not keep the pieces of each apart for it.
        .writev(false)
        // Who has sent all and says so (`nc -N`, shutdown(SHUT_WR)) still wants the answer. That a stream's reader is gone
        // shows at the next frame.
        .half_close(true)
        // The header would read the machine's clock, which no simulator controls.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(wire.clone()), service);
    let mut lane = Lane::new(Arc::clone(&edge), wire.clone(), Arc::clone(&progress));
    let mut watchdog = Watchdog::default();
    let mut looks = tokio::time::interval(Watchdog::PERIOD);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first would come at once, and count as a time without progress.
    looks.reset();
    let mut stopping = false;
    let served = loop {
        tokio::select! {
            biased;
            ended = poll_fn(|cx| poll_connection(&mut connection, &mut lane, &wire, cx)) => match ended {
                Ok(served) => break served,
                Err(error) => {
                    tracing::debug!(%peer, %error, "a connection took no answer");
                    return;
                }
            },
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                lane.hand_over();
                Pin::new(&mut connection).graceful_shutdown();
            }
            _ = looks.tick() => {
                if let Some(stalled) = watchdog.look(&progress) {
                    edge.log_refusal(|| tracing::info!(%peer, ?stalled, "a connection that got nowhere was closed"));
                    return;
                }
                wire.rest();
            }
        }
    };
    let unread = connection.into_parts().read_buf;
    if let Err(error) = served {
        let Some(problem) = refusal::of(&error, wire.take_bare_answer(), &unread) else {
            return log_broken(&edge, peer, &error, progress.is_answering());
        };
        wire.push(&edge.refuse(&problem, peer, &error));
    }
    close(wire, stopping).await;
}

/// Lets the lane and hyper do all they can for the moment, then sends what came of it. An error if the connection cannot
/// be read or written any more, else how hyper ended.
fn poll_connection<S>(
    connection: &mut http1::Connection<TokioIo<Wire>, S>,
    lane: &mut Lane,
    wire: &Wire,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<hyper::Result<()>>>
where
    S: HttpService<Incoming, ResBody = Body, Error = Infallible>,
{
    loop {
        lane.answer(cx);
        // What is under way in the lane came before what hyper has.
        if lane.is_hypers_turn() && lane.is_empty() {
            if let Poll::Ready(served) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(Ok(served));
            }
            lane.take_back();
        }
        if !lane.is_hypers_turn() {
            let was_empty = lane.is_empty();
            if lane.poll_begin(cx)?.is_ready() || was_empty && lane.answer(cx) {
                continue;
            }
        }
        let was_crowded = wire.is_crowded();
        match wire.poll_send(cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            // There is room again for what was held back.
            Poll::Ready(Ok(())) if was_crowded && !lane.is_hypers_turn() => {}
            _ => return Poll::Pending,
        }
    }
}

/// A peer that goes away while it is answered is no news; one that leaves in the middle of its request is.
fn log_broken(edge: &Served, peer: SocketAddr, error: &hyper::Error, answering: bool) {
    if error.is_incomplete_message() && !answering {
        edge.log_refusal(|| tracing::info!(%peer, %error, "a connection ended in the middle of a request"));
    } else {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

/// Sends the last answers and ends the connection so that they arrive: a socket that is closed while bytes come in takes
/// back what its peer has not read yet (RFC 9112 section 9.6). So what still comes is read and thrown away for a moment.
async fn close(wire: Wire, at_once: bool) {
    wire.grant_everything();
    let sending = tokio::time::timeout(Duration::from_millis(HTTP_STALL_MS_MAX), wire.finish());
    if !matches!(sending.await, Ok(Ok(()))) || at_once {
        return;
    }
    let (mut rest, mut nowhere) = (wire.take(HTTP_LINGER_BYTES_MAX), tokio::io::sink());
    let reading = tokio::io::copy(&mut rest, &mut nowhere);
    // However it ends, the connection is over.
    let _ = tokio::time::timeout(Duration::from_millis(HTTP_LINGER_MS_MAX), reading).await;
}

#[cfg(test)]
mod tests;
