//! Barriers take long.

use std::time::Duration;

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;

use super::injection::{Injection, Tampering};
use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::limits::SLOW_BARRIER;
use crate::rig::Rig;

const OF: &str = "barriers delayed";

pub struct SlowDisk {
    /// Extra time of each barrier.
    pub barrier: Duration,
    injected: Option<(NodeIndex, Injection)>,
}

impl Default for SlowDisk {
    fn default() -> Self {
        Self {
            barrier: SLOW_BARRIER,
            injected: None,
        }
    }
}

impl Nemesis for SlowDisk {
    fn name(&self) -> &'static str {
        "slow-disk"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let what = Tampering::slow("fsync,fdatasync", self.barrier);
        let injection = Injection::begin(rig, index, self.name(), &what)?;
        let felt = Felt::new(injection.bites(), OF).noting(format!("node {index}"));
        self.injected = Some((index, injection));
        Ok(felt)
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let (index, injection) = self.injected.take().ok_or_else(|| not_begun(self.name()))?;
        let bites = injection.end()?;
        rig.launch(index)?;
        Ok(Felt::new(bites, OF).noting(format!("node {index}, {:?} each", self.barrier)))
    }
}
