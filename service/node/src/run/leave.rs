//! Leaving a cluster for a while: a leader hands over before it stops, so that nobody waits for an election.

use std::time::Duration;

use ostraka_core::limits::{HAND_OVER_LOOK_MS, HAND_OVER_MS_MAX};
use ostraka_replication::Group;

const HAND_OVER_TIMEOUT: Duration = Duration::from_millis(HAND_OVER_MS_MAX);
const LOOK_INTERVAL: Duration = Duration::from_millis(HAND_OVER_LOOK_MS);

/// Gives leadership to the follower that has most of the log, if this node leads and there is one.
pub(super) async fn hand_over_leadership(group: &Group) {
    let Some((heir, _)) = group.heir().filter(|_| group.is_leader()) else {
        return;
    };
    let handed_over = async {
        group.transfer_leader(heir).await?;
        while group.is_leader() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok::<(), ostraka_replication::GroupError>(())
    };
    match tokio::time::timeout(HAND_OVER_TIMEOUT, handed_over).await {
        Ok(Ok(())) => tracing::info!(group = ?group.name(), to = %heir, "leadership was handed over"),
        Ok(Err(error)) => tracing::warn!(group = ?group.name(), %error, "leadership was not handed over"),
        Err(_) => {
            tracing::warn!(group = ?group.name(), "leadership was not taken over in time: an election follows")
        }
    }
}
