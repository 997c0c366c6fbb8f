//! Where accounts are kept. Two stores, one behaviour: [`SledAccounts`] on disk, [`MemoryAccounts`] for simulators.

mod memory;
mod sled_store;

use std::io;

use ostraka_core::{LogIndex, VoterNumber};

pub use memory::MemoryAccounts;
pub use sled_store::{AccountsError, CheckedAccounts, SledAccounts};

use super::account::{Account, EmailKey};
use super::grants::{Grants, GrantsChange};
use super::revocations::{Revocations, RevocationsChange};

/// What a store holds besides the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last log index whose effect is held; 0 for a new store.
    pub applied: LogIndex,
    /// The number that the next account gets. Accounts 1 up to it exist, without a gap.
    pub next_voter: VoterNumber,
    /// The first operator.
    pub operator: Option<VoterNumber>,
}

impl Head {
    pub const NEW: Head = Head {
        applied: LogIndex(0),
        next_voter: VoterNumber(1),
        operator: None,
    };
}

/// What one entry does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub created: Option<Account>,
    pub renewed: Option<Renewed>,
    pub grants: Option<GrantsChange>,
    pub revocations: Option<RevocationsChange>,
}

/// A password's new hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Renewed {
    pub voter: VoterNumber,
    /// PHC string.
    pub password_hash: String,
}

// Written by hand, so that no log line carries a person's data.
impl std::fmt::Debug for Renewed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewed")
            .field("voter", &self.voter)
            .finish_non_exhaustive()
    }
}

/// What is remembered besides the accounts: some of each, and only for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    pub grants: Grants,
    pub revocations: Revocations,
}

impl Remembered {
    fn change(&mut self, effects: &Effects) {
        if let Some(change) = &effects.grants {
            self.grants.change(change);
        }
        if let Some(change) = &effects.revocations {
            self.revocations.change(change);
        }
    }
}

impl Effects {
    /// An account, and nothing else.
    pub fn created(account: Account) -> Effects {
        Effects {
            created: Some(account),
            ..Effects::default()
        }
    }
}

/// Accounts by number, username and email, with the log index up to which they are complete.
///
/// Accounts are only ever added, with consecutive numbers, and of an account nothing but its password's hash is changed, which
/// is rare. That makes an image cheap: all accounts below a number, whenever they are read, and aside the few that were
/// changed since, as they were.
///
/// # Panics
/// A store that cannot read or write panics with a sentence that names it: the replica cannot keep its state and stops.
pub trait AccountStore: Send + Sync + 'static {
    fn head(&self) -> Head;

    fn account(&self, voter: VoterNumber) -> Option<Account>;

    fn voter_by_username(&self, username_key: &str) -> Option<VoterNumber>;

    fn voter_by_email(&self, email_key: &EmailKey) -> Option<VoterNumber>;

    /// Solved challenges and revoked tokens.
    fn remembered(&self) -> &Remembered;

    /// Takes over an entry's effects and the new head: after a crash there are both or neither.
    fn commit(&mut self, head: Head, effects: &Effects);

    /// The accounts as they are now, to be read later and while more are added.
    fn image(&self) -> Box<dyn AccountsImage>;

    /// Replaces everything by `remembered` and `accounts` (1 up to `head.next_voter`, in order). A crash or an error in the middle
    /// leaves what was there before; images taken before stay readable.
    fn replace(
        &mut self,
        head: Head,
        remembered: Remembered,
        accounts: &mut dyn Iterator<Item = io::Result<Account>>,
    ) -> io::Result<()>;
}

/// Accounts as they were at one moment. Reading takes bounded memory on a store that has its accounts on disk.
pub trait AccountsImage: Send {
    fn head(&self) -> Head;

    fn remembered(&self) -> &Remembered;

    /// All accounts below `head().next_voter`, by number. An account that is missing is an error.
    fn accounts(&self) -> Box<dyn Iterator<Item = io::Result<Account>> + '_>;
}

/// # Panics
/// If `created` is not the next account or the head does not follow: the caller worked them out from this store.
fn assert_follows(old: Head, new: Head, created: Option<&Account>) {
    assert!(
        new.applied > old.applied,
        "entries are applied once and in order: {old:?} then {new:?}"
    );
    let next = match created {
        Some(account) => {
            assert_eq!(account.voter, old.next_voter, "voter numbers have no gap");
            account.voter.0 + 1
        }
        None => old.next_voter.0,
    };
    assert_eq!(
        new.next_voter.0, next,
        "the next voter number follows from the account created"
    );
    assert!(
        old.operator.is_none() || old.operator == new.operator,
        "the first operator stays the first"
    );
}

#[cfg(test)]
mod tests;
