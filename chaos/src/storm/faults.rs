//! Begins and ends the faults of a plan, each by a thread of its own, and writes down what came of each.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use ostraka_sim_model::history::Happening;
use ostraka_sim_model::ids::{NodeIndex, SimMs};
use ostraka_sim_model::plan::{Fault, FaultKind, Target};

use super::progress::{Progress, stamped};
use super::spans::FaultSpan;
use super::stage::SharedStage;
use super::{StormFault, StormPlan, likeness};
use crate::Trouble;
use crate::nemesis::{self, StreamOf};
use crate::rig::Rig;

/// Runs all faults to their ends. Each span says what was felt of it, or why it could not be had; each beginning and end is
/// told when it comes.
pub(super) fn run(
    plan: &StormPlan,
    stage: &SharedStage,
    rig: &Rig,
    stream: &StreamOf,
    progress: &mut Progress<'_>,
) -> Vec<FaultSpan> {
    std::thread::scope(|scope| {
        let (lines, heard) = channel();
        let running: Vec<_> = plan
            .faults
            .iter()
            .map(|fault| {
                let lines = lines.clone();
                scope.spawn(move || told(fault, stage, rig, stream, &lines))
            })
            .collect();
        drop(lines);
        progress.listen(&heard);
        let ended = running.into_iter().zip(&plan.faults);
        ended
            .map(|(thread, fault)| {
                thread
                    .join()
                    .unwrap_or_else(|_| FaultSpan::broken(fault, &Trouble::failed("its thread panicked")))
            })
            .collect()
    })
}

fn told(
    fault: &StormFault,
    stage: &SharedStage,
    rig: &Rig,
    stream: &StreamOf,
    lines: &Sender<String>,
) -> FaultSpan {
    // Who listens goes away only after all who speak.
    let say = |line: String| drop(lines.send(stamped(stage.now(), line)));
    let span = one(fault, stage, rig, stream, &say);
    say(outcome(&span));
    span
}

/// How a fault ended, in words.
fn outcome(span: &FaultSpan) -> String {
    let FaultSpan {
        nemesis, node, felt, ..
    } = span;
    match (&span.trouble, node) {
        (Some(trouble), None) => format!("{nemesis} could not be begun: {trouble}"),
        (Some(trouble), Some(_)) => format!("{nemesis} went wrong: {trouble}"),
        (None, _) if span.bites == 0 => format!("{nemesis} is over and did not bite: {felt}"),
        (None, _) => format!("{nemesis} is over and bit: {felt}"),
    }
}

fn sleep_until(stage: &SharedStage, at: SimMs) {
    let left = at.micros().0.saturating_sub(stage.now().0);
    std::thread::sleep(Duration::from_micros(left));
}

fn one(
    fault: &StormFault,
    stage: &SharedStage,
    rig: &Rig,
    stream: &StreamOf,
    say: &dyn Fn(String),
) -> FaultSpan {
    let Some(kind) = nemesis::named(&fault.nemesis) else {
        return FaultSpan::broken(fault, &Trouble::usage("there is no such nemesis"));
    };
    sleep_until(stage, fault.at_ms);
    let node = match rig.resolve(fault.target) {
        Ok(node) => node,
        Err(trouble) => return FaultSpan::broken(fault, &trouble),
    };
    let mut nemesis = kind.make(stream.clone());
    let mut span = FaultSpan::new(fault, node, stage.now());
    say(format!("{} begins, aimed at node {node}", kind.name));
    // From before its first harm to after its last: nobody is to be judged by less.
    tell(stage, fault, |like| Happening::FaultBegan {
        fault: like.id,
        node: hit(like, node),
    });
    match nemesis.begin(rig, Target::Node(node)) {
        Err(trouble) => {
            span.node = None;
            span.went_wrong(&trouble, "");
        }
        Ok(_) => {
            sleep_until(stage, fault.ends_at());
            match nemesis.end(rig) {
                Ok(felt) => {
                    span.bites = felt.bites;
                    span.felt = felt.to_string();
                }
                Err(trouble) => span.went_wrong(&trouble, "at its end: "),
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storm::testing;

    #[test]
    fn a_fault_that_never_began_is_not_said_to_have_bitten() {
        let mut span = testing::fault(0, "rolling-upgrade", 1, (6, 9), None);
        assert_eq!(
            outcome(&span),
            "rolling-upgrade is over and bit: 1234 packets dropped"
        );
        span.bites = 0;
        assert!(outcome(&span).starts_with("rolling-upgrade is over and did not bite"));
        span.trouble = Some("a node does not start".to_owned());
        assert_eq!(
            outcome(&span),
            "rolling-upgrade went wrong: a node does not start"
        );
        span.node = None;
        assert_eq!(
            outcome(&span),
            "rolling-upgrade could not be begun: a node does not start"
        );
    }
}
