//! The verdict on a run: all checkers' reports in one, and whether the run was worth anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::checkers::{Checker, Class, Violation};
use crate::history::{Answer, History};
use crate::ids::{NodeIndex, SimMicros};
use crate::lives::{Felt, Span, downtimes, felt, leader_at, leads};
use crate::plan::{FaultKind, Plan};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Held,
    SafetyBroken,
    LivenessBroken,
    /// Nothing is broken, and nothing is proven: no vote counted, a fault that did nothing, a checker that compared nothing.
    Vacuous,
}

impl Verdict {
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Held => 0,
            Verdict::SafetyBroken => 10,
            Verdict::LivenessBroken => 11,
            Verdict::Vacuous => 12,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::SafetyBroken => "safety broken",
            Verdict::LivenessBroken => "liveness broken",
            Verdict::Vacuous => "vacuous",
        }
    }
}

/// What a run amounted to, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    pub operations: u64,
    pub answered: u64,
    pub unknown: u64,
    pub refused: u64,
    pub entries: u64,
    pub votes_recorded: u64,
    pub votes_counted: u64,
}

/// A verdict with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    pub verdict: Verdict,
    pub violations: Vec<Violation>,
    /// Why the run proves nothing, if it does not.
    pub vacuous: Vec<String>,
    /// Faults that did nothing and could not help it, and why.
    pub missed: Vec<String>,
    /// By checker: facts held against the truth.
    pub compared: BTreeMap<Checker, u64>,
    pub amounts: Amounts,
}

impl Judgement {
    pub fn of(case: &Case) -> Self {
        let mut judgement = Judgement {
            verdict: Verdict::Held,
            violations: Vec::new(),
            vacuous: Vec::new(),
            missed: Vec::new(),
            compared: BTreeMap::new(),
            amounts: amounts(case),
        };
        for checker in Checker::ALL {
            let report = checker.check(case);
            if report.compared == 0 && checker.expects(case.plan) {
                let name = checker.name();
                judgement
                    .vacuous
                    .push(format!("the checker {name} compared nothing"));
            }
            judgement.compared.insert(checker, report.compared);
            judgement.violations.extend(report.violations);
        }
        judgement.look_for_emptiness(case);
        judgement.verdict = judgement.decide();
        judgement
    }

    fn look_for_emptiness(&mut self, case: &Case) {
        // Whoever asks for no votes has proven nothing about any.
        if case.oracle.counted() == 0 {
            self.vacuous.push("no vote was counted".to_owned());
        }
        let down = downtimes(case);
        let all = felt(case);
        let leads = leads(case);
        for felt in &all {
            let name = format!("fault {} ({})", felt.fault.id.0, felt.fault.kind.name());
            let Some(span) = felt.span(case.end) else {
                self.vacuous.push(format!("{name} never began"));
                continue;
            };
            if felt.bites > 0 {
                continue;
            }
            let met = down.iter().filter(|(_, downtime)| downtime.meets(span));
            let excuse = excuse(felt, met.map(|(node, span)| (*node, *span)).collect())
                .or_else(|| excuse_of_links(felt, &all, case.end))
                .or_else(|| excuse_of_silence(felt, span, &leads, &down));
            match excuse {
                Some(excuse) => self.missed.push(format!("{name} did nothing: {excuse}")),
                None => self.vacuous.push(format!("{name} did nothing")),
            }
        }
    }

    fn decide(&self) -> Verdict {
        let broken = |class| self.violations.iter().any(|violation| violation.class == class);
        if broken(Class::Safety) {
            Verdict::SafetyBroken
        } else if broken(Class::Liveness) {
            Verdict::LivenessBroken
        } else if self.vacuous.is_empty() {
            Verdict::Held
        } else {
            Verdict::Vacuous
        }
    }
}

/// Judges a run.
pub fn judge(plan: &Plan, history: &History) -> Judgement {
    Judgement::of(&Case::new(plan, history))
}

/// Why a fault that did nothing could not help it; none if it should have done something.
fn excuse(felt: &Felt, down: Vec<(NodeIndex, Span)>) -> Option<&'static str> {
    let targeted = !felt.fault.kind.targets().is_empty();
    if targeted && felt.node.is_none() {
        return Some("whom it was meant for was down already");
    }
    let concerns = |node| {
        felt.node == Some(node)
            || matches!(
                felt.fault.kind,
                FaultKind::OneWay { .. } | FaultKind::Blackout { .. }
            )
    };
    if down.iter().any(|(node, _)| concerns(*node)) {
        return Some("a node that it needed was down for part of that time");
    }
    match felt.fault.kind {
        FaultKind::Loss { .. } => Some("chance lost no message in that time"),
        FaultKind::OneWay { .. } => Some("nothing was sent that way in that time"),
        FaultKind::TransferLeadership { .. } => Some("the node led already, or no quorum was there to agree"),
        FaultKind::LeaveAndJoin { .. } => Some("no quorum was there to agree"),
        FaultKind::Overload { .. } => Some("the service took all of it, or the event was not there"),
        FaultKind::DiskError { .. } | FaultKind::DiskFull { .. } | FaultKind::SlowDisk { .. } => {
            Some("the node wrote nothing in that time")
        }
        FaultKind::ClockJump { .. } => Some("nobody looked at the clock in that time"),
        FaultKind::Isolate { .. }
        | FaultKind::Flap { .. }
        | FaultKind::SlowLinks { .. }
        | FaultKind::PowerCut { .. }
        | FaultKind::Blackout { .. }
        | FaultKind::Kill { .. }
        | FaultKind::Restart { .. }
        | FaultKind::CrashLoop { .. }
        | FaultKind::Hold { .. } => None,
    }
}

fn is_of_links(kind: &FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Isolate { .. }
            | FaultKind::OneWay { .. }
            | FaultKind::Flap { .. }
            | FaultKind::SlowLinks { .. }
            | FaultKind::Hold { .. }
            | FaultKind::Loss { .. }
    )
}

/// Where messages are lost or late already, there may be none left for another fault of the links.
fn excuse_of_links(felt: &Felt, all: &[Felt], end: SimMicros) -> Option<&'static str> {
    let span = felt.span(end)?;
    let meets = |other: &Felt| other.span(end).is_some_and(|other| other.meets(span));
    let another = all.iter().any(|other| {
        other.fault.id != felt.fault.id && other.bites > 0 && is_of_links(&other.fault.kind) && meets(other)
    });
    (is_of_links(&felt.fault.kind) && another).then_some("another fault of the links left it nothing to harm")
}

/// While nobody leads, nodes have little to say to each other: they wait for an election.
fn excuse_of_silence(
    felt: &Felt,
    span: Span,
    leads: &[(SimMicros, NodeIndex, u64)],
    down: &[(NodeIndex, Span)],
) -> Option<&'static str> {
    let (leader, _) = leader_at(leads, span.to)?;
    let was_down = down
        .iter()
        .any(|(node, downtime)| *node == leader && downtime.meets(span) && downtime.from <= span.from);
    (is_of_links(&felt.fault.kind) && was_down)
        .then_some("the leader was down, and the others waited for an election")
}

fn amounts(case: &Case) -> Amounts {
    let answers = || {
        case.asked
            .iter()
            .filter_map(|asked| asked.answered)
            .map(|(_, answer)| answer)
    };
    let count = |wanted: fn(&&Answer) -> bool| answers().filter(wanted).count() as u64;
    Amounts {
        operations: case.asked.len() as u64,
        answered: answers().count() as u64,
        unknown: count(|answer| matches!(answer, Answer::Unknown { .. })),
        refused: count(|answer| matches!(answer, Answer::Refused { .. })),
        entries: case.log.entries.len() as u64,
        votes_recorded: case.oracle.votes.len() as u64,
        votes_counted: case.oracle.counted(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Happening, Life};
    use crate::ids::{FaultId, OperationId, SimMs};
    use crate::plan::Target;
    use crate::testing::{Run, clean};

    fn judged(run: &Run) -> Judgement {
        judge(&run.plan, &run.history)
    }

    fn with_fault(kind: FaultKind, node: Option<NodeIndex>, bites: u64) -> Judgement {
        let mut run = clean();
        let fault = FaultId(0);
        run.plan.faults.push(Fault {
            id: fault,
            at_ms: SimMs(1),
            for_ms: SimMs(1),
            kind,
        });
        run.record(Happening::FaultBegan { fault, node });
        run.record(Happening::FaultEnded { fault, bites });
        judged(&run)
    }

    use crate::plan::Fault;

    #[test]
    fn a_clean_run_is_held() {
        let judgement = judged(&clean());
        assert_eq!(judgement.verdict, Verdict::Held, "{judgement:#?}");
        assert_eq!(judgement.verdict.exit_code(), 0);
        assert_eq!(judgement.amounts.votes_counted, 3);
    }

    #[test]
    fn safety_comes_before_liveness_and_liveness_before_emptiness() {
        let mut run = clean();
        run.forge(
            OperationId(10),
            Answer::Unknown {
                reason: String::new(),
            },
        );
        assert_eq!(judged(&run).verdict, Verdict::LivenessBroken);
        let lost = run.submission(0, 105, 50);
        run.told(lost, 40, crate::history::VoteStatus::Processed);
        assert_eq!(judged(&run).verdict, Verdict::SafetyBroken);
        assert_eq!(Verdict::SafetyBroken.exit_code(), 10);
        assert_eq!(Verdict::LivenessBroken.exit_code(), 11);
        assert_eq!(Verdict::Vacuous.exit_code(), 12);
    }

    #[test]
    fn a_fault_that_does_nothing_makes_a_run_worthless_unless_it_could_not_help_it() {
        let kill = FaultKind::Kill {
            target: Target::Leader,
        };
        assert_eq!(
            with_fault(kill.clone(), Some(NodeIndex(0)), 1).verdict,
            Verdict::Held
        );
        let idle = with_fault(kill.clone(), Some(NodeIndex(0)), 0);
        assert_eq!(
            (idle.verdict, idle.vacuous),
            (Verdict::Vacuous, vec!["fault 0 (kill) did nothing".to_owned()])
        );
        let excused = with_fault(kill, None, 0);
        assert_eq!((excused.verdict, excused.missed.len()), (Verdict::Held, 1));
        let luck = with_fault(FaultKind::Loss { ppm: 1 }, None, 0);
        assert_eq!((luck.verdict, luck.missed.len()), (Verdict::Held, 1));
        let hold = FaultKind::Hold {
            target: Target::Leader,
        };
        let alone = with_fault(hold.clone(), Some(NodeIndex(0)), 0);
        assert_eq!(alone.verdict, Verdict::Vacuous);
        let mut crowded = clean();
        for (place, bites, kind) in [(0, 5, FaultKind::Loss { ppm: 900_000 }), (1, 0, hold)] {
            let fault = FaultId(place);
            crowded.plan.faults.push(Fault {
                id: fault,
                at_ms: SimMs(1),
                for_ms: SimMs(1),
                kind,
            });
            let node = Some(NodeIndex(0));
            crowded.record(Happening::FaultBegan { fault, node });
            crowded.record(Happening::FaultEnded { fault, bites });
        }
        assert_eq!(judged(&crowded).verdict, Verdict::Held);
        for (leader, verdict) in [(0, Verdict::Vacuous), (1, Verdict::Held)] {
            let mut silent = clean();
            let fault = FaultId(0);
            silent.plan.faults.push(Fault {
                id: fault,
                at_ms: SimMs(1),
                for_ms: SimMs(1),
                kind: FaultKind::Isolate {
                    target: Target::Follower,
                },
            });
            let life = |node, life| Happening::Node {
                node: NodeIndex(node),
                life,
            };
            silent.record(life(leader, Life::Leads { term: 7 }));
            silent.record(life(1, Life::Killed));
            let node = Some(NodeIndex(2));
            silent.record(Happening::FaultBegan { fault, node });
            silent.record(Happening::FaultEnded { fault, bites: 0 });
            silent.record(life(1, Life::Started));
            silent.record(life(1, Life::Ready));
            assert_eq!(judged(&silent).verdict, verdict, "leader {leader}");
        }
        let mut never = clean();
        let kind = FaultKind::Blackout { kept: 0 };
        never.plan.faults.push(Fault {
            id: FaultId(0),
            at_ms: SimMs(1),
            for_ms: SimMs(1),
            kind,
        });
        assert_eq!(judged(&never).vacuous, ["fault 0 (blackout) never began"]);
    }

    #[test]
    fn a_plan_that_asks_for_nothing_is_vacuous() {
        let mut run = Run::new();
        run.plan = clean().plan;
        run.plan.operations.clear();
        run.plan.viewers.clear();
        assert!(judged(&run).vacuous.contains(&"no vote was counted".to_owned()));
    }

    #[test]
    fn a_run_without_votes_is_vacuous() {
        let mut run = Run::new();
        run.plan = clean().plan;
        let judgement = judged(&run);
        assert!(judgement.vacuous.contains(&"no vote was counted".to_owned()));
        assert!(
            judgement
                .vacuous
                .contains(&"the checker biographies compared nothing".to_owned()),
            "{judgement:#?}"
        );
    }
}
