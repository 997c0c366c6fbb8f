//! What the nodes' disks held, replayed from a history, and from that the committed log: the truth of a run.
//!
//! Why this is the truth. Once an entry is committed it is on a majority of disks and no later leader replaces it
//! (D. Ongaro, J. Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014, §5.4, Leader Completeness).
//! So when a majority of nodes has settled after the storm, what they agree on up to what they have applied is the
//! committed log. Entries that a node has purged were durable there once, and the history remembers them.

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::LogIndex;

use crate::history::{Happening, History, Life, LoggedEntry};
use crate::ids::{FaultId, NodeIndex, SimMicros};

/// One node's log, as its disk would show it if nothing had ever been purged.
#[derive(Clone, Debug, Default)]
pub struct Disk<'a> {
    pub entries: BTreeMap<u64, &'a LoggedEntry>,
    /// Below this the node went on from a snapshot: what it held there before may be entries that never were committed.
    pub sure_from: u64,
    /// Entries that came right after a gap: a snapshot from another node filled it.
    pub gaps: Vec<Gap>,
    pub applied: Option<LogIndex>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub record: usize,
    pub at: SimMicros,
    pub next: LogIndex,
}

impl<'a> Disk<'a> {
    fn last(&self) -> Option<u64> {
        self.entries.last_key_value().map(|(index, _)| *index)
    }

    fn append(&mut self, record: usize, at: SimMicros, entry: &'a LoggedEntry) {
        let index = entry.index.0;
        if self.last().is_some_and(|last| index > last.saturating_add(1)) {
            self.sure_from = self.sure_from.max(index);
            self.gaps.push(Gap {
                record,
                at,
                next: entry.index,
            });
        }
        self.entries.insert(index, entry);
    }

    /// The entry at `index`, if this disk surely holds the one that the node went on from.
    pub fn sure(&self, index: u64) -> Option<&'a LoggedEntry> {
        self.entries
            .get(&index)
            .copied()
            .filter(|_| index >= self.sure_from)
    }
}

/// A node dropped entries from its disk.
#[derive(Clone, Debug)]
pub struct Truncation<'a> {
    pub record: usize,
    pub at: SimMicros,
    pub node: NodeIndex,
    pub dropped: Vec<Dropped<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub struct Dropped<'a> {
    pub entry: &'a LoggedEntry,
    /// How many other disks hold it at that moment.
    pub elsewhere: usize,
}

/// An entry is not what another node holds at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarrel {
    pub record: Option<usize>,
    pub index: LogIndex,
    pub node: NodeIndex,
    pub other: NodeIndex,
}

/// Who votes: so many nodes, and one less from the beginning of each fault that takes one away. Whoever left may be back
/// later; that is not counted, for adding takes as long as it takes (seed 3006660).
#[derive(Clone, Debug, Default)]
pub struct Voters {
    pub nodes: usize,
    pub leaving: BTreeSet<FaultId>,
}

impl Voters {
    fn majority(&self, left: usize) -> usize {
        self.nodes.saturating_sub(left) / 2 + 1
    }

    /// Of the smallest cluster that there ever is.
    pub fn majority_min(&self) -> usize {
        self.majority(self.leaving.len())
    }
}

/// Everything about disks that checkers ask for.
#[derive(Clone, Debug, Default)]
pub struct Disks<'a> {
    pub nodes: BTreeMap<NodeIndex, Disk<'a>>,
    /// What was on disks that were taken away.
    retired: Vec<(NodeIndex, Disk<'a>)>,
    pub truncations: Vec<Truncation<'a>>,
    /// Same index and term, other content: Raft's Log Matching (§5.3) is broken.
    pub mismatches: Vec<Quarrel>,
    /// By index and term: when a majority of the disks first held it at once.
    quorum_at: BTreeMap<(u64, u64), SimMicros>,
    /// By index and term: when the first disk held it.
    first_at: BTreeMap<(u64, u64), SimMicros>,
    majority: usize,
}

/// The committed log.
#[derive(Clone, Debug, Default)]
pub struct CommittedLog<'a> {
    pub entries: BTreeMap<u64, &'a LoggedEntry>,
    /// The last index known to be committed.
    pub tip: LogIndex,
    /// A majority has settled: what is not in here was never committed.
    pub is_whole: bool,
    /// At or below the tip, and on no disk.
    pub missing: Vec<LogIndex>,
    /// Settled nodes that disagree about what they have applied.
    pub quarrels: Vec<Quarrel>,
}

impl<'a> Disks<'a> {
    /// Replays the disks of a cluster in which so many vote.
    pub fn replay(history: &'a History, voters: &Voters) -> Self {
        let mut disks = Disks {
            majority: voters.majority_min(),
            ..Disks::default()
        };
        let mut left: BTreeSet<FaultId> = BTreeSet::new();
        let mut majority = voters.majority(0);
        let mut holders: BTreeMap<(u64, u64), BTreeSet<NodeIndex>> = BTreeMap::new();
        let mut first: BTreeMap<(u64, u64), (NodeIndex, &LoggedEntry)> = BTreeMap::new();
        for (record, happened) in history.records.iter().enumerate() {
            let at = happened.at;
            match &happened.what {
                Happening::Durable { node, entry } => {
                    let key = (entry.index.0, entry.term);
                    disks.durable(record, at, *node, entry);
                    let (other, known) = *first.entry(key).or_insert((*node, entry));
                    if known != entry {
                        disks.mismatches.push(Quarrel {
                            record: Some(record),
                            index: entry.index,
                            node: *node,
                            other,
                        });
                    }
                    let holders = holders.entry(key).or_default();
                    holders.insert(*node);
                    if holders.len() >= majority {
                        disks.quorum_at.entry(key).or_insert(at);
                    }
                }
                Happening::Truncated { node, from } => {
                    let dropped = disks.truncated(*node, *from).into_iter();
                    let dropped = dropped
                        .map(|entry| {
                            let holders = holders.entry((entry.index.0, entry.term)).or_default();
                            holders.remove(node);
                            Dropped {
                                entry,
                                elsewhere: holders.len(),
                            }
                        })
                        .collect();
                    disks.truncations.push(Truncation {
                        record,
                        at,
                        node: *node,
                        dropped,
                    });
                }
                Happening::Node {
                    node,
                    life: Life::Replaced,
                } => {
                    disks.retired.extend(disks.nodes.remove_entry(node));
                    for holders in holders.values_mut() {
                        holders.remove(node);
                    }
                }
                Happening::FaultBegan { fault, .. } if voters.leaving.contains(fault) => {
                    left.insert(*fault);
                    majority = voters.majority(left.len());
                    disks.held_by_fewer(&holders, majority, at);
                }
                Happening::Snapshot { node, index, .. } => disks.snapshot(*node, *index),
                Happening::Settled { node, applied, .. } => {
                    disks.nodes.entry(*node).or_default().applied = Some(*applied);
                }
                _ => {}
            }
        }
        disks
    }

    /// What so many disks hold is on a quorum of them from now on, where it was not before.
    fn held_by_fewer(
        &mut self,
        holders: &BTreeMap<(u64, u64), BTreeSet<NodeIndex>>,
        majority: usize,
        at: SimMicros,
    ) {
        for (key, _) in holders.iter().filter(|(_, by)| by.len() >= majority) {
            self.quorum_at.entry(*key).or_insert(at);
        }
    }

    fn durable(&mut self, record: usize, at: SimMicros, node: NodeIndex, entry: &'a LoggedEntry) {
        self.first_at.entry((entry.index.0, entry.term)).or_insert(at);
        self.nodes.entry(node).or_default().append(record, at, entry);
    }

    fn truncated(&mut self, node: NodeIndex, from: LogIndex) -> Vec<&'a LoggedEntry> {
        let disk = self.nodes.entry(node).or_default();
        disk.entries.split_off(&from.0).into_values().collect()
    }

    /// A snapshot ahead of the node's own log came from elsewhere, and what the log holds may be of no worth.
    fn snapshot(&mut self, node: NodeIndex, index: LogIndex) {
        let disk = self.nodes.entry(node).or_default();
        if disk.last().is_none_or(|last| last < index.0) {
            disk.sure_from = disk.sure_from.max(index.0.saturating_add(1));
        }
    }

    /// When a majority of disks first held this very entry.
    pub fn quorum_at(&self, entry: &LoggedEntry) -> Option<SimMicros> {
        self.quorum_at.get(&(entry.index.0, entry.term)).copied()
    }

    /// When any disk first held this very entry.
    pub fn first_at(&self, entry: &LoggedEntry) -> Option<SimMicros> {
        self.first_at.get(&(entry.index.0, entry.term)).copied()
    }

    pub fn committed(&self) -> CommittedLog<'a> {
        let settled: Vec<u64> = self
            .nodes
            .values()
            .filter_map(|disk| Some(disk.applied?.0))
            .collect();
        let is_whole = settled.len() >= self.majority;
        let tip = if is_whole {
            settled.into_iter().max().unwrap_or_default()
        } else {
            self.surely_committed()
        };
        let mut log = CommittedLog {
            tip: LogIndex(tip),
            is_whole,
            ..CommittedLog::default()
        };
        // A log begins with index 0 or 1; what a nonsense tip promises is not looked for one by one.
        let retired = self.retired.iter().map(|(_, disk)| disk);
        let known: BTreeSet<u64> = self
            .nodes
            .values()
            .chain(retired)
            .flat_map(|disk| disk.entries.keys().copied())
            .collect();
        let last_known = known.last().copied().unwrap_or_default();
        if tip > last_known {
            log.missing.push(LogIndex(tip));
        }
        let mut expected = known.first().copied().map_or(1, |first| first.min(1));
        for index in known.range(..=tip).copied() {
            if index > expected {
                log.missing.push(LogIndex(expected));
            }
            expected = index.saturating_add(1);
            self.decide(index, &mut log);
        }
        log
    }

    /// Without a settled majority: the last entry of the newest term that a majority holds is committed, and so is all
    /// before it (Raft §5.4.2).
    fn surely_committed(&self) -> u64 {
        let all = || self.nodes.values().flat_map(|disk| disk.entries.values());
        let newest_term = all().map(|entry| entry.term).max();
        let mut copies: BTreeMap<u64, usize> = BTreeMap::new();
        for entry in all().filter(|entry| Some(entry.term) == newest_term) {
            *copies.entry(entry.index.0).or_default() += 1;
        }
        let by_majority = copies.iter().filter(|(_, copies)| **copies >= self.majority);
        by_majority.map(|(index, _)| *index).max().unwrap_or_default()
    }

    fn decide(&self, index: u64, log: &mut CommittedLog<'a>) {
        let mut copies: Vec<(&LoggedEntry, usize, NodeIndex)> = Vec::new();
        let mut count = |entry: &'a LoggedEntry, weight: usize, node: NodeIndex| match copies
            .iter_mut()
            .find(|(known, _, _)| *known == entry)
        {
            Some((_, copies, _)) => *copies += weight,
            None => copies.push((entry, weight, node)),
        };
        for (node, disk) in &self.nodes {
            let Some(entry) = disk.entries.get(&index).copied() else {
                continue;
            };
            let is_sure = index >= disk.sure_from;
            let has_applied = disk.applied.is_some_and(|applied| applied.0 >= index);
            // Sure copies of settled nodes outvote all others.
            let weight = if is_sure && has_applied {
                10_000
            } else if is_sure {
                100
            } else {
                1
            };
            count(entry, weight, *node);
        }
        if copies.is_empty() {
            copies.extend(self.retired_copy(index));
        }
        let Some((entry, _, node)) = copies
            .iter()
            .max_by_key(|(entry, copies, _)| (*copies, entry.term))
            .copied()
        else {
            return;
        };
        log.entries.insert(index, entry);
        let others = copies
            .iter()
            .filter(|(other, weight, _)| *weight >= 10_000 && *other != entry);
        log.quarrels.extend(others.map(|(_, _, other)| Quarrel {
            record: None,
            index: LogIndex(index),
            node: *other,
            other: node,
        }));
    }

    /// What only disks that are gone held: nodes that got it in a snapshot have it no less. Of several the one that a quorum
    /// held, for no other can have been committed, and of these the newest.
    fn retired_copy(&self, index: u64) -> Option<(&'a LoggedEntry, usize, NodeIndex)> {
        let copies = self.retired.iter().filter_map(|(node, disk)| {
            let entry = disk.entries.get(&index).copied()?;
            Some((entry, 1, *node))
        });
        copies.max_by_key(|(entry, _, _)| (self.quorum_at(entry).is_some(), entry.term))
    }
}

#[cfg(test)]
#[path = "disks_tests.rs"]
mod tests;
