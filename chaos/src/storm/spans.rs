//! When what was so: faults, and who led.

use ostraka_sim_model::ids::{FaultId, NodeIndex, SimMicros};
use serde::{Deserialize, Serialize};

use super::StormFault;
use crate::Trouble;

/// One fault, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSpan {
    pub fault: FaultId,
    pub nemesis: String,
    /// Whom it hit; where it hits all, whom it was aimed at. None where it never began.
    pub node: Option<NodeIndex>,
    pub began: SimMicros,
    pub ended: SimMicros,
    pub bites: u64,
    pub felt: String,
    /// Why it could not be had, or not be undone.
    pub trouble: Option<String>,
    /// The trouble is the service's own: a finding.
    #[serde(default)]
    pub is_service_trouble: bool,
    /// From its beginning to the first request that failed or to which nobody answered, if one did while it lasted.
    pub detected_ms: Option<u64>,
    /// From its beginning until another node led, or the same in a later term, if one did while it lasted or soon after.
    pub failed_over_ms: Option<u64>,
    /// The longest that a vote, due from its beginning until it was over for a while, waited for any to be acknowledged.
    pub silence_ms: u64,
    /// From its end until every node said that it is ready.
    pub recovered_ms: Option<u64>,
}

impl FaultSpan {
    pub(super) fn new(fault: &StormFault, node: NodeIndex, began: SimMicros) -> Self {
        Self {
            fault: fault.id,
            nemesis: fault.nemesis.clone(),
            node: Some(node),
            began,
            ended: began,
            bites: 0,
            felt: String::new(),
            trouble: None,
            is_service_trouble: false,
            detected_ms: None,
            failed_over_ms: None,
            silence_ms: 0,
            recovered_ms: None,
        }
    }

    /// One that never was.
    pub(super) fn broken(fault: &StormFault, why: &Trouble) -> Self {
        let mut span = Self::new(fault, NodeIndex(0), fault.at_ms.micros());
        span.node = None;
        span.went_wrong(why, "");
        span
    }

    /// `when`: what stands before the trouble's sentence.
    pub(super) fn went_wrong(&mut self, trouble: &Trouble, when: &str) {
        self.trouble = Some(format!("{when}{trouble}"));
        self.is_service_trouble = matches!(trouble, Trouble::Service(_));
    }
}

/// A leader of the vote log, as the nodes first said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Leading {
    pub at: SimMicros,
    pub node: NodeIndex,
    pub term: u64,
}
