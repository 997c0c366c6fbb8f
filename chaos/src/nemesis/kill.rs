//! SIGKILL: the process dies at once; what it had written is with the operating system and survives.

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::rig::Rig;

const OF: &str = "processes killed";

#[derive(Default)]
pub struct Kill {
    killed: Option<NodeIndex>,
}

impl Nemesis for Kill {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let was_up = rig.kill(index)?;
        self.killed = Some(index);
        Ok(Felt::new(u64::from(was_up), OF).noting(format!("node {index}")))
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let index = self.killed.take().ok_or_else(|| not_begun(self.name()))?;
        rig.launch(index)?;
        Ok(Felt::new(1, OF).noting(format!("node {index}")))
    }
}
