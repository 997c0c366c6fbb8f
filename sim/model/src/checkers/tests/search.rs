//! A second opinion on linearizability: a search that knows nothing of the log. It tries every order that real time
//! allows, remembering what it has tried (J. Wing, C. Gong, "Testing and Verifying Concurrent Objects", 1993, with the
//! memory of G. Lowe, "Testing for Linearizability", 2017). Exponential at worst, so for small histories only: it is
//! what the quick checker is held against.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// An object by its rules.
trait Object {
    type State: Clone + Ord;
    type Operation;
    fn new() -> Self::State;
    /// The state after the operation, if it may answer so in `state`.
    fn step(state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;
}

struct Call<O> {
    operation: O,
    invoked: u64,
    /// None: it may have taken effect at any time since, or never.
    answered: Option<u64>,
}

fn is_linearizable<T: Object>(calls: &[Call<T::Operation>]) -> bool {
    assert!(calls.len() <= 64, "a search this large has no end");
    search::<T>(calls, 0, &T::new(), &mut BTreeSet::new())
}

fn search<T: Object>(
    calls: &[Call<T::Operation>],
    done: u64,
    state: &T::State,
    tried: &mut BTreeSet<(u64, T::State)>,
) -> bool {
    let is_done = |place: usize| done & (1 << place) != 0;
    let left = || calls.iter().enumerate().filter(|(place, _)| !is_done(*place));
    if left().all(|(_, call)| call.answered.is_none()) {
        return true;
    }
    if !tried.insert((done, state.clone())) {
        return false;
    }
    let first_answer = left()
        .filter_map(|(_, call)| call.answered)
        .min()
        .unwrap_or(u64::MAX);
    left()
        .filter(|(_, call)| call.invoked <= first_answer)
        .any(|(place, call)| {
            T::step(state, &call.operation)
                .is_some_and(|next| search::<T>(calls, done | 1 << place, &next, tried))
        })
}

/// One event: who chose whom, and whether it is closed.
struct Ballot;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Count {
    totals: [u64; 2],
    voters: BTreeSet<u32>,
    /// Submissions so far, with their verdicts.
    verdicts: Vec<(u32, VoteStatus)>,
    closed: bool,
}

#[derive(Clone, Debug)]
enum Asked {
    /// By voter and tag; with the verdict that was told, if one was.
    Submit(u32, u32, Option<VoteStatus>),
    Close,
    Look([u64; 2], bool),
}

impl Object for Ballot {
    type State = Count;
    type Operation = Asked;

    fn new() -> Count {
        Count::default()
    }

    fn step(state: &Count, operation: &Asked) -> Option<Count> {
        let mut next = state.clone();
        match operation {
            Asked::Submit(voter, tag, told) => {
                let verdict = next.submit(*voter, *tag);
                told.is_none_or(|told| told == verdict).then_some(next)
            }
            Asked::Close => {
                next.closed = true;
                Some(next)
            }
            Asked::Look(totals, closed) => {
                (state.totals == *totals && state.closed == *closed).then_some(next)
            }
        }
    }
}

impl Count {
    fn submit(&mut self, voter: u32, tag: u32) -> VoteStatus {
        if let Some((_, verdict)) = self.verdicts.iter().find(|(known, _)| *known == tag) {
            return *verdict;
        }
        let verdict = match (self.voters.contains(&voter), self.closed) {
            (true, _) => VoteStatus::Duplicate,
            (false, true) => VoteStatus::RejectedClosed,
            (false, false) => VoteStatus::Processed,
        };
        if verdict == VoteStatus::Processed {
            self.totals[(voter % 2) as usize] += 1;
            self.voters.insert(voter);
        }
        self.verdicts.push((tag, verdict));
        verdict
    }
}

/// What a client does, when, and how it is answered.
#[derive(Clone, Debug)]
struct Step {
    what: What,
    early: u64,
    late: u64,
    /// The answer never comes.
    is_lost: bool,
    /// A look shows what was so many versions ago.
    behind: usize,
    /// Moves the whole call in time, so that it may contradict the log.
    moved: i64,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Submit(u32, u32),
    Close,
    Look,
}

/// The steps take effect in their order, ten milliseconds apart, in a run and in calls for the search.
fn play(steps: &[Step]) -> (Run, Vec<Call<Asked>>) {
    let mut run = Run::new();
    run.create(0, None);
    let mut count = Count::default();
    let mut versions = vec![(run.index, count.clone())];
    let mut calls = Vec::new();
    let mut timed: Vec<(u64, Happening)> = Vec::new();
    let event = EventId(1);
    for (place, step) in steps.iter().enumerate() {
        let effect = 1_000 + 10 * place as u64;
        let (invoked, answered) = (effect - step.early, effect + step.late);
        let (invoked, answered) = (
            invoked.saturating_add_signed(step.moved),
            answered.saturating_add_signed(step.moved),
        );
        let slot = crate::ids::EventSlot(0);
        let before = run.history.records.len();
        let (operation, asked, answer) = match step.what {
            What::Submit(voter, tag) => {
                let operation = run.submission(0, voter, tag);
                let first = count.verdicts.iter().position(|(known, _)| *known == tag);
                let verdict = count.submit(voter, tag);
                let index = run.commit(vec![vote(0, voter, tag, operation)]);
                let id = first.map_or(index, |_| 0);
                (
                    operation,
                    Asked::Submit(voter, tag, Some(verdict)),
                    answer(&format!("v{tag}-{id}"), verdict),
                )
            }
            What::Close => {
                let operation = run.invoke(crate::plan::Action::CloseEvent { slot });
                count.closed = true;
                let version = run.commit(vec![ostraka_core::Command::CloseEvent {
                    event,
                    by: crate::names::OWNER,
                    by_operator: false,
                }]);
                (
                    operation,
                    Asked::Close,
                    Answer::EventStatus {
                        event,
                        status: Status::Closed,
                        version,
                    },
                )
            }
            What::Look => {
                let operation = run.invoke(crate::plan::Action::Leaderboard { slot });
                let (version, seen) = &versions[versions.len().saturating_sub(1 + step.behind)];
                let standings = Standings {
                    event,
                    status: if seen.closed { Status::Closed } else { Status::Open },
                    version: *version,
                    totals: seen.totals.iter().map(|total| Some(*total)).collect(),
                };
                (
                    operation,
                    Asked::Look(seen.totals, seen.closed),
                    Answer::Board {
                        standings,
                        linearizable: true,
                    },
                )
            }
        };
        let changed = versions
            .last()
            .is_none_or(|(_, last)| (last.totals, last.closed) != (count.totals, count.closed));
        if changed {
            versions.push((run.index, count.clone()));
        }
        // Entries keep the log's order; calls are put where they belong in time.
        for record in run.history.records.drain(before..) {
            let at = if matches!(record.what, Happening::Invoked { .. }) {
                invoked
            } else {
                effect
            };
            timed.push((at, record.what));
        }
        let asked = match asked {
            Asked::Submit(voter, tag, _) if step.is_lost => Asked::Submit(voter, tag, None),
            other => other,
        };
        let is_look = matches!(asked, Asked::Look(..));
        let told = if step.is_lost {
            Answer::Unknown {
                reason: String::new(),
            }
        } else {
            answer
        };
        timed.push((
            answered,
            Happening::Answered {
                operation,
                answer: told,
            },
        ));
        // A look that nobody heard of says nothing.
        if !(is_look && step.is_lost) {
            calls.push(Call {
                operation: asked,
                invoked,
                answered: (!step.is_lost).then_some(answered),
            });
        }
    }
    // Calls sort before answers of the same moment: only what was answered strictly before comes first.
    timed.sort_by_key(|(at, what)| (*at, matches!(what, Happening::Answered { .. })));
    for (at, what) in timed {
        run.now_ms = at;
        run.record(what);
    }
    (run, calls)
}

fn steps(moves: bool) -> impl Strategy<Value = Vec<Step>> {
    let what = prop_oneof![
        5 => (0..4_u32, 0..2_u32).prop_map(|(voter, other)| What::Submit(100 + voter, 2 * voter + other)),
        1 => Just(What::Close),
        4 => Just(What::Look),
    ];
    let behind = if moves { 0..3_usize } else { 0..1 };
    let moved = if moves { -60..60_i64 } else { 0..1 };
    let step = (
        what,
        0..40_u64,
        0..40_u64,
        prop::bool::weighted(0.15),
        behind,
        moved,
    );
    let step = step.prop_map(|(what, early, late, is_lost, behind, moved)| Step {
        what,
        early,
        late,
        is_lost,
        behind,
        moved,
    });
    prop::collection::vec(step, 1..12)
}

proptest! {
    #[test]
    fn both_accept_what_follows_the_log(steps in steps(false)) {
        let (run, calls) = play(&steps);
        prop_assert_eq!(found(&run, Checker::Linearizability), Vec::<String>::new());
        prop_assert!(is_linearizable::<Ballot>(&calls));
    }

    #[test]
    fn what_the_search_refuses_the_checker_refuses(steps in steps(true)) {
        let (run, calls) = play(&steps);
        if !is_linearizable::<Ballot>(&calls) {
            prop_assert!(!found(&run, Checker::Linearizability).is_empty());
        }
    }
}

fn step(what: What, moved: i64, behind: usize) -> Step {
    Step {
        what,
        early: 1,
        late: 1,
        is_lost: false,
        behind,
        moved,
    }
}

/// Neither opinion is worth anything if it never says no.
#[test]
fn both_refuse_a_look_at_the_past_and_an_effect_ahead_of_its_time() {
    let past = [step(What::Submit(100, 1), 0, 0), step(What::Look, 0, 1)];
    let ahead = [
        step(What::Submit(100, 1), 0, 0),
        step(What::Look, -10, 0),
        step(What::Look, 0, 1),
    ];
    let unsaid = [step(What::Submit(100, 1), 100, 0), step(What::Look, 0, 0)];
    for steps in [&past[..], &ahead[..], &unsaid[..]] {
        let (run, calls) = play(steps);
        assert!(!is_linearizable::<Ballot>(&calls), "{steps:?}");
        assert!(!found(&run, Checker::Linearizability).is_empty(), "{steps:?}");
    }
}

#[test]
fn unknown_outcomes_may_take_effect_late_or_never() {
    let submit = |told| Asked::Submit(100, 1, told);
    let call = |operation, invoked, answered| Call {
        operation,
        invoked,
        answered,
    };
    let seen = |late| {
        vec![
            call(submit(None), 0, None),
            call(Asked::Look([0, 0], false), 10, Some(20)),
            call(Asked::Look(late, false), 30, Some(40)),
        ]
    };
    assert!(is_linearizable::<Ballot>(&seen([1, 0])), "late");
    assert!(is_linearizable::<Ballot>(&seen([0, 0])), "never, or later still");
    assert!(!is_linearizable::<Ballot>(&seen([2, 0])), "not twice");
    let back = vec![
        call(submit(None), 0, None),
        call(Asked::Look([1, 0], false), 10, Some(20)),
        call(Asked::Look([0, 0], false), 30, Some(40)),
    ];
    assert!(!is_linearizable::<Ballot>(&back), "not back");
}
