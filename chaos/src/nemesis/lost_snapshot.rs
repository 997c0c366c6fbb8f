//! The newest snapshot of a stopped node is gone.

use std::path::{Path, PathBuf};

use ostraka_sim_model::plan::Target;

use super::damage::{Damaged, Undo};
use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::rig::Rig;

const OF: &str = "snapshots deleted";

#[derive(Default)]
pub struct LostSnapshot {
    damaged: Option<(Damaged, Felt)>,
}

/// Names hold the index with leading zeros, so the last by name is the newest.
fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with("snapshot-") && path.extension().is_some_and(|ending| ending == "ost")
        })
        .max()
}

impl Nemesis for LostSnapshot {
    fn name(&self) -> &'static str {
        "lost-snapshot"
    }

    /// Kills the node, deletes its newest snapshot of the votes, and starts it.
    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let folder = rig.data(index)?.vote_snapshots();
        if newest(&folder).is_none() {
            return Err(Trouble::missing(format!(
                "node {index} has no snapshot that could be lost: build the rig with a smaller --snapshot-every-entries, or send more votes first"
            )));
        }
        rig.kill(index)?;
        let Some(path) = newest(&folder) else {
            return Err(Trouble::failed(format!(
                "{} lost its snapshot by itself",
                folder.display()
            )));
        };
        let bytes = std::fs::read(&path).map_err(Trouble::with_file(&path))?;
        std::fs::remove_file(&path).map_err(Trouble::with_file(&path))?;
        let gone = !path.exists();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let undo = Undo {
            path,
            at: 0,
            length: bytes.len() as u64,
            bytes,
        };
        let damaged = Damaged::start(rig, index, undo)?;
        let felt = Felt::new(u64::from(gone), OF).noting(format!("{name}; {}", damaged.note(rig)));
        self.damaged = Some((damaged, felt.clone()));
        Ok(felt)
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let (damaged, felt) = self.damaged.take().ok_or_else(|| not_begun(self.name()))?;
        damaged.undo(rig)?;
        Ok(felt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_the_one_of_the_highest_index() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest(folder.path()), None);
        for name in [
            "snapshot-00000000000000000009.ost",
            "snapshot-00000000000000000010.ost",
            "snapshot-00000000000000000011.ost.damaged",
            "incoming-99",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = newest(folder.path()).unwrap();
        assert!(found.ends_with("snapshot-00000000000000000010.ost"), "{found:?}");
    }
}
