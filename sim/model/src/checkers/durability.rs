//! Durability: what was acknowledged was on a quorum of disks by then, is in the log at the end with the verdict that was
//! told, and its status never went back. No disk drops a committed entry.

mod snapshots;

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::LogIndex;

use super::Report;
use crate::case::{Case, Moment, Submission, quorum};
use crate::disks::{Dropped, Truncation};
use crate::history::{Answer, Happening, Life, Sight, VoteStatus};
use crate::ids::{NodeIndex, SimMicros};
use crate::plan::{Action, FaultKind};

pub(super) fn check(case: &Case, report: &mut Report) {
    for index in &case.log.missing {
        report.safe(false, None, || {
            format!("entry {index} was applied, and no disk ever held it")
        });
    }
    settled_nodes_hold_what_they_applied(case, report);
    acknowledged_votes_stay(case, report);
    statuses_never_go_back(case, report);
    nothing_is_shown_before_it_is_durable(case, report);
    snapshots::are_of_what_was_committed(case, report);
    no_disk_drops_what_is_committed(case, report);
    nobody_serves_from_rotten_disks(case, report);
}

/// A quorum of the others is enough for every answer, and so hides a node that has applied what it never wrote down: it
/// would be missing after the next power cut.
fn settled_nodes_hold_what_they_applied(case: &Case, report: &mut Report) {
    let snapshots = snapshots::newest_of_known_origin(case);
    for (node, disk) in &case.disks.nodes {
        let Some(applied) = disk.applied else { continue };
        let from = snapshots
            .get(node)
            .map_or(0, |snapshot| snapshot.0.saturating_add(1));
        if from > applied.0 {
            continue;
        }
        let committed = case.log.entries.range(from..=applied.0);
        let lacks = committed
            .map(|(index, _)| *index)
            .find(|index| !disk.entries.contains_key(index));
        report.safe(lacks.is_none(), None, || {
            format!(
                "node {node} has applied entry {}, which neither its log nor a snapshot of it has",
                lacks.unwrap_or_default()
            )
        });
    }
}

fn acknowledged_votes_stay(case: &Case, report: &mut Report) {
    for (asked, Submission { tag, .. }) in case.submissions() {
        let Some((moment, Answer::Vote { vote_id, status })) = asked.answered else {
            continue;
        };
        match case.first_record(tag) {
            Some((position, _)) => by_quorum(case, report, moment, position.index, || {
                format!("submission {} was acknowledged as {vote_id}", tag.0)
            }),
            None if case.log.is_whole => report.safe(false, moment, || {
                format!(
                    "submission {} was acknowledged as {vote_id} ({status:?}) and is lost",
                    tag.0
                )
            }),
            None => {}
        }
    }
    for told in &case.crowd {
        let Answer::Vote { vote_id, .. } = told.answer else {
            continue;
        };
        let what = || {
            format!(
                "voter {} of overload {} was acknowledged as {vote_id}",
                told.place, told.fault.0
            )
        };
        match case.first_crowd_record(told.fault, told.place) {
            Some((_, position, _)) => by_quorum(case, report, told.answered, position.index, what),
            None if case.log.is_whole => {
                report.safe(false, told.answered, || format!("{} and is lost", what()));
            }
            None => {}
        }
    }
    for asked in &case.asked {
        let Some((moment, Answer::EventCreated { event })) = asked.answered else {
            continue;
        };
        match case.event(*event) {
            Some(truth) => by_quorum(case, report, moment, truth.created.index, || {
                format!("{event} was said to be created")
            }),
            None if case.log.is_whole => report.safe(false, moment, || {
                format!("{event} was said to be created and is lost")
            }),
            None => {}
        }
    }
}

/// At `moment` a quorum of disks must have held the entry.
fn by_quorum(
    case: &Case,
    report: &mut Report,
    moment: Moment,
    index: LogIndex,
    what: impl FnOnce() -> String,
) {
    if before_the_cluster(case, index) {
        return;
    }
    let durable_at = case.durable_at(index);
    report.safe(
        durable_at.is_some_and(|at| at <= moment.at),
        moment,
        || match durable_at {
            Some(at) => format!(
                "{}, and entry {index} was on a quorum of disks {} µs later",
                what(),
                at.0 - moment.at.0
            ),
            None => format!("{}, and entry {index} never was on a quorum of disks", what()),
        },
    );
}

/// Before the cluster was whole fewer disks were a quorum.
fn before_the_cluster(case: &Case, index: LogIndex) -> bool {
    let first = case
        .log
        .entries
        .get(&index.0)
        .and_then(|entry| case.disks.first_at(entry));
    match (case.formed, first) {
        (Some((formed, _)), Some(first)) => first < formed,
        _ => false,
    }
}

fn statuses_never_go_back(case: &Case, report: &mut Report) {
    // By vote id: what was said, and when the first who heard it had the answer.
    let mut said: BTreeMap<&str, Vec<(SimMicros, VoteStatus)>> = BTreeMap::new();
    let mut answers: Vec<(Moment, SimMicros, &str, VoteStatus)> = Vec::new();
    for asked in &case.asked {
        if let Some((moment, Answer::Vote { vote_id, status } | Answer::Status { vote_id, status })) =
            asked.answered
        {
            said.entry(vote_id).or_default().push((moment.at, *status));
            answers.push((moment, asked.invoked.at, vote_id, *status));
        }
        status_is_known(case, report, asked);
    }
    for (moment, invoked, vote_id, status) in answers {
        let before = said[vote_id].iter().filter(|(answered, _)| *answered < invoked);
        for (_, earlier) in before {
            let may_follow = *earlier == status || *earlier == VoteStatus::Acked;
            report.safe(may_follow, moment, || {
                format!("vote {vote_id} was {earlier:?}, and later {status:?}")
            });
        }
    }
}

/// A vote id that was given out is known from then on.
fn status_is_known(case: &Case, report: &mut Report, asked: &crate::case::Asked) {
    let Action::Status { of } = asked.operation.action else {
        return;
    };
    let Some((moment, answer)) = asked.answered else {
        return;
    };
    match answer {
        Answer::Refused { code, .. } => report.safe(
            !matches!(code.as_str(), "vote-not-found" | "malformed-id"),
            moment,
            || {
                format!(
                    "operation {} was given a vote id, and later that id was refused as {code}",
                    of.0
                )
            },
        ),
        Answer::Status { vote_id, status } => {
            if let Some((_, Answer::Vote { vote_id: given, .. })) = case.asked(of).and_then(|of| of.answered)
            {
                report.safe(vote_id == given, moment, || {
                    format!(
                        "operation {} was given the vote id {given}, and whoever asked for its status was told of vote {vote_id}",
                        of.0
                    )
                });
            }
            let tag = case
                .asked(of)
                .and_then(|asked| crate::case::submission(asked.operation))
                .map(|submission| submission.tag);
            let verdict = tag
                .and_then(|tag| case.first_record(tag))
                .map(|(_, verdict)| verdict);
            let is_true = verdict.is_none_or(|verdict| verdict == *status || *status == VoteStatus::Acked);
            report.safe(is_true, moment, || {
                format!("vote {vote_id} is {verdict:?} by the log, and its status was said to be {status:?}")
            });
        }
        _ => {}
    }
}

fn nothing_is_shown_before_it_is_durable(case: &Case, report: &mut Report) {
    for (moment, version) in shown(case) {
        if case.knows(version) {
            by_quorum(case, report, moment, LogIndex(version), || {
                format!("version {version} was shown")
            });
        }
    }
}

/// Versions that somebody was shown, and when. A version is the place in the log of what made it.
fn shown<'c>(case: &'c Case) -> impl Iterator<Item = (Moment, u64)> + 'c {
    let records = case.history.records.iter().enumerate();
    records.filter_map(|(record, happened)| {
        let version = match &happened.what {
            Happening::Answered {
                answer: Answer::Board { standings, .. },
                ..
            } => standings.version,
            Happening::Answered {
                answer: Answer::EventStatus { version, .. },
                ..
            } => *version,
            Happening::Saw {
                sight: Sight::Snapshot(standings) | Sight::Closed(standings),
                ..
            } => standings.version,
            Happening::Saw {
                sight: Sight::Tally { version, .. },
                ..
            } => *version,
            _ => return None,
        };
        let at = happened.at;
        Some((Moment { at, record }, version))
    })
}

/// A node whose disks have rotted does nothing with them: it is not ready and does not lead before it has others.
fn nobody_serves_from_rotten_disks(case: &Case, report: &mut Report) {
    let mut rotten: BTreeSet<NodeIndex> = BTreeSet::new();
    for (place, record) in case.history.records.iter().enumerate() {
        match &record.what {
            Happening::FaultBegan {
                fault,
                node: Some(node),
            } => {
                let mut faults = case.plan.faults.iter();
                if faults.any(|other| other.id == *fault && matches!(other.kind, FaultKind::Rot { .. })) {
                    rotten.insert(*node);
                }
            }
            Happening::Node { node, life } if rotten.contains(node) => match life {
                Life::Replaced => drop(rotten.remove(node)),
                Life::Ready | Life::Leads { .. } => report.safe(false, place, || {
                    format!("node {node} serves, and what its disks hold has rotted")
                }),
                Life::Failed(_) => report.safe(true, place, String::new),
                _ => {}
            },
            _ => {}
        }
    }
}

/// By record: the highest entry of which somebody had heard by then. It was committed, and so was all before it.
fn known_to_be_committed(case: &Case) -> Vec<(usize, u64)> {
    let mut known: Vec<(usize, u64)> = shown(case)
        .filter(|(_, version)| case.knows(*version))
        .map(|(moment, version)| (moment.record, version))
        .collect();
    for (asked, Submission { tag, .. }) in case.submissions() {
        if let Some((moment, Answer::Vote { .. })) = asked.answered
            && let Some((position, _)) = case.first_record(tag)
        {
            known.push((moment.record, position.index.0));
        }
    }
    for asked in &case.asked {
        if let Some((moment, Answer::EventCreated { event })) = asked.answered
            && let Some(truth) = case.event(*event)
        {
            known.push((moment.record, truth.created.index.0));
        }
    }
    for told in &case.crowd {
        if matches!(told.answer, Answer::Vote { .. })
            && let Some((_, position, _)) = case.first_crowd_record(told.fault, told.place)
        {
            known.push((told.answered.record, position.index.0));
        }
    }
    known.sort_unstable();
    let mut highest = 0;
    for (_, index) in &mut known {
        highest = highest.max(*index);
        *index = highest;
    }
    known
}

fn no_disk_drops_what_is_committed(case: &Case, report: &mut Report) {
    let known = known_to_be_committed(case);
    for truncation in &case.disks.truncations {
        let before = known.partition_point(|(record, _)| *record < truncation.record);
        let committed = known[..before].last().map(|(_, index)| *index);
        let lost = truncation.dropped.iter().find(|Dropped { entry, .. }| {
            Some(entry.index.0) <= committed && case.log.entries.get(&entry.index.0) == Some(entry)
        });
        let lost = lost.filter(|lost| !gives_way_to_a_snapshot(case, truncation, lost));
        report.safe(lost.is_none(), truncation.record, || {
            let index = lost.map(|lost| lost.entry.index.0).unwrap_or_default();
            format!(
                "node {} dropped entry {index} from its disk, which was committed",
                truncation.node
            )
        });
    }
}

/// A node whose log does not fit the snapshot that it is sent drops what it does not know to be committed, and puts the
/// snapshot in its place. A quorum of others holds all that is in the snapshot, for a log that does not fit is part of no
/// quorum for the snapshot's last entry. If the node is interrupted in between, nothing is in its place yet.
fn gives_way_to_a_snapshot(case: &Case, truncation: &Truncation, lost: &Dropped) -> bool {
    let node_of = truncation.node;
    let later = case
        .history
        .records
        .get(truncation.record + 1..)
        .unwrap_or_default();
    let next = later.iter().find_map(|record| match &record.what {
        Happening::Snapshot { node, index, .. } if *node == node_of => Some(*index >= lost.entry.index),
        Happening::Durable { node, .. } | Happening::Truncated { node, .. } if *node == node_of => {
            Some(false)
        }
        Happening::Node {
            node,
            life: Life::LostPower { .. } | Life::Killed | Life::Failed(_) | Life::Replaced,
        } if *node == node_of => Some(true),
        _ => None,
    });
    next == Some(true) && lost.elsewhere >= quorum(case.plan)
}
