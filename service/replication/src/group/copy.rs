//! A copy of what a group has committed, taken while it goes on: for backups.

use std::io::Read;
use std::time::Duration;

use ostraka_core::LogIndex;

use super::{Group, GroupError, SubmitError};
use crate::cluster::ClusterId;
use crate::types::GroupName;

/// A snapshot as it is stored, opened: it can be read to its end whatever snapshots are taken or removed meanwhile.
pub struct GroupCopy {
    pub group: GroupName,
    /// The cluster that it is of; `None` where that has no number.
    pub cluster: Option<ClusterId>,
    /// The last entry in it.
    pub index: LogIndex,
    /// Bytes that `bytes` yields.
    pub size_bytes: u64,
    pub bytes: Box<dyn Read + Send>,
}

/// Why there is no copy. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// Retryable: which entries are committed, only a quorum knows.
    #[error("no quorum said in time which entries are committed")]
    NoQuorum,
    /// Retryable.
    #[error("this node has not applied entry {} in time; ask one that is less far behind", .0.0)]
    Behind(LogIndex),
    /// Retryable, once the cause is mended; terminal for this process if the group has stopped by it.
    #[error("the snapshot was not taken: {0}")]
    Snapshot(GroupError),
    /// Unknown: depends on the cause.
    #[error("the snapshot cannot be read: {0}")]
    Unreadable(String),
    /// Terminal for this process.
    #[error("the group has stopped: {0}")]
    Stopped(String),
}

impl Group {
    /// A copy that holds every entry that was committed when this was asked (and may hold later ones), from any node.
    /// `within` is for the quorum's word and for this replica to catch up; the snapshot has a limit of its own.
    pub async fn copy(&self, within: Duration) -> Result<GroupCopy, CopyError> {
        let committed = self.read_index(within).await.map_err(|error| match error {
            SubmitError::Stopped(sentence) => CopyError::Stopped(sentence),
            SubmitError::NoLeader | SubmitError::Unknown | SubmitError::Refused(_) => CopyError::NoQuorum,
        })?;
        if !self.wait_applied(committed, within).await {
            return Err(CopyError::Behind(committed));
        }
        let held = self.snapshot().await.map_err(CopyError::Snapshot)?;
        let snapshots = self.snapshots().clone();
        let opening = self.offload().run(move || {
            let stored = snapshots.latest()?;
            stored.map(|stored| Ok((stored.open_raw()?, stored))).transpose()
        });
        let opened = opening
            .await
            .map_err(|error| CopyError::Unreadable(error.to_string()))?;
        let (bytes, stored) = opened.ok_or_else(|| CopyError::Unreadable("there is none".to_owned()))?;
        let wanted = held.max(committed);
        if stored.index() < wanted.0 {
            let sentence = format!(
                "the newest goes up to entry {} only, and {} is needed",
                stored.index(),
                wanted.0
            );
            return Err(CopyError::Unreadable(sentence));
        }
        Ok(GroupCopy {
            group: self.name(),
            cluster: self.cluster().known().map(|record| record.id),
            index: LogIndex(stored.index()),
            size_bytes: stored.size_bytes(),
            bytes,
        })
    }
}
