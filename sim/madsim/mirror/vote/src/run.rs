//! What a node does when it stops.

#[path = "../../../../../service/node/src/run/leave.rs"]
mod leave;

use ostraka_replication::Group;

/// Gives leadership away before a stop, as the service does.
pub async fn hand_over_leadership(group: &Group) {
    leave::hand_over_leadership(group).await;
}
