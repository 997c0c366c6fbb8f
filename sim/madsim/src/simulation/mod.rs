//! One plan in, one history out: nodes of a simulated cluster, each polled in an order that the seed draws.
//!
//! A node is the service's own replication, batcher, state machine and scheduler, over the service's own peer protocol.
//! Its network, disks, clock and chance are simulated behind the service's seams. There is no HTTP in front and no
//! stream behind: clients hand their requests to a node's batcher over simulated links.

mod chance;
mod clients;
mod clock;
mod disks;
mod door;
mod errands;
mod known;
mod links;
mod machine;
mod nemesis;
mod plants;
mod processes;
mod run;
mod settle;
mod stage;
mod wire;

pub(crate) use plants::Plant;
pub(crate) use run::{check, once, playable};
