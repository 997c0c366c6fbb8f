//! Snapshots between peers: a head, then the bytes of the file.

use std::io::{self, Read, Write};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use hyper::StatusCode;
use hyper::body::Incoming as IncomingBody;
use openraft::raft::SnapshotResponse;
use ostraka_core::limits::{
    PEER_CONNECT_MS_MAX, PEER_MESSAGE_BYTES_MAX, SNAPSHOT_CHUNK_BYTES, SNAPSHOT_INSTALL_MS_MAX,
    SNAPSHOT_STALL_MS_MAX,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::client::{Call, CallError, PeerClient, Target};
use super::connection::Lane;
use super::frames::{self, FrameReader};
use super::routes::malformed;
use super::server::Refusal;
use super::{Route, wire};
use crate::env::Offload;
use crate::group::{Group, Snapshot};
use crate::runtime;
use crate::snapshot_store::{Incoming, StoredSnapshot};
use crate::types::{RaftVote, SnapshotMeta, Types};

/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 4;

#[derive(Serialize, Deserialize)]
struct Head {
    vote: RaftVote,
    meta: SnapshotMeta,
}

fn stall() -> Duration {
    Duration::from_millis(SNAPSHOT_STALL_MS_MAX)
}

/// Sends a snapshot and waits until the peer has installed it.
pub(super) async fn send(
    client: &PeerClient,
    target: &Target,
    vote: RaftVote,
    snapshot: Snapshot,
    offload: Offload,
) -> Result<SnapshotResponse<Types>, CallError> {
    let head = frames::frame(&wire::encode(&Head {
        vote,
        meta: snapshot.meta,
    }));
    let (chunks, mut receiver) = mpsc::channel::<Bytes>(CHUNKS_AHEAD);
    let rest = stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|chunk| chunk.map(Ok)));
    let body = frames::streamed(stream::iter([Ok(head)]).chain(rest));
    let calling = async {
        let call = Call {
            lane: Lane::Snapshot,
            route: Route::Snapshot,
            sent: &AtomicBool::new(false),
        };
        let response = client
            .open(target, call, Duration::from_millis(PEER_CONNECT_MS_MAX), body)
            .await?;
        let answer = frames::collect(response.into_body(), PEER_MESSAGE_BYTES_MAX).await?;
        Ok(wire::decode(&answer)?)
    };
    let mut calling = std::pin::pin!(calling);
    tokio::select! {
        biased;
        // Early, it is a refusal, or the peer did not need the rest.
        answer = calling.as_mut() => return answer,
        pumped = pump(snapshot.snapshot, chunks, offload) => pumped?,
    }
    let install = Duration::from_millis(SNAPSHOT_INSTALL_MS_MAX);
    runtime::timeout(install, calling)
        .await
        .unwrap_or(Err(CallError::TimedOut(install.as_millis())))
}

/// Reads the file into the request's body, as fast as the peer takes it.
async fn pump(
    snapshot: StoredSnapshot,
    chunks: mpsc::Sender<Bytes>,
    offload: Offload,
) -> Result<(), CallError> {
    let unreadable = |error: io::Error| CallError::Broken(format!("the snapshot cannot be read: {error}"));
    let mut file = offload
        .run(move || snapshot.open_raw())
        .await
        .map_err(unreadable)?;
    loop {
        let reading = offload.run(move || {
            let mut chunk = Vec::with_capacity(SNAPSHOT_CHUNK_BYTES);
            file.by_ref()
                .take(SNAPSHOT_CHUNK_BYTES as u64)
                .read_to_end(&mut chunk)?;
            Ok((file, chunk))
        });
        let (next, chunk) = reading.await.map_err(unreadable)?;
        if chunk.is_empty() {
            return Ok(());
        }
        file = next;
        match runtime::timeout(stall(), chunks.send(Bytes::from(chunk))).await {
            Some(Ok(())) => {}
            // The call has ended; its own result says why.
            Some(Err(_)) => return std::future::pending().await,
            None => return Err(CallError::TimedOut(stall().as_millis())),
        }
    }
}

/// Takes a snapshot straight to the disk and has the group install it.
pub(super) async fn receive(group: &Group, body: IncomingBody) -> Result<SnapshotResponse<Types>, Refusal> {
    let mut reader = FrameReader::new(body, PEER_MESSAGE_BYTES_MAX);
    let head = in_time(reader.next())
        .await?
        .map_err(malformed)?
        .unwrap_or_default();
    let Head { vote, meta } = wire::decode(&head).map_err(|error| malformed(error.into()))?;
    let (store, offload) = (group.snapshots().clone(), group.offload());
    let mut incoming = offload
        .run(move || Ok(store.receive()?))
        .await
        .map_err(unstored)?;
    let mut gathered = BytesMut::with_capacity(SNAPSHOT_CHUNK_BYTES);
    while let Some(piece) = in_time(reader.next_raw()).await?.map_err(malformed)? {
        gathered.extend_from_slice(&piece);
        if gathered.len() >= SNAPSHOT_CHUNK_BYTES {
            incoming = store_piece(incoming, gathered.split().freeze(), offload).await?;
        }
    }
    incoming = store_piece(incoming, gathered.freeze(), offload).await?;
    let snapshot = offload
        .run(move || Ok(incoming.finish()?))
        .await
        .map_err(unstored)?;
    if *snapshot.meta() != meta {
        let sentence = "the snapshot's head and its file differ".to_owned();
        return Err((StatusCode::BAD_REQUEST, sentence));
    }
    let installed = group
        .raft()
        .install_full_snapshot(vote, Snapshot { meta, snapshot })
        .await;
    installed.map_err(|fatal| {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the group has stopped here: {fatal}"),
        )
    })
}

async fn in_time<T>(waiting: impl Future<Output = T>) -> Result<T, Refusal> {
    let waited = runtime::timeout(stall(), waiting).await;
    waited.ok_or_else(|| {
        (
            StatusCode::REQUEST_TIMEOUT,
            "the snapshot's bytes stopped coming".to_owned(),
        )
    })
}

async fn store_piece(mut incoming: Incoming, piece: Bytes, offload: Offload) -> Result<Incoming, Refusal> {
    let writing = offload.run(move || {
        incoming.write_all(&piece)?;
        Ok(incoming)
    });
    writing.await.map_err(unstored)
}

fn unstored(error: io::Error) -> Refusal {
    let status = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        io::ErrorKind::InvalidData => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, format!("the snapshot cannot be stored: {error}"))
}
