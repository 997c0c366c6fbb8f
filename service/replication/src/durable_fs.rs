//! Files and folders that are still there after a power cut.
//!
//! A new name is safe only when the folder that holds it was synced, and that folder's own name only when its parent
//! was (fsync(2): "Calling fsync() does not necessarily ensure that the entry in the directory containing the file
//! has also reached disk").

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Syncs a folder, so that the names in it survive.
pub(crate) fn sync_dir(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that holds `path`; `.` for a bare name.
pub(crate) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Creates `folder` and what is missing above it, each synced into its parent. The parent is synced even when the
/// folder exists: whoever created it may have been cut off before doing so.
pub(crate) fn create_dir_all_durable(folder: &Path) -> io::Result<()> {
    let parent = parent_of(folder);
    if !parent.is_dir() {
        create_dir_all_durable(&parent)?;
    }
    match std::fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        Err(error) => return Err(error),
    }
    sync_dir(folder)?;
    sync_dir(&parent)
}

/// Writes a small file so that its name always shows either the old or the whole new content.
pub(crate) fn write_file_durable(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut staged_name = path.as_os_str().to_owned();
    staged_name.push(".tmp");
    let staged = PathBuf::from(staged_name);
    let mut file = File::create(&staged)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&staged, path)?;
    sync_dir(&parent_of(path))
}
