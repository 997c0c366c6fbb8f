//! Starting a group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};
use ostraka_core::LogIndex;
use ostraka_core::limits::{
    APPEND_ENTRIES_MAX, CORE_QUEUE_MESSAGES_MAX, LOG_WRITE_ENTRIES_MAX, PROPOSALS_IN_FLIGHT_BYTES_MAX,
    SNAPSHOT_INSTALL_MS_MAX,
};
use parking_lot::Mutex;

use super::adapter::Adapter;
use super::budget::Budget;
use super::{Group, GroupConfig, GroupError, Inner, RaftHandle, cut_off, reads, sentence};
use crate::env::SharedClock;
use crate::log_store::LogStore;
use crate::machine::{Machine, SharedMachine};
use crate::peer::{PeerClient, PeerNetwork, Voters};
use crate::runtime::{self, OwnedTask, watch};
use crate::snapshot_store::SnapshotStore;

/// Pauses between two attempts to replicate to a peer that cannot be reached.
const REPLICATION_BACKOFF: &str = "20ms 40ms ...500ms";

pub(super) async fn start<M: Machine, L: LogStore>(
    config: GroupConfig,
    machine: SharedMachine<M>,
    log: L,
    snapshots: SnapshotStore,
    peers: Arc<PeerClient>,
    clock: SharedClock,
) -> Result<Group, GroupError> {
    let raft_config = raft_config(&config).validate().map_err(storage)?;
    let stopping = Arc::new(AtomicBool::new(false));
    let adapter = Adapter::open(machine, snapshots.clone(), config.offload, stopping.clone())
        .await
        .map_err(storage)?;
    let (applied, broken, held) = (adapter.applied_index(), adapter.broken(), adapter.held());
    let voters = Arc::new(Voters::default());
    let network = PeerNetwork {
        client: peers.clone(),
        group: config.name,
        node: config.node,
        offload: config.offload,
        voters: voters.clone(),
    };
    let seed = runtime::mix(config.seed ^ config.node.0);
    let starting = RaftHandle::new(config.node, Arc::new(raft_config), network, log, adapter);
    let raft = runtime::seeded(seed, starting)
        .await
        .map_err(|fatal| GroupError::Storage(sentence::of_fatal(&fatal)))?;

    voters.learn_from(raft.metrics());

    let (reads, read_queue) = reads::queue();
    let inner = Inner {
        config,
        raft,
        check: M::check,
        applied,
        snapshots,
        peers,
        clock,
        budget: Budget::new(PROPOSALS_IN_FLIGHT_BYTES_MAX),
        voters,
        reads,
        turns: tokio::sync::Mutex::default(),
        draws: AtomicU64::new(0),
        stopping,
        cut_off: watch::channel(false).0,
        claim: Mutex::default(),
        leader_heard: Mutex::default(),
        broken,
        tasks: Mutex::default(),
    };
    let group = Group {
        inner: Arc::new(inner),
    };
    let rounds = runtime::seeded(group.next_seed(), reads::run_rounds(group.clone(), read_queue));
    let contact = runtime::seeded(group.next_seed(), cut_off::keep_watch(group.clone()));
    group.inner.tasks.lock().extend([
        OwnedTask::new(runtime::spawn(rounds)),
        OwnedTask::new(runtime::spawn(contact)),
    ]);
    lead_alone(&group, held).await?;
    Ok(group)
}

fn storage(error: impl std::fmt::Display) -> GroupError {
    GroupError::Storage(error.to_string())
}

/// The only voter need not wait for an election timeout to find out that nobody else leads. Its log is the only one, so
/// whatever the machine holds must be in it.
async fn lead_alone(group: &Group, held: LogIndex) -> Result<(), GroupError> {
    let own = group.inner.config.node;
    let stopped = |fatal: openraft::errors::Fatal<_>| GroupError::Stopped(fatal.to_string());
    let alone = group
        .raft()
        .with_raft_state(move |state| state.membership_state.effective().voter_ids().eq([own]));
    let alone = alone.await.map_err(stopped)?;
    // The core has answered, so its first figures are out.
    let last = group.raft().metrics().borrow().last_log_index;
    let last = LogIndex(last.unwrap_or(0));
    if alone && last < held {
        group.shutdown().await;
        return Err(GroupError::Storage(sentence::of_older_log(last, held)));
    }
    if alone {
        group.raft().trigger().elect(false).await.map_err(stopped)?;
    }
    Ok(())
}

fn raft_config(config: &GroupConfig) -> Config {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: format!("{:?}", config.name),
        heartbeat_interval: millis(config.heartbeat_interval),
        election_timeout_min: millis(config.election_timeout_min),
        election_timeout_max: millis(config.election_timeout_max),
        max_payload_entries: APPEND_ENTRIES_MAX as u64,
        max_append_entries: Some(LOG_WRITE_ENTRIES_MAX),
        api_channel_size: Some(CORE_QUEUE_MESSAGES_MAX),
        install_snapshot_timeout: SNAPSHOT_INSTALL_MS_MAX,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.snapshot_every_entries),
        // Where the whole log is kept, every node is to have all of it, so that each can be audited alone: nodes that
        // were away or are new are brought up by the log, never by a snapshot.
        max_in_snapshot_log_to_keep: config.log_keep_entries.unwrap_or(u64::MAX),
        replication_lag_threshold: config.log_keep_entries.map_or(u64::MAX, |keep| {
            keep.saturating_add(config.snapshot_every_entries)
        }),
        backoff: REPLICATION_BACKOFF.to_owned(),
        // A node that was cut off comes back without disturbing the leader (Ongaro's thesis, §9.6).
        enable_pre_vote: Some(true),
        // Entries travel to the followers before this node's own disk has them. A leader that is restarted may so have
        // lost entries that are committed, and must not go on in the same term as if it had all.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{GroupName, NodeNumber};

    #[test]
    fn the_default_timings_are_valid() {
        let config = GroupConfig::new(GroupName::Vote, NodeNumber(1), 0);
        assert!(raft_config(&config).validate().is_ok());
    }
}
