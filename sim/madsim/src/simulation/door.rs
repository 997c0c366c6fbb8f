//! What stands in HTTP's place at a running node: a client's request becomes a command, and its outcome an answer. As
//! the service's routes do it.

use std::sync::Arc;
use std::time::Duration;

use ostraka_core::limits::READ_BARRIER_MS_MAX;
use ostraka_core::{
    Command, Event, EventId, EventRefusal, EventStatus, Outcome, RejectReason, ResultsPolicy, VoteOutcome,
    VotePosition, VoteVerdict, VoterNumber,
};
use ostraka_replication::{Group, Refusal, SharedMachine, SubmitError};
use ostraka_sim_model::history::{Answer, Standings, Status, VoteStatus};
use ostraka_sim_vote::vote::ingest::{Ingest, IngestError};
use ostraka_sim_vote::vote::machine::VoteMachine;

const READ_BARRIER: Duration = Duration::from_millis(READ_BARRIER_MS_MAX);

/// A running node, as requests find it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) group: Group,
    pub(crate) ingest: Ingest,
    pub(crate) machine: SharedMachine<VoteMachine>,
    /// For a planted fault: no quorum is asked.
    pub(crate) reads_without_asking: bool,
}

/// A client's request, with all that must be known for it.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Command(Command),
    Status {
        event: EventId,
        voter: VoterNumber,
        position: VotePosition,
    },
    Board(EventId),
}

/// An answer, and where the vote that it tells of stands.
pub(crate) type Told = (Answer, Option<(EventId, VotePosition)>);

impl Door {
    pub(crate) async fn carry_out(&self, request: Request) -> Told {
        match request {
            Request::Command(command) => {
                let event = match &command {
                    Command::CastVote(vote) => vote.event,
                    _ => EventId(0),
                };
                match self.ingest.submit(command).await {
                    Ok(outcome) => told(event, outcome),
                    Err(error) => (failed(error), None),
                }
            }
            Request::Status {
                event,
                voter,
                position,
            } => (self.status(event, voter, position).await, None),
            Request::Board(event) => (self.board(event).await, None),
        }
    }

    async fn status(&self, event: EventId, voter: VoterNumber, position: VotePosition) -> Answer {
        let index = position.index;
        if self.group.applied_index() < index && !self.group.wait_applied(index, READ_BARRIER).await {
            return refused(503, "no-leader");
        }
        let verdict = self.machine.read().state().vote_verdict(event, voter, position);
        match verdict {
            None => refused(404, "vote-not-found"),
            Some(verdict) => Answer::Status {
                vote_id: vote_id(event, position),
                status: vote_status(verdict),
            },
        }
    }

    async fn board(&self, event: EventId) -> Answer {
        let caught_up = async {
            let index = self.group.read_index(READ_BARRIER).await.ok()?;
            self.group.wait_applied(index, READ_BARRIER).await.then_some(())
        };
        let within = if self.reads_without_asking {
            Duration::ZERO
        } else {
            READ_BARRIER
        };
        let caught_up = tokio::time::timeout(within, caught_up).await;
        let linearizable = self.reads_without_asking || matches!(caught_up, Ok(Some(())));
        match self.machine.read().state().event(event) {
            Some(event) => Answer::Board {
                standings: standings(event),
                linearizable,
            },
            None if linearizable => refused(404, "event-not-found"),
            None => refused(503, "no-leader"),
        }
    }

    /// Every event, as this node holds it.
    pub(crate) fn boards(&self) -> Vec<Standings> {
        self.machine.read().state().events().map(standings).collect()
    }
}

impl Request {
    pub(crate) async fn ticket(self, door: Arc<Door>) -> Told {
        door.carry_out(self).await
    }
}

pub(crate) fn vote_id(event: EventId, position: VotePosition) -> String {
    format!("{}-{}-{}", event.0, position.index.0, position.offset)
}

pub(crate) fn refused(status: u16, code: &str) -> Answer {
    Answer::Refused {
        status,
        code: code.to_owned(),
    }
}

fn told(event: EventId, outcome: Outcome) -> Told {
    let answer = match outcome {
        Outcome::Vote(VoteOutcome::Recorded { position, verdict }) => {
            let answer = Answer::Vote {
                vote_id: vote_id(event, position),
                status: vote_status(verdict),
            };
            return (answer, Some((event, position)));
        }
        Outcome::Vote(VoteOutcome::EventNotFound) => refused(404, "event-not-found"),
        Outcome::Vote(VoteOutcome::ContestantNotFound) => refused(404, "contestant-not-found"),
        Outcome::Vote(VoteOutcome::TooManySubmissions) => refused(429, "too-many-submissions"),
        Outcome::EventCreated(event) => Answer::EventCreated { event },
        Outcome::EventStatus { event, status, at } => Answer::EventStatus {
            event,
            status: status_of(status),
            version: at.0,
        },
        Outcome::EventRefused(EventRefusal::EventNotFound) => refused(404, "event-not-found"),
        Outcome::EventRefused(EventRefusal::AlreadyClosed) => refused(409, "event-already-closed"),
        Outcome::EventRefused(EventRefusal::NotTheOwner) => refused(403, "not-owner"),
        Outcome::EventRefused(_) => refused(400, "invalid-field"),
        Outcome::Ticked => refused(500, "internal"),
    };
    (answer, None)
}

/// What an error says about the request's fate.
fn failed(error: IngestError) -> Answer {
    match error {
        IngestError::Submit(SubmitError::Unknown) => Answer::Unknown {
            reason: error.to_string(),
        },
        IngestError::Submit(SubmitError::Refused(Refusal::StorageFull)) => refused(503, "storage-full"),
        IngestError::Submit(SubmitError::NoLeader) => refused(503, "no-leader"),
        IngestError::Stopping | IngestError::Submit(SubmitError::Stopped(_)) => refused(503, "draining"),
        IngestError::Overloaded | IngestError::Submit(SubmitError::Refused(_)) => refused(503, "overloaded"),
        IngestError::TooLarge(_) => refused(413, "body-too-large"),
    }
}

fn standings(event: &Event) -> Standings {
    let hidden = event.results() == ResultsPolicy::AfterClose && event.status() != EventStatus::Closed;
    Standings {
        event: event.id(),
        status: status_of(event.status()),
        version: event.version().0,
        totals: event
            .totals()
            .iter()
            .map(|total| (!hidden).then_some(*total))
            .collect(),
    }
}

fn status_of(status: EventStatus) -> Status {
    match status {
        EventStatus::Scheduled => Status::Scheduled,
        EventStatus::Open => Status::Open,
        EventStatus::Closed => Status::Closed,
    }
}

fn vote_status(verdict: VoteVerdict) -> VoteStatus {
    match verdict {
        VoteVerdict::Processed => VoteStatus::Processed,
        VoteVerdict::Duplicate => VoteStatus::Duplicate,
        VoteVerdict::Rejected(RejectReason::EventNotOpen) => VoteStatus::RejectedNotOpen,
        VoteVerdict::Rejected(RejectReason::EventClosed) => VoteStatus::RejectedClosed,
    }
}
