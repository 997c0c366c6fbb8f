//! The service's answers, as a history has them.

use ostraka_client::ClientError;
use ostraka_client::api::{
    Consistency, ErrorClass, EventStatus, LeaderboardResponse, SubmitVoteResponse, VoteReason,
    VoteStatus as WireStatus,
};
use ostraka_core::{ContestantIndex, EventId};
use ostraka_sim_model::history::{Answer, Standings, Status, VoteStatus};

/// What a voter was told.
pub fn voted(answer: &SubmitVoteResponse) -> Answer {
    Answer::Vote {
        vote_id: answer.vote_id.to_string(),
        status: vote_status(answer.vote_status, answer.reason),
    }
}

/// What an error says about the request's fate.
pub fn failed(error: &ClientError) -> Answer {
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

pub(crate) fn vote_status(status: WireStatus, reason: Option<VoteReason>) -> VoteStatus {
    match (status, reason) {
        (WireStatus::Acked, _) => VoteStatus::Acked,
        (WireStatus::Processed, _) => VoteStatus::Processed,
        (WireStatus::Duplicate, _) => VoteStatus::Duplicate,
        (WireStatus::Rejected, Some(VoteReason::EventNotOpen)) => VoteStatus::RejectedNotOpen,
        (WireStatus::Rejected, Some(VoteReason::EventClosed)) => VoteStatus::RejectedClosed,
        (WireStatus::Rejected, _) => VoteStatus::RejectedOther,
    }
}

pub(crate) fn board(answer: &LeaderboardResponse) -> Answer {
    Answer::Board {
        standings: standings(answer),
        linearizable: answer.consistency == Consistency::Linearizable,
    }
}

/// A leaderboard as a history has it.
pub fn standings(answer: &LeaderboardResponse) -> Standings {
    let totals = answer
        .contestants
        .iter()
        .map(|entry| (entry.contestant_id.contestant, entry.total_votes));
    in_order(answer.event_id, status(answer.status), answer.version, totals)
}

/// Totals come highest first; the history has them in the order of creation. Where they do not name each contestant once, they
/// are nobody's, and the history has none.
pub(crate) fn in_order(
    event: EventId,
    status: Status,
    version: u64,
    totals: impl Iterator<Item = (ContestantIndex, Option<u64>)>,
) -> Standings {
    let mut totals: Vec<_> = totals.collect();
    totals.sort_by_key(|(contestant, _)| *contestant);
    let mut places = totals.iter().map(|(contestant, _)| usize::from(contestant.0));
    if !places.by_ref().eq(0..totals.len()) {
        totals.clear();
    }
    Standings {
        event,
        status,
        version,
        totals: totals.into_iter().map(|(_, total)| total).collect(),
    }
}
