//! Conservation: whatever totals anyone was shown at a version are the counted votes at that version; replicas agree
//! entry by entry, and byte by byte in snapshots of the same index, and no term has two leaders.

use std::collections::BTreeMap;

use ostraka_core::EventId;

use super::Report;
use crate::case::Case;
use crate::history::{Answer, Happening, Life, Sight, Standings, Status};
use crate::ids::NodeIndex;

pub(super) fn check(case: &Case, report: &mut Report) {
    what_was_shown(case, report);
    replicas_agree(case, report);
    snapshots_agree(case, report);
    settled_nodes_show_the_end(case, report);
    no_term_has_two_leaders(case, report);
}

/// Raft's Election Safety (D. Ongaro, J. Ousterhout, 2014, §5.2). A leader that starts again may lead on in its term.
fn no_term_has_two_leaders(case: &Case, report: &mut Report) {
    let mut leaders: BTreeMap<u64, NodeIndex> = BTreeMap::new();
    for (place, record) in case.history.records.iter().enumerate() {
        let Happening::Node {
            node,
            life: Life::Leads { term },
        } = record.what
        else {
            continue;
        };
        let first = *leaders.entry(term).or_insert(node);
        report.safe(first == node, place, || {
            format!("node {first} and node {node} both lead in term {term}")
        });
    }
}

fn what_was_shown(case: &Case, report: &mut Report) {
    for (place, record) in case.history.records.iter().enumerate() {
        match &record.what {
            Happening::Answered {
                answer: Answer::Board { standings, .. },
                ..
            } => standings_are_true(case, report, place, standings),
            Happening::Saw {
                sight: Sight::Snapshot(standings) | Sight::Closed(standings),
                ..
            } => standings_are_true(case, report, place, standings),
            Happening::Saw {
                sight:
                    Sight::Tally {
                        event,
                        status,
                        version,
                        totals,
                        ..
                    },
                ..
            } => tally_is_true(case, report, place, *event, *status, *version, totals),
            Happening::Settled { boards, .. } => {
                for standings in boards {
                    standings_are_true(case, report, place, standings);
                }
            }
            _ => {}
        }
    }
}

fn standings_are_true(case: &Case, report: &mut Report, record: usize, shown: &Standings) {
    if !case.knows(shown.version) {
        return;
    }
    let truth = case
        .event(shown.event)
        .and_then(|event| event.standings_at(shown.version));
    report.safe(truth.as_ref() == Some(shown), record, || match truth {
        Some(truth) => format!(
            "{} at version {} is {:?} {:?}, and {:?} {:?} was shown",
            shown.event, shown.version, truth.status, truth.totals, shown.status, shown.totals
        ),
        None => format!(
            "{} never had a version {}, and its standings there were shown",
            shown.event, shown.version
        ),
    });
}

fn tally_is_true(
    case: &Case,
    report: &mut Report,
    record: usize,
    event: EventId,
    status: Status,
    version: u64,
    totals: &[(u16, u64)],
) {
    if !case.knows(version) {
        return;
    }
    let truth = case.event(event).and_then(|truth| truth.standings_at(version));
    let is_true = truth.as_ref().is_some_and(|truth| {
        let fits = |(contestant, total): &(u16, u64)| {
            truth.totals.get(usize::from(*contestant)) == Some(&Some(*total))
        };
        truth.status == status && totals.iter().all(fits)
    });
    report.safe(is_true, record, || {
        let truth = truth.map(|truth| (truth.status, truth.totals));
        format!("{event} at version {version} is {truth:?}, and a tally said {status:?} {totals:?}")
    });
}

fn replicas_agree(case: &Case, report: &mut Report) {
    for quarrel in case.disks.mismatches.iter().chain(&case.log.quarrels) {
        report.safe(false, quarrel.record, || {
            format!(
                "at entry {} the disks of node {} and node {} hold different things",
                quarrel.index, quarrel.node, quarrel.other
            )
        });
    }
    for index in &case.oracle.unreadable {
        report.safe(false, None, || format!("the committed entry {index} is no batch"));
    }
}

fn snapshots_agree(case: &Case, report: &mut Report) {
    let mut digests = BTreeMap::new();
    for (place, record) in case.history.records.iter().enumerate() {
        let Happening::Snapshot {
            node, index, digest, ..
        } = &record.what
        else {
            continue;
        };
        let (first_node, first) = *digests.entry(*index).or_insert((*node, *digest));
        report.safe(first == *digest, place, || {
            format!(
                "at entry {index} node {} has another snapshot than node {}",
                node, first_node
            )
        });
    }
}

/// The settled boards are of the end of the log, and all events are there. They were asked for a little after what was
/// applied, so they may be newer.
fn settled_nodes_show_the_end(case: &Case, report: &mut Report) {
    for (place, record) in case.history.records.iter().enumerate() {
        let Happening::Settled {
            node,
            applied,
            boards,
        } = &record.what
        else {
            continue;
        };
        for event in case.oracle.events.values() {
            let upto = event.versions.range(..=applied.0);
            let newest = upto.map(|(version, _)| *version).next_back();
            let mut of_event = boards.iter().filter(|board| board.event == event.id);
            let board = of_event.next();
            report.safe(of_event.next().is_none(), place, || {
                format!("node {node} shows {} more than once", event.id)
            });
            let shown = board.map(|board| board.version);
            report.lively(shown.is_some() || newest.is_none(), place, || {
                format!(
                    "node {} has applied entry {applied} and does not show {}",
                    node, event.id
                )
            });
            report.safe(shown.is_none() || shown >= newest, place, || {
                format!(
                    "node {} has applied entry {applied} and shows {} at version {shown:?}, not {newest:?}",
                    node, event.id
                )
            });
        }
    }
}
