//! A backup, taken from a node that is running.
//!
//! The vote log first, then identity's: whoever had voted had an account before, so every voter of the one is in the
//! other. The other way round, an account made in between would be missing, and its number given to somebody else.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use ostraka_core::limits::{BACKUP_PIECE_BYTES, BACKUP_READ_MS_MAX, BACKUPS_AT_ONCE_MAX};
use ostraka_replication::group::{CopyError, GroupCopy};
use ostraka_replication::{Group, GroupName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::codec::{Encoder, all_bytes};
use super::{Content, Header, Part};
use crate::env::{Offload, SharedClock};

const READ_TIMEOUT: Duration = Duration::from_millis(BACKUP_READ_MS_MAX);
const ORDER: [GroupName; 2] = [GroupName::Vote, GroupName::Identity];

/// Why no backup was begun. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    /// Retryable, later.
    #[error("a backup is being taken through this node; wait for its end, or ask another node")]
    Busy,
    #[error("{group:?} log: {source}")]
    Copy { group: GroupName, source: CopyError },
    /// Terminal.
    #[error("the backup cannot be begun: {0}")]
    Header(io::Error),
}

/// Takes backups, one at a time.
pub struct Taker {
    /// Fingerprint of the cluster's secrets.
    secrets: String,
    clock: SharedClock,
    offload: Offload,
    turns: Arc<Semaphore>,
}

impl Taker {
    pub(crate) fn new(secrets: String, clock: SharedClock, offload: Offload) -> Self {
        Self {
            secrets,
            clock,
            offload,
            turns: Arc::new(Semaphore::new(BACKUPS_AT_ONCE_MAX)),
        }
    }

    /// Copies what `groups` have committed. What was committed when this was asked is in it.
    pub(crate) async fn take(&self, groups: &[Group]) -> Result<Taken, TakeError> {
        let turn = Arc::clone(&self.turns)
            .try_acquire_owned()
            .map_err(|_| TakeError::Busy)?;
        let taken_at = self.clock.now().0;
        let mut copies = VecDeque::new();
        for name in ORDER {
            let Some(group) = groups.iter().find(|group| group.name() == name) else {
                continue;
            };
            let copied = group.copy(READ_TIMEOUT).await;
            copies.push_back(copied.map_err(|source| TakeError::Copy { group: name, source })?);
        }
        let part = |copy: &GroupCopy| Part {
            content: Content::of_group(copy.group),
            bytes: copy.size_bytes,
        };
        let header = Header {
            ostraka: env!("CARGO_PKG_VERSION").to_owned(),
            taken_at,
            node: groups.first().map(Group::node).unwrap_or_default(),
            cluster: copies.front().and_then(|copy| copy.cluster),
            secrets: self.secrets.clone(),
            parts: copies.iter().map(part).collect(),
        };
        for copy in &copies {
            tracing::info!(group = ?copy.group, index = copy.index.0, bytes = copy.size_bytes, "a backup is taken");
        }
        let size_bytes = all_bytes(&header).map_err(TakeError::Header)?;
        let (encoder, head) = Encoder::start(&header).map_err(TakeError::Header)?;
        let pieces = Pieces {
            head: Some(head),
            encoder: Some(encoder),
            copies,
        };
        Ok(Taken {
            size_bytes,
            pieces,
            offload: self.offload,
            turn,
        })
    }
}

/// A backup that is ready to be read, piece by piece.
pub(crate) struct Taken {
    pub(crate) size_bytes: u64,
    pieces: Pieces,
    offload: Offload,
    turn: OwnedSemaphorePermit,
}

impl Taken {
    /// Its bytes, as fast as they are asked for. An error cuts it short, which its reader finds out.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let (offload, turn) = (self.offload, self.turn);
        try_unfold((self.pieces, turn), move |(mut pieces, turn)| async move {
            let reading = offload.run(move || Ok((pieces.next()?, pieces)));
            let read = reading.await;
            let (piece, pieces) = read.inspect_err(|error| {
                tracing::error!(%error, "a backup is cut short");
            })?;
            Ok(piece.map(|piece| (piece, (pieces, turn))))
        })
    }
}

struct Pieces {
    head: Option<Vec<u8>>,
    /// `None` once the end was made.
    encoder: Option<Encoder>,
    copies: VecDeque<GroupCopy>,
}

impl Pieces {
    /// Blocks. `None` after the last.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head.into()));
        }
        let Some(encoder) = &mut self.encoder else {
            return Ok(None);
        };
        let Some(copy) = self.copies.front_mut() else {
            let end = self.encoder.take().map(Encoder::end);
            return Ok(end.map(|sum| Bytes::copy_from_slice(&sum)));
        };
        let mut piece = Vec::with_capacity(BACKUP_PIECE_BYTES);
        copy.bytes
            .by_ref()
            .take(BACKUP_PIECE_BYTES as u64)
            .read_to_end(&mut piece)?;
        if piece.is_empty() {
            self.copies.pop_front();
            return Ok(Some(Bytes::copy_from_slice(&encoder.end_part())));
        }
        encoder.take(&piece);
        Ok(Some(piece.into()))
    }
}
