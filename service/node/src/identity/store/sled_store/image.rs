//! Accounts as they were at one moment, read later: the tree below a number, and aside the accounts changed since.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

use ostraka_core::VoterNumber;
use ostraka_replication::sled_folder;
use parking_lot::Mutex;

use super::Generation;
use super::keys::{account_key, voter_of_key};
use crate::identity::account::Account;
use crate::identity::store::{AccountsImage, Head, Remembered};

/// What reading an image failed with; the engine's own text would go out with the error otherwise.
pub(in crate::identity::store) fn in_our_words(error: sled::Error) -> io::Error {
    match error {
        sled::Error::Io(source) => source,
        damaged => io::Error::new(io::ErrorKind::InvalidData, sled_folder::explain(&damaged)),
    }
}

/// Of one image: its accounts that were changed since it was taken, as they were.
pub(super) struct Aside {
    below: VoterNumber,
    accounts: Mutex<BTreeMap<VoterNumber, Account>>,
}

/// The images of a tree that somebody still has.
#[derive(Default)]
pub(super) struct Images(Mutex<Vec<Weak<Aside>>>);

impl Images {
    /// One of the accounts below this number.
    pub(super) fn add(&self, below: VoterNumber) -> Arc<Aside> {
        let aside = Arc::new(Aside {
            below,
            accounts: Mutex::default(),
        });
        let mut all = self.0.lock();
        all.retain(|image| image.strong_count() > 0);
        all.push(Arc::downgrade(&aside));
        aside
    }

    /// Keeps an account for every image that has it, before it is changed in the tree.
    pub(super) fn keep(&self, account: &Account) {
        let all = self.0.lock();
        let living = all.iter().filter_map(Weak::upgrade);
        for image in living.filter(|image| account.voter < image.below) {
            let mut kept = image.accounts.lock();
            kept.entry(account.voter).or_insert_with(|| account.clone());
        }
    }
}

pub(super) struct SledImage {
    pub(super) head: Head,
    pub(super) remembered: Remembered,
    pub(super) generation: Arc<Generation>,
    pub(super) aside: Arc<Aside>,
}

impl AccountsImage for SledImage {
    fn head(&self) -> Head {
        self.head
    }

    fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    fn accounts(&self) -> Box<dyn Iterator<Item = io::Result<Account>> + '_> {
        let range = account_key(VoterNumber(1))..account_key(self.head.next_voter);
        let mut stored = self.generation.tree.range(range);
        Box::new((1..self.head.next_voter.0).map(move |number| {
            let next = stored.next().unwrap_or_else(|| Ok(Default::default()));
            let (key, record) = next.map_err(in_our_words)?;
            if voter_of_key(&key) != Some(VoterNumber(number)) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("account {number} is missing"),
                ));
            }
            // After the tree was read: what is changed there is aside already.
            if let Some(kept) = self.aside.accounts.lock().get(&VoterNumber(number)) {
                return Ok(kept.clone());
            }
            Account::decode(&record).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        }))
    }
}
