//! Connections to peers: one for each peer and lane, made when needed, made anew when broken.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use ostraka_core::limits::{
    PEER_CONNECT_MS_MAX, PEER_PING_ANSWER_MS_MAX, PEER_PING_MS, PEER_RECONNECT_MS_MAX, PEER_RECONNECT_MS_MIN,
    SNAPSHOT_CHUNK_BYTES,
};
use parking_lot::Mutex;

use super::frames::PeerBody;
use crate::env::{BoxIo, SharedNet};
use crate::runtime::{self, Instant, OwnedTask, watch};
use crate::types::PeerAddr;

/// What shares a connection. Small urgent messages never wait behind large ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Heartbeats, votes, read indexes.
    Control,
    Append,
    Propose,
    Snapshot,
}

/// Window of one stream in bytes: four of a snapshot's chunks, and a full append's half.
pub(super) const STREAM_WINDOW_BYTES: u32 = 4 * SNAPSHOT_CHUNK_BYTES as u32;
/// Window of a connection in bytes: several streams at once.
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 8 * STREAM_WINDOW_BYTES;

/// Runs hyper's tasks on the runtime.
#[derive(Clone, Copy)]
pub(super) struct PeerExecutor;

impl<F> hyper::rt::Executor<F> for PeerExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        runtime::spawn(future);
    }
}

enum State {
    Idle,
    Connecting,
    Ready {
        generation: u64,
        sender: SendRequest<PeerBody>,
    },
    /// No attempt before `until`: a peer that is down is not flooded.
    Failed {
        failures: u32,
        until: Instant,
        why: Arc<str>,
    },
}

/// One connection to one peer, shared by everyone who calls it in this lane.
pub(super) struct Connection {
    net: SharedNet,
    addr: PeerAddr,
    state: watch::Sender<State>,
    task: Mutex<(u64, Option<OwnedTask<()>>)>,
}

impl Connection {
    pub(super) fn new(net: SharedNet, addr: PeerAddr) -> Self {
        let (state, _) = watch::channel(State::Idle);
        Self {
            net,
            addr,
            state,
            task: Mutex::new((0, None)),
        }
    }

    /// A sender of requests, connected. The error is a sentence; nothing was sent then.
    /// Cancelling it does not cancel the attempt to connect: the next caller finds it further on.
    pub(super) async fn sender(&self) -> Result<SendRequest<PeerBody>, Arc<str>> {
        let mut changes = self.state.subscribe();
        loop {
            match self.step() {
                Step::Done(result) => return result,
                Step::Wait => {}
                Step::Connect { failures } => self.spawn_attempt(failures),
            }
            changes.changed().await.expect("this connection holds the sender");
        }
    }

    fn step(&self) -> Step {
        let mut step = Step::Wait;
        self.state.send_if_modified(|state| {
            let failures = match state {
                State::Ready { sender, .. } if !sender.is_closed() => {
                    step = Step::Done(Ok(sender.clone()));
                    return false;
                }
                State::Connecting => return false,
                State::Failed { until, why, .. } if runtime::now() < *until => {
                    step = Step::Done(Err(why.clone()));
                    return false;
                }
                State::Ready { .. } | State::Idle => 0,
                State::Failed { failures, .. } => *failures,
            };
            *state = State::Connecting;
            step = Step::Connect { failures };
            true
        });
        step
    }

    fn spawn_attempt(&self, failures: u32) {
        let mut task = self.task.lock();
        task.0 += 1;
        let attempt = Attempt {
            net: self.net.clone(),
            addr: self.addr.clone(),
            state: self.state.clone(),
            generation: task.0,
            failures,
        };
        task.1 = Some(OwnedTask::new(runtime::spawn(attempt.run())));
    }
}

enum Step {
    Done(Result<SendRequest<PeerBody>, Arc<str>>),
    Wait,
    Connect { failures: u32 },
}

struct Attempt {
    net: SharedNet,
    addr: PeerAddr,
    state: watch::Sender<State>,
    generation: u64,
    failures: u32,
}

impl Attempt {
    /// Connects, then drives the connection until it ends.
    async fn run(self) {
        let connecting = async {
            let io = self
                .net
                .connect(&self.addr.0)
                .await
                .map_err(|error| error.to_string())?;
            handshake(io).await.map_err(|error| error.to_string())
        };
        let connected = runtime::timeout(Duration::from_millis(PEER_CONNECT_MS_MAX), connecting).await;
        let (sender, driver) = match connected.unwrap_or_else(|| Err("no answer in time".to_owned())) {
            Ok(connected) => connected,
            Err(why) => {
                let pause_ms = (PEER_RECONNECT_MS_MIN << self.failures.min(16)).min(PEER_RECONNECT_MS_MAX);
                tracing::debug!(addr = %self.addr, %why, pause_ms, "a peer cannot be connected to");
                self.state.send_replace(State::Failed {
                    failures: self.failures + 1,
                    until: runtime::now() + Duration::from_millis(pause_ms),
                    why: why.into(),
                });
                return;
            }
        };
        tracing::debug!(addr = %self.addr, "connected to a peer");
        self.state.send_replace(State::Ready {
            generation: self.generation,
            sender,
        });
        let ended = driver.await;
        tracing::debug!(addr = %self.addr, ?ended, "a connection to a peer has ended");
        self.state.send_if_modified(|state| {
            let own = matches!(state, State::Ready { generation, .. } if *generation == self.generation);
            if own {
                *state = State::Idle;
            }
            own
        });
    }
}

type Driver = http2::Connection<TokioIo<BoxIo>, PeerBody, PeerExecutor>;

async fn handshake(io: BoxIo) -> hyper::Result<(SendRequest<PeerBody>, Driver)> {
    http2::Builder::new(PeerExecutor)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(Duration::from_millis(PEER_PING_MS))
        .keep_alive_timeout(Duration::from_millis(PEER_PING_ANSWER_MS_MAX))
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(io))
        .await
}
