//! What all users of a run share: the event they vote in, the accounts they log in with, and where they put down what
//! they found.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ostraka_api::ids::{ContestantId, EventId, VoterNumber};
use ostraka_client::Client;

use super::books::Books;
use super::findings::Findings;
use crate::issuer::Issuer;

/// Voters that come with a token have numbers from here on: far above those of real accounts, which begin at 1.
pub(crate) const FIRST_VOTER: u32 = 1_000_000_000;

/// Somebody who can log in.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) username: String,
    pub(crate) password: String,
}

/// Accounts, each of which logs in once: a voter votes once, and the service lets one username log in ten times at once.
pub(crate) struct Accounts {
    accounts: Vec<Account>,
    next: AtomicUsize,
    journeys: AtomicU64,
    /// One voter in so many logs in, until there are no accounts left.
    one_in: u64,
}

impl Accounts {
    pub(crate) fn new(accounts: Vec<Account>, one_in: u64) -> Self {
        Self {
            accounts,
            next: AtomicUsize::new(0),
            journeys: AtomicU64::new(0),
            one_in,
        }
    }

    /// The account that the next voter logs in with; none if he comes with a token.
    pub(crate) fn next(&self) -> Option<&Account> {
        let journey = self.journeys.fetch_add(1, Ordering::Relaxed);
        if !journey.is_multiple_of(self.one_in) {
            return None;
        }
        self.accounts.get(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Somebody whom the service knows by a token.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: VoterNumber,
    pub(crate) token: String,
}

/// How long people take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// From seeing a page to acting on it, at most.
    pub(crate) think_max: Duration,
    /// How long somebody stays on the stream, at most.
    pub(crate) watch_max: Duration,
    /// After this an own vote is late on the stream, and whatever else is awaited of it.
    pub(crate) seen_max: Duration,
}

impl Pace {
    /// An own vote is late at ten times the objective's 95th percentile: a machine that is too small for its users is slow, and
    /// breaks no promise that is judged here.
    pub(crate) const LIFELIKE: Self = Self {
        think_max: Duration::from_millis(1_500),
        watch_max: Duration::from_secs(5),
        seen_max: Duration::from_secs(5),
    };
}

/// The event that voters, attackers and watchers share. It stays open until the run is over.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) event: EventId,
    pub(crate) contestants: Vec<ContestantId>,
}

pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) accounts: Accounts,
    pub(crate) pace: Pace,
    pub(crate) books: Books,
    pub(crate) findings: Findings,
    /// What an attacker votes with beside goose.
    pub(crate) rival: Client,
    issuer: Issuer,
    next_voter: AtomicU32,
}

impl World {
    /// `first_voter` and those after it come with a token of `issuer`.
    pub(crate) fn new(
        stage: Stage,
        accounts: Accounts,
        (issuer, first_voter): (Issuer, u32),
        rival: Client,
        pace: Pace,
    ) -> Self {
        Self {
            rival,
            stage,
            accounts,
            pace,
            books: Books::default(),
            findings: Findings::new(),
            issuer,
            next_voter: AtomicU32::new(first_voter),
        }
    }

    /// Somebody who has not been here before.
    pub(crate) fn newcomer(&self) -> Person {
        let voter = self.next_voter.fetch_add(1, Ordering::Relaxed);
        let mut token = String::new();
        self.issuer.sign_into(voter, &mut token);
        Person {
            user: VoterNumber(voter),
            token,
        }
    }

    /// Any contestant of the shared event.
    pub(crate) fn a_contestant(&self) -> ContestantId {
        self.stage.contestants[rand::random_range(0..self.stage.contestants.len())]
    }

    /// Takes as long as a person does.
    pub(crate) async fn think(&self) {
        tokio::time::sleep(up_to(self.pace.think_max)).await;
    }
}

/// From a fifth of it to all of it.
pub(crate) fn up_to(longest: Duration) -> Duration {
    longest.mul_f64(rand::random_range(0.2..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_voter_in_three_logs_in_until_accounts_run_out() {
        let account = |name: &str| Account {
            username: name.to_string(),
            password: String::new(),
        };
        let accounts = Accounts::new(vec![account("a"), account("b")], 3);
        let names: Vec<_> = (0..9)
            .map(|_| accounts.next().map(|account| account.username.as_str()))
            .collect();
        let mut expected = [None; 9];
        (expected[0], expected[3]) = (Some("a"), Some("b"));
        assert_eq!(names, expected);
    }
}
