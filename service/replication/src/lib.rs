//! Replication: one log, its storage, its peers and the seam to openraft.
//!
//! The rest of the service sees a [`Group`]: propose bytes, get them applied by a [`Machine`] in log order on every
//! replica, durable on a quorum before anyone is told.

#[cfg(feature = "sled")]
pub mod beginning;
pub mod cluster;
mod durable_fs;
pub mod env;
pub mod group;
pub mod log_store;
pub mod machine;
pub mod peer;
pub mod runtime;
#[cfg(feature = "sled")]
pub mod sled_folder;
pub mod snapshot_store;
pub mod types;

pub use cluster::{ClusterId, ClusterKeeper, ClusterRecord};
pub use env::{BoxIo, Clock, Io, Listener, Net};
pub use group::{Group, GroupConfig, GroupError, GroupStatus, Refusal, SubmitError, Submitted};
pub use machine::{Machine, SharedMachine, SnapshotImage};
pub use types::{GroupName, MembershipId, NodeNumber, PeerAddr};
