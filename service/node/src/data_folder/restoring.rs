//! A data folder that a backup is being restored into. It is none until [`RestoringFolder::finish`] has ended: `FORMAT`
//! comes last, and nothing starts without it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ostraka_replication::{ClusterRecord, GroupName, NodeNumber};

use super::{
    DATA_FORMAT, DataFolderError, FORMAT_FILE, FormatFile, LOCK_FILE, RESTORING_FILE, group_folder, private,
    take_lock, write_durably,
};

/// Holds the folder's lock.
#[derive(Debug)]
pub struct RestoringFolder {
    root: PathBuf,
    _lock: File,
}

impl RestoringFolder {
    /// Takes an empty folder, or makes one. A secrets file may lie in it.
    pub fn begin(root: &Path) -> Result<Self, DataFolderError> {
        let io = |source| DataFolderError::Io {
            path: root.to_path_buf(),
            source,
        };
        Self::check_empty(root)?;
        private::create_or_warn(root).map_err(io)?;
        let lock = take_lock(root)?;
        // A sign for whoever finds it half done, and a look at the disk before much is written.
        let marker = File::create(root.join(RESTORING_FILE)).map_err(io)?;
        let synced = marker.sync_all().and_then(|()| File::open(root)?.sync_all());
        synced.map_err(io)?;
        Ok(Self {
            root: root.to_path_buf(),
            _lock: lock,
        })
    }

    /// Whether [`begin`](Self::begin) would take it. Writes nothing.
    pub fn check_empty(root: &Path) -> Result<(), DataFolderError> {
        if root.is_file() {
            return Err(DataFolderError::IsAFile(root.to_path_buf()));
        }
        if !root.exists() {
            return Ok(());
        }
        let io = |source| DataFolderError::Io {
            path: root.to_path_buf(),
            source,
        };
        for entry in fs::read_dir(root).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let is_expected = [LOCK_FILE, "secrets.json", "lost+found"]
                .iter()
                .any(|known| name == *known);
            if !is_expected {
                return Err(DataFolderError::NotEmpty {
                    path: root.to_path_buf(),
                    found: name.to_string_lossy().into_owned(),
                });
            }
        }
        Ok(())
    }

    pub fn log(&self, group: GroupName) -> PathBuf {
        self.root.join(group_folder(group)).join("log")
    }

    pub fn snapshots(&self, group: GroupName) -> PathBuf {
        self.root.join(group_folder(group)).join("snapshots")
    }

    /// Makes it a data folder, durably. Everything in it must be durable already.
    pub fn finish(
        self,
        node: NodeNumber,
        groups: Vec<GroupName>,
        secrets: String,
        cluster: ClusterRecord,
    ) -> Result<(), DataFolderError> {
        let format = FormatFile {
            format: DATA_FORMAT,
            node,
            groups,
            secrets: Some(secrets),
            cluster: Some(cluster),
        };
        let finished = fs::remove_file(self.root.join(RESTORING_FILE))
            .and_then(|()| write_durably(&self.root, FORMAT_FILE, &format))
            .and_then(|()| {
                let parent = self.root.canonicalize()?;
                File::open(parent.parent().unwrap_or(&parent))?.sync_all()
            });
        finished.map_err(|source| DataFolderError::Io {
            path: self.root.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use ostraka_replication::ClusterId;

    use super::*;
    use crate::data_folder::DataFolder;

    const NODE: NodeNumber = NodeNumber(4);

    #[test]
    fn a_folder_is_none_before_the_end_of_its_restore() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        let restoring = RestoringFolder::begin(&root).unwrap();
        fs::create_dir_all(restoring.log(GroupName::Vote)).unwrap();
        drop(restoring);
        let half = DataFolder::open(&root, NODE).unwrap_err();
        assert!(matches!(half, DataFolderError::HalfRestored(_)), "{half}");
        assert!(DataFolder::open_existing(&root).is_err());
        let again = RestoringFolder::begin(&root).unwrap_err();
        assert!(matches!(again, DataFolderError::NotEmpty { .. }), "{again}");

        fs::remove_dir_all(&root).unwrap();
        let restoring = RestoringFolder::begin(&root).unwrap();
        let cluster = ClusterRecord {
            id: ClusterId(9),
            formed_here: true,
        };
        restoring
            .finish(NODE, Vec::new(), "0123".to_owned(), cluster)
            .unwrap();
        let folder = DataFolder::open(&root, NODE).unwrap();
        assert_eq!(folder.cluster().unwrap().known(), Some(cluster));
        assert!(folder.bind_secrets("4567").is_err());
    }

    #[test]
    fn what_is_in_a_folder_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secrets.json"), "{}").unwrap();
        RestoringFolder::check_empty(dir.path()).unwrap();
        fs::write(dir.path().join("thesis.txt"), "do not touch").unwrap();
        let refused = RestoringFolder::begin(dir.path()).unwrap_err();
        assert!(matches!(refused, DataFolderError::NotEmpty { .. }), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
