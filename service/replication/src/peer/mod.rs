//! The peer network: HTTP/2 with prior knowledge over whatever [`Net`](crate::env::Net) is handed in.
//!
//! Every request names the cluster by its key, the sender and the receiver. A request to the wrong node or with the
//! wrong key is refused, so that two clusters or two nodes that are mixed up by a configuration never talk Raft. So is
//! a request that names another cluster than this node's ([`crate::cluster`]).

mod append;
mod client;
mod connection;
mod frames;
mod network;
mod routes;
mod server;
mod snapshot;
pub mod wire;

pub(crate) use client::{CallError, Target};
pub(crate) use network::{PeerNetwork, Voters};

pub use client::PeerClient;
pub use server::PeerServer;

use crate::types::GroupName;

/// The key that all nodes of a cluster share, 64 hex digits.
const HEADER_KEY: &str = "x-ostraka-cluster-key";
/// Number of the cluster that the sender belongs to, if it belongs to one.
const HEADER_CLUSTER: &str = "x-ostraka-cluster";
/// Number of the sending node, for the receiver's log.
const HEADER_FROM: &str = "x-ostraka-from";
/// Number of the node that the sender means to reach.
const HEADER_TO: &str = "x-ostraka-to";
/// Milliseconds that the sender waits for the answer.
const HEADER_WITHIN_MS: &str = "x-ostraka-within-ms";
/// There if the sender counts the receiver as a voter.
const HEADER_VOTER: &str = "x-ostraka-voter";

/// What a peer can be asked, `/peer/v1/{group}/{route}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Route {
    /// A stream of appends one way and of answers the other, in order, many in flight.
    Append,
    /// One append: heartbeats.
    AppendOne,
    Vote,
    PreVote,
    TransferLeader,
    /// The head, then the bytes of a snapshot.
    Snapshot,
    /// Bytes to propose as they are, on the leader only.
    Propose,
    ReadIndex,
    /// A change of members or of the leader, to carry out on the leader only.
    Membership,
    /// Which cluster the node belongs to and what it has of the log. Asked before it is made a member.
    Standing,
    /// Whether the node hears a leader. Asked by who hears none.
    Hearing,
}

impl Route {
    /// Raft's own messages, which only members send, to members or to a node that is becoming one.
    fn is_raft(self) -> bool {
        match self {
            Self::Append
            | Self::AppendOne
            | Self::Vote
            | Self::PreVote
            | Self::TransferLeader
            | Self::Snapshot => true,
            Self::Propose | Self::ReadIndex | Self::Membership | Self::Standing | Self::Hearing => false,
        }
    }
}

const ROUTES: [(Route, &str); 11] = [
    (Route::Append, "append"),
    (Route::AppendOne, "append-one"),
    (Route::Vote, "vote"),
    (Route::PreVote, "pre-vote"),
    (Route::TransferLeader, "transfer-leader"),
    (Route::Snapshot, "snapshot"),
    (Route::Propose, "propose"),
    (Route::ReadIndex, "read-index"),
    (Route::Membership, "membership"),
    (Route::Standing, "standing"),
    (Route::Hearing, "hearing"),
];

const GROUPS: [(GroupName, &str); 2] = [(GroupName::Identity, "identity"), (GroupName::Vote, "vote")];

fn path_of(group: GroupName, route: Route) -> String {
    let group = GROUPS
        .iter()
        .find(|(name, _)| *name == group)
        .expect("every group has a name")
        .1;
    let route = ROUTES
        .iter()
        .find(|(name, _)| *name == route)
        .expect("every route has a name")
        .1;
    format!("/peer/v1/{group}/{route}")
}

fn parse_path(path: &str) -> Option<(GroupName, Route)> {
    let (group, route) = path.strip_prefix("/peer/v1/")?.split_once('/')?;
    let group = GROUPS.iter().find(|(_, name)| *name == group)?.0;
    let route = ROUTES.iter().find(|(_, name)| *name == route)?.0;
    Some((group, route))
}

fn hex(key: &[u8; 32]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_parsed_back() {
        for (group, _) in GROUPS {
            for (route, _) in ROUTES {
                assert_eq!(parse_path(&path_of(group, route)), Some((group, route)));
            }
        }
        assert_eq!(parse_path("/peer/v1/vote/vote/x"), None);
        assert_eq!(parse_path("/peer/v2/vote/vote"), None);
    }
}
