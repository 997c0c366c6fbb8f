//! The data folder: who owns it, in which format, and by one process at a time.
//!
//! ```text
//! data/
//!   FORMAT             JSON: format number, node number, cluster
//!   LOCK               held by the running process
//!   secrets.json       unless a secrets file is given
//!   vote/log           vote's replicated log (sled)
//!   vote/snapshots     vote's snapshots
//!   identity/log       identity's replicated log (sled)
//!   identity/snapshots identity's snapshots
//!   identity/accounts  identity's accounts (sled)
//!   audit.log          what operators and organizers did through this node
//! ```

mod private;
mod restoring;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ostraka_replication::{ClusterKeeper, ClusterRecord, GroupName, NodeNumber, REPLACE_NODE};
use serde::{Deserialize, Serialize};

pub use restoring::RestoringFolder;

/// The format this binary writes. A newer binary reads older folders; an older one refuses a newer folder.
pub const DATA_FORMAT: u32 = 1;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
/// There while a backup is being restored, and ever after where that was cut off.
const RESTORING_FILE: &str = "RESTORING";

/// Why a data folder cannot be used. Nothing in it has been changed. All are terminal: an operator must act.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    #[error(
        "the data folder {0} is in use by another ostraka process; stop that one first, or give this one its own --data-dir"
    )]
    InUse(PathBuf),
    #[error(
        "the data folder {path} has format {found}, and this binary knows formats up to {DATA_FORMAT}; start the newer \
         ostraka that wrote it (nothing was changed)"
    )]
    Newer { path: PathBuf, found: u32 },
    #[error(
        "{path} is not a readable ostraka data folder: {what}; is the right disk there? If it is, {REPLACE_NODE} (nothing \
         was changed)"
    )]
    Corrupt { path: PathBuf, what: String },
    #[error("there is no data folder {0}; name the --data-dir that the node was started with")]
    Absent(PathBuf),
    #[error(
        "{path} is not an ostraka data folder: it has no {FORMAT_FILE} file; name the --data-dir that the node was started \
         with"
    )]
    NoFormat { path: PathBuf },
    #[error(
        "the data folder {0} is a file; name a folder, or a place where there is nothing yet (nothing was changed)"
    )]
    IsAFile(PathBuf),
    #[error(
        "a restore into {0} was cut off, and what is there is of no use: empty the folder and restore again (nothing was \
         changed)"
    )]
    HalfRestored(PathBuf),
    #[error(
        "the data folder {path} is not empty: it holds {found}; name an empty folder, or a place where there is nothing yet \
         (nothing was changed)"
    )]
    NotEmpty { path: PathBuf, found: String },
    #[error(
        "the data folder {path} belongs to node {found}, and this process is node {asked}; start it with --node-id {found}"
    )]
    OtherNode {
        path: PathBuf,
        found: NodeNumber,
        asked: NodeNumber,
    },
    #[error(
        "the data folder {path} has lost its {group:?} log: {missing} is not there; put it back if it was moved, else \
         {REPLACE_NODE} (nothing was changed)"
    )]
    LostLog {
        path: PathBuf,
        group: GroupName,
        missing: PathBuf,
    },
    #[error(
        "the secrets file {file} of the data folder {path} is gone; put it back, or copy it from another node of the \
         cluster: with a new one, no token, vote id or retry would be known any more"
    )]
    LostSecrets { path: PathBuf, file: PathBuf },
    #[error(
        "the data folder {0} was used with other secrets; give the secrets file of its own cluster (nothing was \
         changed)"
    )]
    OtherSecrets(PathBuf),
    #[error("the data folder {path} cannot be used: {source}{}", hint(.source))]
    Io { path: PathBuf, source: io::Error },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => {
            "; free space on that disk, then start again: nothing acknowledged was lost"
        }
        io::ErrorKind::PermissionDenied => "; give this user the right to write there, or another --data-dir",
        io::ErrorKind::ReadOnlyFilesystem => "; the file system is read-only: repair or remount it",
        _ => "",
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct FormatFile {
    format: u32,
    node: NodeNumber,
    /// Groups whose log was made here; a log that is listed and gone was lost, and is never begun anew.
    groups: Vec<GroupName>,
    /// Fingerprint of the secrets that the folder is used with: with others, no token, vote id or retry would be known.
    #[serde(default)]
    secrets: Option<String>,
    /// The cluster that the node belongs to. `None`: none yet, or the folder is from before clusters had numbers.
    #[serde(default)]
    cluster: Option<ClusterRecord>,
}

/// An opened folder; the lock is held until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Opens the folder, or makes a new one where there is nothing.
    pub fn open(root: &Path, node: NodeNumber) -> Result<Self, DataFolderError> {
        let io = |source| DataFolderError::Io {
            path: root.to_path_buf(),
            source,
        };
        if root.is_file() {
            return Err(DataFolderError::IsAFile(root.to_path_buf()));
        }
        private::create_or_warn(root).map_err(io)?;
        let is_new = !root.join(FORMAT_FILE).exists();
        if is_new {
            refuse_foreign_content(root)?;
        }
        let lock = take_lock(root)?;
        if is_new {
            let fresh = FormatFile {
                format: DATA_FORMAT,
                node,
                groups: Vec::new(),
                secrets: None,
                cluster: None,
            };
            write_durably(root, FORMAT_FILE, &fresh).map_err(io)?;
        }
        let found = read_format(root)?;
        if found.node != node {
            return Err(DataFolderError::OtherNode {
                path: root.to_path_buf(),
                found: found.node,
                asked: node,
            });
        }
        Ok(Self {
            root: root.to_path_buf(),
            _lock: lock,
        })
    }

    /// Opens an existing folder for reading offline, whichever node's it is.
    pub fn open_existing(root: &Path) -> Result<Self, DataFolderError> {
        let path = root.to_path_buf();
        if !root.exists() {
            return Err(DataFolderError::Absent(path));
        }
        if root.is_file() {
            return Err(DataFolderError::IsAFile(path));
        }
        if !root.join(FORMAT_FILE).exists() {
            return Err(DataFolderError::NoFormat { path });
        }
        read_format(root)?;
        let lock = take_lock(root)?;
        Ok(Self {
            root: root.to_path_buf(),
            _lock: lock,
        })
    }

    /// Refuses a secrets file that is gone from a folder that was used with one.
    pub fn check_secrets_file(&self, file: &Path) -> Result<(), DataFolderError> {
        let was_used = read_format(&self.root)?.secrets.is_some();
        if was_used && !file.exists() {
            return Err(DataFolderError::LostSecrets {
                path: self.root.clone(),
                file: file.to_path_buf(),
            });
        }
        Ok(())
    }

    /// Binds the folder to these secrets at its first use, and refuses others ever after.
    pub fn bind_secrets(&self, fingerprint: &str) -> Result<(), DataFolderError> {
        let mut format = read_format(&self.root)?;
        match &format.secrets {
            Some(known) if known == fingerprint => Ok(()),
            Some(_) => Err(DataFolderError::OtherSecrets(self.root.clone())),
            None => {
                format.secrets = Some(fingerprint.to_string());
                write_durably(&self.root, FORMAT_FILE, &format).map_err(|source| DataFolderError::Io {
                    path: self.root.clone(),
                    source,
                })
            }
        }
    }

    /// Refuses a folder in which this group had a log that is not there any more: a node that forgot what it
    /// acknowledged must not vote or count.
    pub fn check_log(&self, group: GroupName) -> Result<(), DataFolderError> {
        // The file, not the folder: a disk that is not mounted leaves an empty folder in the log's place.
        let missing = self.log(group).join(FORMAT_FILE);
        let had_log = read_format(&self.root)?.groups.contains(&group);
        if had_log && !missing.is_file() {
            return Err(DataFolderError::LostLog {
                path: self.root.clone(),
                group,
                missing,
            });
        }
        Ok(())
    }

    /// Writes down that this group's log exists; call once it does.
    pub fn claim_log(&self, group: GroupName) -> Result<(), DataFolderError> {
        let mut format = read_format(&self.root)?;
        if format.groups.contains(&group) {
            return Ok(());
        }
        format.groups.push(group);
        write_durably(&self.root, FORMAT_FILE, &format).map_err(|source| DataFolderError::Io {
            path: self.root.clone(),
            source,
        })
    }

    /// The record of the node's cluster, kept in this folder.
    pub fn cluster(&self) -> Result<ClusterKeeper, DataFolderError> {
        let found = read_format(&self.root)?.cluster;
        let root = self.root.clone();
        let keep = move |record: &ClusterRecord| {
            let mut format = read_format(&root).map_err(io::Error::other)?;
            format.cluster = Some(*record);
            write_durably(&root, FORMAT_FILE, &format)
        };
        Ok(ClusterKeeper::new(found, Box::new(keep)))
    }

    /// Whose folder it is.
    pub fn node(&self) -> Result<NodeNumber, DataFolderError> {
        Ok(read_format(&self.root)?.node)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn log(&self, group: GroupName) -> PathBuf {
        self.root.join(group_folder(group)).join("log")
    }

    pub fn snapshots(&self, group: GroupName) -> PathBuf {
        self.root.join(group_folder(group)).join("snapshots")
    }

    pub fn accounts(&self) -> PathBuf {
        self.root.join("identity").join("accounts")
    }

    pub fn secrets_file(&self) -> PathBuf {
        self.root.join("secrets.json")
    }
}

fn group_folder(group: GroupName) -> &'static str {
    match group {
        GroupName::Identity => "identity",
        GroupName::Vote => "vote",
    }
}

/// A folder with other things in it is somebody else's: never write into it. A secrets file may be laid in beforehand,
/// and a crash before FORMAT was written leaves LOCK.
fn refuse_foreign_content(root: &Path) -> Result<(), DataFolderError> {
    let io = |source| DataFolderError::Io {
        path: root.to_path_buf(),
        source,
    };
    if root.join(RESTORING_FILE).exists() {
        return Err(DataFolderError::HalfRestored(root.to_path_buf()));
    }
    for entry in fs::read_dir(root).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let is_expected = [LOCK_FILE, "secrets.json", "FORMAT.new", "lost+found"]
            .iter()
            .any(|known| name == *known);
        if !is_expected {
            let what = format!("it has no {FORMAT_FILE} file but holds {name:?}");
            return Err(DataFolderError::Corrupt {
                path: root.to_path_buf(),
                what,
            });
        }
    }
    Ok(())
}

fn take_lock(root: &Path) -> Result<File, DataFolderError> {
    let io = |source| DataFolderError::Io {
        path: root.to_path_buf(),
        source,
    };
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(root.join(LOCK_FILE))
        .map_err(io)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(DataFolderError::InUse(root.to_path_buf())),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

fn read_format(root: &Path) -> Result<FormatFile, DataFolderError> {
    let corrupt = |what: String| DataFolderError::Corrupt {
        path: root.to_path_buf(),
        what,
    };
    let text = fs::read(root.join(FORMAT_FILE)).map_err(|source| DataFolderError::Io {
        path: root.to_path_buf(),
        source,
    })?;
    // The number is read by itself first: a newer format may have any other fields.
    let value: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| corrupt(format!("its {FORMAT_FILE} file is damaged ({error})")))?;
    let found = value
        .get("format")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0);
    if found > u64::from(DATA_FORMAT) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        return Err(DataFolderError::Newer {
            path: root.to_path_buf(),
            found,
        });
    }
    serde_json::from_value(value)
        .map_err(|error| corrupt(format!("its {FORMAT_FILE} file is damaged ({error})")))
}

/// Writes a file so that a power cut leaves either nothing or all of it: temporary name, fsync, rename, fsync of the
/// folder.
fn write_durably(root: &Path, name: &str, content: &FormatFile) -> io::Result<()> {
    let temporary = root.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(content)?)?;
    file.sync_all()?;
    fs::rename(&temporary, root.join(name))?;
    File::open(root)?.sync_all()
}

#[cfg(test)]
mod tests {
    use ostraka_replication::env::Offload;

    use super::*;

    const NODE: NodeNumber = NodeNumber(1);

    #[test]
    fn a_new_folder_is_made_and_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        drop(DataFolder::open(&root, NODE).unwrap());
        drop(DataFolder::open(&root, NODE).unwrap());
        assert!(DataFolder::open_existing(&root).is_ok());
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataFolder::open(dir.path(), NODE).unwrap();
        assert!(matches!(
            DataFolder::open(dir.path(), NODE),
            Err(DataFolderError::InUse(_))
        ));
        drop(held);
        assert!(DataFolder::open(dir.path(), NODE).is_ok());
    }

    #[test]
    fn a_newer_format_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let text = br#"{"format": 2, "shape": "unknown to us"}"#;
        fs::write(dir.path().join(FORMAT_FILE), text).unwrap();
        let refused = DataFolder::open(dir.path(), NODE).unwrap_err();
        assert!(
            matches!(refused, DataFolderError::Newer { found: 2, .. }),
            "{refused}"
        );
        assert_eq!(fs::read(dir.path().join(FORMAT_FILE)).unwrap(), text);
    }

    #[test]
    fn a_damaged_format_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FORMAT_FILE), b"\0\0\0\0").unwrap();
        assert!(matches!(
            DataFolder::open(dir.path(), NODE),
            Err(DataFolderError::Corrupt { .. })
        ));
    }

    #[test]
    fn somebody_elses_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), b"do not touch").unwrap();
        assert!(matches!(
            DataFolder::open(dir.path(), NODE),
            Err(DataFolderError::Corrupt { .. })
        ));
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing may be written into it"
        );
    }

    #[test]
    fn a_log_that_was_there_and_is_gone_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(dir.path(), NODE).unwrap();
        assert!(
            folder.check_log(GroupName::Vote).is_ok(),
            "a new node has none yet"
        );
        let log = folder.log(GroupName::Vote);
        fs::create_dir_all(&log).unwrap();
        fs::write(log.join(FORMAT_FILE), "a log").unwrap();
        folder.claim_log(GroupName::Vote).unwrap();
        assert!(folder.check_log(GroupName::Vote).is_ok());
        fs::remove_file(log.join(FORMAT_FILE)).unwrap();
        let refused = folder.check_log(GroupName::Vote).unwrap_err();
        assert!(matches!(refused, DataFolderError::LostLog { .. }), "{refused}");
        assert!(folder.check_log(GroupName::Identity).is_ok());
    }

    #[tokio::test]
    async fn the_cluster_that_a_folder_belongs_to_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(dir.path(), NODE).unwrap();
        folder.bind_secrets("0123").unwrap();
        assert_eq!(folder.cluster().unwrap().known(), None);
        let record = ClusterRecord {
            id: "00000000000000ff".parse().unwrap(),
            formed_here: true,
        };
        let keeper = std::sync::Arc::new(folder.cluster().unwrap());
        assert_eq!(keeper.settle(record, Offload::Inline).await.unwrap(), record);
        folder.claim_log(GroupName::Vote).unwrap();
        drop(folder);
        let folder = DataFolder::open(dir.path(), NODE).unwrap();
        assert_eq!(folder.cluster().unwrap().known(), Some(record));
        assert!(folder.bind_secrets("4567").is_err(), "the other facts stand too");
    }

    #[test]
    fn another_nodes_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataFolder::open(dir.path(), NODE).unwrap());
        let refused = DataFolder::open(dir.path(), NodeNumber(2)).unwrap_err();
        assert!(matches!(refused, DataFolderError::OtherNode { .. }), "{refused}");
    }
}
