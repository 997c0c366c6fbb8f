//! A node's wall clock jumps, and jumps back. Its monotonic clock goes on.

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::limits::{CLOCK_JUMP_S, CLOCK_SHOWS_WAIT, CLOCK_TOLERANCE_S};
use crate::proc::wait_until;
use crate::rig::Rig;

const OF: &str = "seconds that the node's stamps moved";

pub struct ClockJump {
    /// Forward, or back where it is below zero.
    pub by_s: i64,
    jumped: Option<(NodeIndex, Felt)>,
}

impl Default for ClockJump {
    fn default() -> Self {
        Self {
            by_s: CLOCK_JUMP_S,
            jumped: None,
        }
    }
}

/// Puts a node's clock there and looks at what it stamps its answers with; gives what was seen.
pub(super) fn put(rig: &Rig, index: NodeIndex, offset_s: i64) -> Result<i64, Trouble> {
    rig.set_clock(index, offset_s)?;
    let mut seen_s = None;
    wait_until(CLOCK_SHOWS_WAIT, || {
        seen_s = rig.clock_offset_s(index).ok();
        seen_s.is_some_and(|seen_s| (seen_s - offset_s).abs() <= CLOCK_TOLERANCE_S)
    });
    match seen_s {
        Some(seen_s) if (seen_s - offset_s).abs() <= CLOCK_TOLERANCE_S => Ok(seen_s),
        Some(seen_s) => Err(Trouble::missing(format!(
            "libfaketime does not move this program's clock: node {index} was put {offset_s} s off and stamps {seen_s} s off"
        ))),
        None => Err(Trouble::failed(format!(
            "node {index} does not answer, so its clock cannot be seen"
        ))),
    }
}

/// Sets a node's clock right; one that is down starts with it.
pub(super) fn put_back(rig: &Rig, index: NodeIndex) -> Result<(), Trouble> {
    match rig.pid(index)? {
        Some(_) => put(rig, index, 0).map(drop),
        None => rig.set_clock(index, 0),
    }
}

impl Nemesis for ClockJump {
    fn name(&self) -> &'static str {
        "clock-jump"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let before_s = put(rig, index, 0)?;
        let seen_s = put(rig, index, self.by_s)?;
        let felt = Felt::new((seen_s - before_s).unsigned_abs(), OF).noting(format!("node {index}"));
        self.jumped = Some((index, felt.clone()));
        Ok(felt)
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let (index, felt) = self.jumped.take().ok_or_else(|| not_begun(self.name()))?;
        put_back(rig, index)?;
        Ok(felt)
    }
}
