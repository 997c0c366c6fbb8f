//! The writer thread: the one place where the log is written, in the order in which it was asked.
//!
//! Commands that wait are taken as a group, put into sled, and made durable by one flush and one barrier; then they are
//! answered in order. After the first failure every command, waiting or new, is answered with that failure.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use openraft::storage::IOFlushed;
use ostraka_core::limits::{LOG_GROUP_BYTES_MAX, LOG_PURGE_PARTS_MAX};
use tokio::sync::oneshot;

use super::barrier::Barrier;
use super::mark::Mark;
use super::shared::{Shared, index_after};
use super::trees::{self, Trees};
use crate::log_store::record::{self, Record};
use crate::log_store::{WriteError, meta};
use crate::sled_folder::{self, seal};
use crate::types::{LogId, RaftVote, Types};

pub(super) type Done = oneshot::Sender<Result<(), WriteError>>;

pub(super) enum Command {
    /// `bytes`: taken from the room for pending appends, given back when written.
    Append {
        records: Vec<Record>,
        bytes: usize,
        flushed: IOFlushed<Types>,
    },
    SaveVote {
        vote: RaftVote,
        done: Done,
    },
    /// Removes everything behind `after`.
    Truncate {
        after: Option<LogId>,
        done: Done,
    },
    /// Removes everything up to and with `upto`.
    Purge {
        upto: LogId,
        done: Done,
    },
}

impl Command {
    fn bytes(&self) -> usize {
        match self {
            Command::Append { bytes, .. } => *bytes,
            Command::SaveVote { .. } | Command::Truncate { .. } | Command::Purge { .. } => 0,
        }
    }

    pub(super) fn answer(self, result: Result<(), WriteError>) {
        match self {
            Command::Append { flushed, .. } => flushed.io_completed(result.map_err(io::Error::from)),
            Command::SaveVote { done, .. } | Command::Truncate { done, .. } | Command::Purge { done, .. } => {
                // The asker may have given up waiting; the write stands all the same.
                let _ = done.send(result);
            }
        }
    }
}

pub(super) struct Writer<B> {
    shared: Arc<Shared>,
    trees: Trees,
    barrier: B,
    mark: Mark,
    commands: Receiver<Command>,
    /// Last entry in sled, or the purged position.
    stored_last: Option<LogId>,
    stored_committed: Option<LogId>,
    /// Entries below this index wait to be removed from sled; nobody can read them any more.
    purge_end: Option<u64>,
}

impl<B: Barrier> Writer<B> {
    pub(super) fn new(
        shared: Arc<Shared>,
        trees: Trees,
        barrier: B,
        mark: Mark,
        commands: Receiver<Command>,
    ) -> Self {
        let positions = shared.mirror.read().positions.clone();
        Self {
            trees,
            barrier,
            mark,
            commands,
            stored_last: positions.last,
            stored_committed: positions.committed,
            // A purge that was cut off is taken up again.
            purge_end: positions.purged.map(|purged| purged.index + 1),
            shared,
        }
    }

    /// Runs until all handles are gone.
    pub(super) fn run(mut self) {
        while let Some(group) = self.next_group() {
            self.commit(group);
        }
        if self.shared.failure().is_some() {
            // sled's destructor flushes and panics where that fails. After a failed write there is nothing to save, and
            // the process is about to end; so the destructor does not run.
            std::mem::forget(self.trees.clone());
        } else if let Err(error) = self.store_committed().and_then(|()| self.make_durable()) {
            tracing::warn!(%error, "closing the log: its commit position could not be saved");
        }
    }

    /// Commands for one barrier: the next one, awaited, and those already waiting, up to the group's limit.
    fn next_group(&mut self) -> Option<VecDeque<Command>> {
        let first = loop {
            if self.purge_end.is_none() {
                break self.commands.recv().ok()?;
            }
            match self.commands.try_recv() {
                Ok(command) => break command,
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.purge_some(),
            }
        };
        let mut bytes = first.bytes();
        let mut group = VecDeque::from([first]);
        while bytes < LOG_GROUP_BYTES_MAX {
            let Ok(command) = self.commands.try_recv() else {
                break;
            };
            bytes += command.bytes();
            group.push_back(command);
        }
        Some(group)
    }

    fn commit(&mut self, group: VecDeque<Command>) {
        let result = self.shared.check_healthy().and_then(|()| {
            // A panic inside sled must not leave the callers waiting for ever.
            catch_unwind(AssertUnwindSafe(|| self.write(&group))).unwrap_or_else(|_| {
                Err(WriteError::Disk {
                    folder: self.shared.folder.display().to_string(),
                    detail: "the storage engine panicked".to_owned(),
                })
            })
        });
        let result = result.map_err(|error| self.shared.poison(error));
        let bytes: usize = group.iter().map(Command::bytes).sum();
        for command in group {
            command.answer(result.clone());
        }
        if result.is_ok() {
            self.shared.room.add_permits(bytes);
            self.purge_some();
        }
    }

    fn write(&mut self, group: &VecDeque<Command>) -> Result<(), WriteError> {
        let mut purged = None;
        for command in group {
            match command {
                Command::Append { records, .. } => self.append(records)?,
                Command::SaveVote { vote, .. } => {
                    self.insert_meta(trees::VOTE, meta::encode_vote(vote))?;
                }
                Command::Truncate { after, .. } => self.truncate(*after)?,
                Command::Purge { upto, .. } => {
                    // First, so that a start knows without the engine how far the log may be gone.
                    self.mark
                        .purge(Some(*upto))
                        .map_err(|error| self.disk_error(&error))?;
                    self.insert_meta(trees::PURGED, meta::encode_log_id(upto))?;
                    self.stored_last = self.stored_last.max(Some(*upto));
                    purged = Some(*upto);
                }
            }
        }
        self.store_committed()?;
        self.make_durable()?;
        self.publish(group, purged);
        Ok(())
    }

    /// Seal, flush, barrier, mark: after this the group may be acknowledged.
    fn make_durable(&mut self) -> Result<(), WriteError> {
        let seal = self.mark.give_seal();
        self.insert_meta(trees::SEAL, seal::encode(seal).to_vec())?;
        self.trees.db.flush().map_err(|error| self.sled_error(error))?;
        self.barrier
            .make_durable()
            .map_err(|error| self.disk_error(&error))?;
        self.mark
            .raise(self.stored_last, seal)
            .map_err(|error| self.disk_error(&error))
    }

    /// Shows readers what is durable now.
    fn publish(&mut self, group: &VecDeque<Command>, purged: Option<LogId>) {
        let vote = group.iter().rev().find_map(|command| match command {
            Command::SaveVote { vote, .. } => Some(*vote),
            _ => None,
        });
        // Readers that began earlier may still need what a purge takes away.
        let whole = purged.map(|_| self.shared.reshape.write());
        let mut mirror = self.shared.mirror.write();
        if let Some(vote) = vote {
            mirror.positions.vote = Some(vote);
        }
        if let Some(upto) = purged {
            mirror.purged(upto);
            self.purge_end = Some(upto.index + 1);
        }
        mirror.stored(index_after(&self.stored_last));
        drop(mirror);
        drop(whole);
    }

    fn append(&mut self, records: &[Record]) -> Result<(), WriteError> {
        for record in records {
            let (expected, found) = (index_after(&self.stored_last), record.log_id.index);
            assert_eq!(found, expected, "what was appended in memory has no hole");
            record
                .for_each_part(|key, part| self.trees.entries.insert(key, part).map(drop))
                .map_err(|error| self.sled_error(error))?;
            self.stored_last = Some(record.log_id);
        }
        Ok(())
    }

    /// From the end backward, so that whatever a crash leaves has no hole.
    fn truncate(&mut self, after: Option<LogId>) -> Result<(), WriteError> {
        if index_after(&after) >= index_after(&self.stored_last) {
            return Ok(());
        }
        let _whole = self.shared.reshape.write();
        let purged = self.shared.mirror.read().positions.purged;
        let last = after.max(purged);
        self.mark.lower(last).map_err(|error| self.disk_error(&error))?;
        let start = record::part_key(index_after(&last), 0);
        for found in self.trees.entries.range(start..).keys().rev() {
            let key = found.map_err(|error| self.sled_error(error))?;
            self.trees
                .entries
                .remove(key)
                .map_err(|error| self.sled_error(error))?;
        }
        self.stored_last = last;
        self.shared.mirror.write().truncated(last);
        Ok(())
    }

    /// Removes a slice of what was purged, oldest first. Needs no barrier: the purge's position is durable, and what a
    /// crash brings back is removed again at the next start.
    fn purge_some(&mut self) {
        let Some(end) = self.purge_end else { return };
        let outcome = catch_unwind(AssertUnwindSafe(|| -> sled::Result<usize> {
            let end = record::part_key(end, 0);
            let mut removed = 0;
            for found in self.trees.entries.range(..end).keys().take(LOG_PURGE_PARTS_MAX) {
                self.trees.entries.remove(found?)?;
                removed += 1;
            }
            Ok(removed)
        }));
        match outcome {
            Ok(Ok(removed)) if removed == LOG_PURGE_PARTS_MAX => {}
            Ok(Ok(_)) => self.purge_end = None,
            Ok(Err(error)) => {
                self.purge_end = None;
                self.shared.poison(self.sled_error(error));
            }
            Err(_panic) => {
                self.purge_end = None;
                let folder = self.shared.folder.display().to_string();
                let detail = "the storage engine panicked while removing purged entries".to_owned();
                self.shared.poison(WriteError::Disk { folder, detail });
            }
        }
    }

    /// The commit position rides with the next barrier. It never runs ahead of the stored entries: a restart applies up
    /// to it and must find them all.
    fn store_committed(&mut self) -> Result<(), WriteError> {
        let committed = self.shared.mirror.read().positions.committed;
        if committed == self.stored_committed || committed > self.stored_last {
            return Ok(());
        }
        match &committed {
            Some(log_id) => self.insert_meta(trees::COMMITTED, meta::encode_log_id(log_id))?,
            None => {
                self.trees
                    .meta
                    .remove(trees::COMMITTED)
                    .map_err(|error| self.sled_error(error))?;
            }
        }
        self.stored_committed = committed;
        Ok(())
    }

    fn insert_meta(&self, key: &str, value: Vec<u8>) -> Result<(), WriteError> {
        self.trees
            .meta
            .insert(key, value)
            .map(drop)
            .map_err(|error| self.sled_error(error))
    }

    fn sled_error(&self, error: sled::Error) -> WriteError {
        match error {
            sled::Error::Io(error) => self.disk_error(&error),
            other => {
                let folder = self.shared.folder.display().to_string();
                WriteError::Disk {
                    folder,
                    detail: sled_folder::explain(&other),
                }
            }
        }
    }

    fn disk_error(&self, error: &io::Error) -> WriteError {
        let folder = self.shared.folder.display().to_string();
        // sled copies its errors by kind and text, so the kind is what can be relied on.
        if matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            return WriteError::DiskFull { folder };
        }
        WriteError::Disk {
            folder,
            detail: error.to_string(),
        }
    }
}
