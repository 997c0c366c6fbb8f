//! Votes: submission and status.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::Response;
use ostraka_api::trace::IncomingTrace;
use ostraka_api::{
    Durability, ErrorCode, ProblemBody, SubmitVoteRequest, SubmitVoteResponse, VoteReason, VoteStatus,
    VoteStatusResponse, parse_object, validate,
};
use ostraka_core::limits::EXTRA_SUBMISSIONS_RETRY_AFTER_S;
use ostraka_core::{Command, EventId, Outcome, VoteOutcome, VoteRecord};
use serde::Serialize;
use tokio::time::Instant;

use super::extract::{Context, IdempotencyKey, VoteIdPath};
use crate::http::json::{json_body, json_body_response, json_response};
use crate::http::trace::client_trace;
use crate::http::{Admitted, Express, ExpressAnswer, ExpressRequest, JsonBody, Problem, Route};
use crate::vote::service::VoteService;
use crate::vote::vote_id::VoteIdError;

/// [`SubmitVoteResponse`] with the id borrowed: the answer that is given most costs no copy of it.
#[derive(Serialize)]
struct SubmitAnswer<'a> {
    vote_id: &'a str,
    vote_status: VoteStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<VoteReason>,
    durability: Durability,
}

/// Casts a vote. The answer comes when the vote is durable on a quorum and applied, so its status is final. A retry (the
/// same `Idempotency-Key`, or without one the same contestant and `client_timestamp`) gets the first answer again.
#[utoipa::path(
    post,
    path = "/v1/vote/submit",
    tag = "votes",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters")),
    request_body = SubmitVoteRequest,
    responses(
        (status = 200, description = "Recorded", body = SubmitVoteResponse),
        (status = 400, description = "Malformed JSON, field, id or header", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 403, description = "user_id is not the token's user", body = ProblemBody),
        (status = 404, description = "No such event, or no such contestant in it", body = ProblemBody),
        (status = 429, description = "Too many different submissions of this user in this event", body = ProblemBody),
        (status = 503, description = "Not recorded, or unknown; see type and Retry-After", body = ProblemBody)
    )
)]
pub(super) async fn submit(
    State(service): State<Arc<VoteService>>,
    admitted: Admitted,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Context(context): Context,
    JsonBody(request): JsonBody<SubmitVoteRequest>,
) -> Result<Response, Problem> {
    let idempotency_key = idempotency_key.as_ref().map(HeaderValue::as_bytes);
    let record = record(&service, admitted, idempotency_key, &context.trace, &request)?;
    // tokio's clock, which a simulator controls.
    let taken_in_at = Instant::now();
    let outcome = service.submit(Command::CastVote(record)).await;
    answered(&service, request.event_id, taken_in_at, outcome).map(json_body_response)
}

/// The same without the router, for what has nothing to be refused for: see [`crate::http::lane`].
impl Express for VoteService {
    fn target(&self) -> &'static str {
        Route::VoteSubmit.path()
    }

    fn begin(self: Arc<Self>, request: &ExpressRequest<'_>) -> Option<ExpressAnswer> {
        let admitted = self
            .authenticator()
            .admit_bearer(Route::VoteSubmit, request.bearer)
            .ok()?;
        if let Some(key) = request.idempotency_key {
            validate::idempotency_key(key).ok()?;
        }
        let idempotency_key = request.idempotency_key.map(str::as_bytes);
        let vote: SubmitVoteRequest = parse_object(request.body).ok()?;
        let record = record(&self, admitted, idempotency_key, &request.trace, &vote).ok()?;
        let taken_in_at = Instant::now();
        // Here and not in the future: votes that were sent one behind the other belong into one batch.
        let outcome = self.enqueue(Command::CastVote(record));
        Some(Box::pin(async move {
            let outcome = match outcome {
                Ok(outcome) => outcome.await,
                Err(problem) => Err(problem),
            };
            answered(&self, vote.event_id, taken_in_at, outcome)
        }))
    }
}

/// The vote that is asked for, or why it is none.
fn record(
    service: &VoteService,
    admitted: Admitted,
    idempotency_key: Option<&[u8]>,
    trace: &IncomingTrace,
    request: &SubmitVoteRequest,
) -> Result<VoteRecord, Problem> {
    request
        .validate()
        .map_err(|error| Problem::new(ErrorCode::InvalidField, format!("{error}.")))?;
    admitted.speaks_for(request.user_id)?;
    if request.contestant_id.event != request.event_id {
        return Err(contestant_not_found());
    }
    let contestant = request.contestant_id.contestant;
    let key = match idempotency_key {
        Some(key) => service.submission_keys.vote_by_idempotency_key(key),
        None => service
            .submission_keys
            .vote_by_timestamp(contestant, request.client_timestamp),
    };
    let trace = client_trace(trace);
    Ok(VoteRecord {
        voter: admitted.voter(),
        event: request.event_id,
        contestant,
        key,
        client_timestamp: request.client_timestamp,
        trace: trace.map(|(trace_id, _)| trace_id),
        trace_sampled: trace.is_some_and(|(_, sampled)| sampled),
    })
}

/// What a voter is told, as JSON.
fn answered(
    service: &VoteService,
    event: EventId,
    taken_in_at: Instant,
    outcome: Result<Outcome, Problem>,
) -> Result<Vec<u8>, Problem> {
    service
        .metrics
        .ack_latency_s
        .observe(taken_in_at.elapsed().as_secs_f64());
    let answer = outcome.and_then(|outcome| answer(service, event, outcome));
    if answer.is_err() {
        service.metrics.failed.inc();
    }
    answer
}

fn answer(service: &VoteService, event: EventId, outcome: Outcome) -> Result<Vec<u8>, Problem> {
    let outcome = match outcome {
        Outcome::Vote(outcome) => outcome,
        Outcome::EventCreated(_)
        | Outcome::EventStatus { .. }
        | Outcome::EventRefused(_)
        | Outcome::Ticked => {
            return Err(super::events::wrong_kind(outcome));
        }
    };
    match outcome {
        VoteOutcome::Recorded { position, verdict } => {
            let (vote_status, reason) = VoteStatus::of_verdict(verdict);
            service.metrics.vote(vote_status);
            let vote_id = service.vote_ids.encode(event, position);
            let vote_id = vote_id.as_str();
            Ok(json_body(&SubmitAnswer {
                vote_id,
                vote_status,
                reason,
                durability: service.durability,
            }))
        }
        VoteOutcome::EventNotFound => Err(super::events::event_not_found(event)),
        VoteOutcome::ContestantNotFound => Err(contestant_not_found()),
        VoteOutcome::TooManySubmissions => Err(Problem::new(
            ErrorCode::TooManySubmissions,
            "This user has made too many different submissions in this event; the counted vote stands.",
        )
        .retry_after_s(EXTRA_SUBMISSIONS_RETRY_AFTER_S)),
    }
}

fn contestant_not_found() -> Problem {
    Problem::new(ErrorCode::ContestantNotFound, "The event has no such contestant.")
}

/// Tells what became of a vote. Only its own voter is told.
#[utoipa::path(
    get,
    path = "/v1/vote/{vote_id}/status",
    tag = "votes",
    security(("bearer" = [])),
    params(("vote_id" = String, Path, description = "As submit answered it")),
    responses(
        (status = 200, description = "The vote's status, final", body = VoteStatusResponse),
        (status = 400, description = "Malformed id", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 404, description = "Unknown, or another user's vote", body = ProblemBody),
        (status = 503, description = "This node has not caught up with the vote yet", body = ProblemBody)
    )
)]
pub(super) async fn status(
    State(service): State<Arc<VoteService>>,
    admitted: Admitted,
    VoteIdPath(vote_id): VoteIdPath,
) -> Result<Response, Problem> {
    let not_found = || Problem::new(ErrorCode::VoteNotFound, "There is no such vote of this user.");
    let (event, position) = service.vote_ids.decode(&vote_id).map_err(|error| match error {
        VoteIdError::Malformed => Problem::new(ErrorCode::MalformedId, format!("Malformed id: {error}.")),
        VoteIdError::NotOurs => not_found(),
    })?;
    if !service.has_applied(position.index).await {
        let detail = "This node has not caught up with this vote yet; its status would be a guess.";
        return Err(Problem::new(ErrorCode::NoLeader, detail));
    }
    let found = {
        let machine = service.machine.read();
        let state = machine.state();
        let verdict = state.vote_verdict(event, admitted.voter(), position);
        verdict.zip(state.event(event).map(|event| event.name().to_owned()))
    };
    let (verdict, event_name) = found.ok_or_else(not_found)?;
    let (vote_status, reason) = VoteStatus::of_verdict(verdict);
    let vote_id = vote_id.parse().expect("an id of ours is URL-safe and short");
    Ok(json_response(&VoteStatusResponse {
        vote_id,
        vote_status,
        event_name,
        reason,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_borrowed_answer_is_the_contracts_answer() {
        let statuses = [
            (VoteStatus::Processed, None),
            (VoteStatus::Duplicate, Some(VoteReason::AlreadyVoted)),
        ];
        for (vote_status, reason) in statuses {
            let durability = Durability::QuorumFsync;
            let ours = SubmitAnswer {
                vote_id: "AQ-x_9",
                vote_status,
                reason,
                durability,
            };
            let theirs = SubmitVoteResponse {
                vote_id: "AQ-x_9".parse().unwrap(),
                vote_status,
                reason,
                durability,
            };
            assert_eq!(
                serde_json::to_string(&ours).unwrap(),
                serde_json::to_string(&theirs).unwrap()
            );
        }
    }
}
