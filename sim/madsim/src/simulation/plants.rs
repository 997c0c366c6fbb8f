//! Faults put in on purpose, to see that what should find them does.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use ostraka_replication::log_store::memory::{MemoryLogReader, MemoryLogStore};
use ostraka_replication::types::{Entry, LogId, RaftVote, Types};

/// What is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Plant {
    /// Nodes say that an entry is on their disk before a barrier has covered it.
    AckBeforeBarrier,
    /// Nodes show their own totals as if a quorum had confirmed them.
    StaleReads,
    /// Nodes draw from something other than the seed.
    OtherChance,
}

/// A log that answers for its disk too soon.
pub(crate) struct HastyLog(pub(crate) MemoryLogStore);

impl RaftLogReader<Types> for HastyLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        self.0.get_log_reader().await.try_get_log_entries(range).await
    }

    async fn read_vote(&mut self) -> Result<Option<RaftVote>, io::Error> {
        self.0.get_log_reader().await.read_vote().await
    }
}

impl RaftLogStorage<Types> for HastyLog {
    type LogReader = MemoryLogReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        self.0.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> MemoryLogReader {
        self.0.get_log_reader().await
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> Result<(), io::Error> {
        self.0.save_vote(vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.0.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        self.0.read_committed().await
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        self.0.append(entries, IOFlushed::noop()).await?;
        flushed.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.0.truncate_after(last).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.0.purge(upto).await
    }
}
