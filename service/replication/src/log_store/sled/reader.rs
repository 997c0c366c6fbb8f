//! Reading: the newest entries from memory, older ones from sled.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

use openraft::entry::RaftEntry;
use openraft::storage::RaftLogReader;
use ostraka_core::limits::LOG_READ_BYTES_MAX;

use super::shared::{Shared, index_after};
use crate::log_store::record::{Assembler, part_key, weight_bytes};
use crate::log_store::{ReadError, half_open};
use crate::sled_folder;
use crate::types::{Entry, RaftVote, Types};

/// A reader of the log. Cheap to clone; sees every append as soon as it returned.
#[derive(Clone)]
pub struct SledLogReader {
    pub(super) shared: Arc<Shared>,
    pub(super) entries: sled::Tree,
}

impl SledLogReader {
    /// Entries with `start <= index < end`: all that the log contains, or up to `bytes_max` and at least one.
    async fn read(&self, start: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, ReadError> {
        self.shared.check_healthy()?;
        {
            let mirror = self.shared.mirror.read();
            let start = start.max(mirror.positions.first_index());
            if start >= mirror.tail_start() {
                return Ok(mirror.tail_entries(start, end, bytes_max));
            }
        }
        // From the disk, then: not on a thread that others wait for.
        let reader = self.clone();
        let cold = tokio::task::spawn_blocking(move || reader.read_blocking(start, end, bytes_max));
        match cold.await {
            Ok(entries) => entries,
            Err(error) => Err(ReadError::Disk {
                folder: self.shared.folder.display().to_string(),
                detail: format!("the read did not finish: {error}"),
            }),
        }
    }

    fn read_blocking(&self, start: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, ReadError> {
        // As long as this is held, the log is cut at neither end; what was seen in the mirror stays true in sled.
        let _steady = self.shared.reshape.read();
        let (start, cold_end, hot) = {
            let mirror = self.shared.mirror.read();
            let start = start.max(mirror.positions.first_index());
            let end = end.min(index_after(&mirror.positions.last));
            let cold_end = end.min(mirror.tail_start());
            (
                start,
                cold_end,
                mirror.tail_entries(cold_end.max(start), end, bytes_max),
            )
        };
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut expected = start;
        let mut assembler = Assembler::default();
        if start < cold_end {
            for part in self.entries.range(part_key(start, 0)..part_key(cold_end, 0)) {
                let (key, value) = part.map_err(|error| ReadError::Disk {
                    folder: self.shared.folder.display().to_string(),
                    detail: sled_folder::explain(&error),
                })?;
                let record = assembler
                    .feed(&key, &value)
                    .map_err(|error| self.shared.damaged(error))?;
                let Some(record) = record else { continue };
                if record.log_id.index != expected {
                    return Err(self.shared.damaged(format!("entry {expected} is missing")));
                }
                expected += 1;
                let entry = record.into_entry().map_err(|error| self.shared.damaged(error))?;
                bytes += weight_bytes(&entry);
                if bytes > bytes_max && !found.is_empty() {
                    return Ok(found);
                }
                found.push(entry);
            }
            assembler.finish().map_err(|error| self.shared.damaged(error))?;
            if expected != cold_end {
                return Err(self.shared.damaged(format!("entry {expected} is missing")));
            }
        }
        for entry in hot {
            bytes += weight_bytes(&entry);
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            assert_eq!(entry.index(), expected.max(start), "the tail has no hole");
            expected = entry.index() + 1;
            found.push(entry);
        }
        Ok(found)
    }
}

impl RaftLogReader<Types> for SledLogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (start, end) = half_open(&range);
        Ok(self.read(start, end, usize::MAX).await?)
    }

    async fn read_vote(&mut self) -> Result<Option<RaftVote>, io::Error> {
        Ok(self.shared.mirror.read().positions.vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        Ok(self.read(start, end, LOG_READ_BYTES_MAX).await?)
    }
}
