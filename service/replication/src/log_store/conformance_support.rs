//! What openraft's suite wants around a store: a machine that only remembers where it is, and a log that may begin
//! anywhere.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{Stream, TryStreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{
    EntryResponder, IOFlushed, LogState, RaftLogReader, RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine,
};
use openraft::type_config::alias::SnapshotOf;
use parking_lot::Mutex;

use super::half_open;
use crate::types::{Entry, LogId, RaftVote, SnapshotMeta, StoredMembership, Types};

#[derive(Clone, Debug, Default)]
struct State {
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshot: Option<SnapshotMeta>,
}

#[derive(Clone, Default)]
pub(super) struct IdleMachine {
    state: Arc<Mutex<State>>,
}

fn snapshot_of(meta: SnapshotMeta) -> SnapshotOf<Types, ()> {
    SnapshotOf::<Types, ()> { meta, snapshot: () }
}

impl RaftSnapshotBuilder<Types> for IdleMachine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, ()>, io::Error> {
        let mut state = self.state.lock();
        let meta = SnapshotMeta {
            last_log_id: state.applied,
            last_membership: state.membership.clone(),
        };
        state.snapshot = Some(meta.clone());
        Ok(snapshot_of(meta))
    }
}

impl RaftStateMachine<Types> for IdleMachine {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let state = self.state.lock();
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        while let Some((entry, _responder)) = entries.try_next().await? {
            let mut state = self.state.lock();
            state.applied = Some(entry.log_id());
            if let Some(membership) = entry.get_membership() {
                state.membership = StoredMembership::new(Some(entry.log_id()), membership);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, _snapshot: ()) -> Result<(), io::Error> {
        let mut state = self.state.lock();
        state.applied = meta.last_log_id;
        state.membership = meta.last_membership.clone();
        state.snapshot = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, ()>>, io::Error> {
        Ok(self.state.lock().snapshot.clone().map(snapshot_of))
    }
}

/// The suite begins some logs at index 1, which our stores refuse as a hole. This puts blank entries before them and
/// keeps them out of sight.
pub(super) struct FromAnywhere<S> {
    store: S,
    hidden_end: Arc<AtomicU64>,
}

impl<S> FromAnywhere<S> {
    pub(super) fn new(store: S) -> Self {
        Self {
            store,
            hidden_end: Arc::default(),
        }
    }
}

pub(super) struct FromAnywhereReader<R> {
    reader: R,
    hidden_end: Arc<AtomicU64>,
}

impl<R: RaftLogReader<Types>> RaftLogReader<Types> for FromAnywhereReader<R> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (start, end) = half_open(&range);
        let start = start.max(self.hidden_end.load(Ordering::Relaxed));
        self.reader.try_get_log_entries(start..end).await
    }

    async fn read_vote(&mut self) -> Result<Option<RaftVote>, io::Error> {
        self.reader.read_vote().await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        let start = start.max(self.hidden_end.load(Ordering::Relaxed));
        self.reader.limited_get_log_entries(start, end).await
    }
}

impl<S: RaftLogStorage<Types>> RaftLogStorage<Types> for FromAnywhere<S> {
    type LogReader = FromAnywhereReader<S::LogReader>;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        self.store.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        FromAnywhereReader {
            reader: self.store.get_log_reader().await,
            hidden_end: self.hidden_end.clone(),
        }
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> Result<(), io::Error> {
        self.store.save_vote(vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.store.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        self.store.read_committed().await
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let first = entries.first().map_or(0, RaftEntry::index);
        if self.store.get_log_state().await?.last_log_id.is_none() && first > 0 {
            let blank = |index| Entry::new_blank(LogId::new_term_index(0, index));
            self.store
                .append((0..first).map(blank), IOFlushed::noop())
                .await?;
            self.hidden_end.store(first, Ordering::Relaxed);
        }
        self.store.append(entries, flushed).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.store.truncate_after(last).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.store.purge(upto).await
    }
}
