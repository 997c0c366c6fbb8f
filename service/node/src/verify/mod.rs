//! `ostraka verify`: recounts a stopped node's whole log by itself and compares it with the stored state.
//!
//! Three witnesses must agree: the recount (which shares no logic with the service), the log applied again from its
//! beginning, and every snapshot on disk, byte for byte, at its own index. Where the log's beginning was purged, the
//! oldest snapshot that reaches back to it is taken on trust, and the report says so. Identity's log is recounted in the
//! same way, and compared with the accounts and their snapshots ([`accounts`]).

mod accounts;
mod recount;
mod revocations;

use std::io::{self, Write};
use std::path::Path;

use ostraka_core::{Batch, EntryMeta, Event, EventId, LogIndex, Outcome, State, snapshot};
use ostraka_replication::GroupName;
use ostraka_replication::log_store::ReadError;
use ostraka_replication::log_store::record::{Record, RecordKind};
use ostraka_replication::log_store::sled::OfflineLog;
use ostraka_replication::snapshot_store::{CheckedSnapshots, SnapshotError, StoredSnapshot};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::data_folder::{DataFolder, DataFolderError};
use crate::identity::{AccountsError, SledAccounts};
use crate::offline::{OfflineError, Scratch, open_copy};
pub use accounts::IdentityReport;
use recount::Recount;

/// Why nothing could be verified. Terminal: an operator must act.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    #[error(transparent)]
    Offline(#[from] OfflineError),
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error(transparent)]
    Entry(#[from] ReadError),
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    #[error("the snapshot at entry {index} cannot be read: {what}")]
    Snapshot { index: u64, what: String },
    #[error(
        "the log begins after entry {0}, and no snapshot reaches that far: the state before cannot be known"
    )]
    NoBeginning(u64),
}

/// What was found. `agrees` is the verdict.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub agrees: bool,
    /// Sentences; empty when everything agrees.
    pub disagreements: Vec<String>,
    /// The entry whose snapshot was trusted as the beginning; 0 where the whole log was there.
    pub trusted_index: u64,
    pub last_index: u64,
    pub identity: IdentityReport,
    /// Entries behind the last position that is known to be committed: durable here, decided by the cluster.
    pub entries_after_committed: u64,
    pub votes_submitted: u64,
    pub votes_counted: u64,
    pub votes_duplicate: u64,
    pub votes_rejected: u64,
    pub events: Vec<EventReport>,
    pub snapshots_compared: Vec<u64>,
}

#[derive(Debug, Serialize)]
pub struct EventReport {
    pub event_id: String,
    pub event_name: String,
    pub counted: u64,
    pub totals: Vec<u64>,
}

/// Verifies both logs of the node whose data folder this is. The node must not be running.
pub fn verify(data_dir: &Path) -> Result<Report, VerifyError> {
    let folder = DataFolder::open_existing(data_dir)?;
    let scratch = Scratch::new().map_err(|source| OfflineError::Copy {
        group: GroupName::Vote,
        source,
    })?;
    let (identity, disagreements) = audit_identity(&folder, &scratch)?;
    let Some(log) = open_copy(&folder, &scratch, GroupName::Vote)? else {
        return Ok(Report {
            agrees: disagreements.is_empty(),
            disagreements,
            identity,
            ..Report::default()
        });
    };
    let (snapshots, found) = Snapshots::look(&folder, GroupName::Vote, &log)?;
    let mut audit = Audit::begin(&log, snapshots)?;
    audit.report.disagreements.extend(found);
    for record in log.entries() {
        audit.entry(&record?)?;
    }
    audit.report.identity = identity;
    audit.report.disagreements.extend(disagreements);
    Ok(audit.finish(&log))
}

fn audit_identity(
    folder: &DataFolder,
    scratch: &Scratch,
) -> Result<(IdentityReport, Vec<String>), VerifyError> {
    let Some(log) = open_copy(folder, scratch, GroupName::Identity)? else {
        return Ok(Default::default());
    };
    let original = folder.accounts();
    let stored = if original.is_dir() {
        let copy = scratch
            .copy("accounts", &original)
            .map_err(|source| OfflineError::Copy {
                group: GroupName::Identity,
                source,
            })?;
        Some(SledAccounts::open_copy(&copy, &original)?)
    } else {
        None
    };
    let (snapshots, mut disagreements) = Snapshots::look(folder, GroupName::Identity, &log)?;
    let (report, found) = accounts::audit(&log, snapshots, stored)?;
    disagreements.extend(found);
    Ok((report, disagreements))
}

/// A group's snapshots that are whole, oldest first, and why those do not suffice to begin from, if so.
struct Snapshots {
    whole: Vec<StoredSnapshot>,
    misfit: Option<SnapshotError>,
}

impl Snapshots {
    /// Reads all of them to their ends. With them a sentence for each that is damaged, and for what a start would refuse.
    fn look(
        folder: &DataFolder,
        group: GroupName,
        log: &OfflineLog,
    ) -> Result<(Self, Vec<String>), VerifyError> {
        let looked = CheckedSnapshots::look_at_all(&folder.snapshots(group))?;
        let extent = log.extent();
        let misfit = looked.fit(&folder.log(group), &extent).err();
        let mut found: Vec<String> = looked
            .damaged()
            .iter()
            .map(|damaged| {
                format!(
                    "the snapshot {} is damaged ({}); where the log or an older one says the same it is not needed, and is \
                     set aside by a start that comes upon it",
                    damaged.path.display(),
                    damaged.detail
                )
            })
            .collect();
        found.extend(misfit.as_ref().map(ToString::to_string));
        // One that a node was just taking over from a peer is nothing to compare with, and no fault.
        let mut whole = looked.whole().to_vec();
        whole.retain(|stored| !looked.is_early(stored.index(), &extent) || extent.reaches(stored.index()));
        Ok((Self { whole, misfit }, found))
    }

    /// The snapshot from which the state is known, where the log was purged up to `purged`.
    fn beginning(&mut self, purged: u64) -> Result<&StoredSnapshot, VerifyError> {
        let oldest = self.whole.iter().find(|stored| stored.index() >= purged);
        match (oldest, self.misfit.take()) {
            (Some(oldest), _) => Ok(oldest),
            (None, Some(misfit)) => Err(misfit.into()),
            (None, None) => Err(VerifyError::NoBeginning(purged)),
        }
    }
}

/// The walk along the log.
struct Audit {
    state: State,
    /// `None` where the log's beginning is gone: a recount from the middle would be a guess.
    recount: Option<Recount>,
    snapshots: Vec<StoredSnapshot>,
    report: Report,
}

impl Audit {
    fn begin(log: &OfflineLog, mut stored: Snapshots) -> Result<Self, VerifyError> {
        let purged = log.purged().map_or(0, |id| id.index);
        let mut report = Report::default();
        let mut state = State::new();
        if purged > 0 {
            let oldest = stored.beginning(purged)?;
            state = read(oldest)?;
            report.trusted_index = oldest.index();
        }
        let mut snapshots = stored.whole;
        snapshots.retain(|stored| stored.index() > report.trusted_index);
        Ok(Self {
            state,
            recount: (purged == 0).then(Recount::default),
            snapshots,
            report,
        })
    }

    fn entry(&mut self, record: &Record) -> Result<(), VerifyError> {
        let index = LogIndex(record.log_id.index);
        if index.0 == 0 || index.0 <= self.report.trusted_index {
            return Ok(());
        }
        match record.kind {
            RecordKind::Blank | RecordKind::Membership => self.state.skip(index),
            RecordKind::Normal => self.batch(
                EntryMeta {
                    index,
                    stamped_at: record.stamped_at,
                },
                &record.body,
            ),
        }
        self.report.last_index = index.0;
        if let Some(place) = self.snapshots.iter().position(|stored| stored.index() == index.0) {
            let stored = self.snapshots.remove(place);
            self.compare(&stored)?;
        }
        Ok(())
    }

    fn batch(&mut self, meta: EntryMeta, body: &[u8]) {
        let batch = match Batch::decode(body) {
            Ok(batch) => batch,
            Err(error) => {
                self.report
                    .disagreements
                    .push(format!("entry {} cannot be read: {error}", meta.index.0));
                self.state.skip(meta.index);
                return;
            }
        };
        if let Some(recount) = &mut self.recount {
            recount.entry(meta, &batch);
        }
        let applied = self.state.apply(meta, &batch);
        let votes = applied
            .outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Vote(_)));
        self.report.votes_submitted += votes.count() as u64;
    }

    fn compare(&mut self, stored: &StoredSnapshot) -> Result<(), VerifyError> {
        let index = stored.index();
        if digest(&read(stored)?) != digest(&self.state) {
            self.report.disagreements.push(format!(
                "the snapshot at entry {index} is not what the log gives there"
            ));
        }
        self.report.snapshots_compared.push(index);
        Ok(())
    }

    fn finish(mut self, log: &OfflineLog) -> Report {
        let report = &mut self.report;
        if let Some(recount) = &self.recount {
            report.disagreements.extend(recount.differences(&self.state));
            if recount.votes_submitted != report.votes_submitted {
                let (recounted, applied) = (recount.votes_submitted, report.votes_submitted);
                report
                    .disagreements
                    .push(format!("{recounted} votes in the log, {applied} outcomes"));
            }
        }
        if let Err(broken) = self.state.check_invariants() {
            report.disagreements.push(broken.to_string());
        }
        for stored in &self.snapshots {
            let what = format!(
                "the snapshot at entry {} is ahead of the log's last entry",
                stored.index()
            );
            report.disagreements.push(what);
        }
        report.events = self.state.events().map(EventReport::of).collect();
        report.votes_counted = self.state.events().map(Event::counted).sum();
        report.votes_duplicate = self.state.events().map(Event::duplicates).sum();
        report.votes_rejected = self.state.events().map(Event::rejected).sum();
        let committed = log.committed().map_or(0, |id| id.index);
        report.entries_after_committed = report
            .last_index
            .saturating_sub(committed.max(report.trusted_index));
        report.agrees = report.disagreements.is_empty();
        self.report
    }
}

impl EventReport {
    fn of(event: &Event) -> Self {
        let id: EventId = event.id();
        Self {
            event_id: id.to_string(),
            event_name: event.name().to_string(),
            counted: event.counted(),
            totals: event.totals().to_vec(),
        }
    }
}

fn read(stored: &StoredSnapshot) -> Result<State, VerifyError> {
    let broken = |what: String| VerifyError::Snapshot {
        index: stored.index(),
        what,
    };
    let mut reader = stored.open().map_err(|error| broken(error.to_string()))?;
    snapshot::read(&mut reader).map_err(|error| broken(error.to_string()))
}

/// Equal states have equal bytes; their digests are compared, because the bytes of 300 million voters are many.
fn digest(state: &State) -> [u8; 32] {
    struct Hashing(Sha256);
    impl Write for Hashing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hashing = Hashing(Sha256::new());
    snapshot::write(state, &mut hashing).expect("hashing does not fail");
    hashing.0.finalize().into()
}
