use super::*;
use crate::history::{Happening, Life, Record};
use crate::ids::{FaultId, NodeIndex, OperationId, SimMicros, SimMs};
use crate::plan::{Fault, FaultKind, Target};
use crate::testing::{Run, clean};

fn judged(run: &Run) -> Judgement {
    judge(&run.plan, &run.history)
}

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

/// So many acknowledged votes that no log holds.
fn with_lost(votes: u32) -> Run {
    let mut run = clean();
    for vote in 0..votes {
        let lost = run.submission(0, 1_000 + vote, 1_000 + vote);
        run.told(lost, 40 + u64::from(vote), crate::history::VoteStatus::Processed);
    }
    run
}

#[test]
fn violations_that_are_not_kept_are_counted_and_said_to_be_missing() {
    let run = with_lost(100);
    let judgement = judged(&run);
    let kept = |judgement: &Judgement, checker| {
        let violations = judgement.violations.iter();
        violations
            .filter(|violation| violation.checker == checker)
            .count()
    };
    let checker = Checker::Durability;
    assert_eq!(kept(&judgement, checker), VIOLATIONS_MAX, "{judgement:#?}");
    let found = judgement.found[&checker];
    assert!(found >= 100, "{found}");
    assert_eq!(judgement.cut_short(checker), Some(format!("40 of {found}")));
    assert_eq!(judgement.cut_short(Checker::ClosingBell), None);
    // A file of before does not say how many there were.
    let before = Judgement {
        found: BTreeMap::new(),
        ..judgement
    };
    assert_eq!(before.cut_short(checker), Some("40 or more".to_owned()));
    let whole = judge_keeping(&run.plan, &run.history, usize::MAX);
    assert_eq!(kept(&whole, checker) as u64, found);
    assert_eq!(whole.cut_short(checker), None);
}

#[test]
fn a_fault_that_never_began_makes_a_run_worthless() {
    let mut never = clean();
    never.plan.faults.push(Fault {
        id: FaultId(0),
        at_ms: SimMs(1),
        for_ms: SimMs(1),
        kind: FaultKind::Blackout { kept: 0 },
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

#[test]
fn fresh_votes_alone_prove_nothing_of_the_storms() {
    let mut run = Run::new();
    run.heal(0);
    let vacuous = judged(&run).vacuous;
    let sentence = "no vote that was submitted before the storm's end was counted";
    assert!(vacuous.iter().any(|reason| reason == sentence), "{vacuous:?}");
    assert!(!vacuous.contains(&"no vote was counted".to_owned()));
}

#[test]
fn a_storm_whose_voters_never_heard_of_their_votes_is_vacuous() {
    let sentence = "no vote of the storm was acknowledged to who sent it".to_owned();
    let mut run = clean();
    assert!(!judged(&run).vacuous.contains(&sentence));
    let storm = run.plan.knobs.storm_ms;
    let is_vote = |operation: &&crate::plan::Operation| {
        operation.at_ms < storm && matches!(operation.action, crate::plan::Action::Submit { .. })
    };
    let votes: Vec<OperationId> = run
        .plan
        .operations
        .iter()
        .filter(is_vote)
        .map(|vote| vote.id)
        .collect();
    for operation in votes {
        let reason = "timeout".to_owned();
        run.forge(operation, Answer::Unknown { reason });
    }
    assert!(judged(&run).vacuous.contains(&sentence));
}

#[test]
fn one_voter_whom_nothing_disturbs_proves_nothing() {
    let sentence = "there was no fault, and fewer than two voters".to_owned();
    assert!(!judged(&clean()).vacuous.contains(&sentence));
    let mut run = Run::new();
    run.after(100).create(0, None);
    run.after(10)
        .vote(0, 100, 1, crate::history::VoteStatus::Processed);
    run.heal(1);
    assert!(judged(&run).vacuous.contains(&sentence));
}

#[test]
fn a_storm_without_an_answer_is_vacuous() {
    let sentence = "no request of the storm got an answer, but refusals and silence".to_owned();
    assert!(!judged(&clean()).vacuous.contains(&sentence));
    let mut run = clean();
    let storm = run.plan.knobs.storm_ms;
    let asked: Vec<OperationId> = run
        .plan
        .operations
        .iter()
        .filter(|operation| operation.at_ms < storm)
        .map(|operation| operation.id)
        .collect();
    for (place, operation) in asked.into_iter().enumerate() {
        let refused = Answer::Refused {
            status: 503,
            code: "no-quorum".to_owned(),
        };
        let reason = String::new();
        let forged = if place % 2 == 0 {
            refused
        } else {
            Answer::Unknown { reason }
        };
        run.forge(operation, forged);
    }
    assert!(judged(&run).vacuous.contains(&sentence));
}

#[test]
fn a_healed_cluster_is_asked_through_each_node() {
    let mut run = clean();
    let storm = run.plan.knobs.storm_ms;
    for operation in &mut run.plan.operations {
        if operation.at_ms >= storm && operation.endpoint == NodeIndex(2) {
            operation.endpoint = NodeIndex(1);
        }
    }
    assert_eq!(
        judged(&run).vacuous,
        ["nothing fresh was answered through node 3"]
    );
    let mut silent = clean();
    let fresh = silent
        .plan
        .operations
        .iter()
        .rfind(|operation| operation.endpoint == NodeIndex(2));
    let fresh = fresh.map(|operation| operation.id);
    silent.history.records.retain(
        |record| !matches!(&record.what, Happening::Answered { operation, .. } if Some(*operation) == fresh),
    );
    let vacuous = judged(&silent).vacuous;
    assert_eq!(vacuous, ["nothing fresh was answered through node 3"]);
}

/// A history may be nonsense; to judge it is still a matter of a moment.
#[test]
fn a_crash_loop_without_end_is_judged_at_once() {
    let mut run = clean();
    let fault = FaultId(0);
    run.plan.faults.push(Fault {
        id: fault,
        at_ms: SimMs(1),
        for_ms: SimMs(1),
        kind: FaultKind::CrashLoop {
            target: Target::Leader,
            period_ms: SimMs(1),
        },
    });
    for node in (0..3).map(NodeIndex) {
        let life = Life::Killed;
        run.record(Happening::Node { node, life });
    }
    run.record(Happening::FaultBegan { fault, node: None });
    run.history.records.push(Record {
        at: SimMicros(u64::MAX),
        what: Happening::FaultEnded { fault, bites: 0 },
    });
    let idle = "fault 0 (crash-loop) did nothing".to_owned();
    assert!(judged(&run).vacuous.contains(&idle));
}

#[test]
fn a_run_that_ends_early_though_a_viewer_is_behind_is_vacuous() {
    let sentence = "viewer 0 is behind, and the run ended all the same".to_owned();
    let run = clean();
    assert!(!judged(&run).vacuous.contains(&sentence));
    let mut blind = run.clone();
    blind
        .history
        .records
        .retain(|record| !matches!(record.what, Happening::Saw { .. }));
    blind.plan.knobs.heal_ms = SimMs(100_000);
    assert!(judged(&blind).vacuous.contains(&sentence));
    // It had all its time, and what is wrong with it is for others to say.
    blind.plan.knobs.heal_ms = SimMs(1);
    assert!(!judged(&blind).vacuous.contains(&sentence));
    // But who came after the storm and saw nothing at all proves nothing.
    blind.plan.viewers[0].from_ms = blind.plan.knobs.storm_ms;
    assert!(judged(&blind).vacuous.contains(&sentence));
}
