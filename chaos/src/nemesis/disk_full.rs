//! A file of the harness's takes a node's disk up, and gives it back.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;
use rustix::fs::FallocateFlags;
use serde::Deserialize;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::limits::{FULL_DISK_LEFT_BYTES, POLL_PAUSE};
use crate::rig::{Answer, Excuse, Excused, Rig};

const OF: &str = "looks at which the node said that its disk is nearly full";
/// What `/readyz` says then. A node may be not ready for reasons enough of its own.
const REASON: &str = "the disk of the data folder is nearly full";
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
    /// Stands until the space is given back.
    _excused: Excused,
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

#[derive(Deserialize)]
struct Readiness {
    #[serde(default)]
    reasons: Vec<String>,
}

/// Whether the node is not ready for its disk.
fn names_the_disk(answer: &Answer) -> bool {
    let said: Option<Readiness> = serde_json::from_slice(&answer.body).ok();
    answer.status == 503
        && said.is_some_and(|said| said.reasons.iter().any(|reason| reason.starts_with(REASON)))
}

/// One look; a node that does not answer has said nothing.
fn look(rig: &Rig, index: NodeIndex) -> u64 {
    let answer = rig.operator_get(index, "/readyz");
    u64::from(answer.is_ok_and(|answer| names_the_disk(&answer)))
}

impl Nemesis for DiskFull {
    fn name(&self) -> &'static str {
        "disk-full"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        rig.running(index)?;
        let (ballast, free_bytes) = rig.with_disk(index, |disk| Ok((disk.ballast()?, disk.free_bytes()?)))?;
        let leader = rig.status(index).ok().and_then(|status| status.vote()?.leader());
        let since = Instant::now();
        let led = leader == Some(index);
        let mut full = Full {
            index,
            ballast,
            felt: Felt::new(0, OF),
            _excused: rig.excuse(index, Excuse::FullDisk { since, led })?,
        };
        fill(&full.ballast, free_bytes.saturating_sub(self.left_bytes))?;
        let left_bytes = rig.with_disk(index, |disk| disk.free_bytes())?;
        for _ in 0..LOOKS {
            full.felt.bites += look(rig, index);
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
        full.felt.bites += look(rig, index);
        std::fs::remove_file(&full.ballast).map_err(Trouble::with_file(&full.ballast))?;
        // A leader goes on by itself. A follower whose own write met the end of the disk has stopped, and is started as its operator
        // would; whether it may have stopped is judged by whoever judges the run.
        if rig.pid(index)?.is_none() {
            full.felt.note += "; it had stopped";
            rig.launch(index)?;
        }
        Ok(full.felt.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, reasons: &[&str]) -> Answer {
        let body = serde_json::json!({"status": "not ready", "reasons": reasons});
        Answer {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    #[test]
    fn only_the_disks_own_reason_counts() {
        let full = "the disk of the data folder is nearly full: votes are refused, reads go on";
        let silent = "Vote: node 2 has been silent";
        assert!(names_the_disk(&answer(503, &[silent, full])));
        assert!(!names_the_disk(&answer(503, &[silent])));
        assert!(!names_the_disk(&answer(503, &["the node is shutting down"])));
        assert!(!names_the_disk(&answer(200, &[])));
        let garbage = Answer {
            body: b"upstream is gone".to_vec(),
            ..answer(503, &[])
        };
        assert!(!names_the_disk(&garbage));
    }

    /// Another wording would make the fault one that never bites.
    #[test]
    fn the_reason_is_the_services_own() {
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../service/node/src/operator/health.rs"
        );
        assert!(std::fs::read_to_string(source).unwrap().contains(REASON));
    }
}
