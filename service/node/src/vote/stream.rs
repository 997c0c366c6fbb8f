//! An event's live stream as server-sent events (WHATWG HTML section 9.2).

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use ostraka_api::sse::{SSE_MEDIA_TYPE, write_comment, write_retry};
use ostraka_core::limits::{
    CLOSED_LINGER_MS, CLOSED_RETRY_MS_MAX, CLOSED_RETRY_MS_MIN, HEARTBEAT_MS, READ_BARRIER_MS_MAX,
    STREAM_RETRY_MS_MAX, STREAM_RETRY_MS_MIN,
};
use ostraka_core::{EventId, LogIndex};
use ostraka_replication::SharedMachine;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;

use super::feed::{Cursor, Subscription};
use super::machine::VoteMachine;
use crate::env::SharedEntropy;
use crate::http::progress::{OpenRequest, Progress};
use crate::log::Log;

const HEARTBEAT: Duration = Duration::from_millis(HEARTBEAT_MS);

/// What a stream is made of.
pub(super) struct StreamParts {
    pub(super) event: EventId,
    pub(super) subscription: Subscription,
    /// The `id:` of the last event that the watcher got on an earlier connection.
    pub(super) resume_from: Option<LogIndex>,
    pub(super) log: Arc<dyn Log>,
    pub(super) machine: SharedMachine<VoteMachine>,
    pub(super) entropy: SharedEntropy,
    pub(super) progress: Arc<Progress>,
    /// Open streams of this node.
    pub(super) open_streams: Gauge,
    /// Cancelled when the node goes away.
    pub(super) leaving: CancellationToken,
}

/// The answer: headers at once, then blocks until the event's final result, or until the node goes away.
pub(super) fn response(parts: StreamParts) -> Response {
    let watcher = Watcher::new(parts);
    let blocks = unfold(watcher, |mut watcher| async move {
        let block = watcher.next_block().await?;
        Some((Ok::<_, std::convert::Infallible>(block), watcher))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(SSE_MEDIA_TYPE)),
        // What nginx and its kin look at: hand every block on at once.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, Body::from_stream(blocks)).into_response()
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was sent.
    Opening,
    /// This replica has not applied what the watcher has already seen.
    CatchingUp(LogIndex),
    /// Frames at or above this version are sent.
    Following(LogIndex),
    /// The final result was sent.
    Lingering,
    Ended,
}

struct Watcher {
    parts: StreamParts,
    phase: Phase,
    cursor: Cursor,
    heartbeat: Interval,
    /// A frame was sent since the last heartbeat, which makes the next one needless.
    sent: bool,
    _open: OpenRequest,
}

impl Watcher {
    fn new(parts: StreamParts) -> Self {
        let open = parts.progress.keep_busy();
        parts.open_streams.inc();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is at once.
        heartbeat.reset();
        Self {
            parts,
            phase: Phase::Opening,
            cursor: Cursor::default(),
            heartbeat,
            sent: false,
            _open: open,
        }
    }

    /// The next block, as soon as there is one and the socket takes bytes. `None` ends the stream.
    async fn next_block(&mut self) -> Option<Bytes> {
        let leaving = self.parts.leaving.clone();
        tokio::select! {
            biased;
            () = leaving.cancelled(), if self.phase != Phase::Ended => {
                self.phase = Phase::Ended;
                Some(self.farewell())
            }
            block = self.next_by_phase() => block,
        }
    }

    /// Safe to cancel: what it changes, it changes after its last await.
    async fn next_by_phase(&mut self) -> Option<Bytes> {
        loop {
            let progress = Arc::clone(&self.parts.progress);
            poll_fn(|cx| progress.poll_room(cx)).await;
            match self.phase {
                Phase::Opening => {
                    self.phase = match self.parts.resume_from {
                        Some(seen) if seen > self.parts.log.applied_index() => Phase::CatchingUp(seen),
                        _ => Phase::Following(self.version_here()),
                    };
                    return Some(self.retry_block(STREAM_RETRY_MS_MIN, STREAM_RETRY_MS_MAX));
                }
                Phase::CatchingUp(seen) => {
                    if let Some(heartbeat) = self.catch_up(seen).await {
                        return Some(heartbeat);
                    }
                    self.phase = Phase::Following(self.version_here());
                }
                Phase::Following(from) => {
                    if let Some(block) = self.follow(from).await {
                        return Some(block);
                    }
                }
                Phase::Lingering => {
                    tokio::time::sleep(Duration::from_millis(CLOSED_LINGER_MS)).await;
                    self.phase = Phase::Ended;
                    return None;
                }
                Phase::Ended => return None,
            }
        }
    }

    /// Waits until this replica has applied `seen`, so that the watcher never sees an older total than before. A
    /// heartbeat where that takes long, `None` when it is done. An index that no quorum has reached was not given out by
    /// this cluster: it is no reason to wait for ever.
    async fn catch_up(&self, seen: LogIndex) -> Option<Bytes> {
        let barrier = Duration::from_millis(READ_BARRIER_MS_MAX);
        if let Ok(reached) = self.parts.log.read_index(barrier).await
            && reached < seen
        {
            return None;
        }
        let applied = self.parts.log.wait_applied(seen, HEARTBEAT - barrier).await;
        (!applied).then(|| comment("catching up"))
    }

    /// The next block of the newest frame, or a heartbeat; `None` to look again.
    async fn follow(&mut self, from: LogIndex) -> Option<Bytes> {
        let frame = self
            .parts
            .subscription
            .newest()
            .filter(|frame| frame.version() >= from);
        if let Some(frame) = frame
            && let Some(block) = self.cursor.next(&frame)
        {
            self.sent = true;
            if !self.cursor.is_done() {
                return Some(block);
            }
            self.phase = Phase::Lingering;
            let retry = self.retry_block(CLOSED_RETRY_MS_MIN, CLOSED_RETRY_MS_MAX);
            return Some([retry, block].concat().into());
        }
        tokio::select! {
            biased;
            () = self.parts.subscription.changed() => None,
            _ = self.heartbeat.tick() => {
                if self.parts.log.is_expelled() {
                    // Nothing new will ever be shown here.
                    self.phase = Phase::Ended;
                    return Some(self.farewell());
                }
                (!std::mem::take(&mut self.sent)).then(|| comment("alive"))
            }
        }
    }

    /// The version that the event has on this replica now.
    fn version_here(&self) -> LogIndex {
        self.parts
            .machine
            .read()
            .state()
            .event(self.parts.event)
            .map(|event| event.version())
            .unwrap_or_default()
    }

    fn farewell(&self) -> Bytes {
        let mut block = comment("this node is going away; come back").to_vec();
        block.extend_from_slice(&self.retry_block(STREAM_RETRY_MS_MIN, STREAM_RETRY_MS_MAX));
        block.into()
    }

    fn retry_block(&self, ms_min: u64, ms_max: u64) -> Bytes {
        let ms = ms_min + self.parts.entropy.u64() % (ms_max - ms_min + 1);
        let mut block = Vec::with_capacity(16);
        write_retry(&mut block, ms as u32);
        block.into()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.parts.open_streams.dec();
    }
}

fn comment(text: &str) -> Bytes {
    let mut block = Vec::with_capacity(text.len() + 4);
    write_comment(&mut block, text);
    block.into()
}
