//! What commands on a stopped node share: its logs, opened as copies, so that nothing of the node is changed.

mod scratch;

use std::io;

use ostraka_replication::GroupName;
use ostraka_replication::log_store::sled::{OfflineLog, OpenError};

use crate::data_folder::{DataFolder, DataFolderError};
pub(crate) use scratch::Scratch;

/// Why a stopped node's log cannot be looked into. Terminal: an operator must act.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error(
        "the {group:?} log cannot be copied to {} to be looked into ({source}): free space there, or set TMPDIR",
        std::env::temp_dir().display()
    )]
    Copy { group: GroupName, source: io::Error },
}

/// Opens a copy of a group's log. `None` where this node never had one; an error where it had and it is gone.
pub(crate) fn open_copy(
    folder: &DataFolder,
    scratch: &Scratch,
    group: GroupName,
) -> Result<Option<OfflineLog>, OfflineError> {
    folder.check_log(group)?;
    let original = folder.log(group);
    if !original.is_dir() {
        return Ok(None);
    }
    let copy = scratch
        .copy(&format!("{group:?}"), &original)
        .map_err(|source| OfflineError::Copy { group, source })?;
    Ok(Some(OfflineLog::open_copy(&copy, &original)?))
}
