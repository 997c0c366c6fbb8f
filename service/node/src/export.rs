//! `ostraka export`: a stopped node's vote log as JSON lines, for auditors and for programs that judge a run.
//!
//! One [`Head`], then one [`Line`] an entry, in order. The log is read from a copy, each entry's checksum verified.

use std::io::{self, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostraka_replication::log_store::ReadError;
use ostraka_replication::log_store::record::{Record, RecordKind};
use ostraka_replication::log_store::sled::OfflineLog;
use ostraka_replication::snapshot_store::{CheckedSnapshots, SnapshotError, StoredSnapshot};
use ostraka_replication::{ClusterId, GroupName, NodeNumber};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data_folder::{DataFolder, DataFolderError};
use crate::offline::{OfflineError, Scratch, open_copy};

/// The format that this binary writes; the first line says it.
pub const EXPORT_FORMAT: u32 = 1;

/// Why there is no export, or only the beginning of one. Terminal: an operator must act.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    #[error(transparent)]
    Offline(#[from] OfflineError),
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    #[error("the data folder {0} has no vote log: its node runs identity only, or was never started")]
    NoLog(String),
    #[error("the snapshot at entry {index} cannot be read: {source}")]
    Snapshot { index: u64, source: io::Error },
    #[error(transparent)]
    Entry(#[from] ReadError),
    #[error("the export cannot be written: {0}")]
    Write(io::Error),
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub format: u32,
    /// Release of the program that exported.
    pub ostraka: String,
    pub node: NodeNumber,
    /// Absent: the folder is from before clusters had numbers.
    pub cluster: Option<ClusterId>,
    pub log: String,
    /// First and last entry that follow; absent where none does.
    pub first_index: Option<u64>,
    pub last_index: Option<u64>,
    /// Entries up to here were purged; absent where none was.
    pub purged_index: Option<u64>,
    /// The last entry that this node knows to be committed. Later ones are durable here, and may be committed too.
    pub committed_index: Option<u64>,
    /// An entry that a crash cut short: never acknowledged, and left out.
    pub torn_index: Option<u64>,
    /// Whole ones, oldest first.
    pub snapshots: Vec<SnapshotLine>,
    /// Sentences on snapshots that are damaged or do not fit the log.
    pub problems: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotLine {
    /// The last entry that it covers.
    pub index: u64,
    /// Bytes of the state in it.
    pub bytes: u64,
    /// SHA-256 of these bytes: equal states have equal ones, on every node.
    pub sha256: String,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub index: u64,
    pub term: u64,
    /// The leader's clock in Unix milliseconds; 0 unless `kind` is normal.
    pub stamped_at: u64,
    pub kind: Kind,
    /// This node knows that it is committed. If false, it may be nevertheless.
    pub committed: bool,
    /// The encoded batch in base64 (RFC 4648, section 4); empty unless `kind` is normal.
    pub body: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Blank,
    Normal,
    Membership,
}

/// Writes the vote log of the node whose data folder this is. The node must not be running. What was written before an
/// error is the whole of it only if the last line has the head's `last_index`.
pub fn export(data_dir: &Path, out: &mut dyn Write) -> Result<(), ExportError> {
    let folder = DataFolder::open_existing(data_dir)?;
    let scratch = Scratch::new().map_err(|source| OfflineError::Copy {
        group: GroupName::Vote,
        source,
    })?;
    let log = open_copy(&folder, &scratch, GroupName::Vote)?
        .ok_or_else(|| ExportError::NoLog(data_dir.display().to_string()))?;
    let head = head(&folder, &log)?;
    let committed = head.committed_index;
    write_line(out, &head)?;
    for record in log.entries() {
        write_line(out, &line(&record?, committed))?;
    }
    out.flush().map_err(ExportError::Write)
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> Result<(), ExportError> {
    serde_json::to_writer(&mut *out, line)
        .map_err(io::Error::from)
        .and_then(|()| out.write_all(b"\n"))
        .map_err(ExportError::Write)
}

fn head(folder: &DataFolder, log: &OfflineLog) -> Result<Head, ExportError> {
    let looked = CheckedSnapshots::look_at_all(&folder.snapshots(GroupName::Vote))?;
    let extent = log.extent();
    let damaged = looked.damaged().iter().map(|found| {
        format!(
            "the snapshot {} is damaged ({})",
            found.path.display(),
            found.detail
        )
    });
    let misfit = looked.fit(&folder.log(GroupName::Vote), &extent).err();
    let problems = damaged.chain(misfit.as_ref().map(ToString::to_string)).collect();
    let snapshots: Vec<_> = looked
        .whole()
        .iter()
        .map(snapshot_line)
        .collect::<Result<_, _>>()?;
    let purged = log.purged().map(|id| id.index);
    let first = purged.map_or(0, |index| index + 1);
    let last = log.last().map(|id| id.index).filter(|last| *last >= first);
    // Only what is committed is purged, or applied and so part of a snapshot. A snapshot beyond the log's end came from
    // a peer, and says nothing of the entries here.
    let within = snapshots.iter().map(|snapshot| snapshot.index);
    let within = within.filter(|index| extent.reaches(*index)).max();
    let saved = log.committed().map(|id| id.index);
    Ok(Head {
        format: EXPORT_FORMAT,
        ostraka: env!("CARGO_PKG_VERSION").to_owned(),
        node: folder.node()?,
        cluster: folder.cluster()?.known().map(|record| record.id),
        log: "vote".to_owned(),
        first_index: last.map(|_| first),
        last_index: last,
        purged_index: purged,
        committed_index: saved.max(purged).max(within),
        torn_index: log.torn(),
        snapshots,
        problems,
    })
}

fn snapshot_line(stored: &StoredSnapshot) -> Result<SnapshotLine, ExportError> {
    let digested = || -> io::Result<(u64, String)> {
        let mut digest = Digesting(Sha256::new());
        let bytes = io::copy(&mut stored.open()?, &mut digest)?;
        let digest = digest.0.finalize();
        Ok((bytes, digest.iter().map(|byte| format!("{byte:02x}")).collect()))
    };
    let index = stored.index();
    let (bytes, sha256) = digested().map_err(|source| ExportError::Snapshot { index, source })?;
    Ok(SnapshotLine { index, bytes, sha256 })
}

struct Digesting(Sha256);

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn line(record: &Record, committed: Option<u64>) -> Line {
    let index = record.log_id.index;
    let (kind, body) = match record.kind {
        RecordKind::Blank => (Kind::Blank, String::new()),
        RecordKind::Normal => (Kind::Normal, STANDARD.encode(&record.body)),
        // The members, in another shape than a batch: addresses of machines, which are no matter of an audit of votes.
        RecordKind::Membership => (Kind::Membership, String::new()),
    };
    Line {
        index,
        term: **record.log_id.committed_leader_id(),
        stamped_at: record.stamped_at.0,
        kind,
        committed: committed.is_some_and(|known| index <= known),
        body,
    }
}
