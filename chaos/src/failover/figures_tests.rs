use ostraka_api::VoteStatus;
use ostraka_core::ids::{ContestantIndex, EventId, VotePosition, VoterNumber};

use super::*;
use crate::books::id_of;
use crate::load::Told;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn ballot(intended: u64, answered: u64, attempts: u32, fate: Fate) -> Ballot {
    Ballot {
        voter: VoterNumber(1),
        contestant: ContestantIndex(0),
        intended: ms(intended),
        late: ms(1),
        answered: Some(ms(answered)),
        attempts,
        fate,
    }
}

fn acked(index: u64) -> Fate {
    let at = VotePosition {
        index: LogIndex(index),
        offset: 0,
    };
    Fate::Acked(Told {
        id: id_of(EventId(1), at),
        status: VoteStatus::Processed,
    })
}

/// Ten votes in ten milliseconds, one of each way to fail, and one that lies outside.
fn ballots() -> Vec<Ballot> {
    let mut ballots: Vec<_> = (0..7)
        .map(|at| ballot(100 + at, 105 + at, 1, acked(10 + at)))
        .collect();
    ballots[6].attempts = 3;
    ballots.push(ballot(
        107,
        109,
        1,
        Fate::NotTaken {
            last_error: "503".into(),
        },
    ));
    ballots.push(ballot(
        108,
        109,
        2,
        Fate::Unknown {
            last_error: "cut".into(),
        },
    ));
    let code = "no".into();
    ballots.push(ballot(109, 110, 1, Fate::Refused { status: 400, code }));
    ballots.push(ballot(110, 115, 1, acked(99)));
    ballots
}

#[test]
fn the_votes_of_a_stretch_are_those_that_were_to_begin_in_it() {
    let seen: Vec<_> = ballots().iter().map(Seen::of).collect();
    let mut screen = Sights::default();
    screen.see(LogIndex(14), ms(120));
    let stretch = Stretch::of(&seen, &[screen], (ms(100), ms(110)));
    let expected = Votes {
        sent: 10,
        acked: 7,
        refused: 1,
        not_taken: 1,
        unknown: 1,
        retried: 1,
    };
    assert_eq!(stretch.votes, expected);
    // What was not acknowledged has no latency that would make the others look better.
    assert_eq!((stretch.ack.samples, stretch.ack.never), (10, 3));
    assert_eq!((stretch.ack.p50_ms, stretch.ack.p95_ms), (Some(5.0), None));
    // Of seven votes that count, the screen shows those up to entry 14.
    assert_eq!((stretch.to_screen.samples, stretch.to_screen.never), (7, 2));
    assert_eq!(stretch.to_screen.p50_ms, Some(19.0));
    assert_eq!(stretch.load_late.max_ms, Some(1.0));
}

/// A round in which everything holds.
pub(crate) fn round(resume_ms: u64) -> RoundFigures {
    let quick = Spread::of(vec![ms(10); 1_000], 0);
    let stretch = Stretch {
        votes: Votes {
            sent: 1_000,
            acked: 1_000,
            ..Votes::default()
        },
        load_late: quick.clone(),
        ack: quick.clone(),
        to_screen: quick,
    };
    RoundFigures {
        fault_at_ms: 5_000,
        felt: "1 processes killed".to_owned(),
        bites: 1,
        resume_ms,
        silent_from_ms: 0,
        another_leader_ms: Some(400),
        steady: stretch.clone(),
        window: stretch,
        answers: BTreeMap::from([(200, 1_000)]),
        load: Sent {
            intended: 1_000,
            ..Sent::default()
        },
        costs: Costs::default(),
    }
}

#[test]
fn a_503_is_no_error_and_everything_else_is() {
    let mut round = round(1);
    round.answers.insert(503, 40);
    assert_eq!(round.errors_besides_503(), 0);
    round.answers.insert(500, 2);
    round.window.votes.unknown = 1;
    assert_eq!(round.errors_besides_503(), 3);
}
