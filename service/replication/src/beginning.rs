//! How a new cluster begins from another's state: a snapshot, and an empty log that goes on behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use openraft::storage::RaftLogStorage;

use crate::log_store::sled::{OpenError, SledLogStore};
use crate::snapshot_store::{SnapshotError, SnapshotStore};
use crate::types::{LogId, Membership, NodeNumber, PeerAddr, RaftVote, SnapshotMeta, StoredMembership};

/// Why there is no beginning. What was written is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the new log cannot be written: {0}")]
    Log(io::Error),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// Where a new cluster's log begins, and its only member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Term and index of the last entry that the state holds. The log goes on behind it.
    pub term: u64,
    pub index: u64,
    pub node: NodeNumber,
    pub addr: PeerAddr,
}

impl Beginning {
    /// Makes log and snapshot in these two folders, where there must be nothing yet. `state` writes what the machine
    /// reads. Durable on return. Blocks.
    pub async fn write(
        &self,
        log_folder: &Path,
        snapshots_folder: &Path,
        state: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), BeginError> {
        let last = LogId::new_term_index(self.term, self.index);
        let mut log = SledLogStore::open(log_folder)?;
        // The next term is a higher one: no entry of the new log is ever taken for one of the old.
        let vote = RaftVote::new(self.term, self.node);
        log.save_vote(&vote).await.map_err(BeginError::Log)?;
        log.purge(last).await.map_err(BeginError::Log)?;
        drop(log);
        let nodes = BTreeMap::from([(self.node, self.addr.clone())]);
        let members = Membership::new(vec![BTreeSet::from([self.node])], nodes)
            .map_err(|error| BeginError::Log(io::Error::other(error.to_string())))?;
        let meta = SnapshotMeta {
            last_log_id: Some(last),
            last_membership: StoredMembership::new(Some(last), members),
        };
        SnapshotStore::open(snapshots_folder)?.write(&meta, state)?;
        Ok(())
    }
}
