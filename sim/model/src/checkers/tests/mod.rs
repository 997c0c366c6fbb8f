//! Each checker holds on a clean run, and finds what is planted.

mod calm;
mod clocks;
mod counting;
mod crowd;
mod foreign;
mod nonsense;
mod order;
mod rot;
mod search;
mod silence;
mod survival;
mod unfaulted;

use ostraka_core::{EventId, LogIndex, UnixMs};

use super::*;
use crate::history::{Answer, Happening, Life, Sight, Standings, Status, VoteStatus};
use crate::ids::{FaultId, NodeIndex, OperationId, SimMicros, SimMs, ViewerIndex};
use crate::plan::{Fault, FaultKind, Target};
use crate::testing::{Run, START, clean, vote};

/// The sentences of a checker on a run.
fn found(run: &Run, checker: Checker) -> Vec<String> {
    let violations = run.check(checker).violations;
    violations
        .into_iter()
        .map(|violation| violation.sentence)
        .collect()
}

#[track_caller]
fn finds(run: &Run, checker: Checker, part: &str) {
    let found = found(run, checker);
    assert!(
        found.iter().any(|sentence| sentence.contains(part)),
        "{part:?} is not among {found:#?}"
    );
}

fn board(run: &mut Run, operation: u32, change: impl FnOnce(&mut Standings)) {
    let wanted = OperationId(operation);
    for record in &mut run.history.records {
        if let Happening::Answered {
            operation,
            answer: Answer::Board { standings, .. },
        } = &mut record.what
            && *operation == wanted
        {
            return change(standings);
        }
    }
    panic!("operation {operation} is no leaderboard");
}

fn sights(run: &mut Run) -> impl Iterator<Item = &mut Sight> {
    run.history
        .records
        .iter_mut()
        .filter_map(|record| match &mut record.what {
            Happening::Saw { sight, .. } => Some(sight),
            _ => None,
        })
}

fn answer(vote_id: &str, status: VoteStatus) -> Answer {
    Answer::Vote {
        vote_id: vote_id.to_owned(),
        status,
    }
}

#[test]
fn a_clean_run_holds_and_each_checker_compares_something() {
    let run = clean();
    for checker in Checker::ALL {
        let report = run.check(checker);
        assert_eq!(report.violations, [], "{checker:?}");
        assert!(report.compared > 0, "{checker:?} compared nothing");
        assert!(checker.expects(&run.plan), "{checker:?}");
    }
}

#[test]
fn what_nobody_settled_on_may_still_turn_out_either_way() {
    let mut run = clean();
    run.history
        .records
        .retain(|record| !matches!(record.what, Happening::Settled { .. }));
    let operation = run.submission(0, 105, 50);
    run.told(operation, 40, VoteStatus::Processed);
    for checker in Checker::ALL {
        let violations = run.check(checker).violations;
        assert!(
            violations
                .iter()
                .all(|violation| violation.class == Class::Liveness),
            "{violations:#?}"
        );
    }
    assert!(!run.check(Checker::Liveness).violations.is_empty());
}
