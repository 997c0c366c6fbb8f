//! The machine behind identity's log: applies commands to the accounts, the same on every replica.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use ostraka_core::{EntryMeta, LogIndex, RequestKey, VoterNumber};
use ostraka_replication::{Machine, SnapshotImage};

use super::account::{Account, Username, hash_digest};
use super::command::{
    Command, CommandCodecError, CreateOperator, Outcome, Register, RegisterByToken, RenewPassword,
    RevokeTokens, SolveChallenge,
};
use super::grants::{Grant, Nonce, NotGranted, NotSpent};
use super::revocations::Full;
use super::snapshot::{IdentityImage, read_accounts, read_head};
use super::store::{AccountStore, Effects, Head, Renewed};
use crate::revoked::Revoked;
use crate::token::Role;

/// Accounts, driven by a log.
pub struct IdentityMachine {
    store: Box<dyn AccountStore>,
    /// What the store says of revocations, for whoever verifies tokens.
    revoked: Arc<Revoked>,
}

impl IdentityMachine {
    pub fn new(store: impl AccountStore) -> IdentityMachine {
        let machine = IdentityMachine {
            store: Box::new(store),
            revoked: Arc::default(),
        };
        machine.tell_all_revoked();
        machine
    }

    /// Whose tokens are revoked, as far as this replica has applied the log.
    pub fn revoked(&self) -> &Arc<Revoked> {
        &self.revoked
    }

    fn tell_all_revoked(&self) {
        let all = self.store.remembered().revocations.iter();
        self.revoked.replace(all.map(|(voter, known)| (voter, known.at)));
    }

    pub fn account(&self, voter: VoterNumber) -> Option<Account> {
        self.store.account(voter)
    }

    pub fn account_by_username(&self, username: &Username) -> Option<Account> {
        let voter = self.store.voter_by_username(&username.key)?;
        let account = self.store.account(voter);
        assert!(
            account.is_some(),
            "the index of usernames names account {}, which is not there",
            voter.0
        );
        account
    }

    /// The first operator.
    pub fn operator(&self) -> Option<VoterNumber> {
        self.store.head().operator
    }

    /// What is remembered of a solved challenge.
    pub fn grant(&self, nonce: &Nonce) -> Option<Grant> {
        self.store.remembered().grants.get(nonce)
    }

    /// How many accounts there are.
    pub fn accounts(&self) -> u32 {
        self.store.head().next_voter.0 - 1
    }

    /// The outcome of `command`, and what it changes.
    fn decide(&self, meta: EntryMeta, command: Command) -> (Outcome, Effects) {
        match command {
            Command::CreateOperator(command) => self.create_operator(meta, command),
            Command::Register(command) => self.register(meta, command),
            Command::SolveChallenge(command) => self.solve_challenge(meta, command),
            Command::RegisterByToken(command) => self.register_by_token(meta, command),
            Command::RevokeTokens(command) => self.revoke_tokens(meta, command),
            Command::RenewPassword(command) => self.renew_password(command),
        }
    }

    fn revoke_tokens(&self, meta: EntryMeta, command: RevokeTokens) -> (Outcome, Effects) {
        let RevokeTokens {
            voter,
            lifetime_ms,
            by_operator,
        } = command;
        if voter.0 == 0 || voter >= self.store.head().next_voter {
            return (Outcome::NoSuchAccount, Effects::default());
        }
        let revoked = self
            .store
            .remembered()
            .revocations
            .revoke(meta, voter, lifetime_ms, by_operator);
        match revoked {
            Err(Full) => (Outcome::RevocationsFull, Effects::default()),
            Ok(change) => {
                let effects = Effects {
                    revocations: Some(change),
                    ..Effects::default()
                };
                (Outcome::Revoked, effects)
            }
        }
    }

    fn renew_password(&self, command: RenewPassword) -> (Outcome, Effects) {
        let known = self.store.account(command.voter);
        let stored = known.as_ref().and_then(|known| known.password_hash.as_deref());
        if stored.map(hash_digest) != Some(command.replaces) {
            return (Outcome::NotRenewed, Effects::default());
        }
        let effects = Effects {
            renewed: Some(Renewed {
                voter: command.voter,
                password_hash: command.password_hash,
            }),
            ..Effects::default()
        };
        (Outcome::Renewed, effects)
    }

    fn solve_challenge(&self, meta: EntryMeta, command: SolveChallenge) -> (Outcome, Effects) {
        let (change, granted) = self.store.remembered().grants.grant(
            meta.stamped_at,
            command.nonce,
            command.request,
            command.challenge_expires_at,
            command.lifetime_ms,
        );
        let outcome = match granted {
            Ok(expires_at) => Outcome::Granted(expires_at),
            Err(NotGranted::Expired) => Outcome::ChallengeExpired,
            Err(NotGranted::Used) => Outcome::ChallengeUsed,
            Err(NotGranted::Full) => Outcome::GrantsFull,
        };
        let effects = Effects {
            grants: Some(change),
            ..Effects::default()
        };
        (outcome, effects)
    }

    /// The token is spent only if the account is made: whoever chose a taken name tries another one with it.
    fn register_by_token(&self, meta: EntryMeta, command: RegisterByToken) -> (Outcome, Effects) {
        let earlier = self.earlier(&command.username, command.request);
        if let Some(created @ Outcome::Created(_)) = earlier {
            return (created, Effects::default());
        }
        let spent = match self
            .store
            .remembered()
            .grants
            .spend(meta.stamped_at, command.nonce)
        {
            Ok(change) => change,
            Err(NotSpent::Expired) => return (Outcome::TokenExpired, Effects::default()),
            Err(NotSpent::Used) => return (Outcome::TokenUsed, Effects::default()),
        };
        if let Some(taken) = earlier {
            return (taken, Effects::default());
        }
        if self.store.voter_by_email(&command.email.key).is_some() {
            return (Outcome::EmailTaken, Effects::default());
        }
        let (outcome, effects) = self.created(Account {
            voter: self.store.head().next_voter,
            role: Role::Voter,
            username: command.username,
            email: Some(command.email),
            date_of_birth: command.date_of_birth,
            password_hash: command.password_hash,
            registered_by: None,
            registered_at: meta.stamped_at,
            request: command.request,
        });
        let grants = effects.created.is_some().then_some(spent);
        (outcome, Effects { grants, ..effects })
    }

    fn create_operator(&self, meta: EntryMeta, command: CreateOperator) -> (Outcome, Effects) {
        match (self.earlier(&command.username, command.request), self.operator()) {
            (Some(created @ Outcome::Created(_)), _) => return (created, Effects::default()),
            (_, Some(_)) => return (Outcome::OperatorExists, Effects::default()),
            (Some(taken), None) => return (taken, Effects::default()),
            (None, None) => {}
        }
        self.created(Account {
            voter: self.store.head().next_voter,
            role: Role::Operator,
            username: command.username,
            email: None,
            date_of_birth: None,
            password_hash: Some(command.password_hash),
            registered_by: None,
            registered_at: meta.stamped_at,
            request: command.request,
        })
    }

    fn register(&self, meta: EntryMeta, command: Register) -> (Outcome, Effects) {
        if let Some(outcome) = self.earlier(&command.username, command.request) {
            return (outcome, Effects::default());
        }
        if self.store.voter_by_email(&command.email.key).is_some() {
            return (Outcome::EmailTaken, Effects::default());
        }
        self.created(Account {
            voter: self.store.head().next_voter,
            role: Role::Voter,
            username: command.username,
            email: Some(command.email),
            date_of_birth: command.date_of_birth,
            password_hash: command.password_hash,
            registered_by: Some(command.registered_by),
            registered_at: meta.stamped_at,
            request: command.request,
        })
    }

    /// What the username's account says, if there is one: created by this very request, or taken.
    fn earlier(&self, username: &Username, request: RequestKey) -> Option<Outcome> {
        let account = self.account_by_username(username)?;
        Some(if account.request == request {
            Outcome::Created(account.voter)
        } else {
            Outcome::UsernameTaken
        })
    }

    fn created(&self, account: Account) -> (Outcome, Effects) {
        // The last number is never given out, so that the next one can always be written down.
        if account.voter.0 == u32::MAX {
            return (Outcome::Refused, Effects::default());
        }
        (Outcome::Created(account.voter), Effects::created(account))
    }
}

impl Machine for IdentityMachine {
    /// # Panics
    /// If a newer node wrote the command: this replica cannot carry it out, and going on without it would make its
    /// accounts differ from all others'. Damaged bytes are refused instead, by every replica alike.
    fn apply(&mut self, meta: EntryMeta, body: &[u8]) -> Bytes {
        let old = self.store.head();
        assert!(
            meta.index > old.applied,
            "entry {} is applied after entry {}",
            meta.index.0,
            old.applied.0
        );
        let (outcome, effects) = match Command::decode(body) {
            Ok(command) => self.decide(meta, command),
            Err(CommandCodecError::Damaged) => (Outcome::Refused, Effects::default()),
            Err(error @ CommandCodecError::UnknownVersion(_)) => panic!(
                "entry {} of identity's log was written by a newer ostraka ({error}): run that one here, too",
                meta.index.0
            ),
        };
        let created = effects.created.as_ref();
        let operator = created.filter(|account| account.role == Role::Operator);
        let head = Head {
            applied: meta.index,
            next_voter: created.map_or(old.next_voter, |account| VoterNumber(account.voter.0 + 1)),
            operator: old.operator.or(operator.map(|account| account.voter)),
        };
        self.store.commit(head, &effects);
        if let Some(change) = &effects.revocations {
            change
                .forgotten
                .iter()
                .for_each(|voter| self.revoked.forget(*voter));
            if let Some((voter, revocation)) = change.put {
                self.revoked.put(voter, revocation.at);
            }
        }
        outcome.encode()
    }

    fn check(body: &[u8]) -> Result<(), String> {
        Command::decode(body)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    fn skip(&mut self, index: LogIndex) {
        let old = self.store.head();
        self.store.commit(
            Head {
                applied: index,
                ..old
            },
            &Effects::default(),
        );
    }

    fn last_applied(&self) -> LogIndex {
        self.store.head().applied
    }

    fn image(&self) -> Box<dyn SnapshotImage> {
        Box::new(IdentityImage(self.store.image()))
    }

    /// The accounts go to the store one by one; no more than a few hundred are in memory at once.
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let (head, remembered) = read_head(snapshot)?;
        self.store
            .replace(head, remembered, &mut read_accounts(snapshot, head))?;
        self.tell_all_revoked();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
