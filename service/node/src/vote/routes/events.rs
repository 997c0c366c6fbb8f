//! Events: creation, opening, closing, contestants, leaderboard, stream.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use ostraka_api::{
    Consistency, ContestantEntry, ContestantRef, ContestantsResponse, CreateEventRequest,
    CreateEventResponse, ErrorCode, EventStatusResponse, LeaderboardEntry, LeaderboardResponse, ProblemBody,
};
use ostraka_core::ids::ContestantId;
use ostraka_core::limits::{EVENT_BODY_BYTES_MAX, EVENTS_PER_OWNER_MAX};
use ostraka_core::{
    Command, ContestantIndex, Event, EventId, EventKind, EventRefusal, NewContestant, NewEvent, Outcome,
    RequestKey,
};

use super::extract::{Context, Creator, EventPath, IdempotencyKey, ResumeFrom};
use crate::audit::{Action, Actor, Certainty};
use crate::http::access::Steering;
use crate::http::json::json_response;
use crate::http::{Admitted, JsonBody, Problem};
use crate::vote::feed::visible_totals;
use crate::vote::service::VoteService;
use crate::vote::stream::{self, StreamParts};

/// Creates an event that belongs to the caller.
#[utoipa::path(
    post,
    path = "/v1/event/create",
    tag = "events",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters; a repeated creation gets the first event")),
    request_body = CreateEventRequest,
    responses(
        (status = 200, description = "Created", body = CreateEventResponse),
        (status = 400, description = "Malformed JSON, or an invalid field", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 403, description = "user_id is not the token's user, or a canary by someone who is no operator", body = ProblemBody),
        (status = 409, description = "This user has as many events as one may, or this service as many as it can", body = ProblemBody),
        (status = 429, description = "Too many creations by this user or from this address; see Retry-After", body = ProblemBody),
        (status = 503, description = "Not created, or unknown; see type and Retry-After", body = ProblemBody)
    )
)]
pub(super) async fn create(
    State(service): State<Arc<VoteService>>,
    Creator(admitted, context): Creator,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    JsonBody(request): JsonBody<CreateEventRequest, EVENT_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    request
        .validate()
        .map_err(|error| Problem::new(ErrorCode::InvalidField, format!("{error}.")))?;
    admitted.speaks_for(request.user_id)?;
    if request.canary {
        admitted.creates_canaries()?;
    }
    let key = match &idempotency_key {
        Some(key) => service
            .submission_keys
            .event_by_idempotency_key(admitted.voter(), key.as_bytes()),
        None => RequestKey(service.entropy.u128()),
    };
    let event = new_event(request, key);
    // The log would say the same: refused here, it takes no place there.
    if let Some(refusal) = service.machine.read().state().no_room_for(&event) {
        return Err(refused(refusal));
    }
    match service.submit(Command::CreateEvent(Box::new(event))).await? {
        Outcome::EventCreated(event) => {
            let (who, trace) = (Actor::User(admitted.voter()), context.trace.context.trace_id);
            let action = Action::EventCreated(event);
            let certainty = Some(Certainty::Done);
            service.audit.note(who, action, certainty, Some(trace)).await;
            created(&service, event).await
        }
        Outcome::EventRefused(refusal) => Err(refused(refusal)),
        other => Err(wrong_kind(other)),
    }
}

fn new_event(request: CreateEventRequest, key: RequestKey) -> NewEvent {
    let contestants = request.contestants.into_iter().map(|draft| NewContestant {
        name: draft.contestant_name,
        description: draft.contestant_description,
        image_url: draft.contestant_image_url,
    });
    NewEvent {
        request: key,
        owner: request.user_id,
        name: request.event_name,
        kind: if request.canary {
            EventKind::Canary
        } else {
            EventKind::Public
        },
        results: request.results.unwrap_or_default().into(),
        opens_at: request.opens_at,
        closes_at: request.closes_at,
        contestants: contestants.collect(),
    }
}

/// The answer comes from the log, not from the request: a repeated creation is answered with what the first one made.
async fn created(service: &VoteService, event_id: EventId) -> Result<Response, Problem> {
    let contestants = read_event(service, event_id, |event, _| {
        let entry = |(contestant_id, contestant): (ContestantId, &NewContestant)| ContestantRef {
            contestant_id,
            contestant_name: contestant.name.clone(),
        };
        contestants_of(event).map(entry).collect()
    });
    Ok(json_response(&CreateEventResponse {
        event_id,
        contestants: contestants.await?,
    }))
}

/// Opens an event now. Its owner may, and operators.
#[utoipa::path(
    post,
    path = "/v1/event/{event_id}/open",
    tag = "events",
    security(("bearer" = [])),
    params(("event_id" = String, Path, example = "e17")),
    responses(
        (status = 200, description = "Open since the log index in version", body = EventStatusResponse),
        (status = 400, description = "Malformed id", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 403, description = "Another user's event", body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 409, description = "Closed for good", body = ProblemBody),
        (status = 503, description = "Not done, or unknown; see type and Retry-After", body = ProblemBody)
    )
)]
pub(super) async fn open(
    State(service): State<Arc<VoteService>>,
    admitted: Admitted,
    EventPath(event): EventPath,
    Context(context): Context,
) -> Result<Response, Problem> {
    let Steering { by, by_operator } = admitted.steering();
    let command = Command::OpenEvent {
        event,
        by,
        by_operator,
    };
    let answer = set_status(&service, event, command).await;
    let (who, trace) = (Actor::User(by), context.trace.context.trace_id);
    let certainty = Certainty::of(&answer);
    let action = Action::EventOpened(event);
    service.audit.note(who, action, certainty, Some(trace)).await;
    answer
}

/// Closes an event for good: no vote after this record in the log counts. Its owner may, and operators.
#[utoipa::path(
    post,
    path = "/v1/event/{event_id}/close",
    tag = "events",
    security(("bearer" = [])),
    params(("event_id" = String, Path, example = "e17")),
    responses(
        (status = 200, description = "Closed since the log index in version", body = EventStatusResponse),
        (status = 400, description = "Malformed id", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 403, description = "Another user's event", body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 503, description = "Not done, or unknown; see type and Retry-After", body = ProblemBody)
    )
)]
pub(super) async fn close(
    State(service): State<Arc<VoteService>>,
    admitted: Admitted,
    EventPath(event): EventPath,
    Context(context): Context,
) -> Result<Response, Problem> {
    let Steering { by, by_operator } = admitted.steering();
    let command = Command::CloseEvent {
        event,
        by,
        by_operator,
    };
    let answer = set_status(&service, event, command).await;
    let (who, trace) = (Actor::User(by), context.trace.context.trace_id);
    let certainty = Certainty::of(&answer);
    let action = Action::EventClosed(event);
    service.audit.note(who, action, certainty, Some(trace)).await;
    answer
}

async fn set_status(service: &VoteService, event: EventId, command: Command) -> Result<Response, Problem> {
    match service.submit(command).await? {
        Outcome::EventStatus { event, status, at } => Ok(json_response(&EventStatusResponse {
            event_id: event,
            status: status.into(),
            version: at.0,
        })),
        Outcome::EventRefused(EventRefusal::EventNotFound) => Err(event_not_found(event)),
        Outcome::EventRefused(refusal) => Err(refused(refusal)),
        other => Err(wrong_kind(other)),
    }
}

/// Contestants with their totals, highest first, ties in the order of creation.
#[utoipa::path(
    get,
    path = "/v1/event/{event_id}/leaderboard",
    tag = "events",
    security(("bearer" = [])),
    params(("event_id" = String, Path, example = "e17")),
    responses(
        (status = 200, description = "The standings, with how fresh they are", body = LeaderboardResponse),
        (status = 400, description = "Malformed id", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 503, description = "Whether there is such an event cannot be told now", body = ProblemBody)
    )
)]
pub(super) async fn leaderboard(
    State(service): State<Arc<VoteService>>,
    _: Admitted,
    EventPath(event): EventPath,
) -> Result<Response, Problem> {
    read_event(&service, event, |event, consistency| {
        json_response(&standings(event, consistency))
    })
    .await
}

fn standings(event: &Event, consistency: Consistency) -> LeaderboardResponse {
    let totals = visible_totals(event);
    let entry = |(contestant_id, contestant): (ContestantId, &NewContestant)| LeaderboardEntry {
        contestant_id,
        contestant_name: contestant.name.clone(),
        total_votes: totals.map(|totals| totals[usize::from(contestant_id.contestant.0)]),
    };
    let mut contestants: Vec<LeaderboardEntry> = contestants_of(event).map(entry).collect();
    // Stable, so ties, and all of them while totals are hidden, stay in the order of creation.
    contestants.sort_by_key(|entry| std::cmp::Reverse(entry.total_votes));
    LeaderboardResponse {
        event_id: event.id(),
        event_name: event.name().to_owned(),
        status: event.status().into(),
        results: event.results().into(),
        version: event.version().0,
        consistency,
        contestants,
    }
}

/// Contestants in the order of creation.
#[utoipa::path(
    get,
    path = "/v1/contestants/{event_id}",
    tag = "events",
    security(("bearer" = [])),
    params(("event_id" = String, Path, example = "e17")),
    responses(
        (status = 200, description = "The contestants", body = ContestantsResponse),
        (status = 400, description = "Malformed id", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 503, description = "Whether there is such an event cannot be told now", body = ProblemBody)
    )
)]
pub(super) async fn contestants(
    State(service): State<Arc<VoteService>>,
    _: Admitted,
    EventPath(event): EventPath,
) -> Result<Response, Problem> {
    let answer = |event: &Event, _| {
        let entry = |(contestant_id, contestant): (ContestantId, &NewContestant)| ContestantEntry {
            contestant_id,
            contestant_name: contestant.name.clone(),
            contestant_image_url: contestant.image_url.clone(),
        };
        let contestants = contestants_of(event).map(entry).collect();
        json_response(&ContestantsResponse {
            event_id: event.id(),
            contestants,
        })
    };
    // Contestants never change: a replica that knows the event knows them all.
    if let Some(known) = service.machine.read().state().event(event) {
        return Ok(answer(known, Consistency::Linearizable));
    }
    read_event(&service, event, answer).await
}

/// The event's live count: `snapshot`, then `tally` with changed totals, at the end `closed` with the final result.
#[utoipa::path(
    get,
    path = "/v1/event/{event_id}/stream",
    tag = "events",
    security(("bearer" = [])),
    params(
        ("event_id" = String, Path, example = "e17"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event of an earlier stream"),
        ("last_event_id" = Option<String>, Query, description = "The same, for pages that cannot set a header")
    ),
    responses(
        (status = 200, description = "Server-sent events; data is StandingsPayload or TallyPayload", body = String, content_type = "text/event-stream"),
        (status = 400, description = "Malformed id", body = ProblemBody),
        (status = 401, description = "No valid token, in the header or the cookie", body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 503, description = "Too many streams on this node, or it is going away", body = ProblemBody)
    )
)]
pub(super) async fn stream(
    State(service): State<Arc<VoteService>>,
    _: Admitted,
    EventPath(event): EventPath,
    ResumeFrom(resume_from): ResumeFrom,
    Context(context): Context,
) -> Result<Response, Problem> {
    if service.ends_streams() {
        return Err(Problem::new(ErrorCode::Draining, "This node is going away."));
    }
    let known = service.machine.read().state().event(event).is_some();
    if !known {
        read_event(&service, event, |_, _| ()).await?;
    }
    let hub = Arc::clone(service.machine.read().feed());
    let subscription = hub.subscribe(event).map_err(|error| {
        Problem::new(ErrorCode::Overloaded, format!("No more streams here: {error}.")).retry_after_s(2)
    })?;
    Ok(stream::response(StreamParts {
        event,
        subscription,
        resume_from,
        log: Arc::clone(&service.log),
        machine: Arc::clone(&service.machine),
        entropy: Arc::clone(&service.entropy),
        progress: context.progress,
        open_streams: service.metrics.subscribers.clone(),
        leaving: service.streams_end(),
    }))
}

/// Reads an event after a barrier, so that what was acknowledged through any node is seen. Without a quorum's word what
/// is known here is read, and nothing is said about an event that is not.
async fn read_event<T>(
    service: &VoteService,
    event: EventId,
    read: impl FnOnce(&Event, Consistency) -> T,
) -> Result<T, Problem> {
    let consistency = service.catch_up().await;
    let machine = service.machine.read();
    match machine.state().event(event) {
        Some(found) => Ok(read(found, consistency)),
        None if consistency == Consistency::Linearizable => Err(event_not_found(event)),
        None => {
            let detail = "This node does not know the event, and no quorum answered in time to make sure.";
            Err(Problem::new(ErrorCode::NoLeader, detail))
        }
    }
}

fn contestants_of(event: &Event) -> impl Iterator<Item = (ContestantId, &NewContestant)> {
    let id = |place: usize| ContestantId {
        event: event.id(),
        contestant: ContestantIndex(place as u16),
    };
    event
        .contestants()
        .iter()
        .enumerate()
        .map(move |(place, contestant)| (id(place), contestant))
}

pub(super) fn event_not_found(event: EventId) -> Problem {
    Problem::new(ErrorCode::EventNotFound, format!("There is no event {event}."))
}

fn refused(refusal: EventRefusal) -> Problem {
    match refusal {
        EventRefusal::EventNotFound => Problem::new(ErrorCode::EventNotFound, "There is no such event."),
        EventRefusal::NotTheOwner => Problem::new(
            ErrorCode::NotOwner,
            "Only the event's owner or an operator may do this.",
        ),
        EventRefusal::AlreadyClosed => Problem::new(
            ErrorCode::EventAlreadyClosed,
            "The event is closed for good: its result is final.",
        ),
        EventRefusal::TooManyEvents => Problem::new(
            ErrorCode::EventLimitReached,
            "This service holds as many events as it can.",
        ),
        EventRefusal::EventsTooLarge => Problem::new(
            ErrorCode::EventLimitReached,
            "The descriptions of all events together take as much room as this service has for them.",
        ),
        EventRefusal::OwnerHasTooManyEvents => Problem::new(
            ErrorCode::OwnerLimitReached,
            format!(
                "This user has {EVENTS_PER_OWNER_MAX} events, as many as one may have; another user can create more."
            ),
        ),
        EventRefusal::OwnerEventsTooLarge => Problem::new(
            ErrorCode::OwnerLimitReached,
            "The descriptions of this user's events take as much room as those of one user may; another user can create more.",
        ),
        EventRefusal::ScheduleImpossible => Problem::new(
            ErrorCode::InvalidField,
            "closes_at must be in the future, and after opens_at.",
        ),
        EventRefusal::OutsideLimits => Problem::new(
            ErrorCode::InvalidField,
            "A text is too long, or there are too few or too many contestants.",
        ),
    }
}

/// The log answered one kind of command with another's outcome: nodes of different versions, or a mistake of ours.
pub(super) fn wrong_kind(outcome: Outcome) -> Problem {
    tracing::error!(?outcome, "a command got another kind's outcome");
    Problem::new(
        ErrorCode::Internal,
        "The service made a mistake; the trace id finds it in the log.",
    )
}
