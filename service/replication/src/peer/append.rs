//! The append stream of one follower: requests one way, answers the other, in order, many in flight.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use hyper::body::Incoming;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use ostraka_core::limits::{
    APPEND_ANSWER_MS_MAX, APPENDS_IN_FLIGHT_MAX, PEER_CALL_MS_MAX, PEER_MESSAGE_BYTES_MAX,
};
use tokio::sync::mpsc;

use super::client::{Call, CallError, PeerClient, Target};
use super::connection::Lane;
use super::frames::{self, FrameReader};
use super::{Route, wire};
use crate::runtime::{self, Instant};
use crate::types::Types;

/// One answer of a follower, or why there will be none.
pub(super) type Answer = Result<StreamAppendResult<Types>, CallError>;

/// Opens the stream once there is something to send. `requests` is polled only here and while the returned stream is,
/// so it stays on its caller's task.
///
/// The first request is taken before anything is tried: openraft waits there after failures, and one that fails before
/// it has taken a request is called again at once, for as long as the peer is down.
pub(super) async fn open<S>(
    client: &PeerClient,
    target: &Target,
    mut requests: S,
) -> Result<impl Stream<Item = Answer> + use<S>, CallError>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    let Some(first) = requests.next().await else {
        return Ok(stream::unfold(None, answers));
    };
    let (sender, mut receiver) = mpsc::channel::<Bytes>(APPENDS_IN_FLIGHT_MAX);
    let body = frames::streamed(stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|piece| piece.map(Ok))
    }));
    let within = Duration::from_millis(PEER_CALL_MS_MAX);
    let call = Call {
        lane: Lane::Append,
        route: Route::Append,
        sent: &AtomicBool::new(false),
    };
    let opening = client.open(target, call, within, body);
    let response = runtime::timeout(within, opening)
        .await
        .unwrap_or(Err(CallError::TimedOut(within.as_millis())))?;
    let mut pipeline = Pipeline {
        requests: Some(requests),
        sender: Some(sender),
        answers: FrameReader::new(response.into_body(), PEER_MESSAGE_BYTES_MAX),
        in_flight: VecDeque::new(),
    };
    pipeline.send(&first);
    Ok(stream::unfold(Some(pipeline), answers))
}

async fn answers<S>(pipeline: Option<Pipeline<S>>) -> Option<(Answer, Option<Pipeline<S>>)>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    pipeline?.next().await
}

struct Pipeline<S> {
    /// `None` when it has ended.
    requests: Option<S>,
    /// `None` when the follower has been told that nothing more comes.
    sender: Option<mpsc::Sender<Bytes>>,
    answers: FrameReader<Incoming>,
    /// When each unanswered request was sent, oldest first.
    in_flight: VecDeque<Instant>,
}

impl<S> Pipeline<S>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    /// Sends what there is to send until there is an answer. An error is the last item.
    async fn next(mut self) -> Option<(Answer, Option<Self>)> {
        loop {
            if self.requests.is_none() && self.in_flight.is_empty() {
                return None;
            }
            let overdue = self
                .in_flight
                .front()
                .map(|sent| *sent + Duration::from_millis(APPEND_ANSWER_MS_MAX));
            let has_room = self.in_flight.len() < APPENDS_IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                answer = self.answers.next() => {
                    let answer = Self::decoded(answer);
                    let next = answer.is_ok().then_some(());
                    self.in_flight.pop_front();
                    return Some((answer, next.map(|()| self)));
                }
                () = until(overdue) => {
                    return Some((Err(CallError::TimedOut(u128::from(APPEND_ANSWER_MS_MAX))), None));
                }
                request = next_of(&mut self.requests), if has_room => match request {
                    Some(request) => self.send(&request),
                    None => {
                        self.requests = None;
                        self.sender = None;
                    }
                },
            }
        }
    }

    fn decoded(answer: Result<Option<Bytes>, frames::FrameError>) -> Answer {
        match answer? {
            Some(bytes) => Ok(wire::decode_append_answer(&bytes)?),
            None => Err(CallError::Broken("the peer ended the stream".to_owned())),
        }
    }

    fn send(&mut self, request: &AppendEntriesRequest<Types>) {
        let message = frames::frame(&wire::encode_append(request));
        // As many places as may be in flight, so it is never full; a closed one shows as the end of the answers.
        if let Some(sender) = &self.sender
            && let Err(error) = sender.try_send(message)
        {
            tracing::debug!(%error, "an append was not sent");
        }
        self.in_flight.push_back(runtime::now());
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => runtime::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn next_of<S: Stream + Unpin>(requests: &mut Option<S>) -> Option<S::Item> {
    match requests {
        Some(requests) => requests.next().await,
        None => std::future::pending().await,
    }
}
