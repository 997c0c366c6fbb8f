//! When nodes ran, and what faults did to whom, read out of a history.

use std::collections::BTreeMap;

use crate::case::Case;
use crate::history::{Happening, Life};
use crate::ids::{FaultId, NodeIndex, SimMicros};
use crate::plan::Fault;

/// From when to when; both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) from: SimMicros,
    pub(crate) to: SimMicros,
}

impl Span {
    pub(crate) fn holds(self, at: SimMicros) -> bool {
        (self.from..=self.to).contains(&at)
    }

    pub(crate) fn meets(self, other: Span) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// A fault as it went.
#[derive(Clone, Debug)]
pub(crate) struct Felt<'a> {
    pub(crate) fault: &'a Fault,
    pub(crate) began: Option<SimMicros>,
    pub(crate) ended: Option<SimMicros>,
    pub(crate) node: Option<NodeIndex>,
    pub(crate) bites: u64,
}

impl Felt<'_> {
    pub(crate) fn span(&self, end: SimMicros) -> Option<Span> {
        Some(Span {
            from: self.began?,
            to: self.ended.unwrap_or(end),
        })
    }
}

/// Each fault of the plan, as it went.
pub(crate) fn felt<'a>(case: &Case<'a>) -> Vec<Felt<'a>> {
    let untouched = |fault| Felt {
        fault,
        began: None,
        ended: None,
        node: None,
        bites: 0,
    };
    let mut all: BTreeMap<FaultId, Felt> = case
        .plan
        .faults
        .iter()
        .map(|fault| (fault.id, untouched(fault)))
        .collect();
    for record in &case.history.records {
        match &record.what {
            Happening::FaultBegan { fault, node } => {
                if let Some(felt) = all.get_mut(fault) {
                    felt.began = felt.began.or(Some(record.at));
                    felt.node = felt.node.or(*node);
                }
            }
            Happening::FaultEnded { fault, bites } => {
                if let Some(felt) = all.get_mut(fault) {
                    felt.ended = Some(record.at);
                    felt.bites = felt.bites.saturating_add(*bites);
                }
            }
            _ => {}
        }
    }
    all.into_values().collect()
}

/// Spans in which a node did not run, or stood still.
pub(crate) fn downtimes(case: &Case) -> Vec<(NodeIndex, Span)> {
    let mut down: BTreeMap<NodeIndex, SimMicros> = BTreeMap::new();
    let mut spans = Vec::new();
    for record in &case.history.records {
        let Happening::Node { node, life } = &record.what else {
            continue;
        };
        match life {
            Life::LostPower { .. } | Life::Killed | Life::StoppedGracefully | Life::Failed(_) => {
                down.entry(*node).or_insert(record.at);
            }
            // Started is not yet ready: until then it answers nobody.
            Life::Ready => {
                if let Some(from) = down.remove(node) {
                    spans.push((*node, Span { from, to: record.at }));
                }
            }
            Life::Started | Life::Leads { .. } => {}
        }
    }
    spans.extend(
        down.into_iter()
            .map(|(node, from)| (node, Span { from, to: case.end })),
    );
    spans
}

/// Who led the vote log from when, in the order of time.
pub(crate) fn leads(case: &Case) -> Vec<(SimMicros, NodeIndex, u64)> {
    let lead = |record: &crate::history::Record| match record.what {
        Happening::Node {
            node,
            life: Life::Leads { term },
        } => Some((record.at, node, term)),
        _ => None,
    };
    case.history.records.iter().filter_map(lead).collect()
}

/// Deaths of nodes, whatever the way.
pub(crate) fn deaths(case: &Case) -> Vec<(SimMicros, NodeIndex)> {
    let death = |record: &crate::history::Record| match &record.what {
        Happening::Node {
            node,
            life: Life::LostPower { .. } | Life::Killed | Life::Failed(_),
        } => Some((record.at, *node)),
        _ => None,
    };
    case.history.records.iter().filter_map(death).collect()
}

/// The last to win the lead at or before `at`, by term.
pub(crate) fn leader_at(leads: &[(SimMicros, NodeIndex, u64)], at: SimMicros) -> Option<(NodeIndex, u64)> {
    let before = leads.iter().filter(|(since, _, _)| *since <= at);
    before
        .max_by_key(|(_, _, term)| *term)
        .map(|(_, node, term)| (*node, *term))
}
