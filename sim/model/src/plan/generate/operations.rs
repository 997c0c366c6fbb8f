//! What clients do.

use std::collections::BTreeMap;

use ostraka_core::VoterNumber;

use super::events::Script;
use super::{Draw, any_client, any_node, fresh_client, fresh_from_ms, fresh_slot};
use crate::ids::{ClientIndex, EventSlot, NodeIndex, OperationId, SimMs, SubmissionTag};
use crate::names::VOTER_FIRST;
use crate::plan::{Action, Knobs, Operation};

/// A voter's submissions in one event are remembered up to some number; one stubborn voter goes past it.
const STUBBORN_SUBMISSIONS: u64 = 19;

/// Milliseconds on each side of a closing in which a race is run.
const RACE_MS: u64 = 120;

/// Operations as they are drawn; their ids count them in that order.
struct Drafts<'a> {
    knobs: &'a Knobs,
    operations: Vec<Operation>,
    tags: u32,
}

pub(super) fn draw(draw: &mut Draw, knobs: &Knobs, scripts: &[Script]) -> Vec<Operation> {
    let mut drafts = Drafts {
        knobs,
        operations: Vec::new(),
        tags: 0,
    };
    let voters_in_all = draw.between(50, 130);
    for script in scripts {
        drafts.administration(draw, script);
        drafts.votes(draw, script, voters_in_all / scripts.len() as u64);
        drafts.looks(draw, script);
    }
    if draw.percent(12) {
        drafts.stubborn_voter(draw, &scripts[0]);
    }
    drafts.fresh(fresh_slot(scripts));
    in_order(drafts.operations)
}

impl Drafts<'_> {
    fn add(&mut self, at_ms: u64, client: ClientIndex, endpoint: NodeIndex, action: Action) -> OperationId {
        let id = OperationId(self.operations.len() as u32);
        self.operations.push(Operation {
            id,
            client,
            at_ms: SimMs(at_ms),
            endpoint,
            action,
        });
        id
    }

    /// Adds what happens in the storm; never past its end.
    fn in_storm(&mut self, draw: &mut Draw, at_ms: u64, action: Action) -> OperationId {
        let client = any_client(draw, self.knobs);
        let endpoint = any_node(draw, self.knobs);
        let last_ms = self.knobs.storm_ms.0 - 1;
        self.add(at_ms.min(last_ms), client, endpoint, action)
    }

    fn next_tag(&mut self) -> SubmissionTag {
        self.tags += 1;
        SubmissionTag(self.tags)
    }

    fn administration(&mut self, draw: &mut Draw, script: &Script) {
        let slot = script.slot;
        self.in_storm(draw, script.created_at, script.creation());
        // At least one more: an answer gets lost, and nobody would know the event.
        for _ in 0..draw.between(1, 3) {
            let at = script.created_at + draw.between(1, 1_500);
            self.in_storm(draw, at, script.creation());
        }
        if let Some(at) = script.opened_by_hand_at {
            self.in_storm(draw, at, Action::OpenEvent { slot });
        }
        if let Some(at) = script.closed_by_hand_at {
            for again in 0..draw.between(1, 2) {
                let later = again * draw.between(0, 400);
                self.in_storm(draw, at + later, Action::CloseEvent { slot });
            }
            if draw.percent(25) {
                self.in_storm(draw, at + 200, Action::OpenEvent { slot });
            }
        }
    }

    fn votes(&mut self, draw: &mut Draw, script: &Script, voters: u64) {
        let storm_ms = self.knobs.storm_ms.0;
        let first = u64::from(VOTER_FIRST.0) + u64::from(script.slot.0) * 10;
        for voter in 0..voters {
            let racing = script.races_close && draw.percent(45);
            let at = match script.closing_at() {
                Some(closing) if racing => (closing + draw.between(0, 2 * RACE_MS)).saturating_sub(RACE_MS),
                _ => draw.between(script.created_at + 100, storm_ms - 200),
            };
            self.voter(draw, script, VoterNumber((first + voter) as u32), at);
        }
    }

    /// One voter: a submission, perhaps its retries, perhaps another submission, perhaps a look at its status.
    fn voter(&mut self, draw: &mut Draw, script: &Script, voter: VoterNumber, at: u64) {
        let tag = self.next_tag();
        let action = self.submission(draw, script, voter, tag);
        let first = self.in_storm(draw, at, action.clone());
        let mut asked = vec![(at, first)];
        let retries = draw.weighted(&[(60, 0), (30, 1), (10, 3)]);
        for _ in 0..retries {
            // A retry is often at once, as a load balancer's, and often after the client's patience.
            let later = draw.pick(&[1, 15, 120, 500, self.knobs.client_patience_ms.0]) + draw.between(0, 60);
            asked.push((at + later, self.in_storm(draw, at + later, action.clone())));
        }
        if draw.percent(20) {
            let other = self.next_tag();
            let later = at + draw.pick(&[0, 5, 80, 900]) + draw.between(0, 40);
            let action = self.submission(draw, script, voter, other);
            asked.push((later, self.in_storm(draw, later, action)));
        }
        for _ in 0..draw.weighted(&[(65, 0), (25, 1), (10, 2)]) {
            let (since, of) = draw.pick(&asked);
            let later = since + draw.pick(&[20, 150, 1_500]) + draw.between(0, 100);
            self.in_storm(draw, later, Action::Status { of });
        }
    }

    fn submission(
        &mut self,
        draw: &mut Draw,
        script: &Script,
        voter: VoterNumber,
        tag: SubmissionTag,
    ) -> Action {
        // Now and then for a contestant that does not exist.
        let past_the_last = u64::from(draw.percent(2));
        let contestant = draw.between(0, u64::from(script.contestants) - 1 + past_the_last) as u16;
        Action::Submit {
            slot: script.slot,
            voter,
            contestant,
            tag,
        }
    }

    fn stubborn_voter(&mut self, draw: &mut Draw, script: &Script) {
        let voter = VoterNumber(VOTER_FIRST.0 - 1);
        let from = script.created_at + 1_000;
        for place in 0..STUBBORN_SUBMISSIONS {
            let tag = self.next_tag();
            let action = self.submission(draw, script, voter, tag);
            self.in_storm(draw, from + place * 60, action);
        }
    }

    fn looks(&mut self, draw: &mut Draw, script: &Script) {
        let slot = script.slot;
        for _ in 0..draw.between(8, 25) {
            let at = draw.between(script.created_at + 20, self.knobs.storm_ms.0 - 1);
            self.in_storm(draw, at, Action::Leaderboard { slot });
        }
        if let Some(closing) = script.closing_at().filter(|_| script.races_close) {
            for _ in 0..6 {
                let at = (closing + draw.between(0, 300)).saturating_sub(100);
                self.in_storm(draw, at, Action::Leaderboard { slot });
            }
        }
    }

    /// What a healed cluster must do, through each of its nodes, by one client.
    fn fresh(&mut self, slot: EventSlot) {
        let client = fresh_client(self.knobs);
        let mut at = fresh_from_ms(self.knobs);
        let creation = Action::CreateEvent {
            slot,
            contestants: 2,
            opens_at_ms: None,
            closes_at_ms: None,
            after_close: false,
        };
        self.add(at, client, NodeIndex(0), creation);
        for node in 0..self.knobs.nodes {
            at += 100;
            let tag = self.next_tag();
            let voter = VoterNumber(VOTER_FIRST.0 + u32::from(node));
            let action = Action::Submit {
                slot,
                voter,
                contestant: u16::from(node % 2),
                tag,
            };
            let of = self.add(at, client, NodeIndex(node), action);
            self.add(at + 50, client, NodeIndex(node), Action::Status { of });
        }
        for node in 0..self.knobs.nodes {
            self.add(at + 100, client, NodeIndex(node), Action::Leaderboard { slot });
        }
        self.add(at + 300, client, NodeIndex(1), Action::CloseEvent { slot });
    }
}

/// Sorts by time and numbers anew, so that ids rise with time.
fn in_order(mut operations: Vec<Operation>) -> Vec<Operation> {
    operations.sort_by_key(|operation| (operation.at_ms, operation.id));
    let numbers: BTreeMap<OperationId, OperationId> = operations
        .iter()
        .enumerate()
        .map(|(place, operation)| (operation.id, OperationId(place as u32)))
        .collect();
    for operation in &mut operations {
        operation.id = numbers[&operation.id];
        if let Action::Status { of } = &mut operation.action {
            *of = numbers[of];
        }
    }
    operations
}
