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
pub use group::{Group, GroupConfig, GroupError, GroupStatus, OutOfTouch, Refusal, SubmitError, Submitted};
pub use machine::{Machine, SharedMachine, SnapshotImage};
/// What becomes of a node whose files are of no use. Not an older copy of them: it has forgotten what it promised the others
/// (ADR 0036).
pub const REPLACE_NODE: &str = "remove this node from the cluster, start it with an empty --data-dir and --bootstrap wait, \
                                and add it again; a cluster of this node alone comes back by `ostraka restore`";

pub use types::{GroupName, MembershipId, NodeNumber, PeerAddr};
