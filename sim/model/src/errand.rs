//! Faults that somebody has to carry out from inside a cluster: what an operator asks for, and crowds.

use std::time::Duration;

use crate::ids::{EventSlot, FaultId, NodeIndex};
use crate::plan::{Fault, FaultKind, Target};

/// Between two attempts of an operator whose wish was not granted.
pub const ATTEMPT_PAUSE: Duration = Duration::from_millis(200);
/// An operator's patience with one attempt.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2_500);
/// The same for a hand-over, which takes a healthy cluster far less: a fault of this kind is short, and one attempt that a
/// leader without power has swallowed must not take all of it.
pub const HANDOVER_PAUSE: Duration = Duration::from_millis(50);
pub const HANDOVER_TIMEOUT: Duration = Duration::from_millis(250);
/// What an errand does counts until its fault's end is written down, by whoever looks every 2 ms: so it stops a little
/// before.
pub const END_MARGIN: Duration = Duration::from_millis(4);

/// Something to be done for a fault. Times are as long as the fault lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    TransferLeadership {
        fault: FaultId,
        to: NodeIndex,
        within: Duration,
    },
    LeaveAndJoin {
        fault: FaultId,
        node: NodeIndex,
        away: Duration,
    },
    /// A node whose disks have rotted is taken out, given empty ones and added again.
    Replace {
        node: NodeIndex,
        /// How often it had stopped by itself before.
        failures: u64,
        after: Duration,
    },
    Overload {
        fault: FaultId,
        slot: EventSlot,
        clients: u16,
        submissions: u32,
        within: Duration,
    },
}

impl Errand {
    /// What `fault` has somebody do, with its target as `resolve` finds it at this moment. None for a fault that is done
    /// to a cluster from outside.
    pub fn of(fault: &Fault, resolve: impl FnOnce(Target) -> NodeIndex) -> Option<Self> {
        let id = fault.id;
        let span = Duration::from_millis(fault.for_ms.0);
        Some(match &fault.kind {
            FaultKind::TransferLeadership { to } => Self::TransferLeadership {
                fault: id,
                to: *to,
                within: span,
            },
            FaultKind::LeaveAndJoin { target } => Self::LeaveAndJoin {
                fault: id,
                node: resolve(*target),
                away: span,
            },
            FaultKind::Overload {
                slot,
                clients,
                submissions,
            } => Self::Overload {
                fault: id,
                slot: *slot,
                clients: *clients,
                submissions: *submissions,
                within: span,
            },
            _ => return None,
        })
    }

    /// The node that it is about, if it is about one.
    pub fn node(&self) -> Option<NodeIndex> {
        match self {
            Self::TransferLeadership { to: node, .. }
            | Self::LeaveAndJoin { node, .. }
            | Self::Replace { node, .. } => Some(*node),
            Self::Overload { .. } => None,
        }
    }
}
