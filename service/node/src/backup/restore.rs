//! `ostraka restore`: a backup becomes the data folder of a new cluster of one node.
//!
//! Everything is read and found sound before anything is written. The folder is no data folder before all of it is
//! durable, so what a crash leaves does not start. The new cluster has a number of its own, and nodes of the old one that
//! come back are refused by it.

use std::io::{self, Write};
use std::path::PathBuf;

use ostraka_core::limits::{RESTORED_LOG_GAP_ENTRIES, RESTORED_LOG_INDEX_MAX};
use ostraka_core::{LogIndex, State, snapshot};
use ostraka_replication::beginning::{BeginError, Beginning};
use ostraka_replication::snapshot_store::SnapshotReader;
use ostraka_replication::{ClusterId, ClusterRecord, GroupName, NodeNumber, PeerAddr};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Content;
use super::file::{BackupFile, BackupFileError, Contents, Point, Summary};
use crate::data_folder::{DataFolderError, RestoringFolder};
use crate::env::Entropy;
use crate::secrets::{Secrets, SecretsError};

/// Why nothing was restored. All are terminal: an operator must act. Nothing was written, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    File(#[from] BackupFileError),
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(
        "the backup does not hold its cluster's secrets, and there is no file {0}: give the --secrets-file that the cluster \
         had; with other secrets no token, vote id or retry would be known (nothing was written)"
    )]
    NoSecrets(PathBuf),
    #[error(
        "the secrets file {path} (fingerprint {found}) is not that of the backup's cluster (fingerprint {wanted}): with \
         these secrets no token, vote id or retry would be known (nothing was written)"
    )]
    OtherSecrets {
        path: PathBuf,
        found: String,
        wanted: String,
    },
    #[error("the backup holds no log at all (nothing was written)")]
    Empty,
    #[error(
        "the vote log has come to entry {0}, behind which there is no room for another cluster's (nothing was written)"
    )]
    LogAtItsEnd(u64),
    #[error("restoring into {path} was cut off: {source}; empty that folder and restore again")]
    Begin { path: PathBuf, source: BeginError },
    #[error("restoring into {path} was cut off: {source}; empty that folder and restore again")]
    CutOff { path: PathBuf, source: RestoredPart },
}

/// What could not be written any more.
#[derive(Debug, thiserror::Error)]
pub enum RestoredPart {
    #[error(transparent)]
    Secrets(SecretsError),
    #[error(transparent)]
    Folder(DataFolderError),
}

/// What is to be made of a backup.
#[derive(Clone, Debug)]
pub struct Plan {
    pub from: PathBuf,
    pub data_dir: PathBuf,
    /// Number of the new cluster's first node.
    pub node: NodeNumber,
    /// Where the other nodes will reach its peer port.
    pub peer: PeerAddr,
    /// `None`: the one in the data folder, or the one in the backup.
    pub secrets_file: Option<PathBuf>,
}

/// What was made.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// The new cluster.
    pub cluster: ClusterId,
    pub node: NodeNumber,
    pub peer: PeerAddr,
    /// The vote log goes on behind this entry.
    pub vote_log_goes_on_after: Option<u64>,
    /// Where the secrets are, with a new token key. Every node of the new cluster needs this file.
    pub secrets_file: PathBuf,
    /// Whether the secrets came out of the backup.
    pub secrets_restored: bool,
    pub backup: Summary,
}

/// Restores. Takes the memory that the votes take on a node, and blocks.
pub async fn restore(plan: &Plan, entropy: &dyn Entropy) -> Result<Restored, RestoreError> {
    let file = BackupFile::open(&plan.from)?;
    let contents = file.contents()?;
    let summary = contents.summary(file.header());
    RestoringFolder::check_empty(&plan.data_dir)?;
    let secrets = choose_secrets(plan, &file, &contents)?;
    let votes = contents.votes.map(behind_a_gap).transpose()?;
    if votes.is_none() && contents.accounts.is_none() {
        return Err(RestoreError::Empty);
    }

    let folder = RestoringFolder::begin(&plan.data_dir)?;
    let mut groups = Vec::new();
    if let Some((point, _)) = contents.accounts {
        let part = file.part(Content::Identity)?.expect("it was read before");
        let accounts = |out: &mut dyn Write| io::copy(&mut SnapshotReader::start(part)?, out).map(drop);
        begin(plan, &folder, GroupName::Identity, point, accounts).await?;
        groups.push(GroupName::Identity);
    }
    if let Some((point, state)) = &votes {
        let state = |out: &mut dyn Write| snapshot::write(state, out);
        begin(plan, &folder, GroupName::Vote, *point, state).await?;
        groups.push(GroupName::Vote);
    }
    let cut_off = |source| RestoreError::CutOff {
        path: plan.data_dir.clone(),
        source,
    };
    // Accounts made after the backup are gone, and their numbers are given out again: a token of theirs would be somebody else's.
    let text = Secrets::with_new_token_key(&secrets.text, entropy);
    Secrets::write_text(&secrets.path, &text).map_err(|error| cut_off(RestoredPart::Secrets(error)))?;
    let cluster = ClusterRecord {
        id: ClusterId(entropy.u64()),
        formed_here: true,
    };
    let fingerprint = file.header().secrets.clone();
    folder
        .finish(plan.node, groups, fingerprint, cluster)
        .map_err(|error| cut_off(RestoredPart::Folder(error)))?;
    Ok(Restored {
        cluster: cluster.id,
        node: plan.node,
        peer: plan.peer.clone(),
        vote_log_goes_on_after: votes.map(|(point, _)| point.index),
        secrets_file: secrets.path,
        secrets_restored: secrets.come_from_backup,
        backup: summary,
    })
}

/// The secrets of the backup's cluster, and the file that they will lie in.
struct Chosen {
    path: PathBuf,
    text: Zeroizing<String>,
    come_from_backup: bool,
}

/// The secrets of the backup's cluster must be at hand.
fn choose_secrets(plan: &Plan, file: &BackupFile, contents: &Contents) -> Result<Chosen, RestoreError> {
    let own = plan.data_dir.join("secrets.json");
    let path = plan.secrets_file.as_ref().unwrap_or(&own);
    if !path.exists() {
        return match &contents.secrets {
            Some(text) if plan.secrets_file.is_none() => Ok(Chosen {
                path: own,
                text: text.clone(),
                come_from_backup: true,
            }),
            _ => Err(RestoreError::NoSecrets(path.clone())),
        };
    }
    let (secrets, text) = Secrets::load_text(path)?;
    let (found, wanted) = (secrets.fingerprint(), &file.header().secrets);
    if found == *wanted {
        return Ok(Chosen {
            path: path.clone(),
            text,
            come_from_backup: false,
        });
    }
    Err(RestoreError::OtherSecrets {
        path: path.clone(),
        found,
        wanted: wanted.clone(),
    })
}

/// The votes as of a later entry. The lost cluster may have gone on behind the backup and told people so: vote ids and
/// stream positions name entries, and none of those must ever name another.
fn behind_a_gap((point, mut state): (Point, State)) -> Result<(Point, State), RestoreError> {
    if point.index > RESTORED_LOG_INDEX_MAX {
        return Err(RestoreError::LogAtItsEnd(point.index));
    }
    let index = point.index + RESTORED_LOG_GAP_ENTRIES;
    state.skip(LogIndex(index));
    Ok((Point { index, ..point }, state))
}

async fn begin(
    plan: &Plan,
    folder: &RestoringFolder,
    group: GroupName,
    point: Point,
    state: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), RestoreError> {
    let beginning = Beginning {
        term: point.term,
        index: point.index,
        node: plan.node,
        addr: plan.peer.clone(),
    };
    beginning
        .write(&folder.log(group), &folder.snapshots(group), state)
        .await
        .map_err(|source| RestoreError::Begin {
            path: plan.data_dir.clone(),
            source,
        })
}
