//! Begins and ends the faults of a plan, each by a thread of its own, and writes down what came of each.

use std::time::Duration;

use ostraka_sim_model::history::Happening;
use ostraka_sim_model::ids::{FaultId, NodeIndex, SimMs};
use ostraka_sim_model::plan::{FaultKind, Target};

use super::evidence::FaultSpan;
use super::stage::SharedStage;
use super::{StormFault, StormPlan, workload};
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
    let begun = nemesis.begin(rig, Target::Node(node));
    tell_clocks(stage, fault, |fault| Happening::FaultBegan {
        fault,
        node: clock_node(stage, fault),
    });
    if let Err(trouble) = begun {
        span.trouble = Some(trouble.to_string());
        span.ended = stage.now();
        return span;
    }
    sleep_until(stage, fault.ends_at());
    let ended = nemesis.end(rig);
    span.ended = stage.now();
    match ended {
        Ok(felt) => {
            let bites = felt.bites;
            tell_clocks(stage, fault, |fault| Happening::FaultEnded { fault, bites });
            span.bites = felt.bites;
            span.felt = felt.to_string();
        }
        Err(trouble) => span.trouble = Some(trouble.to_string()),
    }
    span
}

/// Of the faults that checkers know: those that move clocks.
fn tell_clocks(stage: &SharedStage, fault: &StormFault, what: impl Fn(FaultId) -> Happening) {
    for clock in &stage.plan.faults {
        if workload::storm_fault(clock.id) == fault.id {
            stage.record(what(clock.id));
        }
    }
}

fn clock_node(stage: &SharedStage, fault: FaultId) -> Option<NodeIndex> {
    let fault = stage.plan.faults.iter().find(|known| known.id == fault)?;
    match fault.kind {
        FaultKind::ClockJump {
            target: Target::Node(node),
            ..
        } => Some(node),
        _ => None,
    }
}
