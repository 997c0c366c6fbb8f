//! The plan's clients: each does its operations one after another, and writes down what it was told.

use std::time::Duration;

use ostraka_client::api::{
    ContestantDraft, CreateEventRequest, ErrorClass, EventStatus, LeaderboardResponse, ResultsPolicy, SpanId,
    SubmitVoteRequest, SubmitVoteResponse, TraceContext, VoteReason, VoteStatus as WireStatus,
};
use ostraka_client::{CallOptions, Client, ClientError};
use ostraka_core::{ContestantId, ContestantIndex, EventId, UnixMs, VoterNumber};
use ostraka_sim_model::history::{Answer, Happening, Standings, Status, VoteStatus};
use ostraka_sim_model::ids::{ClientIndex, EventSlot, SimMs};
use ostraka_sim_model::names;
use ostraka_sim_model::plan::{Action, Operation};
use tokio::time::{Instant, sleep_until};

use crate::chance::Purpose;
use crate::known::{SharedKnown, key};
use crate::stage::{FORMED_AT, Host};

/// Does all that the plan has `index` do; `formed` is time 0.
pub(crate) async fn live(known: SharedKnown, index: ClientIndex, formed: Instant) {
    let nodes = known.stage.nodes();
    let purpose = |node: usize| Purpose::Client(u64::from(index.0) << 8 | node as u64);
    // Each node has its own, so that an operation asks the node that the plan names and no other.
    let clients: Vec<Client> = (0..nodes)
        .map(|node| known.client(&[Host(node)], purpose(node)))
        .collect();
    let operations = known.stage.plan.operations.clone();
    for operation in operations.iter().filter(|operation| operation.client == index) {
        sleep_until(formed + Duration::from_millis(operation.at_ms.0)).await;
        let client = &clients[usize::from(operation.endpoint.0)];
        let answer = match Request::of(&known, operation) {
            None => Answer::Skipped,
            Some(request) => {
                let operation = operation.id;
                known.stage.record(Happening::Invoked { operation });
                request.send(client).await.unwrap_or_else(|error| failed(&error))
            }
        };
        learn(&known, operation, &answer);
        known.stage.record(Happening::Answered {
            operation: operation.id,
            answer,
        });
    }
}

fn learn(known: &SharedKnown, operation: &Operation, answer: &Answer) {
    match (&operation.action, answer) {
        (Action::CreateEvent { slot, .. }, Answer::EventCreated { event }) => {
            known.learn_event(*slot, *event)
        }
        (_, Answer::Vote { vote_id, .. }) => {
            let vote = vote_id.parse().expect("the client has parsed it before");
            known.learn_vote(operation.id, vote);
        }
        _ => {}
    }
}

/// What an operation asks, with all that must be known for it.
struct Request {
    token: String,
    trace: TraceContext,
    what: What,
}

enum What {
    Create(SlotEvent),
    Open(EventId),
    Close(EventId),
    Submit(Box<SubmitVoteRequest>, Option<String>),
    Status(ostraka_client::api::VoteId),
    Board(EventId),
}

struct SlotEvent {
    slot: EventSlot,
    request: CreateEventRequest,
}

impl Request {
    /// `None` if it asks about what was never known.
    fn of(known: &SharedKnown, operation: &Operation) -> Option<Self> {
        let (voter, what) = match &operation.action {
            Action::CreateEvent { slot, .. } => (
                names::OWNER,
                What::Create(SlotEvent::of(*slot, &operation.action)),
            ),
            Action::OpenEvent { slot } => (names::OWNER, What::Open(known.event(*slot)?)),
            Action::CloseEvent { slot } => (names::OWNER, What::Close(known.event(*slot)?)),
            Action::Leaderboard { slot } => (names::OWNER, What::Board(known.event(*slot)?)),
            Action::Submit {
                slot,
                voter,
                contestant,
                tag,
            } => {
                let timestamp = names::client_timestamp(*tag);
                let vote = vote(*voter, known.event(*slot)?, *contestant, timestamp);
                (*voter, What::Submit(Box::new(vote), names::submission_key(*tag)))
            }
            Action::Status { of } => {
                let asked = known.stage.plan.operations.iter().find(|other| other.id == *of)?;
                let Action::Submit { voter, .. } = asked.action else {
                    return None;
                };
                (voter, What::Status(known.vote(*of)?))
            }
        };
        Some(Self {
            token: known.token(voter),
            trace: trace_of(operation),
            what,
        })
    }

    async fn send(self, client: &Client) -> Result<Answer, ClientError> {
        let options = CallOptions::bearer(&self.token).traced(self.trace);
        Ok(match self.what {
            What::Create(event) => {
                let key = key(&names::creation_key(event.slot));
                let created = client.create_event(&event.request, Some(&key), options).await?;
                Answer::EventCreated {
                    event: created.event_id,
                }
            }
            What::Open(event) | What::Close(event) => {
                let answer = match self.what {
                    What::Open(_) => client.open(event, options).await?,
                    _ => client.close(event, options).await?,
                };
                Answer::EventStatus {
                    event: answer.event_id,
                    status: status(answer.status),
                    version: answer.version,
                }
            }
            What::Submit(vote, text) => {
                let key = text.as_deref().map(key);
                voted(&client.submit_vote(&vote, key.as_ref(), options).await?)
            }
            What::Status(vote) => {
                let answer = client.vote_status(&vote, options).await?;
                Answer::Status {
                    vote_id: answer.vote_id.to_string(),
                    status: vote_status(answer.vote_status, answer.reason),
                }
            }
            What::Board(event) => board(&client.leaderboard(event, options).await?),
        })
    }
}

impl SlotEvent {
    fn of(slot: EventSlot, action: &Action) -> Self {
        let Action::CreateEvent {
            contestants,
            opens_at_ms,
            closes_at_ms,
            after_close,
            ..
        } = action
        else {
            unreachable!("called for creations only");
        };
        let moment = |at: SimMs| UnixMs(FORMED_AT.0 + at.0);
        let contestant = |place: u16| ContestantDraft {
            contestant_name: format!("contestant {place}"),
            contestant_description: String::new(),
            contestant_image_url: String::new(),
        };
        let request = CreateEventRequest {
            user_id: names::OWNER,
            event_name: names::event_name(slot),
            contestants: (0..*contestants).map(contestant).collect(),
            opens_at: opens_at_ms.map(moment),
            closes_at: closes_at_ms.map(moment),
            results: after_close.then_some(ResultsPolicy::AfterClose),
            canary: false,
        };
        Self { slot, request }
    }
}

pub(crate) fn vote(voter: VoterNumber, event: EventId, contestant: u16, at: UnixMs) -> SubmitVoteRequest {
    SubmitVoteRequest {
        user_id: voter,
        event_id: event,
        contestant_id: ContestantId {
            event,
            contestant: ContestantIndex(contestant),
        },
        client_timestamp: Some(at),
        meta: None,
    }
}

fn trace_of(operation: &Operation) -> TraceContext {
    TraceContext {
        trace_id: names::trace_of_operation(operation.id),
        span_id: SpanId::new([1; 8]).expect("not all zero"),
        sampled: operation.id.0.is_multiple_of(2),
    }
}

pub(crate) fn voted(answer: &SubmitVoteResponse) -> Answer {
    Answer::Vote {
        vote_id: answer.vote_id.to_string(),
        status: vote_status(answer.vote_status, answer.reason),
    }
}

/// What an error says about the request's fate.
pub(crate) fn failed(error: &ClientError) -> Answer {
    match error {
        _ if error.class() == ErrorClass::Unknown => Answer::Unknown {
            reason: error.to_string(),
        },
        ClientError::Problem { problem, .. } => Answer::Refused {
            status: problem.status,
            code: problem
                .problem_type
                .rsplit(':')
                .next()
                .unwrap_or_default()
                .to_owned(),
        },
        ClientError::Protocol { status, .. } => Answer::Refused {
            status: *status,
            code: "protocol".to_owned(),
        },
        _ => Answer::Refused {
            status: 0,
            code: "unreachable".to_owned(),
        },
    }
}

pub(crate) fn status(status: EventStatus) -> Status {
    match status {
        EventStatus::Scheduled => Status::Scheduled,
        EventStatus::Open => Status::Open,
        EventStatus::Closed => Status::Closed,
    }
}

fn vote_status(status: WireStatus, reason: Option<VoteReason>) -> VoteStatus {
    match (status, reason) {
        (WireStatus::Acked, _) => VoteStatus::Acked,
        (WireStatus::Processed, _) => VoteStatus::Processed,
        (WireStatus::Duplicate, _) => VoteStatus::Duplicate,
        (WireStatus::Rejected, Some(VoteReason::EventNotOpen)) => VoteStatus::RejectedNotOpen,
        (WireStatus::Rejected, Some(VoteReason::EventClosed)) => VoteStatus::RejectedClosed,
        (WireStatus::Rejected, _) => VoteStatus::RejectedOther,
    }
}

fn board(answer: &LeaderboardResponse) -> Answer {
    Answer::Board {
        standings: standings(answer),
        linearizable: answer.consistency == ostraka_client::api::Consistency::Linearizable,
    }
}

pub(crate) fn standings(answer: &LeaderboardResponse) -> Standings {
    let totals = answer
        .contestants
        .iter()
        .map(|entry| (entry.contestant_id.contestant, entry.total_votes));
    in_order(answer.event_id, status(answer.status), answer.version, totals)
}

/// Totals come highest first; the history has them in the order of creation.
pub(crate) fn in_order(
    event: EventId,
    status: Status,
    version: u64,
    totals: impl Iterator<Item = (ContestantIndex, Option<u64>)>,
) -> Standings {
    let mut totals: Vec<_> = totals.collect();
    totals.sort_by_key(|(contestant, _)| *contestant);
    Standings {
        event,
        status,
        version,
        totals: totals.into_iter().map(|(_, total)| total).collect(),
    }
}
