//! A machine: disks and a clock that outlive the node on it, and the node's lives.

use std::sync::Arc;
use std::time::Duration;

use ostraka_node::config::{Bootstrap, Config};
use ostraka_node::env::{NodeNumber, Offload, Storage};
use ostraka_node::identity::PasswordCost;
use ostraka_node::{Env, run};
use ostraka_sim_model::history::{Happening, Life};
use ostraka_sim_model::ids::NodeIndex;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::chance::{Purpose, SeededEntropy};
use crate::clock::WallClock;
use crate::disks::Disks;
use crate::net::HostNet;
use crate::stage::{Host, OPERATOR_PORT, PEER_PORT, PUBLIC_PORT, SharedStage, Stage};

/// Nobody logs in: tokens are signed with the cluster's key. The account must be makeable, no more.
const OPERATOR_PASSWORD: &str = "a password nobody types";

pub(crate) struct Machine {
    pub(crate) node: NodeIndex,
    stage: SharedStage,
    pub(crate) disks: Disks,
    pub(crate) clock: Arc<WallClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lives: u64,
    /// Wakes the node of this life to stop.
    stop: Arc<Notify>,
    asked_to_stop: bool,
    /// It was started and has not yet said that it is ready.
    awaited: bool,
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
    pub(crate) fn new(stage: SharedStage, node: NodeIndex, disks: Disks) -> Arc<Self> {
        let knobs = &stage.plan.knobs;
        let place = usize::from(node.0);
        let skew_ms = knobs.clock_skew_ms.get(place).copied().unwrap_or(0);
        let drift_ppm = knobs.clock_drift_ppm.get(place).copied().unwrap_or(0);
        let clock = WallClock::new(stage.clone(), skew_ms, drift_ppm);
        Arc::new(Self {
            node,
            stage,
            disks,
            clock,
            state: Mutex::default(),
        })
    }

    pub(crate) fn host(&self) -> Host {
        Host(usize::from(self.node.0))
    }

    pub(crate) fn record(&self, life: Life) {
        let node = self.node;
        self.stage.record(Happening::Node { node, life });
    }

    /// One life of the node, from start to end. Never returns: a process that has ended is taken away from outside.
    pub(crate) async fn live(self: Arc<Self>) {
        let (life, stop) = {
            let mut state = self.state.lock();
            state.lives += 1;
            state.stop = Arc::default();
            state.asked_to_stop = false;
            state.awaited = true;
            state.ended = false;
            (state.lives, state.stop.clone())
        };
        self.record(Life::Started);
        let ended = run(
            self.env(life),
            self.config(),
            async move { stop.notified().await },
        )
        .await;
        let asked = self.state.lock().asked_to_stop;
        let life = Life::of_end(ended.map_err(|error| error.to_string()), asked);
        let failed = matches!(life, Life::Failed(_));
        self.record(life);
        self.note_end(failed);
        std::future::pending::<()>().await;
    }

    fn note_end(&self, failed: bool) {
        let mut state = self.state.lock();
        state.failures += u64::from(failed);
        state.awaited = false;
        state.ended = true;
    }

    /// The life of which nobody knows yet that it is ready.
    pub(crate) fn awaited_life(&self) -> Option<u64> {
        let state = self.state.lock();
        state.awaited.then_some(state.lives)
    }

    /// The node has said so in that life: an answer may arrive when it is dead, and another one lives.
    pub(crate) fn note_ready(&self, life: u64) {
        let mut state = self.state.lock();
        if state.lives != life || !std::mem::take(&mut state.awaited) {
            return;
        }
        drop(state);
        self.record(Life::Ready);
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

    fn env(&self, life: u64) -> Env {
        let net = HostNet {
            stage: self.stage.clone(),
            host: self.host(),
        };
        let node = self.host().0;
        Env {
            net: Arc::new(net),
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(
                self.stage.plan.seed,
                Purpose::Node { node, life },
            )),
            storage: Storage::Memory(Box::new(self.disks.storage())),
            offload: Offload::Inline,
            password_cost: PasswordCost::LEAST,
            console: Arc::new(|_| {}),
        }
    }

    fn config(&self) -> Config {
        let knobs = &self.stage.plan.knobs;
        let election = Duration::from_millis(knobs.election_ms);
        let any = |port: u16| format!("0.0.0.0:{port}");
        Config {
            node: NodeNumber(u64::from(self.node.0) + 1),
            listen: any(PUBLIC_PORT),
            operator_listen: any(OPERATOR_PORT),
            peer_listen: any(PEER_PORT),
            peer_advertise: Some(peer_address(self.host())),
            // As the documentation says: the first forms a cluster of itself, the others wait to be added, and so does a node
            // whose disks are new.
            bootstrap: if self.node.0 == 0 && !self.is_replaced() {
                Bootstrap::Auto
            } else {
                Bootstrap::Wait
            },
            operator_password: Some(OPERATOR_PASSWORD.to_owned()),
            snapshot_every_entries: knobs.snapshot_every_entries,
            log_keep_entries: knobs.log_keep_entries,
            heartbeat_interval: Duration::from_millis(knobs.heartbeat_ms),
            election_timeout_min: election,
            election_timeout_max: election * 2,
            ..Config::default()
        }
    }
}

pub(crate) fn peer_address(host: Host) -> String {
    format!("{}:{PEER_PORT}", Stage::host_name(host))
}
