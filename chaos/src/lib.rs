//! Real `ostraka` processes on a network, disks and clocks of their own, and what can go wrong with them.
//!
//! [`rig::Rig`] builds a cluster out of network namespaces and loop-mounted disks and takes it down again;
//! [`nemesis`] holds one fault a file, each of which counts how often it bit; [`load`] votes and keeps a ledger, [`books`]
//! compares it with the log, and [`powercut`], [`failover`] and [`scale`] are
//! campaigns of these; [`litter`] sees to it that nothing of all
//! this outlives the harness. Linux only, and as root only: whatever cannot be tested here says so as
//! [`Trouble`], which is never a pass.

pub mod books;
pub mod campaign;
pub mod check;
mod children;
pub mod failover;
pub mod limits;
pub mod litter;
pub mod load;
pub mod nemesis;
pub mod powercut;
mod proc;
mod reckon;
pub mod report;
pub mod rig;
pub mod sample;
pub mod scale;
pub mod storm;
mod tools;
pub mod trial;
mod trouble;
mod verdict;

pub use trouble::Trouble;
pub use verdict::Verdict;
