//! SIGKILL: the process dies at once; what it had written is with the operating system and survives.

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::rig::Rig;

const OF: &str = "processes killed";

#[derive(Default)]
pub struct Kill {
    killed: Option<(NodeIndex, Felt)>,
}

impl Kill {
    /// Nobody is killed who was dead before.
    fn struck(&mut self, index: NodeIndex, was_up: bool) -> Felt {
        let felt = Felt::new(u64::from(was_up), OF).noting(format!("node {index}"));
        self.killed.insert((index, felt)).1.clone()
    }

    fn over(&mut self) -> Result<(NodeIndex, Felt), Trouble> {
        self.killed.take().ok_or_else(|| not_begun(self.name()))
    }
}

impl Nemesis for Kill {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let was_up = rig.kill(index)?;
        Ok(self.struck(index, was_up))
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let (index, felt) = self.over()?;
        rig.launch(index)?;
        Ok(felt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_was_dead_before_was_not_killed() {
        for was_up in [false, true] {
            let mut kill = Kill::default();
            assert_eq!(kill.struck(NodeIndex(1), was_up).bit(), was_up);
            let (index, felt) = kill.over().unwrap();
            assert_eq!((index, felt.bites), (NodeIndex(1), u64::from(was_up)));
            assert!(kill.over().is_err());
        }
    }
}
