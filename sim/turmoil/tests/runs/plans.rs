//! Small plans: one event, a vote every so often through each node in turn, one viewer; and a second event for what a healed
//! cluster must answer.

use ostraka_core::VoterNumber;
use ostraka_sim_model::ids::{
    ClientIndex, EventSlot, FaultId, NodeIndex, OperationId, Seed, SimMs, SubmissionTag, ViewerIndex,
};
use ostraka_sim_model::plan::{
    Action, Fault, FaultKind, Knobs, Operation, PLAN_FORMAT, Plan, Profile, Viewer,
};

pub(crate) const SLOT: EventSlot = EventSlot(0);
/// The event that is made when all faults are over.
const FRESH: EventSlot = EventSlot(1);
/// Between two votes of the storm.
const VOTE_EVERY_MS: u64 = 40;
/// The last client asks what a healed cluster must answer.
const CLIENTS: u16 = 8;

pub(crate) fn plan(nodes: u8, storm_ms: u64, faults: Vec<(u64, u64, FaultKind)>) -> Plan {
    let mut operations = Operations(Vec::new());
    operations.add(50, 0, NodeIndex(0), creation(SLOT));
    let mut voter = 100;
    for at in (200..storm_ms - 100).step_by(VOTE_EVERY_MS as usize) {
        let client = voter as u16 % (CLIENTS - 1);
        operations.add(
            at,
            client,
            NodeIndex((voter % u32::from(nodes)) as u8),
            vote(SLOT, voter),
        );
        voter += 1;
    }
    let fresh_ms = storm_ms + 2_000;
    operations.add(fresh_ms, CLIENTS - 1, NodeIndex(0), creation(FRESH));
    for node in 0..nodes {
        let at = fresh_ms + 50 + u64::from(node) * 50;
        operations.add(at, CLIENTS - 1, NodeIndex(node), vote(FRESH, voter));
        voter += 1;
    }
    Plan {
        format: PLAN_FORMAT,
        seed: Seed(7),
        profile: Profile::Mixed,
        knobs: knobs(nodes, storm_ms),
        operations: operations.0,
        viewers: vec![Viewer {
            viewer: ViewerIndex(0),
            slot: SLOT,
            from_ms: SimMs(150),
            endpoint: NodeIndex(nodes - 1),
        }],
        faults: faults
            .into_iter()
            .enumerate()
            .map(|(place, (at_ms, for_ms, kind))| Fault {
                id: FaultId(place as u16),
                at_ms: SimMs(at_ms),
                for_ms: SimMs(for_ms),
                kind,
            })
            .collect(),
    }
}

fn knobs(nodes: u8, storm_ms: u64) -> Knobs {
    Knobs {
        nodes,
        clients: CLIENTS,
        storm_ms: SimMs(storm_ms),
        heal_ms: SimMs(6_000),
        link_latency_ms_min: 1,
        link_latency_ms_max: 4,
        barrier_micros: 2_000,
        heartbeat_ms: 50,
        election_ms: 200,
        snapshot_every_entries: 20,
        log_keep_entries: None,
        clock_skew_ms: (0..nodes).map(|node| i64::from(node) * 7).collect(),
        clock_drift_ppm: vec![0; usize::from(nodes)],
        client_patience_ms: SimMs(1_000),
    }
}

fn creation(slot: EventSlot) -> Action {
    Action::CreateEvent {
        slot,
        contestants: 3,
        opens_at_ms: None,
        closes_at_ms: None,
        after_close: false,
    }
}

fn vote(slot: EventSlot, voter: u32) -> Action {
    Action::Submit {
        slot,
        voter: VoterNumber(voter),
        contestant: (voter % 3) as u16,
        tag: SubmissionTag(voter),
    }
}

struct Operations(Vec<Operation>);

impl Operations {
    fn add(&mut self, at_ms: u64, client: u16, endpoint: NodeIndex, action: Action) {
        self.0.push(Operation {
            id: OperationId(self.0.len() as u32),
            client: ClientIndex(client),
            at_ms: SimMs(at_ms),
            endpoint,
            action,
        });
    }
}
