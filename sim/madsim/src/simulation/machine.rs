//! A machine: a disk and a clock that outlive the node on it, and the node's lives.

use std::sync::Arc;
use std::time::Duration;

use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use ostraka_core::limits::{FAILED_DRAIN_MS_MAX, FLUSH_MS_MAX};
use ostraka_replication::env::Offload;
use ostraka_replication::peer::{PeerClient, PeerServer};
use ostraka_replication::runtime::OwnedTask;
use ostraka_replication::{Group, GroupConfig, GroupName, Net, NodeNumber, PeerAddr};
use ostraka_sim_model::history::{Happening, Life};
use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_vote::vote::{new_machine, start_ingest, tick_when_due};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::chance::{Purpose, seed_of};
use super::clock::WallClock;
use super::disks::{Disks, Storage};
use super::door::Door;
use super::plants::{HastyLog, Plant};
use super::stage::{Host, SharedStage, Stage};
use super::wire::{HostNet, Origin, Wires};

/// All nodes of a run are of one cluster, and nobody tries to enter it.
const CLUSTER_KEY: [u8; 32] = [7; 32];
/// As the service asks until it is up to date.
const RECOVERY_ROUND: Duration = Duration::from_secs(5);
const RECOVERY_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Machine {
    pub(crate) node: NodeIndex,
    pub(crate) place: NodeId,
    stage: SharedStage,
    wires: Wires,
    pub(crate) disks: Disks,
    pub(crate) clock: Arc<WallClock>,
    state: Mutex<State>,
}

struct State {
    lives: u64,
    origin: Origin,
    /// Wakes the node of this life to stop.
    stop: Arc<Notify>,
    asked_to_stop: bool,
    door: Option<Arc<Door>>,
    /// The node has returned, and its process waits to be taken away.
    ended: bool,
    /// How often it has stopped by itself.
    failures: u64,
    replacement: Replacement,
}

/// How far the replacement of the machine's disks is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Replacement {
    #[default]
    None,
    Asked,
    Done,
}

impl Machine {
    pub(crate) fn new(stage: SharedStage, wires: Wires, node: NodeIndex, disks: Disks) -> Arc<Self> {
        let knobs = &stage.plan.knobs;
        let place = usize::from(node.0);
        let skew_ms = knobs.clock_skew_ms.get(place).copied().unwrap_or(0);
        let drift_ppm = knobs.clock_drift_ppm.get(place).copied().unwrap_or(0);
        let clock = WallClock::new(stage.clone(), skew_ms, drift_ppm);
        let process = Handle::current()
            .create_node()
            .name(format!("node-{}", place + 1))
            .build();
        let state = State {
            lives: 0,
            origin: Origin::with_power(Host(place)),
            stop: Arc::default(),
            asked_to_stop: false,
            door: None,
            ended: false,
            failures: 0,
            replacement: Replacement::None,
        };
        Arc::new(Self {
            node,
            place: process.id(),
            stage,
            wires,
            disks,
            clock,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn host(&self) -> Host {
        Host(usize::from(self.node.0))
    }

    pub(crate) fn number(&self) -> NodeNumber {
        NodeNumber(u64::from(self.node.0) + 1)
    }

    /// Where tasks of the node as it runs now are spawned.
    pub(crate) fn process(&self) -> NodeHandle {
        Handle::current()
            .get_node(self.place)
            .expect("machines stay to the end of the run")
    }

    pub(crate) fn record(&self, life: Life) {
        let node = self.node;
        self.stage.record(Happening::Node { node, life });
    }

    /// The node as it runs, if it takes requests.
    pub(crate) fn door(&self) -> Option<Arc<Door>> {
        self.state.lock().door.clone()
    }

    /// Starts the process.
    pub(crate) fn start(self: &Arc<Self>) {
        let life = {
            let mut state = self.state.lock();
            state.lives += 1;
            state.origin = Origin::with_power(self.host());
            state.stop = Arc::default();
            state.asked_to_stop = false;
            state.ended = false;
            state.lives
        };
        Handle::current().restart(self.place);
        let machine = self.clone();
        self.process().spawn(async move { machine.live(life).await });
    }

    /// Takes the process away: what it had written is the disk's matter, and is settled before.
    pub(crate) fn take_away(&self) {
        self.state.lock().door = None;
        self.wires.hang_up(self.host());
        Handle::current().kill(self.place);
    }

    /// Its links must be cut before.
    pub(crate) fn lose_power(&self) {
        self.state.lock().origin.lose_power();
    }

    /// How often the node has stopped by itself.
    pub(crate) fn failures(&self) -> u64 {
        self.state.lock().failures
    }

    /// Somebody goes and gives it empty disks as soon as it does not run.
    pub(crate) fn ask_for_replacement(&self) {
        self.state.lock().replacement = Replacement::Asked;
    }

    pub(crate) fn is_replaced(&self) -> bool {
        self.state.lock().replacement == Replacement::Done
    }

    /// Its process does not run: whoever was asked for empty disks brings them now.
    pub(crate) fn replace_if_asked(&self) {
        let mut state = self.state.lock();
        if state.replacement != Replacement::Asked {
            return;
        }
        state.replacement = Replacement::Done;
        drop(state);
        self.disks.replace();
        self.record(Life::Replaced);
    }

    pub(crate) fn ask_to_stop(&self) {
        let mut state = self.state.lock();
        state.asked_to_stop = true;
        state.stop.notify_one();
    }

    /// Whether the node has returned since this was last asked.
    pub(crate) fn has_ended(&self) -> bool {
        std::mem::take(&mut self.state.lock().ended)
    }

    async fn live(self: Arc<Self>, life: u64) {
        self.record(Life::Started);
        let ended = self.serve(life).await;
        let life = Life::of_end(ended, self.state.lock().asked_to_stop);
        let failed = matches!(life, Life::Failed(_));
        self.record(life);
        let mut state = self.state.lock();
        state.failures += u64::from(failed);
        state.ended = true;
    }

    /// A node as the service puts it together, without identity and HTTP.
    async fn serve(self: &Arc<Self>, life: u64) -> Result<(), String> {
        let (origin, stop) = {
            let state = self.state.lock();
            (state.origin.clone(), state.stop.clone())
        };
        let wires = self.wires.clone();
        let net = Arc::new(HostNet { wires, origin });
        let listener = net.bind("").await.map_err(|error| error.to_string())?;
        let server = PeerServer::new(CLUSTER_KEY, self.number());
        let Storage {
            log,
            snapshots,
            cluster,
        } = self.disks.storage();
        let peers = PeerClient::new(net, CLUSTER_KEY, self.number()).of_cluster(cluster);
        let peers = Arc::new(peers);
        let machine = Arc::new(RwLock::new(new_machine()));
        let log = log.open();
        let clock = self.clock.clone();
        let (config, shared) = (self.config(life), machine.clone());
        let starting = match self.stage.plant {
            Some(Plant::AckBeforeBarrier) => {
                Group::start(config, shared, HastyLog(log), snapshots, peers, clock.clone()).await
            }
            _ => Group::start(config, shared, log, snapshots, peers, clock.clone()).await,
        };
        let group = starting.map_err(|error| error.to_string())?;
        server.register(&group);
        let serving = tokio::spawn(async move { server.serve(listener).await });
        let _serving = OwnedTask::new(serving);
        let status = group.status();
        let is_member = !status.voters.is_empty() || !status.learners.is_empty();
        if self.node.0 == 0 && !is_member && !self.is_replaced() {
            let own = PeerAddr(Stage::peer_address(self.host()));
            group.init(own).await.map_err(|error| error.to_string())?;
        }
        let log: Arc<dyn ostraka_sim_vote::Log> = Arc::new(group.clone());
        let ingest = start_ingest(log.clone());
        let ticking = tick_when_due(log, machine.clone(), ingest.clone(), clock);
        let _ticking = OwnedTask::new(tokio::spawn(ticking));
        let _recovering = OwnedTask::new(tokio::spawn(recover(self.clone(), group.clone())));
        let door = Door {
            group: group.clone(),
            ingest: ingest.clone(),
            machine,
            reads_without_asking: self.stage.plant == Some(Plant::StaleReads),
        };
        self.state.lock().door = Some(Arc::new(door));
        let ended = tokio::select! {
            biased;
            sentence = group.failed() => Err(sentence),
            () = stop.notified() => Ok(()),
        };
        self.state.lock().door = None;
        if ended.is_ok() {
            ingest.shutdown(while_healthy(&group)).await;
            ostraka_sim_vote::hand_over_leadership(&group).await;
        }
        group.shutdown().await;
        ended
    }

    fn config(&self, life: u64) -> GroupConfig {
        let knobs = &self.stage.plan.knobs;
        let election = Duration::from_millis(knobs.election_ms);
        let node = self.host().0;
        let mut seed = seed_of(self.stage.plan.seed, Purpose::Node { node, life });
        if self.stage.plant == Some(Plant::OtherChance) {
            seed ^= super::run::pass();
        }
        GroupConfig {
            heartbeat_interval: Duration::from_millis(knobs.heartbeat_ms),
            election_timeout_min: election,
            election_timeout_max: election * 2,
            snapshot_every_entries: knobs.snapshot_every_entries,
            log_keep_entries: knobs.log_keep_entries,
            offload: Offload::Inline,
            ..GroupConfig::new(GroupName::Vote, self.number(), seed)
        }
    }
}

/// As long as the service gives to what it has taken in when it stops: less where the log fails meanwhile, on which that hangs
/// (`service/node/src/run`, which does not run here).
async fn while_healthy(group: &Group) {
    let failed = async {
        group.failed().await;
        tokio::time::sleep(Duration::from_millis(FAILED_DRAIN_MS_MAX)).await;
    };
    tokio::select! {
        biased;
        () = failed => {}
        () = tokio::time::sleep(Duration::from_millis(FLUSH_MS_MAX)) => {}
    }
}

/// Says that the node is ready when it has applied all that was committed when it started.
async fn recover(machine: Arc<Machine>, group: Group) {
    loop {
        if let Ok(index) = group.read_index(RECOVERY_ROUND).await
            && group.wait_applied(index, RECOVERY_ROUND).await
        {
            machine.record(Life::Ready);
            return;
        }
        tokio::time::sleep(RECOVERY_PAUSE).await;
    }
}
