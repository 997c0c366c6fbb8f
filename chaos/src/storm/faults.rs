//! Begins and ends the faults of a plan, each by a thread of its own, and writes down what came of each.

use std::time::Duration;

use ostraka_sim_model::history::Happening;
use ostraka_sim_model::ids::{NodeIndex, SimMs};
use ostraka_sim_model::plan::{Fault, FaultKind, Target};

use super::spans::FaultSpan;
use super::stage::SharedStage;
use super::{StormFault, StormPlan, likeness};
use crate::nemesis::{self, StreamOf};
use crate::rig::Rig;

/// Runs all faults to their ends. Each span says what was felt of it, or why it could not be had.
pub(super) fn run(plan: &StormPlan, stage: &SharedStage, rig: &Rig, stream: &StreamOf) -> Vec<FaultSpan> {
    std::thread::scope(|scope| {
        let running: Vec<_> = plan
            .faults
            .iter()
            .map(|fault| scope.spawn(move || one(fault, stage, rig, stream.clone())))
            .collect();
        let ended = running.into_iter().zip(&plan.faults);
        ended
            .map(|(thread, fault)| {
                thread
                    .join()
                    .unwrap_or_else(|_| FaultSpan::broken(fault, "its thread panicked"))
            })
            .collect()
    })
}

fn sleep_until(stage: &SharedStage, at: SimMs) {
    let left = at.micros().0.saturating_sub(stage.now().0);
    std::thread::sleep(Duration::from_micros(left));
}

fn one(fault: &StormFault, stage: &SharedStage, rig: &Rig, stream: StreamOf) -> FaultSpan {
    let Some(kind) = nemesis::named(&fault.nemesis) else {
        return FaultSpan::broken(fault, "there is no such nemesis");
    };
    sleep_until(stage, fault.at_ms);
    let node = match rig.resolve(fault.target) {
        Ok(node) => node,
        Err(trouble) => return FaultSpan::broken(fault, trouble),
    };
    let mut nemesis = kind.make(stream);
    let mut span = FaultSpan::new(fault, node, stage.now());
    // From before its first harm to after its last: nobody is to be judged by less.
    tell(stage, fault, |like| Happening::FaultBegan {
        fault: like.id,
        node: hit(like, node),
    });
    let ended = nemesis.begin(rig, Target::Node(node)).and_then(|_| {
        sleep_until(stage, fault.ends_at());
        nemesis.end(rig)
    });
    match ended {
        Ok(felt) => {
            span.bites = felt.bites;
            span.felt = felt.to_string();
        }
        Err(trouble) => span.trouble = Some(trouble.to_string()),
    }
    span.ended = stage.now();
    tell(stage, fault, |like| Happening::FaultEnded {
        fault: like.id,
        bites: span.bites,
    });
    span
}

fn tell(stage: &SharedStage, fault: &StormFault, what: impl Fn(&Fault) -> Happening) {
    let all = stage.plan.faults.iter();
    let like = all.filter(|like| likeness::storm_fault(like.id) == fault.id);
    like.for_each(|like| stage.record(what(like)));
}

/// Whom one of the checkers' faults hits: those at single clocks name their own.
fn hit(like: &Fault, node: NodeIndex) -> Option<NodeIndex> {
    match like.kind {
        FaultKind::ClockJump {
            target: Target::Node(own),
            ..
        } => Some(own),
        FaultKind::Blackout { .. } | FaultKind::Loss { .. } => None,
        _ => Some(node),
    }
}
