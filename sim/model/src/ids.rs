//! Numbers that name things in a simulated run.

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
number!(/// Simulated time since the start of the run, in milliseconds: the truth, which no node's clock knows.
    SimMs(u64));
number!(/// Simulated time since the start of the run, in microseconds.
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
