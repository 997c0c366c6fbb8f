//! One bit of the vote log of a stopped node is not what was written.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use ostraka_sim_model::plan::Target;

use super::damage::{Damaged, Undo, used};
use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::rig::Rig;

const OF: &str = "bits read back flipped";

#[derive(Default)]
pub struct BitFlip {
    damaged: Option<(Damaged, Felt)>,
}

impl Nemesis for BitFlip {
    fn name(&self) -> &'static str {
        "bit-flip"
    }

    /// Kills the node, flips a bit in the last tenth of what is used of the file, and starts the node.
    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        rig.kill(index)?;
        let path = rig.data(index)?.vote_log_file();
        let bytes = std::fs::read(&path).map_err(Trouble::with_file(&path))?;
        let at = used(&bytes) / 10 * 9;
        let Some(was) = bytes.get(at).copied() else {
            rig.launch(index)?;
            return Err(Trouble::missing(format!(
                "{} is empty: there is no bit to flip",
                path.display()
            )));
        };
        let flip = || -> std::io::Result<u8> {
            let file = File::options().read(true).write(true).open(&path)?;
            file.write_all_at(&[was ^ 1], at as u64)?;
            file.sync_all()?;
            let mut now = [0];
            file.read_exact_at(&mut now, at as u64)?;
            Ok(now[0])
        };
        let now = flip().map_err(Trouble::with_file(&path))?;
        let undo = Undo {
            path,
            at: at as u64,
            bytes: vec![was],
            length: bytes.len() as u64,
        };
        let damaged = Damaged::start(rig, index, undo)?;
        let felt = Felt::new(u64::from((now ^ was).count_ones()), OF).noting(format!(
            "byte {at} of {}; {}",
            bytes.len(),
            damaged.note(rig)
        ));
        self.damaged = Some((damaged, felt.clone()));
        Ok(felt)
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let (damaged, felt) = self.damaged.take().ok_or_else(|| not_begun(self.name()))?;
        damaged.undo(rig)?;
        Ok(felt)
    }
}
