//! The service's answers, as a history has them.

use ostraka_client::ClientError;
use ostraka_client::api::{
    Consistency, ErrorClass, EventStatus, LeaderboardEntry, LeaderboardResponse, SubmitVoteResponse,
    VoteReason, VoteStatus as WireStatus,
};
use ostraka_core::{ContestantIndex, EventId};
use ostraka_sim_model::history::{Answer, Standings, Status, VoteStatus};
use ostraka_sim_model::names;

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

/// A leaderboard as a history has it; without totals where they do not come highest first, which is what the API promises.
pub fn standings(answer: &LeaderboardResponse) -> Standings {
    let entries = &answer.contestants;
    let is_ranked = entries.is_sorted_by(|above, below| above.total_votes >= below.total_votes);
    let totals = if is_ranked { by_name(entries) } else { Vec::new() };
    in_order(
        answer.event_id,
        status(answer.status),
        answer.version,
        totals.into_iter(),
    )
}

/// The totals that stand beside their contestants' own names.
pub(crate) fn by_name(entries: &[LeaderboardEntry]) -> Vec<(ContestantIndex, Option<u64>)> {
    let named = entries.iter().filter(|entry| {
        let place = entry.contestant_id.contestant.0;
        entry.contestant_name == names::contestant_name(place)
    });
    named
        .map(|entry| (entry.contestant_id.contestant, entry.total_votes))
        .collect()
}

/// In the order of creation. Where totals do not name each contestant once, they are nobody's, and the history has none.
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

#[cfg(test)]
mod tests {
    use ostraka_client::api::ResultsPolicy;

    use super::*;

    fn board(entries: &[(u16, &str, u64)]) -> LeaderboardResponse {
        let event = EventId(1);
        let entry = |(contestant, name, total): &(u16, &str, u64)| LeaderboardEntry {
            contestant_id: ostraka_core::ContestantId {
                event,
                contestant: ContestantIndex(*contestant),
            },
            contestant_name: (*name).to_owned(),
            total_votes: Some(*total),
        };
        LeaderboardResponse {
            event_id: event,
            event_name: "slot-0".to_owned(),
            status: EventStatus::Open,
            results: ResultsPolicy::Live,
            version: 7,
            consistency: Consistency::Linearizable,
            contestants: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn a_board_that_is_not_what_was_promised_has_no_totals() {
        let ranked = [
            (1, "contestant 1", 9),
            (0, "contestant 0", 4),
            (2, "contestant 2", 4),
        ];
        assert_eq!(standings(&board(&ranked)).totals, [Some(4), Some(9), Some(4)]);
        for lie in [
            [
                (0, "contestant 0", 4),
                (1, "contestant 1", 9),
                (2, "contestant 2", 4),
            ],
            [
                (1, "contestant 1", 9),
                (0, "contestant 2", 4),
                (2, "contestant 0", 4),
            ],
            [
                (1, "contestant 1", 9),
                (0, "contestant 0", 4),
                (0, "contestant 0", 4),
            ],
        ] {
            assert_eq!(standings(&board(&lie)).totals, [], "{lie:?}");
        }
    }
}
