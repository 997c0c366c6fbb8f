//! The whole service in one thread, on a simulated network and simulated disks: one plan in, one history out.
//!
//! Every node is [`ostraka_node::run`], as the binary starts it; clients and viewers are `ostraka-client`, over HTTP
//! and SSE. What is simulated stands behind the seams of [`ostraka_node::Env`]: the network is turmoil's, disks are
//! memory that outlives its node, each node's wall clock is off as the plan says, and chance comes from the plan's
//! seed. The history is made of what clients and viewers were told, and of what each disk came to keep.
//!
//! The same plan gives the same bytes, in any process. **One run a process**: tokio numbers its tasks over the life of
//! a process, and a second run would see other numbers.

mod chance;
mod clients;
mod clock;
mod disks;
mod drive;
mod errands;
mod known;
mod links;
mod logs;
mod machine;
mod nemesis;
mod net;
mod operator;
mod settle;
mod stage;
mod viewers;

pub use drive::{Run, run};
pub use logs::show_logs;
