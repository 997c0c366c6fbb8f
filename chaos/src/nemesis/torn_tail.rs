//! The end of the vote log of a stopped node is gone.

use std::fs::File;

use ostraka_sim_model::plan::Target;

use super::damage::{Damaged, Undo, used};
use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::limits::TORN_TAIL_BYTES;
use crate::rig::Rig;

const OF: &str = "used bytes cut off";

#[derive(Default)]
pub struct TornTail {
    damaged: Option<(Damaged, Felt)>,
}

impl Nemesis for TornTail {
    fn name(&self) -> &'static str {
        "torn-tail"
    }

    /// Kills the node, cuts its log off within the last record, and starts it.
    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        rig.kill(index)?;
        let path = rig.data(index)?.vote_log_file();
        let bytes = std::fs::read(&path).map_err(Trouble::with_file(&path))?;
        let used = used(&bytes) as u64;
        let at = used.saturating_sub(TORN_TAIL_BYTES);
        let tear = || -> std::io::Result<u64> {
            let file = File::options().write(true).open(&path)?;
            file.set_len(at)?;
            file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        let length = tear().map_err(Trouble::with_file(&path))?;
        let undo = Undo {
            path,
            at,
            bytes: bytes[usize::try_from(at).unwrap_or(0)..].to_vec(),
            length: bytes.len() as u64,
        };
        let damaged = Damaged::start(rig, index, undo)?;
        let felt = Felt::new(used.saturating_sub(length), OF).noting(damaged.note(rig));
        self.damaged = Some((damaged, felt.clone()));
        Ok(felt)
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let (damaged, felt) = self.damaged.take().ok_or_else(|| not_begun(self.name()))?;
        damaged.undo(rig)?;
        Ok(felt)
    }
}
