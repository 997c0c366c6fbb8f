//! What each voter was told of his votes in the event that all share, and what the leaderboard must show for it.

use std::sync::atomic::{AtomicU64, Ordering};

use ostraka_api::VoteStatus;

use crate::session::Ledger;

/// What came of one submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Status(VoteStatus),
    /// Refused: certainly not done.
    Refused,
    /// No answer, or one that leaves it open: counted or not, both are right.
    Nothing,
}

/// What one voter's submissions amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Counted,
    InDoubt,
    NotCounted,
}

/// Judges what one voter was told of all his submissions in an event that was open all the time, by the law that exactly
/// one of them counts. The order in which they were sent does not matter: some were sent at the same moment.
///
/// # Errors
/// The promise that was broken.
pub(crate) fn standing(told: &[Told]) -> Result<Standing, String> {
    let of = |status| told.iter().filter(|told| **told == Told::Status(status)).count();
    let processed = of(VoteStatus::Processed);
    if processed > 1 {
        return Err(format!("one voter was told `processed` {processed} times"));
    }
    if of(VoteStatus::Rejected) > 0 {
        return Err("a vote in an open event was told `rejected`".to_string());
    }
    // `acked` says that it is kept, not yet whether it counts.
    let open = told.contains(&Told::Nothing) || of(VoteStatus::Acked) > 0;
    match processed {
        1 => Ok(Standing::Counted),
        _ if open => Ok(Standing::InDoubt),
        _ if of(VoteStatus::Duplicate) > 0 => {
            Err("a voter none of whose votes is counted was told `duplicate`".to_string())
        }
        _ => Ok(Standing::NotCounted),
    }
}

/// The books of the shared event.
#[derive(Debug, Default)]
pub(crate) struct Books {
    acked: AtomicU64,
    in_doubt: AtomicU64,
}

impl Books {
    /// Enters one voter, once.
    pub(crate) fn enter(&self, standing: Standing) {
        match standing {
            Standing::Counted => self.acked.fetch_add(1, Ordering::Relaxed),
            Standing::InDoubt => self.in_doubt.fetch_add(1, Ordering::Relaxed),
            Standing::NotCounted => 0,
        };
    }

    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    pub(crate) fn in_doubt(&self) -> u64 {
        self.in_doubt.load(Ordering::Relaxed)
    }

    /// Beside what the leaderboard says.
    pub(crate) fn ledger(&self, counted: u64) -> Ledger {
        Ledger {
            acked: self.acked(),
            counted: Some(counted),
            in_doubt: self.in_doubt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESSED: Told = Told::Status(VoteStatus::Processed);
    const DUPLICATE: Told = Told::Status(VoteStatus::Duplicate);
    const REJECTED: Told = Told::Status(VoteStatus::Rejected);
    const ACKED: Told = Told::Status(VoteStatus::Acked);

    #[test]
    fn one_vote_counts_and_no_other() {
        for (told, expected) in [
            (&[PROCESSED][..], Standing::Counted),
            (&[DUPLICATE, PROCESSED, DUPLICATE], Standing::Counted),
            (&[PROCESSED, Told::Refused, Told::Nothing], Standing::Counted),
            (&[Told::Refused], Standing::NotCounted),
            (&[], Standing::NotCounted),
            (&[Told::Nothing], Standing::InDoubt),
            (&[ACKED], Standing::InDoubt),
            // The one that counts is the one whose answer was lost.
            (&[Told::Nothing, DUPLICATE], Standing::InDoubt),
        ] {
            assert_eq!(standing(told), Ok(expected), "{told:?}");
        }
    }

    #[test]
    fn every_planted_lie_is_found() {
        for (told, word) in [
            (&[PROCESSED, PROCESSED][..], "`processed` 2 times"),
            (&[PROCESSED, DUPLICATE, PROCESSED], "`processed` 2 times"),
            (&[DUPLICATE], "`duplicate`"),
            (&[Told::Refused, DUPLICATE], "`duplicate`"),
            (&[REJECTED], "`rejected`"),
            (&[PROCESSED, REJECTED], "`rejected`"),
        ] {
            let fault = standing(told).unwrap_err();
            assert!(fault.contains(word), "{told:?}: {fault}");
        }
    }

    #[test]
    fn books_that_are_off_by_one_do_not_balance() {
        let books = Books::default();
        for _ in 0..7 {
            books.enter(Standing::Counted);
        }
        books.enter(Standing::NotCounted);
        assert!(books.ledger(7).balances());
        assert!(!books.ledger(6).balances() && !books.ledger(8).balances());
        books.enter(Standing::InDoubt);
        assert!(books.ledger(7).balances() && books.ledger(8).balances());
        assert!(!books.ledger(6).balances() && !books.ledger(9).balances());
    }
}
