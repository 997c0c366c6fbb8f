//! Of a thousand packets between a node and the others, so many are lost by chance, both ways.

use ostraka_sim_model::plan::Target;

use super::firewall::others;
use super::{Felt, Firewall, Nemesis, Rules, not_begun, rule};
use crate::Trouble;
use crate::limits::LOSS_PER_MILLE;
use crate::rig::Rig;

const OF: &str = "packets lost by chance, both ways";

pub struct Loss {
    pub per_mille: u32,
    firewall: Option<Firewall>,
}

impl Default for Loss {
    fn default() -> Self {
        Self::of_per_mille(LOSS_PER_MILLE)
    }
}

impl Loss {
    pub(crate) fn of_per_mille(per_mille: u32) -> Self {
        Self {
            per_mille,
            firewall: None,
        }
    }
}

impl Nemesis for Loss {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let rules = Rules::both(&rule::drop_some(self.per_mille));
        self.firewall = Some(Firewall::around(
            rig,
            index,
            &others(rig, index),
            self.name(),
            &rules,
        )?);
        Ok(Felt::new(0, OF).noting(format!("node {index}")))
    }

    fn end(&mut self, _: &Rig) -> Result<Felt, Trouble> {
        let firewall = self.firewall.take().ok_or_else(|| not_begun(self.name()))?;
        Ok(Felt::new(firewall.remove()?, OF))
    }
}
