//! A file of the harness's takes a node's disk up, and gives it back.

use std::fs::File;
use std::path::PathBuf;

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;
use rustix::fs::FallocateFlags;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::limits::{FULL_DISK_LEFT_BYTES, POLL_PAUSE};
use crate::rig::Rig;

const OF: &str = "looks at which the node said that it is not ready";
/// How often the node is looked at: its own guard looks every few hundred milliseconds.
const LOOKS: u32 = 100;

pub struct DiskFull {
    /// What is left free.
    pub left_bytes: u64,
    full: Option<Full>,
}

/// Dropping it gives the space back.
struct Full {
    index: NodeIndex,
    ballast: PathBuf,
    felt: Felt,
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ballast);
    }
}

impl Default for DiskFull {
    fn default() -> Self {
        Self {
            left_bytes: FULL_DISK_LEFT_BYTES,
            full: None,
        }
    }
}

fn fill(path: &PathBuf, bytes: u64) -> Result<(), Trouble> {
    let file = File::create(path).map_err(Trouble::with_file(path))?;
    if bytes > 0 {
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes).map_err(Trouble::with_file(path))?;
    }
    Ok(())
}

impl Nemesis for DiskFull {
    fn name(&self) -> &'static str {
        "disk-full"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let (ballast, free_bytes) = rig.with_disk(index, |disk| Ok((disk.ballast()?, disk.free_bytes()?)))?;
        let mut full = Full {
            index,
            ballast,
            felt: Felt::new(0, OF),
        };
        fill(&full.ballast, free_bytes.saturating_sub(self.left_bytes))?;
        let left_bytes = rig.with_disk(index, |disk| disk.free_bytes())?;
        for _ in 0..LOOKS {
            full.felt.bites += u64::from(!rig.is_ready(index));
            if full.felt.bites >= 3 {
                break;
            }
            std::thread::sleep(POLL_PAUSE);
        }
        full.felt.note = format!("node {index}: {free_bytes} bytes were free, {left_bytes} are");
        Ok(self.full.insert(full).felt.clone())
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let mut full = self.full.take().ok_or_else(|| not_begun(self.name()))?;
        let index = full.index;
        full.felt.bites += u64::from(!rig.is_ready(index));
        std::fs::remove_file(&full.ballast).map_err(Trouble::with_file(&full.ballast))?;
        // A node whose own write met the end of the disk has stopped by itself.
        if rig.pid(index)?.is_none() {
            full.felt.note += "; it had stopped";
            rig.launch(index)?;
        }
        Ok(full.felt.clone())
    }
}
