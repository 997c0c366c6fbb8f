//! Opens the logs and starts the groups that this node hosts.

use std::sync::Arc;
use std::time::Duration;

use ostraka_core::limits::FORMING_LISTEN_MS;
use ostraka_replication::log_store::Extent;
use ostraka_replication::log_store::sled::{CheckedLog, SledLogStore};
use ostraka_replication::peer::PeerClient;
use ostraka_replication::snapshot_store::{CheckedSnapshots, SnapshotStore};
use ostraka_replication::{ClusterKeeper, Group, GroupConfig, GroupName, Machine, PeerAddr, SharedMachine};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::RunError;
use crate::config::{Bootstrap, Config, Service};
use crate::data_folder::DataFolder;
use crate::env::{Env, MemoryStorage, SharedNet, Storage};
use crate::identity::{CheckedAccounts, IdentityMachine, MemoryAccounts};
use crate::operator::Health;
use crate::secrets::Secrets;
use crate::vote::VoteMachine;
use crate::vote::feed::FeedHub;

/// A round of asking the quorum how far the log is, while the node recovers.
const RECOVERY_ROUND: Duration = Duration::from_secs(5);

/// The groups of this node with their machines.
pub(super) struct Started {
    pub(super) identity: Option<(Group, SharedMachine<IdentityMachine>)>,
    pub(super) vote: Option<(Group, SharedMachine<VoteMachine>)>,
}

impl Started {
    pub(super) fn all(&self) -> Vec<Group> {
        let identity = self.identity.iter().map(|(group, _)| group.clone());
        identity
            .chain(self.vote.iter().map(|(group, _)| group.clone()))
            .collect()
    }
}

/// What this node has on disk, looked at and not changed yet. All of it is looked at before any of it is opened: a node
/// that must not start leaves its folder as it was.
#[derive(Default)]
struct Checked {
    accounts: Option<CheckedAccounts>,
    identity: Option<CheckedGroup>,
    vote: Option<CheckedGroup>,
}

/// A log and the snapshots made from it, which fit each other.
struct CheckedGroup {
    log: CheckedLog,
    snapshots: CheckedSnapshots,
}

impl Checked {
    fn look(folder: &DataFolder, only: Option<Service>) -> Result<Self, RunError> {
        let mut checked = Self::default();
        if only != Some(Service::Vote) {
            checked.identity = Some(CheckedGroup::look(folder, GroupName::Identity)?);
            checked.accounts = Some(CheckedAccounts::look(&folder.accounts())?);
        }
        if only != Some(Service::Identity) {
            checked.vote = Some(CheckedGroup::look(folder, GroupName::Vote)?);
        }
        Ok(checked)
    }
}

impl CheckedGroup {
    fn look(folder: &DataFolder, name: GroupName) -> Result<Self, RunError> {
        folder.check_log(name)?;
        let snapshots = CheckedSnapshots::look(&folder.snapshots(name))?;
        let log_folder = folder.log(name);
        let fits = |log: &Extent| -> Result<(), RunError> { Ok(snapshots.fit(&log_folder, log)?) };
        let log = CheckedLog::look_beside(&log_folder, fits)?;
        Ok(Self { log, snapshots })
    }

    fn open(self, folder: &DataFolder, name: GroupName) -> Result<(SledLogStore, SnapshotStore), RunError> {
        let log = self.log.open()?;
        folder.claim_log(name)?;
        let snapshots = self.snapshots.open(log.end())?;
        Ok((log, snapshots))
    }
}

/// What the groups of a node have in common.
struct Starter<'a> {
    env: &'a Env,
    config: &'a Config,
    folder: Option<&'a DataFolder>,
    health: &'a Health,
    peers: Arc<PeerClient>,
}

pub(super) async fn start(
    env: &Env,
    net: &SharedNet,
    config: &Config,
    secrets: &Secrets,
    folder: Option<&DataFolder>,
    health: &Health,
) -> Result<Started, RunError> {
    let peers = PeerClient::new(Arc::clone(net), secrets.cluster_key.0, config.node);
    let peers = Arc::new(peers.of_cluster(cluster(env, folder)?));
    let starter = Starter {
        env,
        config,
        folder,
        health,
        peers,
    };
    let checked = match folder {
        Some(folder) => Checked::look(folder, config.only)?,
        None => Checked::default(),
    };
    let mut started = Started {
        identity: None,
        vote: None,
    };
    if config.only != Some(Service::Vote) {
        let machine = Arc::new(RwLock::new(identity_machine(checked.accounts)?));
        let stored = checked.identity;
        let group = starter
            .group(GroupName::Identity, stored, Arc::clone(&machine))
            .await?;
        started.identity = Some((group, machine));
    }
    if config.only != Some(Service::Identity) {
        let machine = Arc::new(RwLock::new(VoteMachine::new(Arc::new(FeedHub::default()))));
        let stored = checked.vote;
        let group = starter
            .group(GroupName::Vote, stored, Arc::clone(&machine))
            .await?;
        started.vote = Some((group, machine));
    }
    Ok(started)
}

fn cluster(env: &Env, folder: Option<&DataFolder>) -> Result<Arc<ClusterKeeper>, RunError> {
    match (&env.storage, folder) {
        (Storage::Memory(memory), _) => Ok(Arc::clone(&memory.cluster)),
        (Storage::Disk, Some(folder)) => Ok(Arc::new(folder.cluster()?)),
        (Storage::Disk, None) => unreachable!("a node on disk has opened its folder"),
    }
}

fn identity_machine(accounts: Option<CheckedAccounts>) -> Result<IdentityMachine, RunError> {
    Ok(match accounts {
        Some(accounts) => IdentityMachine::new(accounts.open()?),
        None => IdentityMachine::new(MemoryAccounts::default()),
    })
}

impl Starter<'_> {
    async fn group<M: Machine>(
        &self,
        name: GroupName,
        stored: Option<CheckedGroup>,
        machine: SharedMachine<M>,
    ) -> Result<Group, RunError> {
        let config = GroupConfig {
            heartbeat_interval: self.config.heartbeat_interval,
            election_timeout_min: self.config.election_timeout_min,
            election_timeout_max: self.config.election_timeout_max,
            snapshot_every_entries: self.config.snapshot_every_entries,
            log_keep_entries: self.config.log_keep_entries,
            offload: self.env.offload,
            storage_full: Arc::clone(self.health.storage_full()),
            ..GroupConfig::new(name, self.config.node, self.env.entropy.u64())
        };
        let clock = Arc::clone(&self.env.clock);
        let peers = Arc::clone(&self.peers);
        let started = match (&self.env.storage, self.folder, stored) {
            (Storage::Disk, Some(folder), Some(stored)) => {
                let (log, snapshots) = stored.open(folder, name)?;
                Group::start(config, machine, log, snapshots, peers, clock).await
            }
            (Storage::Memory(memory), ..) => {
                let (disk, snapshots) = simulated(memory, name);
                Group::start(config, machine, disk, snapshots, peers, clock).await
            }
            (Storage::Disk, ..) => {
                unreachable!("a node on disk has opened its folder and looked at its logs")
            }
        };
        let group = match name {
            GroupName::Identity => "identity",
            GroupName::Vote => "vote",
        };
        started.map_err(|source| RunError::Group { group, source })
    }
}

fn simulated(
    memory: &MemoryStorage,
    name: GroupName,
) -> (
    ostraka_replication::log_store::memory::MemoryLogStore,
    SnapshotStore,
) {
    match name {
        GroupName::Identity => (memory.identity_log.open(), memory.identity_snapshots.clone()),
        GroupName::Vote => (memory.vote_log.open(), memory.vote_snapshots.clone()),
    }
}

/// A node that was never in a cluster forms one of itself, unless it was told to wait. Whether it did. One that
/// `may_have_lost_its_log` listens first: where a cluster calls it as its member, it forms none and says so.
pub(super) async fn bootstrap(
    groups: &[Group],
    config: &Config,
    own_addr: &PeerAddr,
    may_have_lost_its_log: bool,
) -> Result<bool, RunError> {
    let mut is_new = false;
    let forms_one =
        config.bootstrap == Bootstrap::Auto && !groups.iter().any(|group| group.status().has_members());
    if may_have_lost_its_log && forms_one {
        tracing::info!(
            "the secrets were there and no log is: listening whether a cluster counts this node as its member"
        );
        wait_for_a_cluster(groups).await;
    }
    for group in groups {
        if group.status().has_members() || config.bootstrap == Bootstrap::Wait {
            continue;
        }
        tracing::info!(group = ?group.name(), "this node forms a new cluster of itself");
        group.init(own_addr.clone()).await.map_err(RunError::Bootstrap)?;
        is_new = true;
    }
    Ok(is_new)
}

/// Until one has called, and no longer than a living one needs for that.
async fn wait_for_a_cluster(groups: &[Group]) {
    let deadline = Instant::now() + Duration::from_millis(FORMING_LISTEN_MS);
    while Instant::now() < deadline && !groups.iter().any(Group::belongs_to_a_cluster) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ends when this replica has applied all that was committed when the node started.
pub(super) async fn recover(group: Group, health: Arc<Health>) {
    loop {
        if let Ok(index) = group.read_index(RECOVERY_ROUND).await
            && group.wait_applied(index, RECOVERY_ROUND).await
        {
            tracing::info!(group = ?group.name(), index = index.0, "this replica is up to date");
            health.set_recovered(group.name());
            return;
        }
        // A group that has stopped answers at once; do not spin on it.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
