//! What the clients' machine has learned so far, and how it reaches the nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ostraka_core::{EventId, VotePosition};
use ostraka_sim_model::history::Answer;
use ostraka_sim_model::ids::{EventSlot, OperationId};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::door::{Request, Told, refused};
use super::machine::Machine;
use super::stage::{Host, SharedStage};
use super::wire::{Origin, Wires};

pub(crate) type SharedKnown = Arc<Known>;

pub(crate) struct Known {
    pub(crate) stage: SharedStage,
    pub(crate) machines: Vec<Arc<Machine>>,
    wires: Wires,
    events: Mutex<BTreeMap<EventSlot, EventId>>,
    votes: Mutex<BTreeMap<OperationId, (EventId, VotePosition)>>,
}

impl Known {
    pub(crate) fn new(stage: SharedStage, wires: Wires, machines: Vec<Arc<Machine>>) -> SharedKnown {
        Arc::new(Self {
            stage,
            machines,
            wires,
            events: Mutex::default(),
            votes: Mutex::default(),
        })
    }

    pub(crate) fn learn_event(&self, slot: EventSlot, event: EventId) {
        self.events.lock().entry(slot).or_insert(event);
    }

    pub(crate) fn event(&self, slot: EventSlot) -> Option<EventId> {
        self.events.lock().get(&slot).copied()
    }

    pub(crate) fn learn_vote(&self, operation: OperationId, vote: (EventId, VotePosition)) {
        self.votes.lock().insert(operation, vote);
    }

    pub(crate) fn vote(&self, operation: OperationId) -> Option<(EventId, VotePosition)> {
        self.votes.lock().get(&operation).copied()
    }

    /// Asks a node and waits as long as the plan's clients do.
    pub(crate) async fn ask(&self, host: Host, request: Request) -> Told {
        let patience = Duration::from_millis(self.stage.plan.knobs.client_patience_ms.0);
        let unknown = |reason: &str| Answer::Unknown {
            reason: reason.to_owned(),
        };
        let own = Origin::with_power(self.stage.clients_host());
        let asked = async {
            self.wires.travel(&own, host).await;
            let machine = &self.machines[host.0];
            let Some(door) = machine.door() else {
                return (refused(0, "unreachable"), None);
            };
            let (answer, answered) = oneshot::channel();
            machine.process().spawn(async move {
                // The client may have gone.
                let _ = answer.send(request.ticket(door).await);
            });
            let Ok(told) = answered.await else {
                return (unknown("the connection was lost"), None);
            };
            self.wires.travel(&Origin::with_power(host), own.host).await;
            told
        };
        timeout(patience, asked)
            .await
            .unwrap_or_else(|_| (unknown("no answer in time"), None))
    }
}
