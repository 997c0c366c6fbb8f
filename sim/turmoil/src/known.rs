//! What the clients' machine has learned so far, and who signs its tokens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ostraka_client::api::{IdempotencyKey, VoteId};
use ostraka_client::{Client, ClientConfig};
use ostraka_core::{EventId, LogIndex, UnixMs, VoterNumber};
use ostraka_node::env::Entropy;
use ostraka_node::token::{Role, Tokens};
use ostraka_sim_model::ids::{EventSlot, OperationId, ViewerIndex};
use parking_lot::Mutex;

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
    events: Mutex<BTreeMap<EventSlot, EventId>>,
    votes: Mutex<BTreeMap<OperationId, VoteId>>,
    /// The version that each viewer has seen last.
    seen: Mutex<BTreeMap<ViewerIndex, LogIndex>>,
}

impl Known {
    pub(crate) fn new(stage: SharedStage, machines: Vec<Arc<Machine>>, tokens: Tokens) -> SharedKnown {
        Arc::new(Self {
            stage,
            machines,
            tokens,
            events: Mutex::default(),
            votes: Mutex::default(),
            seen: Mutex::default(),
        })
    }

    pub(crate) fn token(&self, voter: VoterNumber) -> String {
        let issued_at = UnixMs(FORMED_AT.0 - 1_000);
        self.tokens.sign(voter, Role::Voter, issued_at, TOKEN_LIFETIME)
    }

    pub(crate) fn learn_event(&self, slot: EventSlot, event: EventId) {
        self.events.lock().entry(slot).or_insert(event);
    }

    pub(crate) fn event(&self, slot: EventSlot) -> Option<EventId> {
        self.events.lock().get(&slot).copied()
    }

    pub(crate) fn learn_vote(&self, operation: OperationId, vote: VoteId) {
        self.votes.lock().insert(operation, vote);
    }

    pub(crate) fn vote(&self, operation: OperationId) -> Option<VoteId> {
        self.votes.lock().get(&operation).cloned()
    }

    pub(crate) fn learn_sight(&self, viewer: ViewerIndex, version: u64) {
        self.seen.lock().insert(viewer, LogIndex(version));
    }

    /// Whether every viewer that the plan has for `event` has seen it at `version`.
    pub(crate) fn all_have_seen(&self, event: EventId, version: u64) -> bool {
        let viewers = self.stage.plan.viewers.iter();
        let mut of_event = viewers.filter(|viewer| self.event(viewer.slot) == Some(event));
        let seen = self.seen.lock();
        of_event.all(|viewer| {
            let last = seen.get(&viewer.viewer);
            last.is_some_and(|last| last.0 >= version)
        })
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

pub(crate) fn key(text: &str) -> IdempotencyKey {
    text.parse().expect("a plan's keys are short and plain")
}
