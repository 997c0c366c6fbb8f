//! Makes a failing plan small: delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
//! 2002) over faults, clients, viewers and operations, in this order, until nothing more can go.

use std::collections::BTreeSet;

use ostraka_sim_model::ids::{ClientIndex, EventSlot, OperationId};
use ostraka_sim_model::plan::{Action, Fault, FaultKind, Plan};

/// A smaller plan for which `still_fails` holds, and how many plans were tried. `still_fails` holds for `plan`.
pub(crate) fn reduce(plan: &Plan, mut still_fails: impl FnMut(&Plan) -> bool) -> (Plan, u32) {
    let mut tried = 0;
    let mut fails = |candidate: &Plan| {
        tried += 1;
        still_fails(candidate)
    };
    let mut plan = plan.clone();
    loop {
        let before = size(&plan);
        plan = round(plan, &mut fails);
        if size(&plan) == before {
            return (plan, tried);
        }
    }
}

fn size(plan: &Plan) -> usize {
    plan.faults.len() + plan.operations.len() + plan.viewers.len()
}

fn round(mut plan: Plan, fails: &mut impl FnMut(&Plan) -> bool) -> Plan {
    let whole = plan.clone();
    let of_faults = |faults: &[Fault]| {
        without_orphans(Plan {
            faults: faults.to_vec(),
            ..whole.clone()
        })
    };
    plan = of_faults(&ddmin(&whole.faults, |faults| fails(&of_faults(faults))));
    let whole = plan.clone();
    let clients: BTreeSet<ClientIndex> = whole
        .operations
        .iter()
        .map(|operation| operation.client)
        .collect();
    let clients: Vec<ClientIndex> = clients.into_iter().collect();
    let of_clients = |clients: &[ClientIndex]| {
        let mut plan = whole.clone();
        plan.operations
            .retain(|operation| clients.contains(&operation.client));
        without_orphans(plan)
    };
    plan = of_clients(&ddmin(&clients, |clients| fails(&of_clients(clients))));
    let whole = plan.clone();
    plan.viewers = ddmin(&whole.viewers, |viewers| {
        fails(&Plan {
            viewers: viewers.to_vec(),
            ..whole.clone()
        })
    });
    let whole = plan.clone();
    let of_operations = |operations: &[_]| {
        without_orphans(Plan {
            operations: operations.to_vec(),
            ..whole.clone()
        })
    };
    of_operations(&ddmin(&whole.operations, |operations| {
        fails(&of_operations(operations))
    }))
}

/// What is left once something was taken away, as a plan that can be run: faults are numbered by their place, and nothing
/// asks about an operation or an event that is gone. A candidate that validation refuses is never tried.
fn without_orphans(mut plan: Plan) -> Plan {
    let created: BTreeSet<EventSlot> = plan
        .operations
        .iter()
        .filter_map(|operation| match operation.action {
            Action::CreateEvent { slot, .. } => Some(slot),
            _ => None,
        })
        .collect();
    plan.operations.retain(|operation| match operation.action {
        Action::OpenEvent { slot }
        | Action::CloseEvent { slot }
        | Action::Submit { slot, .. }
        | Action::Leaderboard { slot } => created.contains(&slot),
        Action::CreateEvent { .. } | Action::Status { .. } => true,
    });
    let known: BTreeSet<OperationId> = plan.operations.iter().map(|operation| operation.id).collect();
    plan.operations.retain(|operation| match &operation.action {
        Action::Status { of } => known.contains(of),
        _ => true,
    });
    plan.viewers.retain(|viewer| created.contains(&viewer.slot));
    plan.faults.retain(|fault| match fault.kind {
        FaultKind::Overload { slot, .. } => created.contains(&slot),
        _ => true,
    });
    plan.number_faults();
    plan
}

/// A subset of `items` that still fails and of which no single item can be taken away.
fn ddmin<T: Clone>(items: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = items.to_vec();
    let mut chunks = 2;
    while !kept.is_empty() {
        let chunk = kept.len().div_ceil(chunks);
        let smaller = (0..kept.len()).step_by(chunk).find_map(|start| {
            let end = (start + chunk).min(kept.len());
            let rest: Vec<T> = kept[..start].iter().chain(&kept[end..]).cloned().collect();
            fails(&rest).then_some(rest)
        });
        match smaller {
            Some(rest) => {
                kept = rest;
                chunks = (chunks - 1).max(2);
            }
            None if chunk == 1 => break,
            None => chunks = (chunks * 2).min(kept.len().max(2)),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use ostraka_sim_model::ids::Seed;

    use super::*;

    /// Of the first seeds' plans, those with so many faults that dropping some means something, and few enough to drop
    /// every subset of them.
    fn plans_with_faults() -> impl Iterator<Item = Plan> {
        let plans = (1..60).map(|seed| Plan::of_seed(Seed(seed)));
        plans.filter(|plan| (3..=8).contains(&plan.faults.len()))
    }

    #[test]
    fn each_fault_alone_is_what_is_left_if_it_alone_is_needed() {
        for plan in plans_with_faults() {
            for needed in &plan.faults {
                // What cannot be run breaks nothing.
                let (small, _) = reduce(&plan, |candidate| {
                    candidate.validate().is_ok()
                        && candidate
                            .faults
                            .iter()
                            .any(|fault| (fault.at_ms, &fault.kind) == (needed.at_ms, &needed.kind))
                });
                let left: Vec<_> = small.faults.iter().map(|fault| &fault.kind).collect();
                assert_eq!(left, [&needed.kind], "seed {}", plan.seed.0);
            }
        }
    }

    #[test]
    fn whatever_is_dropped_the_rest_is_a_plan_that_can_be_run() {
        let mut tried = 0;
        for plan in plans_with_faults() {
            // Something different each time, so that candidates of many sizes are asked about.
            for subset in 0..1_u32 << plan.faults.len() {
                let mut rest = plan.clone();
                let mut place = 0;
                rest.faults.retain(|_| {
                    place += 1;
                    subset >> (place - 1) & 1 == 1
                });
                assert_eq!(without_orphans(rest).validate(), Ok(()), "seed {}", plan.seed.0);
            }
            let mut asked = 0_u32;
            reduce(&plan, |candidate| {
                assert_eq!(candidate.validate(), Ok(()), "seed {}", plan.seed.0);
                asked += 1;
                asked.wrapping_mul(2_654_435_761) >> 30 == 0
            });
            tried += asked;
        }
        assert!(tried > 1_000, "{tried}");
    }

    #[test]
    fn what_is_needed_stays_and_nothing_else() {
        let items: Vec<u32> = (0..97).collect();
        let needed = [3, 40, 96];
        let mut asked = 0;
        let kept = ddmin(&items, |kept| {
            asked += 1;
            needed.iter().all(|item| kept.contains(item))
        });
        assert_eq!(kept, needed);
        assert!(asked < 97 * 3, "{asked} questions");
    }

    #[test]
    fn what_fails_without_anything_becomes_nothing() {
        assert!(ddmin(&[1, 2, 3], |_| true).is_empty());
        assert_eq!(ddmin(&[1], |kept| !kept.is_empty()), [1]);
    }
}
