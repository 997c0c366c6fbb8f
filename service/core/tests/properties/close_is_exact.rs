//! Opening and closing are exact places in the log: no vote before the opening or after the closing is counted, and
//! none between them is refused for its time.

use ostraka_core::{
    Command, EventId, EventKind, LogIndex, Outcome, RejectReason, State, UnixMs, VoteOutcome, VoteVerdict,
    VoterNumber,
};
use proptest::prelude::*;

use crate::generate::{Entry, apply_all, create, entry, new_event, vote};

/// A command's place: (entry's number, command's number). What a schedule does stands before an entry's first command.
type Place = (usize, i64);

/// One event's life. Every vote is a new voter's.
#[derive(Clone, Debug)]
struct Plan {
    opens_at: Option<u64>,
    open_for: Option<u64>,
    /// Stamp's step and number of votes, for each entry.
    entries: Vec<(u64, usize)>,
    opened_by_hand: Option<Place>,
    closed_by_hand: Option<Place>,
}

const CREATED_AT: u64 = 1_000;

impl Plan {
    fn closes_at(&self) -> Option<u64> {
        self.open_for
            .map(|span| self.opens_at.unwrap_or(CREATED_AT).max(CREATED_AT) + span)
    }

    fn log(&self) -> Vec<Entry> {
        let mut event = new_event(1, EventKind::Public, 1);
        event.opens_at = self.opens_at.map(UnixMs);
        event.closes_at = self.closes_at().map(UnixMs);
        let mut log = vec![entry(1, CREATED_AT, vec![create(event)])];
        let (mut stamp, mut voter) = (CREATED_AT, 0);
        for (number, (step, votes)) in self.entries.iter().enumerate() {
            stamp += step;
            let mut commands: Vec<Command> = (0..*votes)
                .map(|at| Command::CastVote(vote(voter + at as u32, 1, 0, 1)))
                .collect();
            voter += *votes as u32;
            let (event, by, by_operator) = (EventId(1), VoterNumber(1), false);
            let by_hand = [
                (
                    self.opened_by_hand,
                    Command::OpenEvent {
                        event,
                        by,
                        by_operator,
                    },
                ),
                (
                    self.closed_by_hand,
                    Command::CloseEvent {
                        event,
                        by,
                        by_operator,
                    },
                ),
            ];
            for (place, command) in by_hand {
                if let Some((_, at)) = place.filter(|place| place.0 == number) {
                    commands.insert((at as usize).min(commands.len()), command);
                }
            }
            log.push(entry(number as u64 + 2, stamp, commands));
        }
        log
    }

    /// The place of the first command of a kind in the log, or of the first entry stamped `at` or later.
    fn first(log: &[Entry], at: Option<u64>, by_hand: fn(&Command) -> bool) -> Place {
        let never = (usize::MAX, 0);
        let due = log
            .iter()
            .position(|entry| at.is_some_and(|at| entry.meta.stamped_at.0 >= at));
        let commanded = log.iter().enumerate().find_map(|(number, entry)| {
            let at = entry.batch.commands.iter().position(by_hand)?;
            Some((number, at as i64))
        });
        due.map_or(never, |number| (number, -1))
            .min(commanded.unwrap_or(never))
    }

    fn expected_window(&self, log: &[Entry]) -> (Place, Place) {
        let opened = match self.opens_at {
            None => (0, 0),
            Some(at) => Plan::first(log, Some(at), |command| {
                matches!(command, Command::OpenEvent { .. })
            }),
        };
        let closed = Plan::first(log, self.closes_at(), |command| {
            matches!(command, Command::CloseEvent { .. })
        });
        (opened, closed)
    }
}

/// Compares every verdict with the window; gives the number of counted votes.
fn check(window: (Place, Place), log: &[Entry], outcomes: &[Vec<Outcome>]) -> Result<u64, String> {
    let (opened, closed) = window;
    let mut counted = 0;
    for (number, outcomes) in outcomes.iter().enumerate() {
        for (at, outcome) in outcomes.iter().enumerate() {
            let Outcome::Vote(VoteOutcome::Recorded { position, verdict }) = outcome else {
                continue;
            };
            let place = (number, at as i64);
            let expected = if place > closed {
                VoteVerdict::Rejected(RejectReason::EventClosed)
            } else if place > opened {
                VoteVerdict::Processed
            } else {
                VoteVerdict::Rejected(RejectReason::EventNotOpen)
            };
            if *verdict != expected || position.index != log[number].meta.index {
                return Err(format!("{place:?} in {window:?}: {verdict:?} at {position:?}"));
            }
            counted += u64::from(expected == VoteVerdict::Processed);
        }
    }
    Ok(counted)
}

fn some_plan() -> impl Strategy<Value = Plan> {
    let place = || proptest::option::of((0_usize..12, 0_i64..6));
    (
        proptest::option::of(900_u64..1_100),
        proptest::option::of(1_u64..150),
        prop::collection::vec((0_u64..30, 0_usize..6), 1..12),
        place(),
        place(),
    )
        .prop_map(
            |(opens_at, open_for, entries, opened_by_hand, closed_by_hand)| Plan {
                opens_at,
                open_for,
                entries,
                opened_by_hand,
                closed_by_hand,
            },
        )
}

fn run(log: &[Entry]) -> (State, Vec<Vec<Outcome>>) {
    let mut state = State::new();
    let outcomes = apply_all(&mut state, log)
        .into_iter()
        .map(|applied| applied.outcomes)
        .collect();
    (state, outcomes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn votes_count_between_opening_and_closing_only(plan in some_plan()) {
        let log = plan.log();
        let (opened, closed) = plan.expected_window(&log);
        let (state, outcomes) = run(&log);
        let event = state.event(EventId(1)).unwrap();
        prop_assert_eq!(check((opened, closed), &log, &outcomes), Ok(event.counted()));
        let index_of = |place: Place| log.get(place.0).map(|entry| entry.meta.index);
        prop_assert_eq!(event.closed_index(), index_of(closed));
        // At equal places the schedule did both, the opening first.
        let opens_first = opened <= closed;
        prop_assert_eq!(event.opened_index(), index_of(opened).filter(|_| opens_first));
        // Still to come is what has not happened; nothing comes after a closing.
        let opening = plan.opens_at.filter(|_| index_of(opened).is_none());
        let still_to_come = [opening, plan.closes_at()].into_iter().flatten().min();
        let next = still_to_come.filter(|_| index_of(closed).is_none());
        prop_assert_eq!(state.next_due(), next.map(UnixMs));
    }
}

#[test]
fn one_vote_too_late_or_too_early_is_seen() {
    let plan = Plan {
        opens_at: Some(1_005),
        open_for: Some(10),
        entries: vec![(1, 3), (5, 3), (10, 3)],
        opened_by_hand: None,
        closed_by_hand: None,
    };
    let log = plan.log();
    let (_, outcomes) = run(&log);
    let window = plan.expected_window(&log);
    assert_eq!(window, ((2, -1), (3, -1)));
    assert_eq!(check(window, &log, &outcomes), Ok(3));
    for number in [1, 3] {
        let mut tampered = outcomes.clone();
        if let Outcome::Vote(VoteOutcome::Recorded { verdict, .. }) = &mut tampered[number][2] {
            *verdict = VoteVerdict::Processed;
        }
        assert!(check(window, &log, &tampered).is_err());
    }
    assert!(check(((2, -1), (2, 0)), &log, &outcomes).is_err());
    assert_eq!(log[2].meta.index, LogIndex(3));
}
