//! Replays of hand-made histories.

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

fn of_three() -> Voters {
    Voters {
        nodes: 3,
        ..Voters::default()
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
    let disks = Disks::replay(&history, &of_three());
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
    let disks = Disks::replay(&history, &of_three());
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
    let disks = Disks::replay(&history, &of_three());
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
    let log = Disks::replay(&history, &of_three()).committed();
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
    assert_eq!(Disks::replay(&history, &of_three()).mismatches.len(), 1);
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
    let log = Disks::replay(&history, &of_three()).committed();
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
    let log = Disks::replay(&history, &of_three()).committed();
    assert_eq!(log.missing, [LogIndex(4), LogIndex(2)]);
}

#[test]
fn what_only_a_disk_that_is_gone_held_was_in_the_log_all_the_same() {
    let replaced = Happening::Node {
        node: NodeIndex(0),
        life: Life::Replaced,
    };
    let happenings = vec![
        durable(0, 1, 1),
        durable(0, 2, 1),
        replaced,
        durable(1, 2, 1),
        durable(2, 2, 1),
    ];
    let happenings = [happenings, vec![settled(0, 2), settled(1, 2), settled(2, 2)]].concat();
    let history = history(happenings);
    let log = Disks::replay(&history, &of_three()).committed();
    assert_eq!(terms(&log), [(1, 1), (2, 1)]);
    assert_eq!(log.missing, []);
}

#[test]
fn two_of_five_are_a_quorum_only_once_two_have_left() {
    let voters = Voters {
        nodes: 5,
        leaving: [FaultId(0), FaultId(1)].into(),
    };
    let leaves = |fault| Happening::FaultBegan {
        fault: FaultId(fault),
        node: None,
    };
    let happenings = vec![
        durable(0, 1, 1),
        durable(1, 1, 1),
        leaves(0),
        leaves(1),
        durable(2, 2, 1),
        durable(3, 2, 1),
    ];
    let history = history(happenings);
    let disks = Disks::replay(&history, &voters);
    let quorum_at = |node: u8, index: u64| disks.quorum_at(disks.nodes[&NodeIndex(node)].entries[&index]);
    assert_eq!(
        quorum_at(0, 1),
        Some(SimMicros(3)),
        "not before the second is to leave"
    );
    assert_eq!(quorum_at(2, 2), Some(SimMicros(5)));
}
