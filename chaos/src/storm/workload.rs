//! What the crowd of a storm does, as a plan of `sim/model`.

use ostraka_core::ids::VoterNumber;
use ostraka_sim_model::ids::{
    ClientIndex, EventSlot, NodeIndex, OperationId, SimMs, SubmissionTag, ViewerIndex,
};
use ostraka_sim_model::names::VOTER_FIRST;
use ostraka_sim_model::plan::{Action, Operation, Plan, Profile, Viewer};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::{StormPlan, likeness};
use crate::limits::{CROWD_PATIENCE_MS, LOAD_CONTESTANTS, SERVICE_ELECTION_MS_MIN};

/// The event that stays open, one that closes at a time given beforehand, and one that its owner closes.
const LASTING: EventSlot = EventSlot(0);
const SCHEDULED: EventSlot = EventSlot(1);
const CLOSED: EventSlot = EventSlot(2);

/// Events are there by then, on a cluster in its calm.
const VOTING_FROM_MS: u64 = 1_000;
/// How much earlier a fresh vote must have been sent for its status to be asked for.
const STATUS_AFTER_MS: u64 = 1_500;

/// The crowd's plan, and the storm's faults as the checkers know them.
pub(super) fn of(storm: &StormPlan) -> Plan {
    let mut plan = Plan::of_profile(storm.seed, Profile::Calm);
    plan.knobs.nodes = storm.nodes;
    plan.knobs.clients = u16::MAX;
    plan.knobs.storm_ms = storm.storm_ms;
    plan.knobs.heal_ms = storm.after_ms;
    plan.knobs.clock_skew_ms = vec![0; usize::from(storm.nodes)];
    plan.knobs.clock_drift_ppm = vec![0; usize::from(storm.nodes)];
    plan.knobs.client_patience_ms = SimMs(CROWD_PATIENCE_MS);
    plan.faults = likeness::of(storm);
    plan.knobs.election_ms = SERVICE_ELECTION_MS_MIN;
    let mut writer = Writer {
        storm,
        chance: Xoshiro256PlusPlus::seed_from_u64(storm.seed.0 ^ 0x0c70_3d00),
        operations: Vec::new(),
        submitted: Vec::new(),
        voters: 0,
        seconds: 0,
    };
    writer.events();
    writer.requests();
    let mut operations = writer.operations;
    operations.sort_by_key(|operation| operation.at_ms);
    plan.operations = operations;
    plan.viewers = viewers(storm);
    plan
}

fn viewers(storm: &StormPlan) -> Vec<Viewer> {
    let one = |place: u16| Viewer {
        viewer: ViewerIndex(place),
        slot: [LASTING, LASTING, SCHEDULED, CLOSED][usize::from(place) % 4],
        from_ms: SimMs(VOTING_FROM_MS + u64::from(place % 50)),
        endpoint: NodeIndex(u8::try_from(place % u16::from(storm.nodes)).unwrap_or(0)),
    };
    (0..storm.viewers).map(one).collect()
}

struct Writer<'a> {
    storm: &'a StormPlan,
    chance: Xoshiro256PlusPlus,
    operations: Vec<Operation>,
    /// Submissions so far, each once.
    submitted: Vec<Operation>,
    voters: u32,
    /// Further votes of voters who have voted.
    seconds: u32,
}

impl Writer<'_> {
    fn node(&mut self) -> NodeIndex {
        NodeIndex(self.chance.random_range(0..self.storm.nodes))
    }

    fn push(&mut self, at_ms: u64, endpoint: NodeIndex, action: Action) -> Operation {
        let id = u32::try_from(self.operations.len()).expect("a plan's operations are bounded");
        let operation = Operation {
            id: OperationId(id),
            // Clients of an open loop wait for nobody: each asks once.
            client: ClientIndex(u16::try_from(id % u32::from(u16::MAX)).expect("it is below")),
            at_ms: SimMs(at_ms),
            endpoint,
            action,
        };
        self.operations.push(operation.clone());
        operation
    }

    fn events(&mut self) {
        let (calm, storm) = (self.storm.calm_ms.0, self.storm.storm_ms.0);
        let middle = calm + (storm - calm) / 2;
        for slot in [LASTING, SCHEDULED, CLOSED] {
            let create = Action::CreateEvent {
                slot,
                contestants: LOAD_CONTESTANTS,
                opens_at_ms: None,
                closes_at_ms: (slot == SCHEDULED).then_some(SimMs(middle)),
                after_close: false,
            };
            let node = self.node();
            self.push(u64::from(slot.0) * 20, node, create);
        }
        // The owner asks through every node, as one who got no answer would.
        for place in 0..self.storm.nodes {
            let at_ms = middle + 200 * u64::from(place);
            self.push(at_ms, NodeIndex(place), Action::CloseEvent { slot: CLOSED });
        }
    }

    fn requests(&mut self) {
        let end = self.storm.storm_ms.plus(self.storm.after_ms).0;
        let gap_micros = 1_000_000 / u64::from(self.storm.requests_per_s);
        let mut at_micros = VOTING_FROM_MS * 1_000;
        while at_micros / 1_000 < end {
            self.request(at_micros / 1_000);
            at_micros += gap_micros;
        }
    }

    fn request(&mut self, at_ms: u64) {
        let is_fresh = at_ms >= self.storm.storm_ms.0;
        let endpoint = self.node();
        match self.chance.random_range(0..100) {
            0..72 => self.new_vote(at_ms, endpoint, is_fresh),
            // The same submission again, and the same voter again.
            72..80 if !is_fresh && !self.submitted.is_empty() => {
                let before = self.earlier();
                self.push(at_ms, endpoint, before.action);
            }
            80..84 if !is_fresh && !self.submitted.is_empty() => self.second_vote(at_ms, endpoint),
            84..92 => self.status(at_ms, endpoint, is_fresh),
            _ => drop(self.push(at_ms, endpoint, Action::Leaderboard { slot: LASTING })),
        }
    }

    fn earlier(&mut self) -> Operation {
        let place = self.chance.random_range(0..self.submitted.len());
        self.submitted[place].clone()
    }

    fn new_vote(&mut self, at_ms: u64, endpoint: NodeIndex, is_fresh: bool) {
        let slot = match self.chance.random_range(0..10) {
            0 if !is_fresh => SCHEDULED,
            1 if !is_fresh => CLOSED,
            _ => LASTING,
        };
        let action = Action::Submit {
            slot,
            voter: VoterNumber(VOTER_FIRST.0 + self.voters),
            contestant: self.chance.random_range(0..LOAD_CONTESTANTS),
            tag: SubmissionTag(self.voters),
        };
        self.voters += 1;
        let operation = self.push(at_ms, endpoint, action);
        self.submitted.push(operation);
    }

    fn second_vote(&mut self, at_ms: u64, endpoint: NodeIndex) {
        let Action::Submit { slot, voter, .. } = self.earlier().action else {
            return;
        };
        let action = Action::Submit {
            slot,
            voter,
            contestant: self.chance.random_range(0..LOAD_CONTESTANTS),
            tag: SubmissionTag(u32::MAX - self.seconds),
        };
        self.seconds += 1;
        self.push(at_ms, endpoint, action);
    }

    /// In the calm after the storm only of votes that must have an outcome by then.
    fn status(&mut self, at_ms: u64, endpoint: NodeIndex, is_fresh: bool) {
        let storm_ms = self.storm.storm_ms.0;
        let candidates = self.submitted.iter().filter(|operation| {
            let at = operation.at_ms.0;
            !is_fresh || (at >= storm_ms && at + STATUS_AFTER_MS <= at_ms)
        });
        let candidates: Vec<OperationId> = candidates.map(|operation| operation.id).collect();
        if !candidates.is_empty() {
            let of = candidates[self.chance.random_range(0..candidates.len())];
            self.push(at_ms, endpoint, Action::Status { of });
        }
    }
}
