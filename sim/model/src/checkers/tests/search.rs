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

/// A run, and the same calls for the search.
struct Played {
    run: Run,
    count: Count,
    /// Version and count after each change.
    versions: Vec<(u64, Count)>,
    calls: Vec<Call<Asked>>,
    timed: Vec<(u64, Happening)>,
}

const EVENT: EventId = EventId(1);
const SLOT: crate::ids::EventSlot = crate::ids::EventSlot(0);

/// The steps take effect in their order, ten milliseconds apart.
fn play(steps: &[Step]) -> (Run, Vec<Call<Asked>>) {
    let mut run = Run::new();
    run.create(0, None);
    let mut played = Played {
        versions: vec![(run.index, Count::default())],
        run,
        count: Count::default(),
        calls: Vec::new(),
        timed: Vec::new(),
    };
    for (place, step) in steps.iter().enumerate() {
        played.step(step, 1_000 + 10 * place as u64);
    }
    // Calls sort before answers of the same moment: only what was answered strictly before comes first.
    let is_answer = |what: &Happening| matches!(what, Happening::Answered { .. });
    played.timed.sort_by_key(|(at, what)| (*at, is_answer(what)));
    for (at, what) in std::mem::take(&mut played.timed) {
        played.run.now_ms = at;
        played.run.record(what);
    }
    (played.run, played.calls)
}

impl Played {
    fn step(&mut self, step: &Step, effect: u64) {
        let moved = |at: u64| at.saturating_add_signed(step.moved);
        let (invoked, answered) = (moved(effect - step.early), moved(effect + step.late));
        let before = self.run.history.records.len();
        let (operation, mut asked, mut told) = self.carry_out(step);
        let changed = (self.count.totals, self.count.closed);
        if self
            .versions
            .last()
            .is_none_or(|(_, last)| (last.totals, last.closed) != changed)
        {
            self.versions.push((self.run.index, self.count.clone()));
        }
        // Entries keep the log's order; calls are put where they belong in time.
        for record in self.run.history.records.drain(before..) {
            let is_call = matches!(record.what, Happening::Invoked { .. });
            self.timed
                .push((if is_call { invoked } else { effect }, record.what));
        }
        if step.is_lost {
            told = Answer::Unknown {
                reason: String::new(),
            };
        }
        self.timed.push((
            answered,
            Happening::Answered {
                operation,
                answer: told,
            },
        ));
        match &mut asked {
            // A look that nobody heard of says nothing.
            Asked::Look(..) if step.is_lost => return,
            Asked::Submit(_, _, told) if step.is_lost => *told = None,
            _ => {}
        }
        let answered = (!step.is_lost).then_some(answered);
        self.calls.push(Call {
            operation: asked,
            invoked,
            answered,
        });
    }

    fn carry_out(&mut self, step: &Step) -> (OperationId, Asked, Answer) {
        match step.what {
            What::Submit(voter, tag) => {
                let operation = self.run.submission(0, voter, tag);
                let verdict = self.count.submit(voter, tag);
                self.run.commit(vec![vote(0, voter, tag, operation)]);
                let asked = Asked::Submit(voter, tag, Some(verdict));
                (operation, asked, answer(&format!("vote-{tag}"), verdict))
            }
            What::Close => {
                let operation = self.run.invoke(crate::plan::Action::CloseEvent { slot: SLOT });
                self.count.closed = true;
                let (event, by, by_operator) = (EVENT, crate::names::OWNER, false);
                let close = ostraka_core::Command::CloseEvent {
                    event,
                    by,
                    by_operator,
                };
                let (version, status) = (self.run.commit(vec![close]), Status::Closed);
                (
                    operation,
                    Asked::Close,
                    Answer::EventStatus {
                        event,
                        status,
                        version,
                    },
                )
            }
            What::Look => {
                let operation = self.run.invoke(crate::plan::Action::Leaderboard { slot: SLOT });
                let (version, seen) = &self.versions[self.versions.len().saturating_sub(1 + step.behind)];
                let standings = Standings {
                    event: EVENT,
                    status: if seen.closed { Status::Closed } else { Status::Open },
                    version: *version,
                    totals: seen.totals.iter().map(|total| Some(*total)).collect(),
                };
                let asked = Asked::Look(seen.totals, seen.closed);
                (
                    operation,
                    asked,
                    Answer::Board {
                        standings,
                        linearizable: true,
                    },
                )
            }
        }
    }
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
