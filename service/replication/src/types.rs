//! The openraft type configuration and the names of nodes and groups.

use std::fmt;

use bytes::Bytes;
use ostraka_core::UnixMs;
use serde::{Deserialize, Serialize};

/// Number of a node in the cluster, given by the operator, at least 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeNumber(pub u64);

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a node's peer port is reached, `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerAddr(pub String);

/// Which log: each service has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GroupName {
    Identity,
    Vote,
}

/// What is proposed: the batch's bytes as the ingesting node made them, and the leader's stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    pub stamped_at: UnixMs,
    pub body: Bytes,
}

/// What the machine answers to one entry, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply(pub Bytes);
