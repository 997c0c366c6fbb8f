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

    pub(crate) fn micros(self) -> u64 {
        self.to.0.saturating_sub(self.from.0)
    }

    /// How much of this one none of `others` covers, in microseconds.
    pub(crate) fn outside_of(self, others: &[Span]) -> u64 {
        let mut others = others.to_vec();
        others.sort();
        let mut seen_to = self.from.0;
        let mut outside: u64 = 0;
        for other in others.into_iter().filter(|other| other.meets(self)) {
            outside = outside.saturating_add(other.from.0.saturating_sub(seen_to));
            seen_to = seen_to.max(other.to.0);
        }
        outside.saturating_add(self.to.0.saturating_sub(seen_to))
    }

    /// Whether `others` cover more than half of this one.
    pub(crate) fn is_half_in(self, others: &[Span]) -> bool {
        let meets = others.iter().any(|other| other.meets(self));
        meets && self.outside_of(others) <= self.micros() / 2
    }

    /// Whether `others` cover all of this one but a quarter.
    pub(crate) fn is_mostly_in(self, others: &[Span]) -> bool {
        let meets = others.iter().any(|other| other.meets(self));
        meets && self.outside_of(others) <= self.micros() / 4
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

/// Spans in which a node did not serve: it did not run, or was not ready yet.
pub(crate) fn downtimes(case: &Case) -> Vec<(NodeIndex, Span)> {
    // Started is not yet ready: until then it answers nobody.
    absences(case, |life| matches!(life, Life::Ready))
}

/// Spans in which a node had no process at all.
pub(crate) fn deadtimes(case: &Case) -> Vec<(NodeIndex, Span)> {
    absences(case, |life| matches!(life, Life::Started | Life::Ready))
}

fn absences(case: &Case, is_back: fn(&Life) -> bool) -> Vec<(NodeIndex, Span)> {
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
            life if is_back(life) => {
                if let Some(from) = down.remove(node) {
                    spans.push((*node, Span { from, to: record.at }));
                }
            }
            Life::Started | Life::Ready | Life::Leads { .. } | Life::Replaced => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span {
            from: SimMicros(from),
            to: SimMicros(to),
        }
    }

    #[test]
    fn most_of_a_span_is_more_than_a_touch() {
        let long = span(1_000, 5_000);
        assert_eq!(long.outside_of(&[]), 4_000);
        assert_eq!(
            long.outside_of(&[span(4_000, 9_000), span(0, 2_000), span(1_500, 1_800)]),
            2_000
        );
        assert!(!long.is_mostly_in(&[]));
        assert!(!long.is_mostly_in(&[span(0, 1_001)]));
        assert!(!long.is_mostly_in(&[span(0, 3_999)]));
        assert!(long.is_mostly_in(&[span(0, 4_000)]));
        assert!(long.is_half_in(&[span(0, 3_000)]));
        assert!(!long.is_half_in(&[span(0, 2_999)]));
        assert!(long.is_mostly_in(&[span(3_000, 6_000), span(900, 3_000)]));
        assert!(span(7, 7).is_mostly_in(&[span(1, 7)]));
        assert!(!span(7, 7).is_mostly_in(&[span(1, 6)]));
    }
}
