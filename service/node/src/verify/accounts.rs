//! The audit of identity: its log recounted, and compared with the accounts and snapshots that are stored.
//!
//! The recount shares commands and records with the service, which are a contract, and none of its logic: who has a name
//! is kept as plain maps, an account as the digest of the record that it must have.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ostraka_core::limits::{GRANTS_FORGOTTEN_PER_ENTRY_MAX, GRANTS_MAX};
use ostraka_core::{EntryMeta, LogIndex, UnixMs, VoterNumber};
use ostraka_replication::log_store::record::{Record, RecordKind};
use ostraka_replication::log_store::sled::OfflineLog;
use ostraka_replication::snapshot_store::StoredSnapshot;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::revocations::RecountedRevocations;
use super::{Snapshots, VerifyError};
use crate::identity::account::{Account, hash_digest};
use crate::identity::command::{Command, CommandCodecError, SolveChallenge};
use crate::identity::grants::{Grant, Nonce};
use crate::identity::snapshot::{read_accounts, read_head};
use crate::identity::store::Remembered;
use crate::identity::{AccountStore, SledAccounts};
use crate::token::Role;

/// What was found of identity.
#[derive(Debug, Default, Serialize)]
pub struct IdentityReport {
    /// Entries read, with their checksums.
    pub entries: u64,
    /// The entry whose snapshot was trusted as the beginning; 0 where the whole log was there.
    pub trusted_index: u64,
    /// Accounts that the log makes, up to its last entry.
    pub accounts: u64,
    /// The entry up to which the stored accounts go, where they were compared. The log makes the rest again.
    pub accounts_compared_at: Option<u64>,
    pub snapshots_compared: Vec<u64>,
}

/// Accounts as the log makes them.
#[derive(Debug, Default)]
struct Recount {
    /// Of account 1, 2, …: the digest of its record without the password's hash, and the digest of that.
    records: Vec<Digests>,
    usernames: BTreeSet<String>,
    emails: BTreeSet<[u8; 32]>,
    operator: Option<VoterNumber>,
    grants: BTreeMap<Nonce, Grant>,
    /// The newest stamp of an entry that asked for grants.
    grants_now: UnixMs,
    revocations: RecountedRevocations,
}

type Digests = ([u8; 32], Option<[u8; 32]>);

impl Recount {
    fn command(&mut self, meta: EntryMeta, command: Command) {
        let stamped_at = meta.stamped_at;
        let voter = VoterNumber(self.records.len() as u32 + 1);
        match command {
            Command::SolveChallenge(solved) => self.solve(stamped_at, &solved),
            Command::CreateOperator(wanted) => {
                let account = Account {
                    voter,
                    role: Role::Operator,
                    username: wanted.username,
                    email: None,
                    date_of_birth: None,
                    password_hash: Some(wanted.password_hash),
                    registered_by: None,
                    registered_at: stamped_at,
                    request: wanted.request,
                };
                self.create(stamped_at, &account, None);
            }
            Command::Register(wanted) => {
                let account = Account {
                    voter,
                    role: Role::Voter,
                    username: wanted.username,
                    email: Some(wanted.email),
                    date_of_birth: wanted.date_of_birth,
                    password_hash: wanted.password_hash,
                    registered_by: Some(wanted.registered_by),
                    registered_at: stamped_at,
                    request: wanted.request,
                };
                self.create(stamped_at, &account, None);
            }
            Command::RegisterByToken(wanted) => {
                let account = Account {
                    voter,
                    role: Role::Voter,
                    username: wanted.username,
                    email: Some(wanted.email),
                    date_of_birth: wanted.date_of_birth,
                    password_hash: wanted.password_hash,
                    registered_by: None,
                    registered_at: stamped_at,
                    request: wanted.request,
                };
                self.create(stamped_at, &account, Some(wanted.nonce));
            }
            Command::RevokeTokens(wanted) => self.revocations.revoke(meta, &wanted, self.records.len()),
            Command::RenewPassword(wanted) => {
                let record = (wanted.voter.0 as usize)
                    .checked_sub(1)
                    .and_then(|place| self.records.get_mut(place));
                if let Some((_, hash)) = record.filter(|(_, hash)| *hash == Some(wanted.replaces)) {
                    *hash = Some(hash_digest(&wanted.password_hash));
                }
            }
        }
    }

    fn solve(&mut self, stamped_at: UnixMs, solved: &SolveChallenge) {
        let now = self.grants_now.max(stamped_at);
        let over = self.over(now);
        let is_new = !self.grants.contains_key(&solved.nonce) && now < solved.challenge_expires_at;
        if is_new && self.grants.len() - over.len() < GRANTS_MAX {
            let ends_at = UnixMs(now.0.saturating_add(solved.lifetime_ms));
            let grant = Grant {
                request: solved.request,
                expires_at: ends_at.max(solved.challenge_expires_at),
                spent: false,
            };
            self.grants.insert(solved.nonce, grant);
        }
        self.move_on(now, &over);
    }

    /// Takes the account in, unless something stands against it; `token` is spent with it.
    fn create(&mut self, stamped_at: UnixMs, account: &Account, token: Option<Nonce>) {
        let now = self.grants_now.max(stamped_at);
        let opens = |nonce: &Nonce| {
            let grant = self.grants.get(nonce);
            grant.is_some_and(|grant| !grant.spent && now < grant.expires_at)
        };
        let no_token = token.as_ref().is_some_and(|nonce| !opens(nonce));
        let second_operator = account.role == Role::Operator && self.operator.is_some();
        let name_taken = self.usernames.contains(&account.username.key);
        let email = account.email.as_ref();
        let email_taken = email.is_some_and(|email| self.emails.contains(&email.key.0));
        if second_operator || name_taken || email_taken || no_token || account.voter.0 == u32::MAX {
            return;
        }
        self.take(account);
        if let Some(nonce) = token {
            let over = self.over(now);
            if let Some(grant) = self.grants.get_mut(&nonce) {
                grant.spent = true;
            }
            self.move_on(now, &over);
        }
    }

    /// The oldest of what has expired, as many as one entry forgets.
    fn over(&self, now: UnixMs) -> Vec<Nonce> {
        let mut over: Vec<_> = self
            .grants
            .iter()
            .filter(|(_, grant)| grant.expires_at <= now)
            .map(|(nonce, grant)| (grant.expires_at, *nonce))
            .collect();
        over.sort_unstable();
        over.truncate(GRANTS_FORGOTTEN_PER_ENTRY_MAX);
        over.into_iter().map(|(_, nonce)| nonce).collect()
    }

    fn move_on(&mut self, now: UnixMs, over: &[Nonce]) {
        self.grants_now = now;
        self.grants.retain(|nonce, _| !over.contains(nonce));
    }

    fn take(&mut self, account: &Account) {
        self.records.push(digests(account));
        self.usernames.insert(account.username.key.clone());
        self.emails
            .extend(account.email.as_ref().map(|email| email.key.0));
        if account.role == Role::Operator && self.operator.is_none() {
            self.operator = Some(account.voter);
        }
    }

    /// What `stored` has otherwise, as sentences about `what`. Stops at the first account, for the rest would follow.
    fn differences(
        &self,
        what: &str,
        operator: Option<VoterNumber>,
        remembered: &Remembered,
        stored: impl Iterator<Item = io::Result<Account>>,
    ) -> Vec<String> {
        let mut differences = Vec::new();
        let grants = &remembered.grants;
        let same_grants = grants
            .iter()
            .eq(self.grants.iter().map(|(nonce, grant)| (*nonce, *grant)));
        if grants.now() != self.grants_now || !same_grants {
            differences.push(format!("{what}: other solved challenges than in the log"));
        }
        if !self.revocations.are(&remembered.revocations) {
            differences.push(format!("{what}: other revoked tokens than in the log"));
        }
        if operator != self.operator {
            differences.push(format!("{what}: another first operator than in the log"));
        }
        let mut found = 0;
        for account in stored {
            let number = found + 1;
            match account {
                Err(error) => {
                    differences.push(format!("{what}: account {number} cannot be read ({error})"));
                    return differences;
                }
                Ok(account) if self.records.get(found) != Some(&digests(&account)) => {
                    differences.push(format!(
                        "{what}: account {number} is not the one that the log makes"
                    ));
                    return differences;
                }
                Ok(_) => found = number,
            }
        }
        if found != self.records.len() {
            differences.push(format!(
                "{what}: {found} accounts, the log makes {}",
                self.records.len()
            ));
        }
        differences
    }
}

fn digests(account: &Account) -> Digests {
    let hash = account.password_hash.as_deref().map(hash_digest);
    let without = Account {
        password_hash: None,
        ..account.clone()
    };
    (Sha256::digest(without.encode()).into(), hash)
}

/// The walk along identity's log.
struct Audit {
    recount: Recount,
    /// To be compared where the walk comes by.
    stored: Option<SledAccounts>,
    snapshots: Vec<StoredSnapshot>,
    report: IdentityReport,
    disagreements: Vec<String>,
}

/// Recounts `log` and compares it with `stored`, the accounts (`None` where there are none: they are made again from the
/// log), and with every snapshot. The report, and a sentence for each disagreement.
pub(super) fn audit(
    log: &OfflineLog,
    mut snapshots: Snapshots,
    stored: Option<SledAccounts>,
) -> Result<(IdentityReport, Vec<String>), VerifyError> {
    let purged = log.purged().map_or(0, |id| id.index);
    let beginning = match purged {
        0 => None,
        _ => Some(snapshots.beginning(purged)?.clone()),
    };
    let mut audit = Audit {
        recount: Recount::default(),
        stored,
        snapshots: snapshots.whole,
        report: IdentityReport::default(),
        disagreements: Vec::new(),
    };
    audit.begin(beginning)?;
    let mut last = audit.report.trusted_index;
    for record in log.entries() {
        let record = record?;
        audit.report.entries += 1;
        if record.log_id.index > audit.report.trusted_index {
            last = record.log_id.index;
            audit.entry(&record)?;
        }
    }
    Ok(audit.finish(last))
}

impl Audit {
    fn begin(&mut self, beginning: Option<StoredSnapshot>) -> Result<(), VerifyError> {
        if let Some(oldest) = &beginning {
            read(oldest, |_, remembered, accounts| {
                self.recount.grants = remembered.grants.iter().collect();
                self.recount.grants_now = remembered.grants.now();
                self.recount.revocations = RecountedRevocations::of(&remembered.revocations);
                for account in accounts {
                    self.recount.take(&account?);
                }
                Ok(())
            })?;
            self.report.trusted_index = oldest.index();
        }
        let begin = self.report.trusted_index;
        self.snapshots.retain(|stored| stored.index() > begin);
        self.compare(begin)
    }

    fn entry(&mut self, record: &Record) -> Result<(), VerifyError> {
        let index = record.log_id.index;
        if record.kind == RecordKind::Normal {
            match Command::decode(&record.body) {
                Ok(command) => {
                    let meta = EntryMeta {
                        index: LogIndex(index),
                        stamped_at: record.stamped_at,
                    };
                    self.recount.command(meta, command);
                }
                // Every replica refuses these alike.
                Err(CommandCodecError::Damaged) => {}
                Err(error) => self
                    .disagreements
                    .push(format!("identity's entry {index} cannot be read: {error}")),
            }
        }
        self.compare(index)
    }

    /// Compares what is stored as of this entry.
    fn compare(&mut self, index: u64) -> Result<(), VerifyError> {
        if let Some(accounts) = self.stored.take_if(|accounts| accounts.head().applied.0 == index) {
            self.report.accounts_compared_at = Some(index);
            let image = accounts.image();
            let what = format!("the accounts at entry {index}");
            let found =
                self.recount
                    .differences(&what, image.head().operator, image.remembered(), image.accounts());
            self.disagreements.extend(found);
            self.disagreements.extend(wrong_names(&accounts, &what));
        }
        let due = self.snapshots.extract_if(.., |stored| stored.index() == index);
        for stored in due.collect::<Vec<_>>() {
            let what = format!("identity's snapshot at entry {index}");
            let found = read(&stored, |operator, remembered, accounts| {
                Ok(self.recount.differences(&what, operator, remembered, accounts))
            })?;
            self.disagreements.extend(found);
            self.report.snapshots_compared.push(index);
        }
        Ok(())
    }

    fn finish(mut self, last: u64) -> (IdentityReport, Vec<String>) {
        if let Some(accounts) = &self.stored {
            let applied = accounts.head().applied.0;
            // Behind a purged beginning nothing can be said: such accounts are replaced by the snapshot at the next start.
            if applied > last {
                self.disagreements.push(format!(
                    "the accounts go up to entry {applied}, identity's log ends at {last}"
                ));
            }
        }
        self.disagreements.extend(self.snapshots.iter().map(|stored| {
            format!(
                "identity's snapshot at entry {} is ahead of its log's last entry",
                stored.index()
            )
        }));
        self.report.accounts = self.recount.records.len() as u64;
        (self.report, self.disagreements)
    }
}

/// Whether every account is found by its own name and address.
fn wrong_names(accounts: &SledAccounts, what: &str) -> Vec<String> {
    let image = accounts.image();
    let lost = image.accounts().map_while(Result::ok).filter(|account| {
        let by_name = accounts.voter_by_username(&account.username.key);
        let by_email = account
            .email
            .as_ref()
            .map(|email| accounts.voter_by_email(&email.key));
        by_name != Some(account.voter) || by_email.is_some_and(|voter| voter != Some(account.voter))
    });
    lost.map(|account| {
        format!(
            "{what}: account {} is not found by its name or address",
            account.voter.0
        )
    })
    .collect()
}

fn read<T>(
    stored: &StoredSnapshot,
    with: impl FnOnce(
        Option<VoterNumber>,
        &Remembered,
        &mut dyn Iterator<Item = io::Result<Account>>,
    ) -> io::Result<T>,
) -> Result<T, VerifyError> {
    let broken = |what: String| VerifyError::Snapshot {
        index: stored.index(),
        what,
    };
    let mut reader = stored.open().map_err(|error| broken(error.to_string()))?;
    let (head, remembered) = read_head(&mut reader).map_err(|error| broken(error.to_string()))?;
    let read = with(head.operator, &remembered, &mut read_accounts(&mut reader, head));
    read.map_err(|error| broken(error.to_string()))
}
