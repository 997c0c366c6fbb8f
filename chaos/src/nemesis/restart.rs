//! A graceful restart: told to stop, and started again. A rolling restart is one of these for each node.

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::rig::{Exit, Rig};

#[derive(Default)]
pub struct Restart {
    stopped: Option<(NodeIndex, Felt)>,
}

impl Nemesis for Restart {
    fn name(&self) -> &'static str {
        "restart"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let exit = rig.stop(index)?;
        let graceful = exit == Exit::Ended(Some(0));
        let felt = Felt::new(u64::from(graceful), "graceful stops").noting(format!("node {index}: {exit:?}"));
        self.stopped = Some((index, felt.clone()));
        Ok(felt)
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let (index, felt) = self.stopped.take().ok_or_else(|| not_begun(self.name()))?;
        rig.launch(index)?;
        Ok(felt)
    }
}
