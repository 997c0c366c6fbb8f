//! Makes one history of what clients saw and what the stopped nodes' logs hold.
//!
//! A simulated disk says when each entry became durable; a real one does not. What is known: an entry comes after the
//! requests that are in it were sent and before anybody was told of it, its leader's clock stamped it, and entries come in the order of their
//! indexes. Each entry is put at its stamp, moved into these bounds. Where they contradict each other (told before it was sent), the
//! checkers get to see it.
//!
//! So an entry is never put after the first word of it, and at the same moment on every node that has it. That it was durable before it was
//! acknowledged holds by this and not by what a disk did: of durability such a history tells only that the entry is in the logs of a
//! quorum in the end. What is known beyond that comes from power cuts, after which every acknowledged vote is asked for.

use std::collections::BTreeMap;

use ostraka_core::ids::{LogIndex, UnixMs};
use ostraka_sim_model::disks::CommittedLog;
use ostraka_sim_model::history::{Answer, Happening, History, LoggedEntry, Record, Sight};
use ostraka_sim_model::ids::{NodeIndex, OperationId, SimMicros};
use ostraka_sim_model::names::{operation_of_trace, place_of_vote_id};
use ostraka_sim_model::oracle::Oracle;

use super::watch::Sample;
use crate::books::Exported;

/// When entries came, as far as anybody can tell, by index.
fn moments(
    entries: &BTreeMap<u64, LoggedEntry>,
    records: &[Record],
    samples: &[Sample],
    formed_at: UnixMs,
) -> BTreeMap<u64, SimMicros> {
    let log = CommittedLog {
        entries: entries.iter().map(|(index, entry)| (*index, entry)).collect(),
        ..CommittedLog::default()
    };
    let truth = Oracle::of(&log);
    let (sent, told) = (sent(&truth, records), told(&truth, records, samples));
    let mut latest = BTreeMap::new();
    let mut known_by = SimMicros(u64::MAX);
    for index in entries.keys().rev() {
        // Whatever shows a later entry shows this one too.
        let shown = told.range(index..).next().map(|(_, at)| *at);
        known_by = known_by.min(shown.unwrap_or(SimMicros(u64::MAX)));
        latest.insert(*index, known_by);
    }
    let mut earliest = SimMicros(0);
    let mut moments = BTreeMap::new();
    for (index, entry) in entries {
        earliest = earliest.max(sent.get(index).copied().unwrap_or(SimMicros(0)));
        let since_ms = entry.stamped_at.0.saturating_sub(formed_at.0);
        let stamped = SimMicros(since_ms.saturating_mul(1_000));
        // Of two bounds that contradict each other the earlier one stands: it was told, and not there yet.
        let at = stamped.min(latest[index]).max(earliest);
        moments.insert(*index, at);
        earliest = at;
    }
    moments
}

/// When the first request that is in an entry was sent.
fn sent(truth: &Oracle, records: &[Record]) -> BTreeMap<u64, SimMicros> {
    let mut invoked: BTreeMap<OperationId, SimMicros> = BTreeMap::new();
    for record in records {
        if let Happening::Invoked { operation } = record.what {
            invoked.entry(operation).or_insert(record.at);
        }
    }
    let mut sent: BTreeMap<u64, SimMicros> = BTreeMap::new();
    for vote in &truth.votes {
        let operation = vote.vote.trace.and_then(operation_of_trace);
        if let Some(at) = operation.and_then(|operation| invoked.get(&operation)) {
            let of_entry = sent.entry(vote.position.index.0).or_insert(*at);
            *of_entry = (*of_entry).max(*at);
        }
    }
    sent
}

/// When an entry was first known to somebody, by what they were told.
fn told(truth: &Oracle, records: &[Record], samples: &[Sample]) -> BTreeMap<u64, SimMicros> {
    let mut told: BTreeMap<u64, SimMicros> = BTreeMap::new();
    let mut note = |index: u64, at: SimMicros| {
        let first = told.entry(index).or_insert(at);
        *first = (*first).min(at);
    };
    for record in records {
        match &record.what {
            Happening::Answered { answer, .. } => match answer {
                Answer::Vote { vote_id, .. } | Answer::Status { vote_id, .. } => {
                    if let Some((_, position)) = place_of_vote_id(vote_id) {
                        note(position.index.0, record.at);
                    }
                }
                Answer::EventCreated { event } => {
                    if let Some(event) = truth.events.get(event) {
                        note(event.created.index.0, record.at);
                    }
                }
                Answer::EventStatus { version, .. } => note(*version, record.at),
                Answer::Board { standings, .. } => note(standings.version, record.at),
                _ => {}
            },
            Happening::Saw { sight, .. } => match sight {
                Sight::Snapshot(standings) | Sight::Closed(standings) => note(standings.version, record.at),
                Sight::Tally { version, .. } => note(*version, record.at),
                Sight::Connected { .. } | Sight::Disconnected => {}
            },
            _ => {}
        }
    }
    for sample in samples {
        if let Some(vote) = sample.vote {
            note(vote.committed_index, sample.at);
        }
    }
    told
}

/// `logs`: each node's, up to what all of them have applied.
pub(super) fn history(
    mut records: Vec<Record>,
    samples: &[Sample],
    logs: &[(NodeIndex, Exported)],
    formed_at: UnixMs,
) -> History {
    let mut entries: BTreeMap<u64, LoggedEntry> = BTreeMap::new();
    for (_, log) in logs {
        for (index, entry) in &log.entries {
            entries.entry(*index).or_insert_with(|| entry.clone());
        }
    }
    let moments = moments(&entries, &records, samples, formed_at);
    let mut durable = Vec::new();
    for (node, log) in logs {
        // What a node was sent as a snapshot is in no log of its own.
        if let Some(below) = log.first_index.checked_sub(1).filter(|below| *below > 0) {
            durable.push(Record {
                at: SimMicros(0),
                what: Happening::Snapshot {
                    node: *node,
                    index: LogIndex(below),
                    digest: 0,
                    bytes: 0,
                },
            });
        }
        durable.extend(log.entries.iter().map(|(index, entry)| Record {
            at: moments[index],
            what: Happening::Durable {
                node: *node,
                entry: entry.clone(),
            },
        }));
    }
    // Before what was told at the same moment; by index where entries share one.
    durable.sort_by_key(|record| match &record.what {
        Happening::Durable { entry, .. } => (record.at, entry.index.0),
        _ => (record.at, 0),
    });
    durable.append(&mut records);
    let mut records = durable;
    records.sort_by_key(|record| record.at);
    History { records }
}

#[cfg(test)]
mod tests {
    use ostraka_core::ids::{EventId, RequestKey};
    use ostraka_core::{Batch, Command, EventKind, NewContestant, NewEvent, ResultsPolicy};
    use ostraka_sim_model::names::OWNER;

    use super::*;

    fn entry(index: u64, stamped_at: u64) -> (u64, LoggedEntry) {
        let entry = LoggedEntry {
            index: LogIndex(index),
            term: 1,
            stamped_at: UnixMs(stamped_at),
            body: Vec::new(),
        };
        (index, entry)
    }

    fn sample(at_ms: u64, committed_index: u64) -> Sample {
        Sample {
            at: SimMicros(at_ms * 1_000),
            node: NodeIndex(0),
            ready: true,
            vote: Some(super::super::watch::VoteView {
                leader: None,
                term: 1,
                committed_index,
            }),
        }
    }

    fn moments_ms(entries: &[(u64, LoggedEntry)], samples: &[Sample]) -> Vec<u64> {
        let entries = entries.iter().cloned().collect();
        let moments = moments(&entries, &[], samples, UnixMs(1_000));
        moments.values().map(|at| at.0 / 1_000).collect()
    }

    #[test]
    fn entries_stand_at_their_stamps_in_the_order_of_the_log() {
        let entries = [entry(1, 0), entry(2, 1_050), entry(3, 1_040), entry(4, 1_200)];
        assert_eq!(moments_ms(&entries, &[]), [0, 50, 50, 200]);
    }

    #[test]
    fn nothing_stands_after_the_moment_at_which_it_was_known() {
        // A clock that is ten minutes ahead.
        let entries = [entry(1, 1_010), entry(2, 601_000), entry(3, 601_100)];
        let samples = [sample(30, 1), sample(90, 3)];
        assert_eq!(moments_ms(&entries, &samples), [10, 90, 90]);
    }

    /// A clock that is a minute ahead: the creation's stamp says nothing, and the answer to it does.
    #[test]
    fn an_event_stands_before_its_maker_was_told_of_it() {
        let contestant = |name: &str| NewContestant {
            name: name.to_owned(),
            description: String::new(),
            image_url: String::new(),
        };
        let creation = Command::CreateEvent(Box::new(NewEvent {
            request: RequestKey(1),
            owner: OWNER,
            name: "Final".to_owned(),
            kind: EventKind::Public,
            results: ResultsPolicy::Live,
            opens_at: None,
            closes_at: None,
            contestants: vec![contestant("Ada"), contestant("Bo")],
        }));
        let (index, mut created) = entry(1, 61_000);
        created.body = Batch {
            commands: vec![creation],
        }
        .encode();
        let entries = [(index, created), entry(2, 61_100)].into();
        let answer = |event| Record {
            at: SimMicros(20_000),
            what: Happening::Answered {
                operation: OperationId(0),
                answer: Answer::EventCreated { event },
            },
        };
        let at = |event| moments(&entries, &[answer(event)], &[sample(90, 2)], UnixMs(1_000))[&1];
        assert_eq!(at(EventId(1)), SimMicros(20_000));
        // Of an event that the log does not have, nothing follows.
        assert_eq!(at(EventId(7)), SimMicros(90_000));
    }

    #[test]
    fn a_history_has_the_logs_before_what_was_told_of_them() {
        let log = Exported {
            entries: [entry(5, 1_020)].into(),
            first_index: 5,
            problems: Vec::new(),
        };
        let told = Record {
            at: SimMicros(20_000),
            what: Happening::StormOver,
        };
        let history = history(vec![told], &[], &[(NodeIndex(1), log)], UnixMs(1_000));
        let kinds: Vec<_> = history.records.iter().map(|record| &record.what).collect();
        assert!(matches!(
            kinds[0],
            Happening::Snapshot {
                index: LogIndex(4),
                ..
            }
        ));
        assert!(matches!(kinds[1], Happening::Durable { .. }));
        assert!(matches!(kinds[2], Happening::StormOver));
    }
}
