//! Numbers that name things in a simulated run.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
    };
}

number!(/// What a run is made from.
    Seed(u64));
number!(/// Simulated time since the cluster was formed, in milliseconds: the truth, which no node's clock knows.
    SimMs(u64));
number!(/// Simulated time since the cluster was formed, in microseconds.
    SimMicros(u64));
number!(/// A node's place in the cluster, from 0; its `NodeNumber` is one more.
    NodeIndex(u8));
number!(ClientIndex(u16));
number!(ViewerIndex(u16));
number!(OperationId(u32));
number!(FaultId(u16));
number!(/// An event of the plan, whatever id the service will give it.
    EventSlot(u8));
number!(/// One submission, however often it is sent; its `Idempotency-Key` is made of it.
    SubmissionTag(u32));

/// As people know the node, and as its log names it: by its `NodeNumber`.
impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", u16::from(self.0) + 1)
    }
}

impl SimMs {
    /// Saturates: a plan file may hold any number.
    pub fn micros(self) -> SimMicros {
        SimMicros(self.0.saturating_mul(1_000))
    }

    #[must_use]
    pub fn plus(self, millis: SimMs) -> SimMs {
        SimMs(self.0.saturating_add(millis.0))
    }
}

impl SimMicros {
    #[must_use]
    pub fn plus_ms(self, millis: u64) -> SimMicros {
        SimMicros(self.0.saturating_add(millis.saturating_mul(1_000)))
    }
}
