//! Backup and restore of a whole cluster.
//!
//! A node that is running makes a copy of both logs' states ([`take`]) and streams it in the form of [`codec`]. The file
//! can be checked without a node ([`file`]), and [`restore`] makes of it the data folder of a new cluster of one node.

pub mod codec;
pub mod file;
pub mod restore;
pub mod take;

use ostraka_replication::{ClusterId, GroupName, NodeNumber};
use serde::{Deserialize, Serialize};

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Release of the node that it was taken through.
    pub ostraka: String,
    /// That node's clock in Unix milliseconds.
    pub taken_at: u64,
    pub node: NodeNumber,
    /// Absent: the cluster is from before clusters had numbers.
    pub cluster: Option<ClusterId>,
    /// Fingerprint of the cluster's secrets: with others, no token, vote id or retry would be known.
    pub secrets: String,
    pub parts: Vec<Part>,
}

/// One part of a backup, in the order in which they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub content: Content,
    pub bytes: u64,
}

/// What a part holds. The names are in files and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// The vote log's snapshot as it is stored: events, votes, tallies.
    Vote,
    /// The identity log's snapshot as it is stored: accounts.
    Identity,
    /// The file of the cluster's secrets.
    Secrets,
}

impl Content {
    pub(crate) fn of_group(group: GroupName) -> Self {
        match group {
            GroupName::Vote => Self::Vote,
            GroupName::Identity => Self::Identity,
        }
    }
}

impl Header {
    pub fn has(&self, content: Content) -> bool {
        self.parts.iter().any(|part| part.content == content)
    }
}

#[cfg(test)]
mod codec_tests;
