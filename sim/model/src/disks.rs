//! What the nodes' disks held, replayed from a history, and from that the committed log: the truth of a run.
//!
//! Why this is the truth. Once an entry is committed it is on a majority of disks and no later leader replaces it
//! (D. Ongaro, J. Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014, §5.4, Leader Completeness).
//! So when a majority of nodes has settled after the storm, what they agree on up to what they have applied is the
//! committed log. Entries that a node has purged were durable there once, and the history remembers them.

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::LogIndex;

use crate::history::{Happening, History, Life, LoggedEntry};
use crate::ids::{NodeIndex, SimMicros};

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

/// Everything about disks that checkers ask for.
#[derive(Clone, Debug, Default)]
pub struct Disks<'a> {
    pub nodes: BTreeMap<NodeIndex, Disk<'a>>,
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
    /// Replays the disks of a cluster in which `majority` disks are a quorum.
    pub fn replay(history: &'a History, majority: usize) -> Self {
        let mut disks = Disks {
            majority: majority.max(1),
            ..Disks::default()
        };
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
                    if holders.len() >= disks.majority {
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
                    disks.nodes.remove(node);
                    for holders in holders.values_mut() {
                        holders.remove(node);
                    }
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
        let known: BTreeSet<u64> = self
            .nodes
            .values()
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
}

#[cfg(test)]
mod tests {
    use ostraka_core::UnixMs;

    use super::*;
    use crate::history::Record;

    fn entry(index: u64, term: u64) -> LoggedEntry {
        LoggedEntry {
            index: LogIndex(index),
            term,
            stamped_at: UnixMs(index),
            body: vec![term as u8],
        }
    }

    fn history(happenings: Vec<Happening>) -> History {
        let records = happenings
            .into_iter()
            .enumerate()
            .map(|(place, what)| Record {
                at: SimMicros(place as u64),
                what,
            })
            .collect();
        History { records }
    }

    fn durable(node: u8, index: u64, term: u64) -> Happening {
        Happening::Durable {
            node: NodeIndex(node),
            entry: entry(index, term),
        }
    }

    fn settled(node: u8, applied: u64) -> Happening {
        Happening::Settled {
            node: NodeIndex(node),
            applied: LogIndex(applied),
            boards: Vec::new(),
        }
    }

    fn terms(log: &CommittedLog) -> Vec<(u64, u64)> {
        log.entries
            .values()
            .map(|entry| (entry.index.0, entry.term))
            .collect()
    }

    #[test]
    fn what_a_follower_drops_is_not_the_truth() {
        let history = history(vec![
            durable(0, 1, 1),
            durable(1, 1, 1),
            durable(0, 2, 1),
            Happening::Truncated {
                node: NodeIndex(0),
                from: LogIndex(2),
            },
            durable(1, 2, 2),
            durable(2, 1, 1),
            durable(2, 2, 2),
            durable(0, 2, 2),
            settled(0, 2),
            settled(1, 2),
        ]);
        let disks = Disks::replay(&history, 2);
        let log = disks.committed();
        assert_eq!(terms(&log), [(1, 1), (2, 2)]);
        assert!(log.is_whole && log.quarrels.is_empty() && log.missing.is_empty());
        assert_eq!(disks.quorum_at(log.entries[&2]), Some(SimMicros(6)));
        assert_eq!(disks.first_at(log.entries[&2]), Some(SimMicros(4)));
        assert_eq!(disks.truncations[0].dropped.len(), 1);
    }

    #[test]
    fn stale_entries_below_an_installed_snapshot_do_not_count() {
        let mut happenings = vec![durable(2, 1, 1), durable(2, 2, 9), durable(2, 3, 9)];
        happenings.extend((1..=6).map(|index| durable(0, index, 1)));
        happenings.extend([durable(2, 6, 1), settled(0, 6), settled(2, 6)]);
        let history = history(happenings);
        let disks = Disks::replay(&history, 2);
        let log = disks.committed();
        assert_eq!(terms(&log), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1)]);
        assert_eq!(log.quarrels, []);
        assert_eq!(disks.nodes[&NodeIndex(2)].gaps.len(), 1);
    }

    #[test]
    fn what_was_on_a_disk_that_is_gone_is_not_there_any_more() {
        let replaced = Happening::Node {
            node: NodeIndex(0),
            life: Life::Replaced,
        };
        let happenings = vec![durable(0, 1, 1), replaced, durable(1, 1, 1), durable(2, 1, 1)];
        let history = history(happenings);
        let disks = Disks::replay(&history, 2);
        assert!(!disks.nodes.contains_key(&NodeIndex(0)));
        let entry = disks.nodes[&NodeIndex(1)].entries[&1];
        assert_eq!(
            disks.quorum_at(entry),
            Some(SimMicros(3)),
            "two of those that are left"
        );
    }

    #[test]
    fn settled_nodes_that_disagree_are_found() {
        let history = history(vec![
            durable(0, 1, 1),
            durable(1, 1, 2),
            settled(0, 1),
            settled(1, 1),
        ]);
        let log = Disks::replay(&history, 2).committed();
        assert_eq!(log.quarrels.len(), 1);
    }

    #[test]
    fn same_place_and_term_with_other_content_is_found() {
        let mut other = entry(1, 1);
        other.body = vec![7];
        let history = history(vec![
            durable(0, 1, 1),
            Happening::Durable {
                node: NodeIndex(1),
                entry: other,
            },
        ]);
        assert_eq!(Disks::replay(&history, 2).mismatches.len(), 1);
    }

    #[test]
    fn without_a_settled_majority_only_what_must_be_committed_is() {
        let history = history(vec![
            durable(0, 1, 1),
            durable(1, 1, 1),
            durable(0, 2, 2),
            durable(1, 2, 2),
            durable(0, 3, 2),
        ]);
        let log = Disks::replay(&history, 2).committed();
        assert!(!log.is_whole);
        assert_eq!(log.tip, LogIndex(2));
    }

    #[test]
    fn an_applied_entry_on_no_disk_is_missing() {
        let history = history(vec![
            durable(0, 1, 1),
            durable(0, 3, 1),
            settled(0, 4),
            settled(1, 4),
        ]);
        let log = Disks::replay(&history, 2).committed();
        assert_eq!(log.missing, [LogIndex(4), LogIndex(2)]);
    }
}
