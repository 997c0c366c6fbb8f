//! Damage to the files of a stopped node, and what the node makes of it when it is started.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use ostraka_sim_model::ids::NodeIndex;

use crate::Trouble;
use crate::limits::NODE_READY_WAIT;
use crate::proc::wait_until;
use crate::rig::{Excuse, Excused, Rig};

/// What was there before.
pub(super) struct Undo {
    pub(super) path: PathBuf,
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
    /// The file's length.
    pub(super) length: u64,
}

impl Undo {
    fn apply(&self) -> Result<(), Trouble> {
        let put_back = || -> std::io::Result<()> {
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&self.path)?;
            file.set_len(self.length)?;
            file.write_all_at(&self.bytes, self.at)?;
            file.sync_all()
        };
        put_back().map_err(Trouble::with_file(&self.path))
    }
}

/// Damage that was done to a node which was then started again.
pub(super) struct Damaged {
    pub(super) index: NodeIndex,
    undo: Undo,
    refused: bool,
    excused: Excused,
}

impl Damaged {
    /// Starts the node on its damaged folder.
    pub(super) fn start(rig: &Rig, index: NodeIndex, undo: Undo) -> Result<Self, Trouble> {
        let excused = rig.excuse(index, Excuse::Disk)?;
        rig.launch(index)?;
        let mut refused = false;
        wait_until(NODE_READY_WAIT, || {
            refused = rig.pid(index).is_ok_and(|pid| pid.is_none());
            refused || rig.is_ready(index)
        });
        Ok(Self {
            index,
            undo,
            refused,
            excused,
        })
    }

    pub(super) fn note(&self, rig: &Rig) -> String {
        if !self.refused {
            return format!("node {} started with it", self.index);
        }
        let log = rig.log(self.index).unwrap_or_default();
        let sentence = log.lines().rev().find(|line| !line.trim().is_empty());
        format!(
            "node {} refused to start: {}",
            self.index,
            sentence.unwrap_or("").trim()
        )
    }

    /// A node that would not start with the damage gets its bytes back, as from a backup. One that did start has dealt with
    /// it, and nothing is written behind its back.
    pub(super) fn undo(self, rig: &Rig) -> Result<(), Trouble> {
        if self.refused || rig.pid(self.index)?.is_none() {
            rig.kill(self.index)?;
            self.undo.apply()?;
        }
        drop(self.excused);
        rig.launch(self.index)
    }
}

/// Bytes from the start of the file up to the last that is not zero: engines allocate ahead.
pub(super) fn used(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_damaged_can_be_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let whole = [1, 2, 3, 4, 0, 0];
        std::fs::write(&path, &whole[..2]).unwrap();
        let undo = Undo {
            path: path.clone(),
            at: 2,
            bytes: whole[2..].to_vec(),
            length: 6,
        };
        undo.apply().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        std::fs::remove_file(&path).unwrap();
        Undo {
            at: 0,
            bytes: whole.to_vec(),
            ..undo
        }
        .apply()
        .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        assert_eq!(used(&whole), 4);
        assert_eq!(used(&[0, 0]), 0);
    }
}
