//! Accounts in memory. For simulators, where no thread and no disk may be beyond the seed's control.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use ostraka_core::VoterNumber;

use super::{AccountStore, AccountsImage, Effects, Head, Remembered, assert_follows};
use crate::identity::account::{Account, EmailKey};

/// Forgets everything when dropped: the log brings it back.
pub struct MemoryAccounts {
    head: Head,
    /// Account number n stands at n - 1.
    accounts: Vec<Arc<Account>>,
    by_username: BTreeMap<String, VoterNumber>,
    by_email: BTreeMap<EmailKey, VoterNumber>,
    remembered: Remembered,
}

impl Default for MemoryAccounts {
    fn default() -> Self {
        MemoryAccounts {
            head: Head::NEW,
            accounts: Vec::new(),
            by_username: BTreeMap::new(),
            by_email: BTreeMap::new(),
            remembered: Remembered::default(),
        }
    }
}

impl MemoryAccounts {
    fn add(&mut self, account: Account) {
        self.by_username
            .insert(account.username.key.clone(), account.voter);
        if let Some(email) = &account.email {
            self.by_email.insert(email.key, account.voter);
        }
        self.accounts.push(Arc::new(account));
    }
}

impl AccountStore for MemoryAccounts {
    fn head(&self) -> Head {
        self.head
    }

    fn account(&self, voter: VoterNumber) -> Option<Account> {
        let place = (voter.0 as usize).checked_sub(1)?;
        self.accounts.get(place).map(|account| Account::clone(account))
    }

    fn voter_by_username(&self, username_key: &str) -> Option<VoterNumber> {
        self.by_username.get(username_key).copied()
    }

    fn voter_by_email(&self, email_key: &EmailKey) -> Option<VoterNumber> {
        self.by_email.get(email_key).copied()
    }

    fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    fn commit(&mut self, head: Head, effects: &Effects) {
        assert_follows(self.head, head, effects.created.as_ref());
        if let Some(account) = &effects.created {
            self.add(account.clone());
        }
        if let Some(renewed) = &effects.renewed {
            // An image has the one that there was.
            let place = &mut self.accounts[renewed.voter.0 as usize - 1];
            let mut account = Account::clone(place);
            account.password_hash = Some(renewed.password_hash.clone());
            *place = Arc::new(account);
        }
        self.remembered.change(effects);
        self.head = head;
    }

    fn image(&self) -> Box<dyn AccountsImage> {
        Box::new(MemoryImage {
            head: self.head,
            remembered: self.remembered.clone(),
            accounts: self.accounts.clone(),
        })
    }

    fn replace(
        &mut self,
        head: Head,
        remembered: Remembered,
        accounts: &mut dyn Iterator<Item = io::Result<Account>>,
    ) -> io::Result<()> {
        let mut fresh = MemoryAccounts {
            head,
            remembered,
            ..MemoryAccounts::default()
        };
        for account in accounts {
            fresh.add(account?);
        }
        *self = fresh;
        Ok(())
    }
}

struct MemoryImage {
    head: Head,
    remembered: Remembered,
    accounts: Vec<Arc<Account>>,
}

impl AccountsImage for MemoryImage {
    fn head(&self) -> Head {
        self.head
    }

    fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    fn accounts(&self) -> Box<dyn Iterator<Item = io::Result<Account>> + '_> {
        Box::new(self.accounts.iter().map(|account| Ok(Account::clone(account))))
    }
}
