//! A node and all others hear nothing of each other. Clients still reach it: they stand on the other side of the bridge.

use ostraka_sim_model::plan::Target;

use super::firewall::others;
use super::{Felt, Firewall, Nemesis, Rules, not_begun, rule};
use crate::Trouble;
use crate::rig::Rig;

const OF: &str = "packets dropped, both ways";

#[derive(Default)]
pub struct Isolate {
    firewall: Option<Firewall>,
}

impl Nemesis for Isolate {
    fn name(&self) -> &'static str {
        "isolate"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let rules = Rules::both(rule::DROP);
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
