//! What stood around the faults of a run, as far as its history shows it: who led, who was down, who was cut off.

use crate::case::Case;
use crate::ids::{NodeIndex, SimMicros};
use crate::lives::{Felt, Span, deadtimes, downtimes, felt, leader_at, leads};
use crate::names::overload_of_voter;
use crate::plan::{FaultKind, Target};

/// No connection lives through losses of a tenth for long: whoever loses so much has as good as cut the links.
const LOSS_PPM_THAT_CUTS: u32 = 100_000;

pub(super) struct Scene<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) felt: Vec<Felt<'a>>,
    pub(super) leads: Vec<(SimMicros, NodeIndex, u64)>,
    /// Nodes that did not serve.
    down: Vec<(NodeIndex, Span)>,
    /// Nodes that had no process.
    dead: Vec<(NodeIndex, Span)>,
}

impl<'a> Scene<'a> {
    pub(super) fn of(case: &'a Case<'a>) -> Self {
        Self {
            case,
            felt: felt(case),
            leads: leads(case),
            down: downtimes(case),
            dead: deadtimes(case),
        }
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeIndex> {
        (0..self.case.plan.knobs.nodes).map(NodeIndex)
    }

    /// As it was counted, or as the log has it: a crowd that was never answered has still made work.
    pub(super) fn did_harm(&self, felt: &Felt) -> bool {
        let of_crowd = |voter| overload_of_voter(voter).is_some_and(|(fault, _)| fault == felt.fault.id);
        let is_crowd = matches!(felt.fault.kind, FaultKind::Overload { .. });
        let recorded =
            |votes: &[crate::oracle::VoteTruth]| votes.iter().any(|vote| of_crowd(vote.vote.voter));
        felt.bites > 0 || (is_crowd && recorded(&self.case.oracle.votes))
    }

    pub(super) fn leader_at(&self, at: SimMicros) -> NodeIndex {
        leader_at(&self.leads, at).map_or(NodeIndex(0), |(node, _)| node)
    }

    /// Whom a target meant at that moment.
    pub(super) fn meant(&self, target: Target, at: SimMicros) -> NodeIndex {
        match target {
            Target::Node(node) => node,
            Target::Leader => self.leader_at(at),
            Target::Follower => {
                NodeIndex(self.leader_at(at).0.wrapping_add(1) % self.case.plan.knobs.nodes.max(1))
            }
        }
    }

    pub(super) fn had_no_process(&self, node: NodeIndex, at: SimMicros) -> bool {
        self.dead
            .iter()
            .any(|(dead, span)| *dead == node && span.holds(at))
    }

    pub(super) fn downtimes_of(&self, node: NodeIndex) -> Vec<Span> {
        let of_node = self.down.iter().filter(|(down, _)| *down == node);
        of_node.map(|(_, span)| *span).collect()
    }

    /// When so few nodes served.
    pub(super) fn times_with_at_most(&self, serving: usize) -> Vec<Span> {
        let mut moments: Vec<SimMicros> = self
            .down
            .iter()
            .flat_map(|(_, span)| [span.from, span.to])
            .collect();
        moments.sort();
        moments.dedup();
        let between = moments.windows(2).map(|pair| Span {
            from: pair[0],
            to: pair[1],
        });
        between
            .filter(|span| {
                let is_down = |node: &NodeIndex| {
                    let covers = |down: &Span| down.from <= span.from && down.to >= span.to;
                    self.downtimes_of(*node).iter().any(covers)
                };
                self.nodes().filter(|node| !is_down(node)).count() <= serving
            })
            .collect()
    }

    /// When other faults kept messages from this node, and did: `but` is the fault that is looked at.
    pub(super) fn times_cut_off(&self, node: NodeIndex, but: &Felt) -> Vec<Span> {
        let mut spans = Vec::new();
        for felt in self
            .felt
            .iter()
            .filter(|felt| felt.bites > 0 && felt.fault.id != but.fault.id)
        {
            let Some(span) = felt.span(self.case.end) else {
                continue;
            };
            let of_node = felt.node == Some(node);
            let cuts = match felt.fault.kind {
                FaultKind::Isolate { .. }
                | FaultKind::Flap { .. }
                | FaultKind::Hold { .. }
                | FaultKind::Rot { .. }
                | FaultKind::LeaveAndJoin { .. } => of_node,
                FaultKind::OneWay { to, .. } => of_node || self.meant(to, span.from) == node,
                FaultKind::Loss { ppm } => ppm >= LOSS_PPM_THAT_CUTS,
                _ => false,
            };
            if cuts {
                spans.push(span);
            }
        }
        spans
    }

    /// When other faults kept the node from having a process.
    pub(super) fn times_kept_down(&self, node: NodeIndex, but: &Felt) -> Vec<Span> {
        let others = self.felt.iter().filter(|felt| felt.fault.id != but.fault.id);
        others
            .filter(|felt| match felt.fault.kind {
                FaultKind::Blackout { .. } => true,
                FaultKind::PowerCut { .. }
                | FaultKind::Kill { .. }
                | FaultKind::Restart { .. }
                | FaultKind::CrashLoop { .. }
                | FaultKind::DiskError { .. }
                | FaultKind::DiskFull { .. } => felt.node == Some(node),
                _ => false,
            })
            .filter_map(|felt| felt.span(self.case.end))
            .collect()
    }

    /// When links were so slow that a question of `span`'s beginning was not answered in it.
    pub(super) fn times_too_slow(&self, but: &Felt, span: Span) -> Vec<Span> {
        let others = self
            .felt
            .iter()
            .filter(|felt| felt.bites > 0 && felt.fault.id != but.fault.id);
        others
            .filter(|felt| match felt.fault.kind {
                FaultKind::SlowLinks { extra_ms, .. } => 2_000 * u64::from(extra_ms) >= span.micros(),
                _ => false,
            })
            .filter_map(|felt| felt.span(self.case.end))
            .collect()
    }

    /// A node whose disk has failed it is as good as down from then on until it is back.
    pub(super) fn times_with_a_bad_disk(&self, node: NodeIndex) -> Vec<Span> {
        let down = self.downtimes_of(node);
        let bad = self
            .felt
            .iter()
            .filter(|felt| felt.bites > 0 && felt.node == Some(node) && felt.fault.kind.takes_a_disk());
        bad.filter_map(|felt| {
            let span = felt.span(self.case.end)?;
            let back = down.iter().find(|down| down.from >= span.from);
            Some(Span {
                from: span.from,
                to: back.map_or(span.to, |down| down.to),
            })
        })
        .collect()
    }

    /// When nobody led who was ready to do anything: one that was started again may win before it has heard of a quorum.
    pub(super) fn times_without_ready_leader(&self, but: &Felt) -> Vec<Span> {
        let mut spans = self.times_without_leader(but);
        for (node, down) in &self.down {
            let wins = self
                .leads
                .iter()
                .filter(|(won, leader, _)| leader == node && down.holds(*won));
            spans.extend(wins.map(|(won, _, _)| Span {
                from: *won,
                to: down.to,
            }));
        }
        spans
    }

    /// When nobody could lead: the leader was down or cut off, and the next one was not elected yet; or there were too
    /// few nodes to agree on one.
    pub(super) fn times_without_leader(&self, but: &Felt) -> Vec<Span> {
        let mut terms = self.leads.clone();
        terms.sort_by_key(|(since, _, term)| (*term, *since));
        let mut spans = Vec::new();
        for (place, (since, leader, _)) in terms.iter().enumerate() {
            let until = terms.get(place + 1).map_or(self.case.end, |(next, _, _)| *next);
            let tenure = Span {
                from: *since,
                to: until.max(*since),
            };
            // One that comes back has forgotten that it led.
            let deaths = self
                .downtimes_of(*leader)
                .into_iter()
                .map(|down| (down.from, tenure.to));
            let cuts = self.times_cut_off(*leader, but).into_iter();
            let cuts = cuts.map(|cut| (cut.from.max(*since), cut.to.min(tenure.to)));
            let within = deaths
                .chain(cuts)
                .filter(|(from, to)| tenure.holds(*from) && from <= to);
            spans.extend(within.map(|(from, to)| Span { from, to }));
        }
        let minority = usize::from(self.case.plan.knobs.nodes) / 2;
        spans.extend(self.times_with_at_most(minority));
        spans
    }
}
