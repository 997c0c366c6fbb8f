//! The openraft type configuration and the names of nodes and groups.

use std::fmt;

use bytes::Bytes;
use openraft::OptionalSend;
use openraft::RaftTypeConfig;
use openraft::type_config::alias;
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

impl From<u64> for NodeNumber {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// Where a node's peer port is reached, `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerAddr(pub String);

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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

/// Length and stamp, never the body: log lines must stay short and free of what clients sent.
impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes stamped at {} ms", self.body.len(), self.stamped_at.0)
    }
}

/// What the machine answers to one entry, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply(pub Bytes);

/// Ostraka's choice of openraft's pluggable types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Types {}

impl RaftTypeConfig for Types {
    type D = Proposal;
    type R = Reply;
    type NodeId = NodeNumber;
    type Node = PeerAddr;
    type Term = u64;
    // At most one leader a term, as in the Raft paper (§5.2). The other choice lets a higher node number win a term
    // that is already taken, which saves an election now and then, but then a term no longer names its leader, a log
    // id needs the node beside the term, and every argument from the paper has to be made anew.
    type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, NodeNumber>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Proposal, NodeNumber, PeerAddr>;
    type Entry = openraft::Entry<<Self::LeaderId as openraft::vote::RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = crate::runtime::OstrakaRuntime;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// The part of a leader's identity that stands in log ids: the term alone, since it has one leader.
pub type CommittedLeaderId = alias::CommittedLeaderIdOf<Types>;
/// Term and index of an entry.
pub type LogId = alias::LogIdOf<Types>;
/// Names a membership by the entry that holds it. Whoever asks for a change names the one that it is meant for, so that a
/// request that comes late changes nothing. `None`: no cluster yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MembershipId(pub Option<LogId>);

impl fmt::Display for MembershipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(entry) => write!(f, "entry {} of term {}", entry.index, entry.leader_id.term),
            None => f.write_str("none"),
        }
    }
}

/// A vote between nodes, never a voter's.
pub type RaftVote = alias::VoteOf<Types>;
pub type Entry = alias::EntryOf<Types>;
pub type EntryPayload = alias::PayloadOf<Types>;
pub type Membership = openraft::Membership<NodeNumber, PeerAddr>;
pub type StoredMembership = alias::StoredMembershipOf<Types>;
pub type SnapshotMeta = alias::SnapshotMetaOf<Types>;
