//! The litter file: a line of JSON each, appended and synced before anything is made.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Litter, LitterId};
use crate::Trouble;
use crate::proc::Identity;

const NAME: &str = "litter.jsonl";
/// Until it says whose it is.
const NAME_BEFORE: &str = "litter.jsonl.new";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Harness(Identity),
    Made { id: LitterId, litter: Litter },
    Removed { id: LitterId },
}

pub(super) struct LitterFile {
    path: PathBuf,
    file: File,
}

impl LitterFile {
    /// It has its name only once it says whose it is: without that line, another harness that starts just then would take it
    /// for a dead one's and remove it.
    pub(super) fn create(folder: &Path, harness: Identity) -> Result<Self, Trouble> {
        let (before, path) = (folder.join(NAME_BEFORE), folder.join(NAME));
        let file = File::options()
            .create_new(true)
            .append(true)
            .open(&before)
            .map_err(Trouble::with_file(&before))?;
        let mut this = Self { path, file };
        this.append(&Line::Harness(harness))?;
        std::fs::rename(&before, &this.path).map_err(Trouble::with_file(&this.path))?;
        // The name must survive as well as what is in it.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(Trouble::with_file(folder))?;
        Ok(this)
    }

    pub(super) fn made(&mut self, id: LitterId, litter: &Litter) -> Result<(), Trouble> {
        self.append(&Line::Made {
            id,
            litter: litter.clone(),
        })
    }

    pub(super) fn removed(&mut self, id: LitterId) -> Result<(), Trouble> {
        self.append(&Line::Removed { id })
    }

    /// Nothing is left: so is the file.
    pub(super) fn finish(&mut self) -> Result<(), Trouble> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Trouble::with_file(&self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self, line: &Line) -> Result<(), Trouble> {
        let mut text = serde_json::to_string(line).map_err(Trouble::with_file(&self.path))?;
        text.push('\n');
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all())
            .map_err(Trouble::with_file(&self.path))
    }
}

/// What a litter file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Who made it; `None` where the line that says so cannot be read any more.
    pub(super) harness: Option<Identity>,
    /// What it had not removed, in the order in which it was made.
    pub(super) left: Vec<Litter>,
}

/// `None` where the folder has no litter file.
pub(super) fn read(folder: &Path) -> Result<Option<(PathBuf, Found)>, Trouble> {
    let path = folder.join(NAME);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, parse(&text)))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Trouble::with_file(&path)(error)),
    }
}

/// A line that cannot be read is one whose writer died in the middle of it, so what it speaks of was never made.
fn parse(text: &str) -> Found {
    let mut harness = None;
    let mut left: Vec<(LitterId, Litter)> = Vec::new();
    for line in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match line {
            Line::Harness(identity) => harness = Some(identity),
            Line::Made { id, litter } => left.push((id, litter)),
            Line::Removed { id } => left.retain(|(other, _)| *other != id),
        }
    }
    Found {
        harness,
        left: left.into_iter().map(|(_, litter)| litter).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::ProcessId;

    fn link(name: &str) -> Litter {
        Litter::Link {
            name: name.to_string(),
        }
    }

    #[test]
    fn what_was_written_is_read_without_what_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let harness = Identity {
            pid: ProcessId(1),
            start_ticks: 2,
        };
        let mut file = LitterFile::create(folder.path(), harness).unwrap();
        file.made(LitterId(1), &link("a")).unwrap();
        file.made(LitterId(2), &link("b")).unwrap();
        file.removed(LitterId(1)).unwrap();
        let (path, found) = read(folder.path()).unwrap().unwrap();
        assert_eq!(found.harness, Some(harness));
        assert_eq!(found.left, [link("b")]);
        let mut text = std::fs::read_to_string(path).unwrap();
        text.push_str("{\"made\":{\"id\":3,\"lit");
        assert_eq!(parse(&text).left, [link("b")]);
        file.finish().unwrap();
        file.finish().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
    }

    /// Somebody looks all the time while files are made.
    #[test]
    fn a_file_that_is_there_says_whose_it_is() {
        const FILES: usize = 200;
        let root = tempfile::tempdir().unwrap();
        let folders: Vec<PathBuf> = (0..FILES)
            .map(|number| root.path().join(number.to_string()))
            .collect();
        for folder in &folders {
            std::fs::create_dir(folder).unwrap();
        }
        let harness = Identity {
            pid: ProcessId(1),
            start_ticks: 2,
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for folder in &folders {
                    LitterFile::create(folder, harness).unwrap();
                }
            });
            for folder in &folders {
                let found = loop {
                    if let Some((_, found)) = read(folder).unwrap() {
                        break found;
                    }
                };
                assert_eq!(found.harness, Some(harness));
            }
        });
    }
}
