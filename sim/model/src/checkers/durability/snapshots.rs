//! Snapshots: each stands for entries that were committed when its node had it, and it was made of the node's own log or of
//! another's snapshot. Else a node that never wrote an entry down could hide behind one that nobody made.

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::LogIndex;

use super::{Report, by_quorum};
use crate::case::{Case, Moment};
use crate::history::{Happening, Life};
use crate::ids::{NodeIndex, SimMicros};

pub(super) fn are_of_what_was_committed(case: &Case, report: &mut Report) {
    for (place, record) in case.history.records.iter().enumerate() {
        let Happening::Snapshot {
            node, index, bytes, ..
        } = &record.what
        else {
            continue;
        };
        if is_inferred(record.at, *bytes) || !case.knows(index.0) {
            continue;
        }
        let moment = Moment {
            at: record.at,
            record: place,
        };
        by_quorum(case, report, moment, *index, || {
            format!("node {node} had a snapshot of entry {index}")
        });
    }
}

/// Where only the logs of real nodes can be read, one that begins late is said to have had a snapshot from the start. Nobody
/// has seen it, and none that was seen has no bytes.
fn is_inferred(at: SimMicros, bytes: u64) -> bool {
    bytes == 0 && at == SimMicros(0)
}

/// A snapshot that a node had, as yet of no known origin.
struct Had {
    node: NodeIndex,
    index: u64,
    /// Its process ended, and with it may have gone what it had not written yet.
    is_cut_short: bool,
}

/// By node: its newest snapshot that has an origin. A node may have one of an entry before its own disk has that entry, if the
/// others' disks were faster; what it holds must be written down in the end, if its process lives.
pub(super) fn newest_of_known_origin(case: &Case) -> BTreeMap<NodeIndex, LogIndex> {
    let mut newest: BTreeMap<NodeIndex, LogIndex> = BTreeMap::new();
    let mut written: BTreeSet<(NodeIndex, u64)> = BTreeSet::new();
    let mut makers: BTreeMap<u64, BTreeSet<NodeIndex>> = BTreeMap::new();
    let mut had: Vec<Had> = Vec::new();
    for record in &case.history.records {
        match &record.what {
            Happening::Durable { node, entry } => drop(written.insert((*node, entry.index.0))),
            Happening::Snapshot {
                node, index, bytes, ..
            } => {
                makers.entry(index.0).or_default().insert(*node);
                had.push(Had {
                    node: *node,
                    index: index.0,
                    is_cut_short: is_inferred(record.at, *bytes),
                });
            }
            Happening::Node {
                node,
                life: Life::Replaced,
            } => {
                written.retain(|(of, _)| of != node);
                had.retain(|had| had.node != *node);
            }
            Happening::Node {
                node,
                life: Life::LostPower { .. } | Life::Killed | Life::Failed(_) | Life::StoppedGracefully,
            } => {
                let of_node = had.iter_mut().filter(|had| had.node == *node);
                of_node.for_each(|had| had.is_cut_short = true);
            }
            _ => {}
        }
    }
    for Had {
        node,
        index,
        is_cut_short,
    } in had
    {
        let others = makers
            .get(&index)
            .is_some_and(|makers| makers.iter().any(|maker| *maker != node));
        if is_cut_short || others || written.contains(&(node, index)) {
            let newest = newest.entry(node).or_default();
            *newest = (*newest).max(LogIndex(index));
        }
    }
    newest
}
