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
//!
//! **Durability.** Nothing here waits for the disk, and nothing acknowledged hangs on it: an entry is acknowledged because
//! identity's *log* holds it behind a barrier on a quorum. An entry's effects and `m/applied` go in one atomic batch, and
//! sled recovers a prefix of what was written, so after a crash the tree is the state at some earlier index, and it says
//! which. The entries after it are applied again from the log, or a snapshot replaces the tree. A database that
//! sled finds damaged is only a copy: cut off by sled or put away by hand, it is built anew from snapshot and log.
//!
//! **Memory.** sled keeps up to [`ACCOUNT_CACHE_BYTES_MAX`] of pages besides a few words for each page on disk. Records
//! stay under about 1 KiB and sled's leaves hold up to 17 of them, far below the size (128 KiB) at which sled would
//! put a page in a file of its own, which it never makes durable.
//!
//! **Replacing.** A snapshot is read into a new tree; when it is complete, `m/current` is turned to it in one write.
//! Until then the old tree is untouched, so a crash in the middle costs the work, not the state. The old tree goes
//! when the last image of it does, or at the next start.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ostraka_core::limits::ACCOUNT_CACHE_BYTES_MAX;
use ostraka_core::{LogIndex, VoterNumber};

use super::{AccountStore, AccountsImage, Head, assert_follows};
use crate::identity::account::{Account, EmailKey};

/// Newest format that this binary writes and reads.
const FORMAT: u32 = 1;
const KEY_FORMAT: &[u8] = b"m/format";
const KEY_CURRENT: &[u8] = b"m/current";
const KEY_APPLIED: &[u8] = b"m/applied";
const KEY_NEXT_VOTER: &[u8] = b"m/next_voter";
const KEY_OPERATOR: &[u8] = b"m/operator";
const TREE_PREFIX: &str = "accounts-";
/// sled's own threads hold its lock for a moment after a database was dropped: for that long, in-process restarts wait.
/// Against another process the lock of the data folder stands; this one is only the second.
const LOCK_LOOKS_MAX: u32 = 100;
const LOCK_LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Accounts written in one batch while a snapshot is read: some 100 KiB of memory.
const ACCOUNTS_PER_BATCH: usize = 256;

/// Why the accounts cannot be opened. Terminal: an operator must act. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    #[error("the accounts in {0} are in use by another process; stop that one first")]
    InUse(PathBuf),
    #[error(
        "the accounts in {folder} cannot be opened ({source}); is the disk full, read-only or not this user's?"
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

impl SledAccounts {
    /// Opens the accounts in `folder`, or makes new ones where there are none.
    pub fn open(folder: &Path) -> Result<SledAccounts, AccountsError> {
        let explain = |error: sled::Error| match error {
            sled::Error::Io(source) => AccountsError::Io {
                folder: folder.to_owned(),
                source,
            },
            other => AccountsError::Damaged {
                folder: folder.to_owned(),
                what: other.to_string(),
            },
        };
        let db = open_database(folder)?;
        let number = current_generation(&db, folder)?;
        remove_leftovers(&db, number).map_err(explain)?;
        let tree = db.open_tree(tree_name(number)).map_err(explain)?;
        let head = read_head(&tree).map_err(explain)?;
        let last = tree
            .scan_prefix(b"a/")
            .keys()
            .next_back()
            .transpose()
            .map_err(explain)?;
        if last.as_deref().and_then(voter_of_key).map_or(0, |voter| voter.0) + 1 != head.next_voter.0 {
            let what = format!(
                "the last account is not the one before number {}",
                head.next_voter.0
            );
            return Err(AccountsError::Damaged {
                folder: folder.to_owned(),
                what,
            });
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

fn open_database(folder: &Path) -> Result<sled::Db, AccountsError> {
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(ACCOUNT_CACHE_BYTES_MAX)
        .flush_every_ms(None);
    let mut looks = 0;
    loop {
        // sled answers some kinds of damage with a panic.
        let what = match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(sled::Error::Io(source))) if source.to_string().contains("could not acquire lock") => {
                looks += 1;
                if looks < LOCK_LOOKS_MAX {
                    std::thread::sleep(LOCK_LOOK_INTERVAL);
                    continue;
                }
                return Err(AccountsError::InUse(folder.to_owned()));
            }
            Ok(Err(sled::Error::Io(source))) => {
                return Err(AccountsError::Io {
                    folder: folder.to_owned(),
                    source,
                });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_panic) => "the storage engine panicked while opening".to_owned(),
        };
        return Err(AccountsError::Damaged {
            folder: folder.to_owned(),
            what,
        });
    }
}

/// The number of the tree in use. A new database gets its format and its first tree in one batch.
fn current_generation(db: &sled::Db, folder: &Path) -> Result<u64, AccountsError> {
    let damaged = |what: String| AccountsError::Damaged {
        folder: folder.to_owned(),
        what,
    };
    let get = |key: &[u8]| db.get(key).map_err(|error| damaged(error.to_string()));
    let Some(format) = get(KEY_FORMAT)? else {
        let mut batch = sled::Batch::default();
        batch.insert(KEY_FORMAT, &FORMAT.to_be_bytes());
        batch.insert(KEY_CURRENT, tree_name(0).as_bytes());
        db.apply_batch(batch)
            .map_err(|error| damaged(error.to_string()))?;
        return Ok(0);
    };
    let found = format.as_ref().try_into().map(u32::from_be_bytes);
    match found {
        Ok(FORMAT) => {}
        Ok(found) if found > FORMAT => {
            return Err(AccountsError::NewerFormat {
                folder: folder.to_owned(),
                found,
            });
        }
        _ => return Err(damaged("its format number is none".to_owned())),
    }
    let current =
        get(KEY_CURRENT)?.ok_or_else(|| damaged("it does not say which tree is in use".to_owned()))?;
    std::str::from_utf8(&current)
        .ok()
        .and_then(|name| name.strip_prefix(TREE_PREFIX)?.parse().ok())
        .ok_or_else(|| damaged("the name of the tree in use is none".to_owned()))
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

fn read_head(tree: &sled::Tree) -> sled::Result<Head> {
    let wrong =
        |_| sled::Error::Unsupported("a number in the accounts' head has the wrong length".to_owned());
    let u32_at = |key: &[u8]| match tree.get(key)? {
        Some(value) => value
            .as_ref()
            .try_into()
            .map(|bytes| Some(u32::from_be_bytes(bytes)))
            .map_err(wrong),
        None => Ok(None),
    };
    let applied = match tree.get(KEY_APPLIED)? {
        Some(value) => u64::from_be_bytes(value.as_ref().try_into().map_err(wrong)?),
        None => 0,
    };
    Ok(Head {
        applied: LogIndex(applied),
        next_voter: u32_at(KEY_NEXT_VOTER)?.map_or(Head::NEW.next_voter, VoterNumber),
        operator: u32_at(KEY_OPERATOR)?.map(VoterNumber),
    })
}

fn account_key(voter: VoterNumber) -> [u8; 6] {
    let [a, b, c, d] = voter.0.to_be_bytes();
    [b'a', b'/', a, b, c, d]
}

fn voter_of_key(key: &[u8]) -> Option<VoterNumber> {
    let number = key.strip_prefix(b"a/")?.try_into().ok()?;
    Some(VoterNumber(u32::from_be_bytes(number)))
}

fn username_key(key: &str) -> Vec<u8> {
    [b"n/", key.as_bytes()].concat()
}

fn email_key(key: &EmailKey) -> Vec<u8> {
    [&b"e/"[..], &key.0].concat()
}

fn put_head(batch: &mut sled::Batch, head: Head) {
    batch.insert(KEY_APPLIED, &head.applied.0.to_be_bytes());
    batch.insert(KEY_NEXT_VOTER, &head.next_voter.0.to_be_bytes());
    if let Some(operator) = head.operator {
        batch.insert(KEY_OPERATOR, &operator.0.to_be_bytes());
    }
}

fn put_account(batch: &mut sled::Batch, account: &Account) {
    let voter = account.voter.0.to_be_bytes();
    batch.insert(&account_key(account.voter), account.encode());
    batch.insert(username_key(&account.username.key), &voter);
    if let Some(email) = &account.email {
        batch.insert(email_key(&email.key), &voter);
    }
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

    fn commit(&mut self, head: Head, created: Option<&Account>) {
        assert_follows(self.head, head, created);
        let mut batch = sled::Batch::default();
        put_head(&mut batch, head);
        if let Some(account) = created {
            put_account(&mut batch, account);
        }
        self.must(self.generation.tree.apply_batch(batch));
        self.head = head;
    }

    /// Costs one flush of sled's buffer (at most its 512 KiB), so that a process that is killed after the snapshot
    /// does not come back behind it; no account is read here.
    fn image(&self) -> Box<dyn AccountsImage> {
        self.must(self.db.flush());
        Box::new(SledImage {
            head: self.head,
            generation: Arc::clone(&self.generation),
        })
    }

    fn replace(
        &mut self,
        head: Head,
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
        self.head = head;
        Ok(())
    }
}

struct SledImage {
    head: Head,
    generation: Arc<Generation>,
}

impl AccountsImage for SledImage {
    fn head(&self) -> Head {
        self.head
    }

    fn accounts(&self) -> Box<dyn Iterator<Item = io::Result<Account>> + '_> {
        let range = account_key(VoterNumber(1))..account_key(self.head.next_voter);
        let mut stored = self.generation.tree.range(range);
        Box::new((1..self.head.next_voter.0).map(move |number| {
            let (key, record) = stored.next().unwrap_or_else(|| Ok(Default::default()))?;
            if voter_of_key(&key) != Some(VoterNumber(number)) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("account {number} is missing"),
                ));
            }
            Account::decode(&record).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        }))
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
