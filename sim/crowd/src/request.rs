//! What an operation of a plan asks of the service.

use ostraka_client::api::{
    ContestantDraft, CreateEventRequest, IdempotencyKey, ResultsPolicy, SpanId, SubmitVoteRequest,
    TraceContext, VoteId,
};
use ostraka_client::{CallOptions, Client, ClientError};
use ostraka_core::{ContestantId, ContestantIndex, EventId, UnixMs, VoterNumber};
use ostraka_sim_model::history::Answer;
use ostraka_sim_model::ids::{EventSlot, SimMs};
use ostraka_sim_model::names;
use ostraka_sim_model::plan::{Action, Operation, Plan};

use crate::Known;
use crate::answers::{board, status, vote_status, voted};

/// What an operation asks, with all that must be known for it.
pub struct Request {
    token: String,
    trace: TraceContext,
    what: What,
}

enum What {
    Create(SlotEvent),
    Open(EventId),
    Close(EventId),
    Submit(Box<SubmitVoteRequest>, Option<String>),
    Status(VoteId),
    Board(EventId),
}

struct SlotEvent {
    slot: EventSlot,
    request: CreateEventRequest,
}

impl Request {
    /// `None` if it asks about what was never known. `formed_at`: what an exact clock shows at the plan's time 0;
    /// `token_of` signs a user's token.
    pub fn of(
        plan: &Plan,
        known: &Known,
        operation: &Operation,
        formed_at: UnixMs,
        token_of: impl FnOnce(VoterNumber) -> String,
    ) -> Option<Self> {
        let (voter, what) = match &operation.action {
            Action::CreateEvent { slot, .. } => (
                names::OWNER,
                What::Create(SlotEvent::of(*slot, &operation.action, formed_at)),
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
                let asked = plan.operations.iter().find(|other| other.id == *of)?;
                let Action::Submit { voter, .. } = asked.action else {
                    return None;
                };
                (voter, What::Status(known.vote(*of)?))
            }
        };
        Some(Self {
            token: token_of(voter),
            trace: trace_of(operation),
            what,
        })
    }

    /// # Errors
    /// The client's; [`failed`](crate::failed) makes an answer of it.
    pub async fn send(self, client: &Client) -> Result<Answer, ClientError> {
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
    fn of(slot: EventSlot, action: &Action, formed_at: UnixMs) -> Self {
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
        let moment = |at: SimMs| UnixMs(formed_at.0 + at.0);
        let contestant = |place: u16| ContestantDraft {
            contestant_name: names::contestant_name(place),
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

/// A vote as a plan sends it.
pub fn vote(voter: VoterNumber, event: EventId, contestant: u16, at: UnixMs) -> SubmitVoteRequest {
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

fn key(text: &str) -> IdempotencyKey {
    text.parse().expect("a plan's keys are short and plain")
}
