//! A copy of a log to look into. The storage engine mends a file when it opens it, and who looks must not change what is
//! looked at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ostraka_replication::sled_folder::copy_engine_folder;

use crate::config::LogFormat;
use crate::telemetry::complain;

/// A folder for copies, in the system's temporary folder; removed when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("ostraka-offline-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// Copies a log's folder; the copy's path.
    pub(crate) fn copy(&self, name: &str, from: &Path) -> io::Result<PathBuf> {
        let to = self.0.join(name);
        copy_engine_folder(from, &to)?;
        Ok(to)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            let sentence = format!("the copies in {} could not be removed: {error}", self.0.display());
            complain(LogFormat::Pretty, &sentence);
        }
    }
}
