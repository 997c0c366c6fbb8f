//! The power goes: a process and its file system stop at the same moment, and what no barrier covered is lost.
//!
//! As a nemesis the process is frozen first, so that it neither sees its disk fail nor says anything after the cut; then
//! the file system is shut down without flushing its log, then the process is killed. A barrier that is under way when a
//! process is frozen still ends, so campaigns also cut the other way round ([`First::Disk`]). What the disk itself had taken it keeps:
//! the image's own cache is the machine's memory, and stands for a disk whose cache survives.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;
use rustix::process::Signal;

use super::{Felt, Nemesis, not_begun, pause};
use crate::Trouble;
use crate::limits::CUT_COMPARES_BYTES_MAX;
use crate::proc::{self, ProcessId};
use crate::rig::{Excuse, Fs, Rig};

const OF: &str = "disks cut off with their processes";
/// The size of a page of memory and of a block of both file systems.
const BLOCK_BYTES: usize = 4_096;
/// Files that a note names.
const NAMES_MAX: usize = 5;

/// One machine loses its power.
#[derive(Default)]
pub struct PowerCut {
    cut: Option<Cut>,
}

/// All machines lose their power at once.
#[derive(Default)]
pub struct Blackout {
    cut: Option<Cut>,
}

/// What stops first when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// The process: it says nothing after the cut, and what was lost can be told.
    Process,
    /// The disk: it goes under the running process, which is killed some milliseconds later. Barriers break off in the middle,
    /// and what they were to cover may not be acknowledged. What was lost cannot be told, for it changed until the end.
    Disk,
}

/// What every block was just before, as the processes saw it; nothing where the disks went first.
pub(crate) struct Cut {
    before: Vec<(NodeIndex, Blocks)>,
    /// Nodes whose process ran until then: a disk that nobody writes to loses nothing.
    were_up: u64,
}

/// Should a cut fail half way, its processes go on.
#[derive(Default)]
struct Frozen(Vec<ProcessId>);

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.0 {
            proc::signal(*pid, Signal::CONT);
        }
    }
}

type Blocks = BTreeMap<PathBuf, Vec<u64>>;

impl Cut {
    /// Takes the power from these nodes, at one moment.
    ///
    /// # Errors
    /// [`Trouble::Missing`] where the rig has no disks that can be cut.
    pub(crate) fn make(rig: &Rig, nodes: &[NodeIndex], first: First) -> Result<Self, Trouble> {
        if rig.options().fs == Fs::Host {
            return Err(Trouble::missing(
                "a power cut needs a disk for each node: build the rig with xfs or ext4",
            ));
        }
        match first {
            First::Process => Self::processes_first(rig, nodes),
            First::Disk => Self::disks_first(rig, nodes),
        }
    }

    fn disks_first(rig: &Rig, nodes: &[NodeIndex]) -> Result<Self, Trouble> {
        let mut were_up = 0;
        // A process whose disk is gone may end before it is killed.
        let mut excused = Vec::new();
        for index in nodes {
            excused.push(rig.excuse(*index, Excuse::NoPower)?);
            were_up += u64::from(rig.pid(*index)?.is_some());
        }
        // At one moment, as nearly as threads are.
        std::thread::scope(|scope| {
            let cut = |index: &NodeIndex| rig.with_disk(*index, |disk| disk.cut());
            let cutting: Vec<_> = nodes
                .iter()
                .map(|index| scope.spawn(move || cut(index)))
                .collect();
            let panicked = |_| Err(Trouble::failed("a thread that cuts a disk panicked"));
            cutting
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(panicked))
        })?;
        for index in nodes {
            rig.kill(*index)?;
        }
        let before = nodes.iter().map(|index| (*index, Blocks::new())).collect();
        Ok(Self { before, were_up })
    }

    fn processes_first(rig: &Rig, nodes: &[NodeIndex]) -> Result<Self, Trouble> {
        let mut frozen = Frozen::default();
        for index in nodes {
            if let Some(pid) = rig.pid(*index)? {
                frozen.0.push(pid);
                pause::stop(pid)?;
            }
        }
        let mut before = Vec::new();
        for index in nodes {
            let data = rig.data(*index)?;
            before.push((*index, blocks_below(data.path())));
        }
        for index in nodes {
            rig.with_disk(*index, |disk| disk.cut())?;
        }
        for index in nodes {
            rig.kill(*index)?;
        }
        let were_up = std::mem::take(&mut frozen.0).len() as u64;
        Ok(Self { before, were_up })
    }

    fn felt(&self) -> Felt {
        Felt::new(self.were_up, OF)
    }

    /// The power is back: the disks are mounted again, and nothing is started. What each of them lost.
    ///
    /// # Errors
    /// Where one cannot be mounted any more.
    pub(crate) fn power_back(&self, rig: &Rig) -> Result<Vec<(NodeIndex, Lost)>, Trouble> {
        let mut losses = Vec::new();
        for (index, before) in &self.before {
            rig.with_disk(*index, |disk| disk.remount())?;
            let data = rig.data(*index)?;
            losses.push((*index, Lost::between(before, &blocks_below(data.path()))));
        }
        Ok(losses)
    }

    fn undo(self, rig: &Rig) -> Result<Felt, Trouble> {
        let mut notes = Vec::new();
        for (index, lost) in self.power_back(rig)? {
            notes.push(format!("node {index} {}", lost.note(rig.data(index)?.path())));
        }
        for (index, _) in &self.before {
            rig.launch(*index)?;
        }
        Ok(self.felt().noting(notes.join("; ")))
    }
}

/// A digest of each block of each file, up to a bound. A file that goes while it is read counts as one that was not there.
fn blocks_below(folder: &Path) -> Blocks {
    let mut blocks = Blocks::new();
    let mut left = CUT_COMPARES_BYTES_MAX / BLOCK_BYTES;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() => {
                    if let Ok(digests) = digests(&path, left) {
                        left -= digests.len();
                        blocks.insert(path, digests);
                    }
                }
                _ => {}
            }
        }
    }
    blocks
}

fn digests(path: &Path, blocks_max: usize) -> std::io::Result<Vec<u64>> {
    let mut file = std::fs::File::open(path)?;
    let mut digests = Vec::new();
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    loop {
        block.clear();
        let read = file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if read == 0 || digests.len() >= blocks_max {
            return Ok(digests);
        }
        let mut hasher = DefaultHasher::new();
        block.hash(&mut hasher);
        digests.push(hasher.finish());
    }
}

/// What did not come back as it was.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Blocks that are not what the process had written.
    pub(crate) blocks: usize,
    of: usize,
    /// How many in which file.
    files: Vec<(PathBuf, usize)>,
}

impl Lost {
    fn between(before: &Blocks, after: &Blocks) -> Self {
        let mut lost = Self::default();
        for (path, digests) in before {
            let now = after.get(path);
            let places = digests.iter().enumerate();
            let gone = places
                .filter(|(place, digest)| now.and_then(|now| now.get(*place)) != Some(digest))
                .count();
            lost.blocks += gone;
            lost.of += digests.len();
            if gone > 0 {
                lost.files.push((path.clone(), gone));
            }
        }
        lost
    }

    /// Of these, how many lay in this file.
    pub(crate) fn blocks_in(&self, file: &Path) -> usize {
        let found = self.files.iter().find(|(path, _)| path == file);
        found.map_or(0, |(_, blocks)| *blocks)
    }

    /// With the files' names below `folder`, as many as one likes to read.
    fn note(&self, folder: &Path) -> String {
        let name = |(path, _): &(PathBuf, usize)| {
            let below = path.strip_prefix(folder).unwrap_or(path);
            below.display().to_string()
        };
        let names: Vec<_> = self.files.iter().take(NAMES_MAX).map(name).collect();
        let Self { blocks, of, .. } = self;
        match names.as_slice() {
            [] => format!("lost none of {of} blocks"),
            names => format!("lost {blocks} of {of} blocks, in {}", names.join(" and ")),
        }
    }
}

impl Nemesis for PowerCut {
    fn name(&self) -> &'static str {
        "power-cut"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        rig.running(index)?;
        let cut = self.cut.insert(Cut::make(rig, &[index], First::Process)?);
        Ok(cut.felt().noting(format!("node {index}")))
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        self.cut.take().ok_or_else(|| not_begun(self.name()))?.undo(rig)
    }
}

impl Nemesis for Blackout {
    fn name(&self) -> &'static str {
        "blackout"
    }

    /// The target does not matter.
    fn begin(&mut self, rig: &Rig, _: Target) -> Result<Felt, Trouble> {
        Ok(self
            .cut
            .insert(Cut::make(rig, &rig.indexes(), First::Process)?)
            .felt())
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        self.cut.take().ok_or_else(|| not_begun(self.name()))?.undo(rig)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_was_down_lost_no_power() {
        let before = (0..3).map(|node| (NodeIndex(node), Blocks::new())).collect();
        let cut = Cut { before, were_up: 2 };
        assert_eq!(cut.felt().bites, 2);
    }

    #[test]
    fn changed_shortened_and_missing_blocks_are_lost() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("a", &[1; 2 * BLOCK_BYTES + 5]);
        write("b", &[2; BLOCK_BYTES]);
        let before = blocks_below(folder.path());
        let none = Lost::between(&before, &before);
        assert_eq!((none.blocks, none.of), (0, 4));
        assert_eq!(none.note(folder.path()), "lost none of 4 blocks");
        write("a", &[1; BLOCK_BYTES]);
        std::fs::remove_file(folder.path().join("b")).unwrap();
        let lost = Lost::between(&before, &blocks_below(folder.path()));
        assert_eq!(lost.note(folder.path()), "lost 3 of 4 blocks, in a and b");
        assert_eq!(lost.blocks_in(&folder.path().join("a")), 2);
        assert_eq!(lost.blocks_in(&folder.path().join("c")), 0);
    }
}
