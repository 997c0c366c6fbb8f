//! Is the simulated disk honest? The same operations and crashes go to sled on a real disk and to the disk in memory; what
//! sled shows when it is opened again must be something that the simulated disk can show, and after that both go on from it.
//! While nothing crashes, both must show the same at every step.

use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use proptest::prelude::*;

use super::conformance_rigs::{MemoryRig, Rig, SledRig, append, entry, read_all};
use super::memory::MemoryLogStore;
use super::sled::SledLogStore;
use crate::types::{Entry, LogId, NodeNumber, RaftVote, Types};

#[derive(Clone, Debug)]
enum Operation {
    /// Nobody waits for the disk.
    Append {
        entries: u64,
        body_bytes: usize,
    },
    AppendDurably {
        entries: u64,
        body_bytes: usize,
    },
    Vote,
    Truncate {
        entries: u64,
    },
    Purge {
        entries: u64,
    },
    /// Barriers fail from here to the next crash.
    FailBarriers,
    Crash,
}

fn operation() -> impl Strategy<Value = Operation> {
    // Around a record's own size, and around the size at which the store cuts records in parts.
    let body_bytes = prop_oneof![4 => 0..300_usize, 1 => 3_900..4_100_usize];
    let append = (1..6_u64, body_bytes);
    prop_oneof![
        4 => append.clone().prop_map(|(entries, body_bytes)| Operation::Append { entries, body_bytes }),
        3 => append.prop_map(|(entries, body_bytes)| Operation::AppendDurably { entries, body_bytes }),
        1 => Just(Operation::Vote),
        1 => (1..8_u64).prop_map(|entries| Operation::Truncate { entries }),
        1 => (1..8_u64).prop_map(|entries| Operation::Purge { entries }),
        1 => Just(Operation::FailBarriers),
        3 => Just(Operation::Crash),
    ]
}

/// What a store shows.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    entries: Vec<Entry>,
    vote: Option<RaftVote>,
    purged: Option<LogId>,
    last: Option<LogId>,
}

async fn shown<S: RaftLogStorage<Types>>(store: &mut S) -> Shown {
    let state = store.get_log_state().await.unwrap();
    Shown {
        entries: read_all(store).await,
        vote: store.get_log_reader().await.read_vote().await.unwrap(),
        purged: state.last_purged_log_id,
        last: state.last_log_id,
    }
}

struct Pair {
    sled_rig: SledRig,
    /// Taken while it is dead.
    sled: Option<SledLogStore>,
    memory_rig: MemoryRig,
    memory: MemoryLogStore,
    /// Sent to sled without waiting; the disk in memory gets them when their fate is known.
    uncovered: Vec<Entry>,
    term: u64,
    next_index: u64,
    purged_to: u64,
    failing: bool,
    /// A planted fault: the disk in memory forgets votes.
    forgetful: bool,
}

impl Pair {
    fn new(forgetful: bool) -> Self {
        let (mut sled_rig, mut memory_rig) = (SledRig::new(), MemoryRig::new());
        let (sled, memory) = (Some(sled_rig.open()), memory_rig.open());
        Self {
            sled_rig,
            sled,
            memory_rig,
            memory,
            uncovered: Vec::new(),
            term: 1,
            next_index: 0,
            purged_to: 0,
            failing: false,
            forgetful,
        }
    }

    fn sled(&mut self) -> &mut SledLogStore {
        self.sled.as_mut().expect("alive between crashes")
    }

    fn fresh(&mut self, count: u64, body_bytes: usize) -> Vec<Entry> {
        let from = self.next_index;
        self.next_index += count;
        let term = self.term;
        (from..self.next_index)
            .map(|index| entry(term, index, body_bytes))
            .collect()
    }

    /// Everything so far is covered in sled: so it is in memory.
    async fn cover(&mut self) {
        if !self.uncovered.is_empty() {
            let uncovered = std::mem::take(&mut self.uncovered);
            append(&mut self.memory, uncovered).await.await.unwrap().unwrap();
        }
    }

    async fn both_show_the_same(&mut self) {
        self.cover().await;
        assert_eq!(shown(self.sled()).await, shown(&mut self.memory).await);
    }

    async fn append(&mut self, entries: Vec<Entry>, durably: bool) {
        let (done, flushed) = Types::oneshot();
        let accepted = self.sled().append(entries.clone(), IOFlushed::signal(done)).await;
        self.uncovered.extend(entries);
        if self.failing {
            // The store breaks now, or was broken before, and says so to everybody.
            assert!(flushed.await.unwrap().is_err());
            return;
        }
        accepted.unwrap();
        if durably {
            flushed.await.unwrap().unwrap();
            self.both_show_the_same().await;
        }
    }

    async fn vote(&mut self) {
        self.term += 1;
        let vote = RaftVote::new(self.term, NodeNumber(1));
        self.sled().save_vote(&vote).await.unwrap();
        self.cover().await;
        if !self.forgetful {
            self.memory.save_vote(&vote).await.unwrap();
        }
        self.both_show_the_same().await;
    }

    async fn truncate(&mut self, count: u64) {
        let next_index = self.next_index.saturating_sub(count).max(self.purged_to);
        if next_index == 0 || next_index == self.purged_to {
            return;
        }
        self.cover_by_barrier().await;
        self.next_index = next_index;
        let kept = read_all(self.sled()).await;
        let last = kept.iter().find(|entry| entry.log_id.index + 1 == next_index);
        let last = last.map(|entry| entry.log_id);
        self.sled().truncate_after(last).await.unwrap();
        self.memory.truncate_after(last).await.unwrap();
        // What is appended over it comes from another leader.
        self.vote().await;
    }

    async fn purge(&mut self, count: u64) {
        let upto = (self.purged_to + count).min(self.next_index);
        if upto <= self.purged_to {
            return;
        }
        self.cover_by_barrier().await;
        let entries = read_all(self.sled()).await;
        let last = entries.iter().find(|entry| entry.log_id.index + 1 == upto);
        let last = last.expect("it is in the log").log_id;
        self.purged_to = upto;
        self.sled().purge(last).await.unwrap();
        self.memory.purge(last).await.unwrap();
        self.both_show_the_same().await;
    }

    async fn cover_by_barrier(&mut self) {
        self.vote().await;
    }

    async fn crash(&mut self) {
        let before = shown(&mut self.memory).await;
        let dead = self.sled.take().expect("alive between crashes");
        self.sled_rig.crash(dead);
        self.sled = Some(self.sled_rig.open());
        let found = shown(self.sled()).await;
        let survivors = found.entries.len().checked_sub(before.entries.len());
        let survivors = survivors.expect("sled has what it was asked to keep");
        // Nothing between here and the crash waits, so that no barrier of the simulated disk comes in between.
        let uncovered = std::mem::take(&mut self.uncovered);
        let flushed = append(&mut self.memory, uncovered).await;
        self.memory_rig.crash_keeping(survivors);
        drop(flushed);
        self.memory = self.memory_rig.open();
        let simulated = shown(&mut self.memory).await;
        assert_eq!(found, simulated, "sled shows what the simulated disk cannot");
        self.next_index = found.last.map_or(0, |last| last.index + 1);
        self.failing = false;
    }

    async fn run(mut self, operations: Vec<Operation>) {
        for operation in operations {
            match operation {
                Operation::Crash => self.crash().await,
                Operation::Append { entries, body_bytes } => {
                    let entries = self.fresh(entries, body_bytes);
                    self.append(entries, false).await;
                }
                Operation::AppendDurably { entries, body_bytes } => {
                    let entries = self.fresh(entries, body_bytes);
                    self.append(entries, true).await;
                }
                Operation::FailBarriers => {
                    self.sled_rig.fail_barriers();
                    self.failing = true;
                }
                _ if self.failing => {}
                Operation::Vote => self.vote().await,
                Operation::Truncate { entries } => self.truncate(entries).await,
                Operation::Purge { entries } => self.purge(entries).await,
            }
        }
        self.crash().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_sled_shows_the_simulated_disk_can_show(operations in prop::collection::vec(operation(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { Pair::new(false).run(operations).await });
    }
}

#[tokio::test]
#[should_panic(expected = "left == right")]
async fn a_simulated_disk_that_forgets_is_found() {
    Pair::new(true).run(vec![Operation::Vote]).await;
}
