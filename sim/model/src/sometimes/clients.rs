//! Points about clients, votes, closings and viewers.

use std::collections::BTreeMap;

use ostraka_core::LogIndex;

use crate::case::{Asked, Case, Submission};
use crate::history::{Answer, Happening, Sight, Status, VoteStatus};
use crate::ids::{NodeIndex, ViewerIndex};
use crate::lives::leads;
use crate::names;
use crate::plan::Action;

fn told(asked: &Asked) -> Option<(String, VoteStatus)> {
    match asked.answered {
        Some((_, Answer::Vote { vote_id, status })) => Some((vote_id.clone(), *status)),
        _ => None,
    }
}

fn is_unknown(asked: &Asked) -> bool {
    matches!(asked.answered, Some((_, Answer::Unknown { .. })))
}

fn refused_as(case: &Case, wanted: &str) -> bool {
    case.asked
        .iter()
        .any(|asked| matches!(asked.answered, Some((_, Answer::Refused { code, .. })) if code == wanted))
}

/// Attempts by submission.
fn attempts<'c, 'a>(case: &'c Case<'a>) -> BTreeMap<crate::ids::SubmissionTag, Vec<&'c Asked<'a>>> {
    let mut attempts: BTreeMap<_, Vec<&Asked>> = BTreeMap::new();
    for (asked, submission) in case.submissions() {
        attempts.entry(submission.tag).or_default().push(asked);
    }
    attempts
}

pub(super) fn unknown_then_counted(case: &Case) -> bool {
    attempts(case).iter().any(|(tag, attempts)| {
        attempts.iter().all(|asked| is_unknown(asked))
            && matches!(case.first_record(*tag), Some((_, VoteStatus::Processed)))
    })
}

pub(super) fn unknown_and_gone(case: &Case) -> bool {
    case.log.is_whole
        && attempts(case).iter().any(|(tag, attempts)| {
            attempts.iter().any(|asked| is_unknown(asked)) && !case.records.contains_key(tag)
        })
}

pub(super) fn retry_got_first_outcome(case: &Case) -> bool {
    attempts(case).iter().any(|(tag, attempts)| {
        let Some((first, _)) = case.first_record(*tag) else {
            return false;
        };
        let records = case.records.get(tag).into_iter().flatten();
        let maker = records
            .filter(|vote| vote.position == first)
            .find_map(|vote| names::operation_of_trace(vote.vote.trace?));
        let was_unknown = attempts
            .iter()
            .any(|asked| Some(asked.operation.id) == maker && is_unknown(asked));
        was_unknown
            && attempts
                .iter()
                .any(|asked| Some(asked.operation.id) != maker && told(asked).is_some())
    })
}

pub(super) fn retry_through_another_node(case: &Case) -> bool {
    attempts(case).values().any(|attempts| {
        let answered: Vec<_> = attempts
            .iter()
            .filter_map(|asked| Some((asked.operation.endpoint, told(asked)?)))
            .collect();
        let Some((first_node, first)) = answered.first() else {
            return false;
        };
        answered
            .iter()
            .any(|(node, told)| node != first_node && told == first)
    })
}

pub(super) fn duplicate_after_failover(case: &Case) -> bool {
    let leads = leads(case);
    let submissions: Vec<(&Asked, Submission)> = case.submissions().collect();
    let is_told = |asked: &Asked, wanted| told(asked).is_some_and(|(_, status)| status == wanted);
    submissions
        .iter()
        .filter(|(asked, _)| is_told(asked, VoteStatus::Duplicate))
        .any(|(later, of)| {
            submissions.iter().any(|(first, other)| {
                let same_voter = other.slot == of.slot && other.voter == of.voter && other.tag != of.tag;
                let elsewhere = first.operation.endpoint != later.operation.endpoint;
                let between = leads
                    .iter()
                    .any(|(at, _, _)| *at > first.invoked.at && *at < later.invoked.at);
                same_voter && elsewhere && between && is_told(first, VoteStatus::Processed)
            })
        })
}

pub(super) fn two_attempts_in_one_entry(case: &Case) -> bool {
    case.records.values().any(|records| {
        records
            .windows(2)
            .any(|pair| matches!(pair, [one, other] if one.position.index == other.position.index))
    })
}

pub(super) fn too_many_submissions(case: &Case) -> bool {
    refused_as(case, "too-many-submissions")
}

pub(super) fn voted_before_opening(case: &Case) -> bool {
    case.submissions()
        .any(|(asked, _)| told(asked).is_some_and(|(_, status)| status == VoteStatus::RejectedNotOpen))
}

/// Votes that overlap in time with the request that closed the event, one accepted and one late.
pub(super) fn close_raced_votes(case: &Case) -> bool {
    case.asked.iter().any(|close| {
        let Action::CloseEvent { slot } = close.operation.action else {
            return false;
        };
        let Some((answered, Answer::EventStatus { .. })) = close.answered else {
            return false;
        };
        let raced = |wanted| {
            case.submissions().any(|(vote, submission)| {
                let overlaps = vote.invoked.at <= answered.at
                    && vote.answered.is_some_and(|(told, _)| told.at >= close.invoked.at);
                submission.slot == slot && overlaps && told(vote).is_some_and(|(_, status)| status == wanted)
            })
        };
        raced(VoteStatus::Processed) && raced(VoteStatus::RejectedClosed)
    })
}

/// Verdicts of an event's first records in one entry.
fn verdicts_in(case: &Case, event: ostraka_core::EventId, index: LogIndex) -> Vec<VoteStatus> {
    let of_entry = case
        .oracle
        .votes
        .iter()
        .filter(|vote| vote.position.index == index && vote.vote.event == event);
    of_entry
        .filter_map(|vote| match vote.ruling {
            crate::oracle::Ruling::First(verdict) => Some(verdict),
            _ => None,
        })
        .collect()
}

pub(super) fn close_within_entry(case: &Case) -> bool {
    case.oracle.events.values().any(|event| {
        let Some(closed) = event.closed.filter(|_| event.closed_by_hand) else {
            return false;
        };
        let verdicts = verdicts_in(case, event.id, closed.index);
        verdicts.contains(&VoteStatus::Processed) || verdicts.contains(&VoteStatus::RejectedClosed)
    })
}

pub(super) fn scheduled_close_raced_votes(case: &Case) -> bool {
    case.oracle.events.values().any(|event| {
        let Some(closed) = event.closed.filter(|_| !event.closed_by_hand) else {
            return false;
        };
        verdicts_in(case, event.id, closed.index).contains(&VoteStatus::RejectedClosed)
    })
}

pub(super) fn hidden_results_revealed(case: &Case) -> bool {
    let (mut hidden, mut shown) = (Vec::new(), Vec::new());
    for record in &case.history.records {
        let standings = match &record.what {
            Happening::Answered {
                answer: Answer::Board { standings, .. },
                ..
            }
            | Happening::Saw {
                sight: Sight::Snapshot(standings) | Sight::Closed(standings),
                ..
            } => standings,
            _ => continue,
        };
        if standings.totals.contains(&None) {
            hidden.push(standings.event);
        } else if standings.status == Status::Closed {
            shown.push(standings.event);
        }
    }
    hidden.iter().any(|event| shown.contains(event))
}

pub(super) fn overload_shed(case: &Case) -> bool {
    let overloads = |felt: &crate::lives::Felt| {
        felt.bites > 0 && matches!(felt.fault.kind, crate::plan::FaultKind::Overload { .. })
    };
    refused_as(case, "overloaded") || crate::lives::felt(case).iter().any(overloads)
}

pub(super) fn stale_leaderboard(case: &Case) -> bool {
    case.asked.iter().any(|asked| {
        matches!(
            asked.answered,
            Some((
                _,
                Answer::Board {
                    linearizable: false,
                    ..
                }
            ))
        )
    })
}

fn sights(case: &Case) -> BTreeMap<ViewerIndex, Vec<Sight>> {
    let mut sights: BTreeMap<ViewerIndex, Vec<Sight>> = BTreeMap::new();
    for record in &case.history.records {
        if let Happening::Saw { viewer, sight } = &record.what {
            sights.entry(*viewer).or_default().push(sight.clone());
        }
    }
    sights
}

pub(super) fn stream_resumed_elsewhere(case: &Case) -> bool {
    sights(case).values().any(|sights| {
        let mut last: Option<NodeIndex> = None;
        sights.iter().any(|sight| match sight {
            Sight::Connected { node, resumed_from } => {
                let before = last.replace(*node);
                resumed_from.is_some() && before.is_some_and(|before| before != *node)
            }
            _ => false,
        })
    })
}

pub(super) fn closed_while_away(case: &Case) -> bool {
    sights(case).values().any(|sights| {
        let resumed = sights.windows(2).any(|pair| matches!(pair, [Sight::Connected { resumed_from: Some(_), .. }, Sight::Snapshot(standings)] if standings.status == Status::Closed));
        resumed && sights.iter().any(|sight| matches!(sight, Sight::Closed(_)))
    })
}

/// On one connection: it was told a version, and then one that its node's log has a gap in place of.
pub(super) fn snapshot_told_watchers(case: &Case) -> bool {
    let mut told: BTreeMap<ViewerIndex, (NodeIndex, Option<u64>)> = BTreeMap::new();
    for record in &case.history.records {
        let Happening::Saw { viewer, sight } = &record.what else {
            continue;
        };
        let version = match sight {
            Sight::Connected { node, .. } => {
                told.insert(*viewer, (*node, None));
                continue;
            }
            Sight::Disconnected => {
                told.remove(viewer);
                continue;
            }
            Sight::Snapshot(standings) | Sight::Closed(standings) => standings.version,
            Sight::Tally { version, .. } => *version,
        };
        let Some((node, before)) = told.get_mut(viewer) else {
            continue;
        };
        let newer = before.is_some_and(|before| before < version);
        if newer && is_in_a_gap(case, *node, version) {
            return true;
        }
        *before = Some(version);
    }
    false
}

fn is_in_a_gap(case: &Case, node: NodeIndex, index: u64) -> bool {
    case.disks.nodes.get(&node).is_some_and(|disk| {
        let after = |gap: &crate::disks::Gap| {
            let before = disk.entries.range(..gap.next.0).next_back();
            index < gap.next.0 && before.is_some_and(|(last, _)| *last < index)
        };
        disk.gaps.iter().any(after)
    })
}
