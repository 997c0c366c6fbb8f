//! What became of each vote, in bounded memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ostraka_api::{ErrorClass, VoteId, VoteStatus};
use ostraka_client::{ClientError, SubmitReport};
use ostraka_core::ids::{ContestantIndex, VoterNumber};

/// A vote's place in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// What the service answered a vote with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub id: VoteId,
    pub status: VoteStatus,
}

/// How far one vote has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent, or about to be.
    UnderWay,
    /// With a status, whichever: durable, as the service says.
    Acked(Told),
    /// Told to be refused for good: certainly not counted.
    Refused { status: u16, code: Box<str> },
    /// No try was taken, as the service said or as nobody was reached: certainly not counted.
    NotTaken { last_error: Box<str> },
    /// Nobody knows. Another try with the same key finds out.
    Unknown { last_error: Box<str> },
}

impl Fate {
    /// What a client knows after its tries.
    pub fn of(report: &SubmitReport) -> Self {
        match (&report.result, report.error_class()) {
            (Ok(answer), _) => Fate::Acked(Told {
                id: answer.vote_id.clone(),
                status: answer.vote_status,
            }),
            (Err(error), Some(ErrorClass::Terminal)) => {
                let (status, code) = refusal(error);
                Fate::Refused { status, code }
            }
            (Err(error), Some(ErrorClass::Retryable)) => Fate::NotTaken {
                last_error: error.to_string().into(),
            },
            (Err(error), Some(ErrorClass::Unknown) | None) => Fate::Unknown {
                last_error: error.to_string().into(),
            },
        }
    }

    /// A word for counts: what a vote was told, or what kind of not knowing it ended in.
    fn word(&self) -> String {
        match self {
            Fate::UnderWay => "under_way".to_owned(),
            Fate::Acked(told) => match told.status {
                VoteStatus::Acked => "acked",
                VoteStatus::Processed => "processed",
                VoteStatus::Duplicate => "duplicate",
                VoteStatus::Rejected => "rejected",
            }
            .to_owned(),
            Fate::Refused { status, code } => format!("refused_{status}_{code}"),
            Fate::NotTaken { .. } => "not_taken".to_owned(),
            Fate::Unknown { .. } => "unknown".to_owned(),
        }
    }
}

/// Status and stable type of a refusal.
fn refusal(error: &ClientError) -> (u16, Box<str>) {
    match error {
        ClientError::Problem { problem, .. } => (problem.status, problem.problem_type.as_str().into()),
        ClientError::Protocol { status, reason, .. } => (*status, reason.as_str().into()),
        other => (0, other.to_string().into()),
    }
}

/// One vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    pub voter: VoterNumber,
    pub contestant: ContestantIndex,
    /// From the load's beginning.
    pub intended: Duration,
    /// How much later than intended the load itself began it.
    pub late: Duration,
    /// From the load's beginning; none as long as it is under way.
    pub answered: Option<Duration>,
    /// Tries of the client.
    pub attempts: u32,
    pub fate: Fate,
}

impl Ballot {
    /// From the intended start to the answer.
    pub fn latency(&self) -> Option<Duration> {
        Some(self.answered?.saturating_sub(self.intended))
    }
}

/// All votes of a load, each with a voter of its own: the first voter's number and then one after the other.
#[derive(Debug)]
pub struct Ledger {
    first_voter: u32,
    votes_max: usize,
    ballots: Vec<Ballot>,
    /// In the order in which they were acknowledged.
    acked: Vec<Slot>,
}

/// How many of each outcome there are, by its word.
pub type Tallied = BTreeMap<String, u64>;

impl Ledger {
    pub fn new(first_voter: VoterNumber, votes_max: usize) -> Self {
        Self {
            first_voter: first_voter.0,
            votes_max,
            ballots: Vec::new(),
            acked: Vec::new(),
        }
    }

    /// Who votes next. `None` once the ledger is full.
    pub fn next_voter(&self) -> Option<VoterNumber> {
        let place = u32::try_from(self.ballots.len()).ok()?;
        let voter = self.first_voter.checked_add(place)?;
        (self.ballots.len() < self.votes_max).then_some(VoterNumber(voter))
    }

    /// Takes down a vote that is to begin. `None` once the ledger is full.
    pub fn open(
        &mut self,
        contestant: ContestantIndex,
        intended: Duration,
        late: Duration,
    ) -> Option<(Slot, VoterNumber)> {
        let voter = self.next_voter()?;
        let place = voter.0 - self.first_voter;
        self.ballots.push(Ballot {
            voter,
            contestant,
            intended,
            late,
            answered: None,
            attempts: 0,
            fate: Fate::UnderWay,
        });
        Some((Slot(place), voter))
    }

    /// Takes down what became of it. A later try's answer takes the place of not knowing.
    pub fn close(&mut self, slot: Slot, answered: Duration, attempts: u32, fate: Fate) {
        let Some(ballot) = self.ballots.get_mut(slot.0 as usize) else {
            return;
        };
        if matches!(fate, Fate::Acked(_)) && !matches!(ballot.fate, Fate::Acked(_)) {
            self.acked.push(slot);
        }
        ballot.answered = Some(answered);
        ballot.attempts += attempts;
        ballot.fate = fate;
    }

    pub fn ballots(&self) -> &[Ballot] {
        &self.ballots
    }

    pub fn ballot(&self, slot: Slot) -> Option<&Ballot> {
        self.ballots.get(slot.0 as usize)
    }

    /// Votes that were acknowledged so far.
    pub fn acked(&self) -> usize {
        self.acked.len()
    }

    /// Those that were acknowledged after the first `known` ones, oldest first.
    pub fn acked_since(&self, known: usize) -> Vec<(VoterNumber, Told)> {
        let fresh = self.acked.iter().skip(known);
        fresh
            .filter_map(|slot| self.ballot(*slot))
            .filter_map(|ballot| match &ballot.fate {
                Fate::Acked(told) => Some((ballot.voter, told.clone())),
                _ => None,
            })
            .collect()
    }

    /// Those of which nobody knows.
    pub fn unknown(&self) -> Vec<Slot> {
        let places = self.ballots.iter().enumerate();
        places
            .filter(|(_, ballot)| matches!(ballot.fate, Fate::Unknown { .. } | Fate::UnderWay))
            .filter_map(|(place, _)| u32::try_from(place).ok().map(Slot))
            .collect()
    }

    pub fn tallied(&self) -> Tallied {
        let mut tallied = Tallied::new();
        for ballot in &self.ballots {
            *tallied.entry(ballot.fate.word()).or_default() += 1;
        }
        tallied
    }
}

/// A ledger that a load writes and a judge reads.
#[derive(Clone, Debug)]
pub struct SharedLedger(Arc<Mutex<Ledger>>);

impl SharedLedger {
    pub fn new(ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(ledger)))
    }

    /// The ledger, for as long as the answer is held: the load stands still meanwhile, so hold it shortly.
    pub fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn acked(id: &str) -> Fate {
        Fate::Acked(Told {
            id: id.parse().unwrap(),
            status: VoteStatus::Processed,
        })
    }

    fn unknown() -> Fate {
        Fate::Unknown {
            last_error: "cut".into(),
        }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn votes_are_taken_down_up_to_the_bound_each_with_its_own_voter() {
        let mut ledger = Ledger::new(VoterNumber(10), 2);
        let opened: Vec<_> = (0..3)
            .map(|at| ledger.open(ContestantIndex(0), ms(at), ms(0)))
            .collect();
        let first_two = [(Slot(0), VoterNumber(10)), (Slot(1), VoterNumber(11))];
        assert_eq!(opened, [Some(first_two[0]), Some(first_two[1]), None]);
    }

    #[test]
    fn a_latency_counts_from_the_intended_start() {
        let mut ledger = Ledger::new(VoterNumber(1), 9);
        let (slot, _) = ledger.open(ContestantIndex(0), ms(100), ms(50)).unwrap();
        assert_eq!(ledger.ballot(slot).unwrap().latency(), None);
        // Sent late, at 150, answered at 160: the voter has waited for 60.
        ledger.close(slot, ms(160), 1, acked("a"));
        assert_eq!(ledger.ballot(slot).unwrap().latency(), Some(ms(60)));
    }

    #[test]
    fn fresh_acknowledgements_are_told_once_and_in_their_order() {
        let mut ledger = Ledger::new(VoterNumber(1), 9);
        let slots: Vec<_> = (0..3)
            .map(|at| ledger.open(ContestantIndex(0), ms(at), ms(0)).unwrap().0)
            .collect();
        ledger.close(slots[2], ms(9), 1, acked("late"));
        ledger.close(slots[0], ms(10), 1, unknown());
        let first: Vec<_> = ledger
            .acked_since(0)
            .into_iter()
            .map(|(voter, _)| voter.0)
            .collect();
        assert_eq!((first, ledger.unknown()), (vec![3], vec![slots[0], slots[1]]));
        // A later try finds out.
        ledger.close(slots[0], ms(20), 2, acked("found"));
        let fresh: Vec<_> = ledger
            .acked_since(1)
            .into_iter()
            .map(|(voter, _)| voter.0)
            .collect();
        assert_eq!((fresh, ledger.unknown()), (vec![1], vec![slots[1]]));
        assert_eq!(ledger.ballot(slots[0]).unwrap().attempts, 3);
        let tallied = Tallied::from([("processed".to_owned(), 2), ("under_way".to_owned(), 1)]);
        assert_eq!(ledger.tallied(), tallied);
    }

    #[test]
    fn one_try_whose_fate_is_unknown_makes_the_vote_unknown() {
        let unreachable = || ClientError::Unreachable {
            endpoint: "a:1".to_owned(),
            reason: "refused".to_owned(),
        };
        let report = |unknown_attempts| SubmitReport {
            result: Err(unreachable()),
            attempts: 2,
            unknown_attempts,
            unhinted_503s: 0,
        };
        assert!(matches!(Fate::of(&report(0)), Fate::NotTaken { .. }));
        assert!(matches!(Fate::of(&report(1)), Fate::Unknown { .. }));
        let refused = ClientError::Protocol {
            endpoint: "a:1".to_owned(),
            status: 404,
            reason: "r".to_owned(),
        };
        let refused = SubmitReport {
            result: Err(refused),
            attempts: 1,
            unknown_attempts: 0,
            unhinted_503s: 0,
        };
        let expected = Fate::Refused {
            status: 404,
            code: "r".into(),
        };
        assert_eq!(Fate::of(&refused), expected);
    }
}
