//! The nodes' wall clocks differ: each is further ahead than the one before.

use ostraka_sim_model::plan::Target;

use super::clock_jump::{put, put_back};
use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::limits::CLOCK_SKEW_STEP_S;
use crate::rig::Rig;

const OF: &str = "nodes whose stamps are off";

pub struct ClockSkew {
    pub step_s: i64,
    felt: Option<Felt>,
}

impl Default for ClockSkew {
    fn default() -> Self {
        Self {
            step_s: CLOCK_SKEW_STEP_S,
            felt: None,
        }
    }
}

impl Nemesis for ClockSkew {
    fn name(&self) -> &'static str {
        "clock-skew"
    }

    /// The target does not matter.
    fn begin(&mut self, rig: &Rig, _: Target) -> Result<Felt, Trouble> {
        let mut seen = Vec::new();
        for index in rig.indexes() {
            seen.push(put(rig, index, i64::from(index.0) * self.step_s)?);
        }
        let off = seen
            .iter()
            .filter(|seen_s| seen_s.abs() > self.step_s.abs() / 2)
            .count();
        let felt = Felt::new(off as u64, OF).noting(format!("by {seen:?} s"));
        Ok(self.felt.insert(felt).clone())
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let felt = self.felt.take().ok_or_else(|| not_begun(self.name()))?;
        for index in rig.indexes() {
            put_back(rig, index)?;
        }
        Ok(felt)
    }
}
