//! Accounts on disk, in sled, in bounded memory.
//!
//! | tree | key | value |
//! | --- | --- | --- |
//! | default | `m/format` | format number, 4 bytes big-endian |
//! | default | `m/current` | name of the tree in use |
//! | in use | `m/applied` | last applied log index, 8 bytes big-endian |
//! | in use | `m/next_voter` | number of the next account, 4 bytes big-endian |
//! | in use | `m/operator` | the first operator's number, 4 bytes big-endian; absent while there is none |
//! | in use | `a/` + voter number, 4 bytes big-endian | account record |
//! | in use | `n/` + unique form of the username | voter number |
//! | in use | `e/` + SHA-256 of the unique form of the email | voter number |
//! | in use | `m/grants_now` | the log's time of the grants, 8 bytes big-endian |
//! | in use | `m/revocations_now` | the log's time of the revocations, 8 bytes big-endian |
//! | in use | `r/` + voter number, 4 bytes big-endian | the entry that revoked (8 bytes), until when it is remembered (8) |
//! | in use | `g/` + a solved challenge's nonce, 16 bytes | expiry (8 bytes), request key (16), spent (1) |
//!
//! **Durability.** Nothing here waits for the disk, and nothing acknowledged hangs on it: an entry is acknowledged because
//! identity's *log* holds it behind a barrier on a quorum. An entry's effects and `m/applied` go in one atomic batch, and
//! sled recovers a prefix of what was written, so after a crash the tree is the state at some earlier index, and it says
//! which. The entries after it are applied again from the log, or a snapshot replaces the tree. A database that is
//! damaged is only a copy: put away by hand, it is built anew from snapshot and log. What is not whole is opened as a copy
//! first ([`sled_folder`]), so that a refusal changes nothing.
//!
//! **Memory.** sled keeps up to [`ACCOUNT_CACHE_BYTES_MAX`] of pages besides a few words for each page on disk. Records
//! stay under about 1 KiB and sled's leaves hold up to 17 of them, far below the size (128 KiB) at which sled would
//! put a page in a file of its own, which it never makes durable.
//!
//! **Replacing.** A snapshot is read into a new tree; when it is complete, `m/current` is turned to it in one write.
//! Until then the old tree is untouched, so a crash in the middle costs the work, not the state. The old tree goes
//! when the last image of it does, or at the next start.

mod image;
mod keys;
mod stored;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ostraka_core::VoterNumber;
use ostraka_core::limits::ACCOUNT_CACHE_BYTES_MAX;
use ostraka_replication::sled_folder::{self, RehearsalError};

use super::{AccountStore, AccountsImage, Effects, Head, Remembered, Renewed, assert_follows};
use crate::identity::account::{Account, EmailKey};
use crate::identity::grants::GrantsChange;
use crate::identity::revocations::RevocationsChange;
#[cfg(test)]
pub(super) use image::in_our_words;
use image::{Images, SledImage};
use keys::{
    account_key, email_key, put_account, put_grants, put_head, put_revocations, username_key, voter_of_key,
};
use stored::{read_head, read_remembered};

/// Newest format that this binary writes and reads.
const FORMAT: u32 = 1;
const KEY_FORMAT: &[u8] = b"m/format";
const KEY_CURRENT: &[u8] = b"m/current";
const TREE_PREFIX: &str = "accounts-";
/// Accounts written in one batch while a snapshot is read: some 100 KiB of memory.
const ACCOUNTS_PER_BATCH: usize = 256;

/// Why the accounts cannot be opened. An operator must act. Nothing was lost.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    #[error("the accounts in {0} are in use by another process; stop that one first")]
    InUse(PathBuf),
    /// Retryable, once there is space.
    #[error(
        "the accounts in {folder} were not closed cleanly or are damaged ({doubt}), and to look into a copy of them first \
         takes {bytes} free bytes on their disk: free them, then start again (nothing was changed)"
    )]
    NoRoom {
        folder: PathBuf,
        doubt: String,
        bytes: u64,
    },
    /// Retryable, once there is space: the engine needs some to open.
    #[error("disk full: free space on {0} then start again; nothing acknowledged was lost")]
    DiskFull(PathBuf),
    #[error(
        "the accounts in {folder} cannot be opened ({source}); is the disk read-only or not this user's?"
    )]
    Io { folder: PathBuf, source: io::Error },
    #[error(
        "the accounts in {folder} are damaged ({what}); they are a copy of what identity's log says: move this folder \
         away and start again, and they are built anew from snapshot and log (nothing was changed)"
    )]
    Damaged { folder: PathBuf, what: String },
    #[error(
        "the accounts in {folder} have format {found}, this binary knows up to {FORMAT}; run the newer binary"
    )]
    NewerFormat { folder: PathBuf, found: u32 },
}

/// See the module's page.
pub struct SledAccounts {
    folder: PathBuf,
    db: sled::Db,
    generation: Arc<Generation>,
    head: Head,
    remembered: Remembered,
    images: Images,
}

/// One tree of accounts. Images share it; superseded, it is removed with the last of them.
struct Generation {
    number: u64,
    db: sled::Db,
    tree: sled::Tree,
    superseded: AtomicBool,
}

impl Drop for Generation {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        if self.superseded.load(Ordering::Acquire)
            && let Err(error) = self.db.drop_tree(tree_name(self.number))
        {
            tracing::warn!(%error, "replaced accounts were not removed from disk");
        }
    }
}

fn tree_name(number: u64) -> String {
    format!("{TREE_PREFIX}{number}")
}

/// Accounts that may be opened; nothing in their folder was changed yet.
pub struct CheckedAccounts {
    folder: PathBuf,
}

impl CheckedAccounts {
    /// Looks at the accounts in `folder`, or at where there are none yet. Reads them once.
    pub fn look(folder: &Path) -> Result<Self, AccountsError> {
        rehearse(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    pub fn open(self) -> Result<SledAccounts, AccountsError> {
        SledAccounts::open_here(&self.folder).map_err(|trouble| trouble.at(&self.folder))
    }
}

impl SledAccounts {
    /// Opens the accounts in `folder`, or makes new ones where there are none.
    pub fn open(folder: &Path) -> Result<SledAccounts, AccountsError> {
        CheckedAccounts::look(folder)?.open()
    }

    /// Opens a copy; errors name the folder that it is a copy of.
    pub fn open_copy(copy: &Path, original: &Path) -> Result<SledAccounts, AccountsError> {
        sled_folder::refuse_damaged(copy)
            .map_err(Trouble::from)
            .and_then(|()| Self::open_here(copy))
            .map_err(|trouble| trouble.at(original))
    }

    fn open_here(folder: &Path) -> Result<SledAccounts, Trouble> {
        let db = open_database(folder)?;
        // Else each start after a power cut finds it unfinished, and opens it by way of a copy.
        sled_folder::sync_engine_files(folder).map_err(RehearsalError::Io)?;
        let number = current_generation(&db)?;
        remove_leftovers(&db, number)?;
        let tree = db.open_tree(tree_name(number))?;
        let head = read_head(&tree)?;
        let remembered = read_remembered(&tree)?;
        let last = tree.scan_prefix(b"a/").keys().next_back().transpose()?;
        if last.as_deref().and_then(voter_of_key).map_or(0, |voter| voter.0) + 1 != head.next_voter.0 {
            return Err(Trouble::Damaged(format!(
                "the last account is not the one before number {}",
                head.next_voter.0
            )));
        }
        let generation = Arc::new(Generation {
            number,
            db: db.clone(),
            tree,
            superseded: AtomicBool::new(false),
        });
        Ok(SledAccounts {
            folder: folder.to_owned(),
            db,
            generation,
            head,
            remembered,
            images: Images::default(),
        })
    }

    fn must<T>(&self, result: sled::Result<T>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => panic!(
                "the accounts in {} cannot be read or written ({error}): this replica cannot keep its state and stops; \
                 check that disk, then start again",
                self.folder.display()
            ),
        }
    }

    /// The images have the record as it was before the tree has the new one.
    fn put_renewed(&self, batch: &mut sled::Batch, renewed: &Renewed) {
        let mut account = self
            .account(renewed.voter)
            .expect("the machine has looked at the account that it renews");
        self.images.keep(&account);
        account.password_hash = Some(renewed.password_hash.clone());
        batch.insert(&account_key(renewed.voter), account.encode());
    }

    fn voter_at(&self, key: &[u8]) -> Option<VoterNumber> {
        self.must(self.generation.tree.get(key)).map(|value| {
            let bytes = value.as_ref().try_into();
            let damaged = |_| {
                panic!(
                    "the index of the accounts in {} is damaged",
                    self.folder.display()
                )
            };
            VoterNumber(u32::from_be_bytes(bytes.unwrap_or_else(damaged)))
        })
    }
}

/// Why what is in a folder cannot be used; [`at`](Self::at) adds which folder, for a copy stands for another.
enum Trouble {
    InUse,
    Damaged(String),
    NewerFormat(u32),
    NoRoom { doubt: String, bytes: u64 },
    Io(io::Error),
}

impl Trouble {
    fn at(self, folder: &Path) -> AccountsError {
        let folder = folder.to_owned();
        match self {
            Trouble::InUse => AccountsError::InUse(folder),
            Trouble::Damaged(what) => AccountsError::Damaged { folder, what },
            Trouble::NewerFormat(found) => AccountsError::NewerFormat { folder, found },
            Trouble::NoRoom { doubt, bytes } => AccountsError::NoRoom { folder, doubt, bytes },
            Trouble::Io(source) => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AccountsError::DiskFull(folder),
                _ => AccountsError::Io { folder, source },
            },
        }
    }
}

impl From<sled::Error> for Trouble {
    fn from(error: sled::Error) -> Self {
        match error {
            // sled has no error of its own for this.
            sled::Error::Io(source) if source.to_string().contains("could not acquire lock") => {
                Trouble::InUse
            }
            sled::Error::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => Trouble::Io(source),
            other => Trouble::Damaged(sled_folder::explain(&other)),
        }
    }
}

impl From<RehearsalError> for Trouble {
    fn from(error: RehearsalError) -> Self {
        match error {
            RehearsalError::InUse => Trouble::InUse,
            RehearsalError::Damaged(what) => Trouble::Damaged(what),
            RehearsalError::NoRoom { doubt, bytes } => Trouble::NoRoom { doubt, bytes },
            RehearsalError::Io(source) => Trouble::Io(source),
        }
    }
}

/// Lets sled mend only what is whole or was seen to come out well. Fewer accounts than there were are well: the log has
/// the others. A missing one among them is not.
fn rehearse(folder: &Path) -> Result<(), AccountsError> {
    if !folder.is_dir() {
        return Ok(());
    }
    let read_whole = |copy: &Path| {
        let accounts = SledAccounts::open_here(copy)?;
        let read = catch_unwind(AssertUnwindSafe(|| {
            accounts
                .image()
                .accounts()
                .try_for_each(|account| account.map(drop))
        }));
        read.map_err(|_panic| Trouble::Damaged("the storage engine panicked while reading".to_owned()))?
            .map_err(|error| Trouble::Damaged(error.to_string()))
    };
    sled_folder::rehearse(folder, None, None, read_whole).map_err(|trouble: Trouble| trouble.at(folder))
}

fn open_database(folder: &Path) -> Result<sled::Db, Trouble> {
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(ACCOUNT_CACHE_BYTES_MAX)
        .flush_every_ms(None);
    sled_folder::while_locked(
        |trouble| matches!(trouble, Trouble::InUse),
        || {
            // sled answers some kinds of damage with a panic.
            catch_unwind(AssertUnwindSafe(|| config.open()))
                .map_err(|_panic| Trouble::Damaged("the storage engine panicked while opening".to_owned()))?
                .map_err(Trouble::from)
        },
    )
}

/// The number of the tree in use. A new database gets its format and its first tree in one batch.
fn current_generation(db: &sled::Db) -> Result<u64, Trouble> {
    let damaged = |what: &str| Trouble::Damaged(what.to_owned());
    let Some(format) = db.get(KEY_FORMAT)? else {
        let mut batch = sled::Batch::default();
        batch.insert(KEY_FORMAT, &FORMAT.to_be_bytes());
        batch.insert(KEY_CURRENT, tree_name(0).as_bytes());
        db.apply_batch(batch)?;
        return Ok(0);
    };
    match format.as_ref().try_into().map(u32::from_be_bytes) {
        Ok(FORMAT) => {}
        Ok(found) if found > FORMAT => return Err(Trouble::NewerFormat(found)),
        _ => return Err(damaged("its format number is none")),
    }
    let current = db
        .get(KEY_CURRENT)?
        .ok_or_else(|| damaged("it does not say which tree is in use"))?;
    std::str::from_utf8(&current)
        .ok()
        .and_then(|name| name.strip_prefix(TREE_PREFIX)?.parse().ok())
        .ok_or_else(|| damaged("the name of the tree in use is none"))
}

/// Trees that a crash left behind: replaced ones, and half-read snapshots.
fn remove_leftovers(db: &sled::Db, current: u64) -> sled::Result<()> {
    for name in db.tree_names() {
        if name.starts_with(TREE_PREFIX.as_bytes()) && name != tree_name(current).as_bytes() {
            db.drop_tree(name)?;
        }
    }
    Ok(())
}

impl AccountStore for SledAccounts {
    fn head(&self) -> Head {
        self.head
    }

    fn account(&self, voter: VoterNumber) -> Option<Account> {
        let record = self.must(self.generation.tree.get(account_key(voter)))?;
        match Account::decode(&record) {
            Ok(account) if account.voter == voter => Some(account),
            Ok(account) => panic!("account {} stands at the place of {}", account.voter.0, voter.0),
            Err(error) => panic!("account {} in {}: {error}", voter.0, self.folder.display()),
        }
    }

    fn voter_by_username(&self, key: &str) -> Option<VoterNumber> {
        self.voter_at(&username_key(key))
    }

    fn voter_by_email(&self, key: &EmailKey) -> Option<VoterNumber> {
        self.voter_at(&email_key(key))
    }

    fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    fn commit(&mut self, head: Head, effects: &Effects) {
        assert_follows(self.head, head, effects.created.as_ref());
        let mut batch = sled::Batch::default();
        put_head(&mut batch, head);
        if let Some(account) = &effects.created {
            put_account(&mut batch, account);
        }
        if let Some(renewed) = &effects.renewed {
            self.put_renewed(&mut batch, renewed);
        }
        if let Some(change) = &effects.grants {
            put_grants(&mut batch, change);
        }
        if let Some(change) = &effects.revocations {
            put_revocations(&mut batch, change);
        }
        self.must(self.generation.tree.apply_batch(batch));
        self.remembered.change(effects);
        self.head = head;
    }

    /// Costs one flush of sled's buffer (at most its 512 KiB), so that a process that is killed after the snapshot
    /// does not come back behind it; no account is read here.
    fn image(&self) -> Box<dyn AccountsImage> {
        self.must(self.db.flush());
        Box::new(SledImage {
            head: self.head,
            remembered: self.remembered.clone(),
            generation: Arc::clone(&self.generation),
            aside: self.images.add(self.head.next_voter),
        })
    }

    fn replace(
        &mut self,
        head: Head,
        remembered: Remembered,
        accounts: &mut dyn Iterator<Item = io::Result<Account>>,
    ) -> io::Result<()> {
        let number = self.generation.number + 1;
        // Left by an attempt that failed in the middle.
        self.db.drop_tree(tree_name(number))?;
        let tree = self.db.open_tree(tree_name(number))?;
        let mut batch = sled::Batch::default();
        for (position, account) in accounts.enumerate() {
            put_account(&mut batch, &account?);
            if position % ACCOUNTS_PER_BATCH == ACCOUNTS_PER_BATCH - 1 {
                tree.apply_batch(std::mem::take(&mut batch))?;
            }
        }
        put_remembered(&mut batch, &remembered);
        put_head(&mut batch, head);
        tree.apply_batch(batch)?;
        self.db.flush()?;
        self.db.insert(KEY_CURRENT, tree_name(number).as_bytes())?;
        self.db.flush()?;
        let fresh = Generation {
            number,
            db: self.db.clone(),
            tree,
            superseded: AtomicBool::new(false),
        };
        let old = std::mem::replace(&mut self.generation, Arc::new(fresh));
        old.superseded.store(true, Ordering::Release);
        // Those of the old tree, which changes no more.
        self.images = Images::default();
        self.head = head;
        self.remembered = remembered;
        Ok(())
    }
}

fn put_remembered(batch: &mut sled::Batch, remembered: &Remembered) {
    let now = remembered.grants.now();
    for put in remembered.grants.iter() {
        let change = GrantsChange {
            now,
            put: Some(put),
            forgotten: Vec::new(),
        };
        put_grants(batch, &change);
    }
    let now = remembered.revocations.now();
    for put in remembered.revocations.iter() {
        let change = RevocationsChange {
            now,
            put: Some(put),
            forgotten: Vec::new(),
        };
        put_revocations(batch, &change);
    }
}

#[cfg(test)]
impl SledAccounts {
    pub(super) fn tree_names(&self) -> Vec<String> {
        let names = self
            .db
            .tree_names()
            .into_iter()
            .map(|name| String::from_utf8_lossy(&name).into_owned());
        names.filter(|name| name.starts_with(TREE_PREFIX)).collect()
    }

    /// Plants a fault: takes an account away.
    pub(super) fn lose(&mut self, voter: VoterNumber) {
        self.generation.tree.remove(account_key(voter)).unwrap();
    }

    pub(super) fn set_format(&mut self, format: u32) {
        self.db.insert(KEY_FORMAT, &format.to_be_bytes()).unwrap();
    }
}
