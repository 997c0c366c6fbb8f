use std::time::Duration;

use ostraka_core::ids::{LogIndex, RequestKey, UnixMs};
use ostraka_core::{Batch, Command, EventKind, NewContestant, NewEvent, ResultsPolicy, VoteRecord};
use ostraka_sim_model::disks::CommittedLog;
use ostraka_sim_model::history::LoggedEntry;

use super::super::id_of;
use super::*;
use crate::load::Told;

const EVENT: EventId = EventId(1);

fn vote(voter: u32, contestant: u16, key: u64) -> Command {
    Command::CastVote(VoteRecord {
        voter: VoterNumber(voter),
        event: EVENT,
        contestant: ContestantIndex(contestant),
        key: SubmissionKey(key),
        client_timestamp: None,
        trace: None,
        trace_sampled: false,
    })
}

/// The event is created by entry 1; each vote that follows is an entry of its own, from 2 on.
fn truth(votes: &[Command]) -> Truth {
    let contestant = |name: &str| NewContestant {
        name: name.to_owned(),
        description: String::new(),
        image_url: String::new(),
    };
    let event = Command::CreateEvent(Box::new(NewEvent {
        request: RequestKey(1),
        owner: VoterNumber(1),
        name: "Event".to_owned(),
        kind: EventKind::Public,
        results: ResultsPolicy::Live,
        opens_at: None,
        closes_at: None,
        contestants: vec![contestant("Ada"), contestant("Bo")],
    }));
    let commands = [&[event], votes].concat();
    let entries: Vec<_> = (1..)
        .zip(commands)
        .map(|(index, command)| LoggedEntry {
            index: LogIndex(index),
            term: 1,
            stamped_at: UnixMs(1),
            body: Batch {
                commands: vec![command],
            }
            .encode(),
        })
        .collect();
    let log = CommittedLog {
        entries: entries.iter().map(|entry| (entry.index.0, entry)).collect(),
        ..CommittedLog::default()
    };
    Truth::of(&Oracle::of(&log), EVENT)
}

fn ballot(voter: u32, fate: Fate) -> Ballot {
    Ballot {
        voter: VoterNumber(voter),
        contestant: ContestantIndex(0),
        intended: Duration::ZERO,
        late: Duration::ZERO,
        answered: Some(Duration::from_millis(1)),
        attempts: 1,
        fate,
    }
}

fn told(status: ToldStatus, index: u64) -> Fate {
    let at = VotePosition {
        index: LogIndex(index),
        offset: 0,
    };
    Fate::Acked(Told {
        id: id_of(EVENT, at),
        status,
    })
}

fn processed(index: u64) -> Fate {
    told(ToldStatus::Processed, index)
}

fn not_taken() -> Fate {
    Fate::NotTaken {
        last_error: "refused".into(),
    }
}

fn board(totals: [u64; 2]) -> Board {
    Board {
        of: "node 1".to_owned(),
        totals: totals.to_vec(),
    }
}

fn found(ballots: &[Ballot], votes: &[Command], boards: &[Board]) -> Vec<(Finding, u64)> {
    audit(ballots, &truth(votes), EVENT, boards)
        .counts
        .into_iter()
        .collect()
}

#[test]
fn books_that_balance_give_nothing() {
    let votes = [vote(10, 0, 1), vote(11, 0, 2), vote(10, 0, 1)];
    let ballots = [
        ballot(10, processed(2)),
        ballot(11, processed(3)),
        ballot(12, not_taken()),
    ];
    assert_eq!(found(&ballots, &votes, &[board([2, 0])]), []);
}

#[test]
fn a_lost_vote_is_found() {
    let ballots = [ballot(10, processed(2)), ballot(11, processed(3))];
    assert_eq!(found(&ballots, &[vote(10, 0, 1)], &[]), [(Finding::Lost, 1)]);
}

/// Lost, and then cast again by a retry that came too late: the id that was given first stands for nothing.
#[test]
fn a_vote_that_was_lost_and_came_again_later_is_found() {
    let ballots = [ballot(10, processed(2)), ballot(11, processed(3))];
    let votes = [vote(11, 0, 2), vote(10, 0, 1)];
    assert_eq!(found(&ballots, &votes, &[]), [(Finding::OtherPlace, 2)]);
}

#[test]
fn a_doubled_vote_is_found_in_the_log_and_on_a_board() {
    let ballots = [ballot(10, processed(2))];
    let votes = [vote(10, 0, 1), vote(10, 0, 2)];
    assert_eq!(found(&ballots, &votes, &[]), [(Finding::Doubled, 1)]);
    let twice = [(Finding::Doubled, 1), (Finding::BoardDiffers, 1)];
    assert_eq!(found(&ballots, &[vote(10, 0, 1)], &[board([2, 0])]), twice);
}

#[test]
fn a_board_that_shows_too_little_is_found() {
    let ballots = [ballot(10, processed(2))];
    let less = [(Finding::BoardDiffers, 1)];
    assert_eq!(found(&ballots, &[vote(10, 0, 1)], &[board([0, 0])]), less);
}

#[test]
fn votes_that_nobody_cast_or_for_somebody_else_are_found() {
    assert_eq!(found(&[], &[vote(10, 0, 1)], &[]), [(Finding::Foreign, 1)]);
    let ballots = [ballot(10, processed(2))];
    assert_eq!(found(&ballots, &[vote(10, 1, 1)], &[]), [(Finding::Misplaced, 1)]);
}

#[test]
fn a_vote_that_was_told_to_be_not_taken_and_is_counted_is_found() {
    let votes = [vote(10, 0, 1), vote(11, 0, 2)];
    let refused = Fate::Refused {
        status: 400,
        code: "urn".into(),
    };
    let ballots = [ballot(10, not_taken()), ballot(11, refused)];
    assert_eq!(found(&ballots, &votes, &[]), [(Finding::TakenAfterAll, 2)]);
}

#[test]
fn a_single_vote_that_is_called_a_duplicate_and_one_that_nobody_knows_are_found() {
    let unknown = Fate::Unknown {
        last_error: "cut".into(),
    };
    let ballots = [ballot(10, told(ToldStatus::Duplicate, 2)), ballot(11, unknown)];
    let both = [(Finding::ToldOtherwise, 1), (Finding::Unresolved, 1)];
    assert_eq!(found(&ballots, &[vote(10, 0, 1)], &[]), both);
}

#[test]
fn the_first_findings_are_told_with_how_many_there_are_and_all_are_kept() {
    let ballots: Vec<_> = (0..50).map(|voter| ballot(voter, processed(2))).collect();
    let mut findings = Findings::default();
    findings.take_in(audit(&ballots, &truth(&[]), EVENT, &[]));
    findings.take_in(audit(&ballots, &truth(&[]), EVENT, &[]));
    assert_eq!(findings.count(Finding::Lost), 100);
    assert_eq!((findings.all.len(), findings.left_out), (100, 0));
    assert!(
        findings.all[99].starts_with("lost: voter 49 "),
        "{:?}",
        findings.all[99]
    );
    let told = findings.told();
    assert_eq!(told.len(), FINDINGS_TOLD_MAX + 1);
    assert!(told[0].starts_with("lost: voter 0 "), "{told:?}");
    let rest = "20 of 100 findings are told here, the evidence holds all";
    assert_eq!(told[FINDINGS_TOLD_MAX], rest);
    let written = serde_json::to_string(&findings).unwrap();
    assert_eq!(written.matches("lost: voter").count(), 100);
}

#[test]
fn what_has_no_sentence_is_counted_as_left_out() {
    let mut findings = Findings::default();
    for voter in 0..FINDINGS_KEPT_MAX + 3 {
        findings.add(Finding::Lost, voter);
    }
    let mut twice = findings.clone();
    twice.take_in(findings);
    assert_eq!(twice.all.len(), FINDINGS_KEPT_MAX);
    assert_eq!(twice.left_out, FINDINGS_KEPT_MAX as u64 + 6);
    assert!(
        twice
            .told()
            .last()
            .unwrap()
            .ends_with("the evidence holds 200000")
    );
    let few = {
        let mut few = Findings::default();
        few.add(Finding::Lost, "voter 1");
        few.told()
    };
    assert_eq!(few, ["lost: voter 1"]);
}
