//! The plan's clients: each does one thing after another, whatever becomes of it.

use std::hash::Hasher;
use std::time::Duration;

use madsim::time::{Instant, sleep_until};
use ostraka_core::{
    Command, ContestantIndex, EventId, EventKind, NewContestant, NewEvent, RequestKey, ResultsPolicy,
    SubmissionKey, UnixMs, VoteRecord, VoterNumber,
};
use ostraka_sim_model::history::{Answer, Happening};
use ostraka_sim_model::ids::{ClientIndex, EventSlot, SimMs};
use ostraka_sim_model::names;
use ostraka_sim_model::plan::{Action, Operation};
use siphasher::sip::SipHasher13;

use super::door::Request;
use super::known::{Known, SharedKnown};
use super::stage::{FORMED_AT, Host};

/// Does all that the plan has `index` do; `formed` is time 0.
pub(crate) async fn live(known: SharedKnown, index: ClientIndex, formed: Instant) {
    let operations = known.stage.plan.operations.clone();
    for operation in operations.iter().filter(|operation| operation.client == index) {
        sleep_until(formed + Duration::from_millis(operation.at_ms.0)).await;
        let answer = match request(&known, operation) {
            None => Answer::Skipped,
            Some(request) => {
                known.stage.record(Happening::Invoked {
                    operation: operation.id,
                });
                let host = Host(usize::from(operation.endpoint.0));
                let (answer, vote) = known.ask(host, request).await;
                if let Some(vote) = vote {
                    known.learn_vote(operation.id, vote);
                }
                answer
            }
        };
        if let (Action::CreateEvent { slot, .. }, Answer::EventCreated { event }) =
            (&operation.action, &answer)
        {
            known.learn_event(*slot, *event);
        }
        known.stage.record(Happening::Answered {
            operation: operation.id,
            answer,
        });
    }
}

/// `None` if it asks about what was never known.
fn request(known: &Known, operation: &Operation) -> Option<Request> {
    let by = names::OWNER;
    let by_operator = false;
    Some(match &operation.action {
        Action::CreateEvent { slot, .. } => Request::Command(creation(*slot, &operation.action)),
        Action::OpenEvent { slot } => Request::Command(Command::OpenEvent {
            event: known.event(*slot)?,
            by,
            by_operator,
        }),
        Action::CloseEvent { slot } => Request::Command(Command::CloseEvent {
            event: known.event(*slot)?,
            by,
            by_operator,
        }),
        Action::Leaderboard { slot } => Request::Board(known.event(*slot)?),
        Action::Submit {
            slot,
            voter,
            contestant,
            tag,
        } => {
            let timestamp = names::client_timestamp(*tag);
            let mut vote = vote(*voter, known.event(*slot)?, *contestant, timestamp);
            if let Some(text) = names::submission_key(*tag) {
                vote.key = SubmissionKey(hash(1, text.as_bytes()));
            }
            vote.trace = Some(names::trace_of_operation(operation.id));
            vote.trace_sampled = operation.id.0.is_multiple_of(2);
            Request::Command(Command::CastVote(vote))
        }
        Action::Status { of } => {
            let asked = known.stage.plan.operations.iter().find(|other| other.id == *of)?;
            let Action::Submit { voter, .. } = asked.action else {
                return None;
            };
            let (event, position) = known.vote(*of)?;
            Request::Status {
                event,
                voter,
                position,
            }
        }
    })
}

fn creation(slot: EventSlot, action: &Action) -> Command {
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
    let contestant = |place: u16| NewContestant {
        name: names::contestant_name(place),
        description: String::new(),
        image_url: String::new(),
    };
    Command::CreateEvent(Box::new(NewEvent {
        request: RequestKey(u128::from(hash(3, names::creation_key(slot).as_bytes()))),
        owner: names::OWNER,
        name: names::event_name(slot),
        kind: EventKind::Public,
        results: if *after_close {
            ResultsPolicy::AfterClose
        } else {
            ResultsPolicy::Live
        },
        opens_at: opens_at_ms.map(moment),
        closes_at: closes_at_ms.map(moment),
        contestants: (0..*contestants).map(contestant).collect(),
    }))
}

/// Without a key of its own: contestant and timestamp are its key.
pub(crate) fn vote(voter: VoterNumber, event: EventId, contestant: u16, at: UnixMs) -> VoteRecord {
    let mut input = [0; 10];
    input[..2].copy_from_slice(&contestant.to_be_bytes());
    input[2..].copy_from_slice(&at.0.to_be_bytes());
    VoteRecord {
        voter,
        event,
        contestant: ContestantIndex(contestant),
        key: SubmissionKey(hash(2, &input)),
        client_timestamp: Some(at),
        trace: None,
        trace_sampled: false,
    }
}

/// Each kind of key its own numbers, the same on every node.
fn hash(kind: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(kind, 0);
    hasher.write(bytes);
    hasher.finish()
}
