//! The log on disk: sled 0.34 with a real barrier.
//!
//! | where | key | value |
//! | --- | --- | --- |
//! | tree `entries` | index (8 bytes, big-endian), part (2) | part of an entry, see [`record`](crate::log_store::record) |
//! | tree `meta` | `vote` | Raft's own vote, see [`meta`](crate::log_store::meta) |
//! | tree `meta` | `committed`, `purged` | a log id |
//! | tree `meta` | `seal` | the last thing before each barrier, see [`seal`](crate::sled_folder::seal) |
//! | file `FORMAT` | | `ostraka log format 1` |
//! | file `MARK` | | up to where the log was once durable, and the seal behind it |
//!
//! An append is in memory, and readable, when it returns; a writer thread puts it into sled and calls back after flush
//! and `fdatasync`. While one barrier runs, the next group gathers.

mod barrier;
mod mark;
mod offline;
mod reader;
mod shared;
mod trees;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use ostraka_core::limits::LOG_PENDING_BYTES_MAX;
use tokio::sync::oneshot;

pub use barrier::{Barrier, FileBarrier};
pub use offline::{OfflineEntries, OfflineLog};
pub use reader::SledLogReader;
pub use trees::OpenError;

use self::mark::Mark;
use self::shared::Shared;
use self::trees::Trees;
use self::writer::{Command, Done, Writer};
use crate::log_store::record::{Record, weight_bytes};
use crate::log_store::{Extent, LogEnd, WriteError};
use crate::sled_folder;
use crate::types::{Entry, LogId, RaftVote, Types};

/// The log in a folder of its own. One handle writes; dropping it waits for the writer thread to end.
pub struct SledLogStore {
    shared: Arc<Shared>,
    entries: sled::Tree,
    /// `None` only while the store is dropped.
    commands: Option<Sender<Command>>,
    writer: Option<JoinHandle<()>>,
}

/// A log that may be opened. Nothing in its folder was changed yet, so a node with more than one can look at all of them
/// before it opens any.
pub struct CheckedLog {
    folder: PathBuf,
}

impl CheckedLog {
    /// Looks at the log in `folder`, or at where there is none yet. Reads the engine's file once, see
    /// [`rehearse`](sled_folder::rehearse).
    pub fn look(folder: &Path) -> Result<Self, OpenError> {
        Self::look_beside(folder, |_| Ok(()))
    }

    /// As [`look`](Self::look), where something else hangs on which entries the log holds: `fits` says whether it fits. It
    /// is asked more than once where what the mark says of the log is not good enough, the last time for what is true. It
    /// must not refuse a log that holds more than one which it took.
    pub fn look_beside<E: From<OpenError>>(
        folder: &Path,
        fits: impl Fn(&Extent) -> Result<(), E>,
    ) -> Result<Self, E> {
        trees::check(folder, fits)?;
        Ok(Self {
            folder: folder.to_path_buf(),
        })
    }

    /// Opens the log, creating it where there is none.
    pub fn open(self) -> Result<SledLogStore, OpenError> {
        self.open_with(FileBarrier::open)
    }

    fn open_with<B: Barrier>(
        self,
        barrier: impl FnOnce(&Path) -> io::Result<B>,
    ) -> Result<SledLogStore, OpenError> {
        let folder = &self.folder;
        trees::prepare_folder(folder)?;
        let found = trees::open(folder)?;
        let failed = |source| trees::io_error(folder, source);
        let barrier = barrier(&trees::db_path(folder)).map_err(failed)?;
        let mark =
            Mark::open(&trees::mark_path(folder), found.seal, found.positions.purged).map_err(failed)?;
        crate::durable_fs::sync_dir(folder).map_err(failed)?;
        if let Some(index) = found.torn {
            tracing::info!(folder = %folder.display(), index, "dropping an entry that a crash cut short");
            remove_torn(&found.trees, index).map_err(|error| OpenError::Damaged {
                folder: folder.to_path_buf(),
                detail: sled_folder::explain(&error),
            })?;
        }
        let shared = Arc::new(Shared::new(folder, found.positions));
        let (commands, receiver) = mpsc::channel();
        let entries = found.trees.entries.clone();
        let writer = Writer::new(shared.clone(), found.trees, barrier, mark, receiver);
        let writer = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(failed)?;
        Ok(SledLogStore {
            shared,
            entries,
            commands: Some(commands),
            writer: Some(writer),
        })
    }
}

impl SledLogStore {
    /// Looks at the log in `folder` and opens it, creating it where there is none.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        CheckedLog::look(folder)?.open()
    }

    /// As [`open`](Self::open), with another barrier: `barrier` is given the path of sled's file. For tests of what
    /// happens when a barrier fails or is late.
    pub fn open_with<B: Barrier>(
        folder: &Path,
        barrier: impl FnOnce(&Path) -> io::Result<B>,
    ) -> Result<Self, OpenError> {
        CheckedLog::look(folder)?.open_with(barrier)
    }

    /// Where the log durably ends, for as long as it is open and after.
    pub fn end(&self) -> LogEnd {
        let shared = self.shared.clone();
        LogEnd::new(move || shared.mirror.read().durable_end())
    }

    fn send(&self, command: Command) -> Result<(), WriteError> {
        let commands = self.commands.as_ref().ok_or(WriteError::Closed)?;
        commands.send(command).map_err(|unsent| {
            let error = self.shared.failure().unwrap_or(WriteError::Closed);
            unsent.0.answer(Err(error.clone()));
            error
        })
    }

    /// Hands a command to the writer and waits until it is durable.
    async fn ask(&self, command: impl FnOnce(Done) -> Command) -> Result<(), io::Error> {
        self.shared.check_healthy()?;
        let (done, answer) = oneshot::channel();
        self.send(command(done))?;
        let result = answer.await.unwrap_or(Err(WriteError::Closed));
        Ok(result?)
    }

    /// Waits for room and shows the entries to readers. The bytes of room that were taken, and what to store.
    async fn accept(&self, entries: &[Entry]) -> Result<(usize, Vec<Record>), WriteError> {
        // What cannot be stored is refused here, where it harms nothing else.
        let records = entries
            .iter()
            .map(Record::from_entry)
            .collect::<Result<Vec<_>, _>>()?;
        let weight: usize = entries.iter().map(weight_bytes).sum();
        // An append larger than all the room waits for all of it, not for ever.
        let bytes = weight.min(LOG_PENDING_BYTES_MAX);
        let permits = u32::try_from(bytes).expect("the limit on pending bytes is below 4 GiB");
        let closed = || self.shared.failure().unwrap_or(WriteError::Closed);
        let room = self
            .shared
            .room
            .acquire_many(permits)
            .await
            .map_err(|_| closed())?;
        self.shared.check_healthy()?;
        self.shared.mirror.write().append(entries)?;
        // The writer gives it back.
        room.forget();
        Ok((bytes, records))
    }
}

fn remove_torn(trees: &Trees, index: u64) -> sled::Result<()> {
    for found in trees.entries.scan_prefix(index.to_be_bytes()).keys().rev() {
        trees.entries.remove(found?)?;
    }
    Ok(())
}

impl Drop for SledLogStore {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!(folder = %self.shared.folder.display(), "the log's writer thread panicked");
        }
        self.shared.poison(WriteError::Closed);
    }
}

impl RaftLogStorage<Types> for SledLogStore {
    type LogReader = SledLogReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let mirror = self.shared.mirror.read();
        let positions = &mirror.positions;
        Ok(LogState {
            last_purged_log_id: positions.purged,
            last_log_id: positions.last,
        })
    }

    async fn get_log_reader(&mut self) -> SledLogReader {
        SledLogReader {
            shared: self.shared.clone(),
            entries: self.entries.clone(),
        }
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> Result<(), io::Error> {
        let vote = *vote;
        self.ask(|done| Command::SaveVote { vote, done }).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.shared.check_healthy()?;
        self.shared.mirror.write().positions.committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.shared.mirror.read().positions.committed)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        match self.accept(&entries).await {
            Ok((bytes, records)) => Ok(self.send(Command::Append {
                records,
                bytes,
                flushed,
            })?),
            Err(error) => {
                flushed.io_completed(Err(error.clone().into()));
                Err(error.into())
            }
        }
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.ask(|done| Command::Truncate { after: last, done }).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.ask(|done| Command::Purge { upto, done }).await
    }
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
