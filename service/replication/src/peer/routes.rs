//! What the peer port does for each route.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use openraft::raft::AppendEntriesRequest;
use ostraka_core::limits::{APPEND_BYTES_MAX, PEER_CALL_MS_MAX, PEER_MESSAGE_BYTES_MAX, PROPOSAL_BYTES_MAX};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frames::{self, FrameError, FrameReader, PeerBody};
use super::server::{Refusal, header_number};
use super::wire::{self, Hearing, MembershipAnswer, WireError};
use super::{HEADER_WITHIN_MS, Route, snapshot};
use crate::group::Group;
use crate::runtime;
use crate::types::Types;

pub(super) async fn answer(
    group: &Group,
    route: Route,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<PeerBody, Refusal> {
    let raft = group.raft();
    match route {
        Route::Append => Ok(append_stream(group, body)),
        Route::AppendOne => {
            let request = collect(body, APPEND_BYTES_MAX).await?;
            let request = wire::decode_append(request).map_err(|error| malformed(error.into()))?;
            reply(raft.append_entries(request).await)
        }
        Route::Vote => reply(raft.vote(message(body).await?).await),
        Route::PreVote => reply(raft.pre_vote(message(body).await?).await),
        Route::TransferLeader => reply(raft.handle_transfer_leader(message(body).await?).await),
        Route::Snapshot => Ok(frames::full(wire::encode(&snapshot::receive(group, body).await?))),
        Route::Propose => {
            let body = collect(body, PROPOSAL_BYTES_MAX).await?;
            group.check(&body).map_err(unreadable)?;
            let answer = group.propose_here(body, within(headers)).await;
            Ok(frames::full(wire::encode_propose_answer(&answer)))
        }
        Route::Membership => {
            let change = message(body).await?;
            let answer = group.change_here(change, within(headers)).await;
            Ok(frames::full(wire::encode(&MembershipAnswer(answer))))
        }
        Route::Standing => {
            let () = message(body).await?;
            reply(group.standing_here().await)
        }
        Route::Hearing => {
            let () = message(body).await?;
            let leader = group.hears_a_leader();
            Ok(frames::full(wire::encode(&Hearing { leader })))
        }
        Route::ReadIndex => {
            let () = message(body).await?;
            Ok(frames::full(wire::encode(
                &group.confirm_here(within(headers)).await,
            )))
        }
    }
}

/// Answers at once; the requests are read and their answers sent as they come.
fn append_stream(group: &Group, body: Incoming) -> PeerBody {
    let answers = group.raft().stream_append(append_requests(body));
    frames::streamed(answers.map(|answer| match answer {
        Ok(answer) => Ok(frames::frame(&wire::encode_append_answer(&answer))),
        Err(stopped) => Err(io::Error::other(stopped.to_string())),
    }))
}

/// Ends at the first thing that is not a request; the sender finds its stream ended and opens another.
fn append_requests(body: Incoming) -> impl Stream<Item = AppendEntriesRequest<Types>> + Send + 'static {
    stream::unfold(
        FrameReader::new(body, APPEND_BYTES_MAX),
        |mut reader| async move {
            let request = match reader.next().await {
                Ok(Some(bytes)) => wire::decode_append(bytes).map_err(FrameError::from),
                Ok(None) => return None,
                Err(error) => Err(error),
            };
            match request {
                Ok(request) => Some((request, reader)),
                Err(FrameError::Broken(error)) => {
                    tracing::debug!(%error, "an append stream has broken");
                    None
                }
                Err(FrameError::Wire(error)) => {
                    tracing::warn!(%error, "an append stream is not understood");
                    None
                }
            }
        },
    )
}

/// A whole body, in time.
async fn collect(body: Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
    let within = Duration::from_millis(PEER_CALL_MS_MAX);
    let late = || {
        (
            StatusCode::REQUEST_TIMEOUT,
            "the request's body did not come in time".to_owned(),
        )
    };
    let collected = runtime::timeout(within, frames::collect(body, bytes_max))
        .await
        .ok_or_else(late)?;
    collected.map_err(malformed)
}

async fn message<T: DeserializeOwned>(body: Incoming) -> Result<T, Refusal> {
    let bytes = collect(body, PEER_MESSAGE_BYTES_MAX).await?;
    wire::decode(&bytes).map_err(|error| malformed(error.into()))
}

/// An error can only be that the group has stopped.
fn reply<T: Serialize, E: std::fmt::Display>(answer: Result<T, E>) -> Result<PeerBody, Refusal> {
    match answer {
        Ok(answer) => Ok(frames::full(wire::encode(&answer))),
        Err(stopped) => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the group has stopped here: {stopped}"),
        )),
    }
}

fn unreadable(error: String) -> Refusal {
    (
        StatusCode::BAD_REQUEST,
        format!("the proposal cannot be read here: {error}"),
    )
}

pub(super) fn malformed(error: FrameError) -> Refusal {
    let status = match &error {
        FrameError::Wire(WireError::TooLong { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, error.to_string())
}

fn within(headers: &HeaderMap) -> Duration {
    Duration::from_millis(header_number(headers, HEADER_WITHIN_MS).unwrap_or(PEER_CALL_MS_MAX))
}
