//! What the clients' machine has learned so far, and who signs its tokens.

use std::sync::Arc;
use std::time::Duration;

use ostraka_client::{Client, ClientConfig};
use ostraka_core::{UnixMs, VoterNumber};
use ostraka_node::env::Entropy;
use ostraka_node::token::{Role, Tokens};
use ostraka_sim_crowd::Known as Learned;

use crate::chance::{Purpose, SeededEntropy};
use crate::machine::Machine;
use crate::net::HostNet;
use crate::stage::{FORMED_AT, Host, PUBLIC_PORT, SharedStage, Stage};

/// Longer than any run, and than any clock is off.
const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3_600);
/// A client that cannot reach a node knows it by then, however patient it is with an answer.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(1);
/// Between two attempts of a viewer. Short, so that runs can be.
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(500);
/// Silence after which a viewer looks for another node: a little more than the service's heartbeat.
const STREAM_SILENCE_MAX: Duration = Duration::from_secs(12);

pub(crate) type SharedKnown = Arc<Known>;

pub(crate) struct Known {
    pub(crate) stage: SharedStage,
    pub(crate) machines: Vec<Arc<Machine>>,
    tokens: Tokens,
    pub(crate) learned: Learned,
}

impl Known {
    pub(crate) fn new(stage: SharedStage, machines: Vec<Arc<Machine>>, tokens: Tokens) -> SharedKnown {
        Arc::new(Self {
            stage,
            machines,
            tokens,
            learned: Learned::default(),
        })
    }

    pub(crate) fn token(&self, voter: VoterNumber) -> String {
        let issued_at = UnixMs(FORMED_AT.0 - 1_000);
        self.tokens.sign(voter, Role::Voter, issued_at, TOKEN_LIFETIME)
    }

    /// A client of these nodes, the one to ask first in front.
    pub(crate) fn client(&self, nodes: &[Host], purpose: Purpose) -> Client {
        let patience = Duration::from_millis(self.stage.plan.knobs.client_patience_ms.0);
        let chance = SeededEntropy::new(self.stage.plan.seed, purpose);
        let net = HostNet {
            stage: self.stage.clone(),
            host: self.stage.clients_host(),
        };
        let mut config = ClientConfig::new(Arc::new(move || chance.u64()));
        config.request_timeout = patience;
        config.connect_timeout = patience.min(CONNECT_TIMEOUT_MAX);
        config.retry_pause_max = RETRY_PAUSE_MAX;
        config.stream_silence_max = STREAM_SILENCE_MAX;
        let endpoints = nodes.iter().map(|node| authority(*node)).collect();
        Client::new(Arc::new(net), endpoints, config)
    }
}

pub(crate) fn authority(node: Host) -> String {
    format!("{}:{PUBLIC_PORT}", Stage::host_name(node))
}
