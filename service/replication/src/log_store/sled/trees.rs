//! sled's trees of a log, and opening them.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ostraka_core::limits::LOG_CACHE_BYTES_MAX;

use super::mark::{Mark, Marked, Purged};
use super::offline::OfflineLog;
use super::shared::Positions;
use crate::REPLACE_NODE;
use crate::durable_fs;
use crate::log_store::record::{self, Assembler, Record, RecordError};
use crate::log_store::{Extent, ReadError, meta, record::parse_part_key};
use crate::sled_folder::{self, RehearsalError, seal};
use crate::types::LogId;

/// Keys of the meta tree. Values as in [`meta`].
pub(super) const VOTE: &str = "vote";
pub(super) const COMMITTED: &str = "committed";
pub(super) const PURGED: &str = "purged";
pub(super) const SEAL: &str = "seal";

const ENTRIES_TREE: &str = "entries";
const META_TREE: &str = "meta";

/// Names in the log's folder beside sled's own (`db`, `conf`, `snap.*`, `blobs`).
const FORMAT_FILE: &str = "FORMAT";
const MARK_FILE: &str = "MARK";
const DB_FILE: &str = "db";

/// The folder's format. A program reads its own and older ones.
const FORMAT: u32 = 1;
const FORMAT_PREFIX: &str = "ostraka log format ";

/// Why a log does not open. Nothing was deleted or repaired.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Retryable, once the other process has ended.
    #[error(
        "the log in {0} is in use by another process: stop that one first, or give this one its own folder"
    )]
    InUse(PathBuf),
    /// Terminal for this program.
    #[error(
        "the log in {folder} has format {found} and was written by a newer Ostraka, this one reads formats up to \
         {FORMAT}: start the newer one (nothing was changed)"
    )]
    NewerFormat { folder: PathBuf, found: String },
    /// Terminal for this folder.
    #[error(
        "the log in {folder} is damaged ({detail}): {REPLACE_NODE}; keep this folder if it must be examined"
    )]
    Damaged { folder: PathBuf, detail: String },
    /// Terminal for this folder.
    #[error(
        "{folder} is not a log of Ostraka ({detail}): name its own folder, or an empty one (nothing was changed)"
    )]
    NotALog { folder: PathBuf, detail: String },
    /// Retryable, once there is space.
    #[error("disk full: free space on {0} then restart; nothing acknowledged was lost")]
    DiskFull(PathBuf),
    /// Retryable, once there is space.
    #[error(
        "the log in {folder} was not closed cleanly or is damaged ({doubt}), and to look into a copy of it first takes \
         {bytes} free bytes on its disk: free them, then start again (nothing was changed)"
    )]
    NoRoom {
        folder: PathBuf,
        doubt: String,
        bytes: u64,
    },
    /// Unknown: depends on the cause.
    #[error("the log in {folder} cannot be opened: {source}")]
    Io { folder: PathBuf, source: io::Error },
}

/// Why what is in a folder cannot be used; [`at`](Self::at) adds which folder, for a copy stands for another.
enum Trouble {
    InUse,
    Damaged(String),
    NoRoom { doubt: String, bytes: u64 },
    Io(io::Error),
}

impl Trouble {
    fn at(self, folder: &Path) -> OpenError {
        let folder = folder.to_path_buf();
        match self {
            Trouble::InUse => OpenError::InUse(folder),
            Trouble::Damaged(detail) => OpenError::Damaged { folder, detail },
            Trouble::NoRoom { doubt, bytes } => OpenError::NoRoom { folder, doubt, bytes },
            Trouble::Io(source) => io_error(&folder, source),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

impl From<RehearsalError> for Trouble {
    fn from(error: RehearsalError) -> Self {
        match error {
            RehearsalError::InUse => Trouble::InUse,
            RehearsalError::Damaged(detail) => Trouble::Damaged(detail),
            RehearsalError::NoRoom { doubt, bytes } => Trouble::NoRoom { doubt, bytes },
            RehearsalError::Io(error) => Trouble::Io(error),
        }
    }
}

impl From<sled::Error> for Trouble {
    fn from(error: sled::Error) -> Self {
        match error {
            // sled has no error of its own for this.
            sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => Trouble::InUse,
            sled::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Trouble::Damaged(format!("{DB_FILE} ends before its content does"))
            }
            sled::Error::Io(error) => Trouble::Io(error),
            other => Trouble::Damaged(sled_folder::explain(&other)),
        }
    }
}

#[derive(Clone)]
pub(super) struct Trees {
    pub(super) db: sled::Db,
    pub(super) entries: sled::Tree,
    pub(super) meta: sled::Tree,
}

/// What was found in an opened folder.
pub(super) struct Found {
    pub(super) trees: Trees,
    pub(super) positions: Positions,
    /// The newest seal in it, 0 before the first.
    pub(super) seal: u64,
    /// Parts of one last entry that was being written when the process died; never acknowledged.
    pub(super) torn: Option<u64>,
}

pub(super) fn mark_path(folder: &Path) -> PathBuf {
    folder.join(MARK_FILE)
}

pub(super) fn db_path(folder: &Path) -> PathBuf {
    folder.join(DB_FILE)
}

/// Creates a log's folder where there is none; every name durable on return.
pub(super) fn prepare_folder(folder: &Path) -> Result<(), OpenError> {
    let failed = |source| io_error(folder, source);
    durable_fs::create_dir_all_durable(folder).map_err(failed)?;
    if folder.join(FORMAT_FILE).exists() {
        return Ok(());
    }
    let content = format!("{FORMAT_PREFIX}{FORMAT}\n");
    durable_fs::write_file_durable(&folder.join(FORMAT_FILE), content.as_bytes()).map_err(failed)
}

/// Whether a log's folder, or the place of a new one, may be opened. Changes nothing.
pub(super) fn check<E: From<OpenError>>(
    folder: &Path,
    fits: impl Fn(&Extent) -> Result<(), E>,
) -> Result<(), E> {
    if !folder.join(FORMAT_FILE).exists() {
        if !db_path(folder).exists() {
            return fits(&Extent::default());
        }
        let detail = format!("it has a database but no {FORMAT_FILE} file");
        let folder = folder.to_path_buf();
        return Err(OpenError::NotALog { folder, detail }.into());
    }
    check_format(folder)?;
    rehearse(folder, fits)
}

/// Checks the format before sled touches anything: a newer format may hold another engine's files.
pub(super) fn check_format(folder: &Path) -> Result<(), OpenError> {
    let not_a_log = |detail: &str| OpenError::NotALog {
        folder: folder.to_path_buf(),
        detail: detail.to_owned(),
    };
    let content = match fs::read(folder.join(FORMAT_FILE)) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not_a_log("it has no FORMAT file"));
        }
        Err(error) => return Err(io_error(folder, error)),
    };
    let found = std::str::from_utf8(&content)
        .ok()
        .and_then(|text| text.strip_prefix(FORMAT_PREFIX))
        .map(str::trim_end)
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| not_a_log("its FORMAT file names no log format"))?;
    // A number too large to be read is newer, too.
    match found.parse() {
        Ok(0) => Err(not_a_log("its FORMAT file names format 0, which never was")),
        Ok(1..=FORMAT) => Ok(()),
        _ => Err(OpenError::NewerFormat {
            folder: folder.to_path_buf(),
            found: found.to_owned(),
        }),
    }
}

/// Why a log is not opened: what it is, or what it does not fit.
enum Halt<E> {
    Trouble(Trouble),
    Unfit(E),
}

impl<E> From<RehearsalError> for Halt<E> {
    fn from(error: RehearsalError) -> Self {
        Halt::Trouble(error.into())
    }
}

/// Whether [`open`] may be called: it lets the engine mend what it opens, and damage is not for it to mend.
fn rehearse<E: From<OpenError>>(folder: &Path, fits: impl Fn(&Extent) -> Result<(), E>) -> Result<(), E> {
    let marked = Mark::read(&mark_path(folder)).map_err(|source| io_error(folder, source))?;
    let has_db = db_path(folder).exists();
    let (doubt, seal) = match marked {
        None if has_db => (Some(format!("it has no whole {MARK_FILE}")), None),
        Some(Marked { seal: None, .. }) if has_db => (Some("an earlier version wrote it".to_owned()), None),
        marked => (None, Some(marked.and_then(|marked| marked.seal).unwrap_or(0))),
    };
    let doubt = doubt.or_else(|| doubt_of_extent(marked, has_db, &fits));
    let read = |copy: &Path| {
        let extent = read_whole(copy).map_err(Halt::Trouble)?;
        fits(&extent).map_err(Halt::Unfit)
    };
    sled_folder::rehearse(folder, doubt, seal, read).map_err(|halt| match halt {
        Halt::Trouble(trouble) => trouble.at(folder).into(),
        Halt::Unfit(error) => error,
    })
}

/// The mark says without the engine that the log goes at least so far, and begins at the latest there. Where that fits,
/// the truth does; where it does not, only the log itself can tell.
fn doubt_of_extent<E>(
    marked: Option<Marked>,
    has_db: bool,
    fits: &impl Fn(&Extent) -> Result<(), E>,
) -> Option<String> {
    let unfit = || format!("what lies beside it does not fit what its {MARK_FILE} says");
    let (purged, last, why) = match marked.unwrap_or_default() {
        Marked {
            last,
            purged: Purged::UpTo(purged),
            ..
        } => (purged, last, unfit()),
        _ if !has_db => (None, None, unfit()),
        // As if all of it could be gone: what fits even so, fits.
        Marked { last, .. } => (last, last, "an earlier version wrote it".to_owned()),
    };
    fits(&Extent { purged, last }).is_err().then_some(why)
}

/// Opens what is a copy already. Refuses what no crash leaves; errors name the original.
pub(super) fn open_copy(copy: &Path, original: &Path) -> Result<Found, OpenError> {
    let found = sled_folder::refuse_damaged(copy).map_err(Trouble::from);
    found
        .and_then(|()| open_here(copy))
        .map_err(|trouble| trouble.at(original))
}

/// Opens a copy and reads every entry: what a node acknowledged may stand before the damage as well as behind it.
fn read_whole(copy: &Path) -> Result<Extent, Trouble> {
    let log = OfflineLog::of(copy, open_here(copy)?);
    let read = catch_unwind(AssertUnwindSafe(|| {
        log.entries().try_for_each(|entry| entry.map(drop))
    }));
    match read {
        Ok(Ok(())) => Ok(log.extent()),
        Ok(Err(ReadError::Damaged { detail, .. } | ReadError::Disk { detail, .. })) => {
            Err(Trouble::Damaged(detail))
        }
        Ok(Err(ReadError::Stopped(error))) => Err(Trouble::Damaged(error.to_string())),
        Err(_panic) => Err(Trouble::Damaged(
            "the storage engine panicked while reading".to_owned(),
        )),
    }
}

/// Opens sled and checks what can be checked at once: positions, both ends of the log, the high-water mark. sled may
/// write over what it takes for the torn end of a crash: see [`rehearse`].
pub(super) fn open(folder: &Path) -> Result<Found, OpenError> {
    open_here(folder).map_err(|trouble| trouble.at(folder))
}

fn open_here(folder: &Path) -> Result<Found, Trouble> {
    let trees = open_trees(folder)?;
    let inspected = catch_unwind(AssertUnwindSafe(|| inspect(&trees)));
    let inspected = inspected.unwrap_or_else(|_| Err("the storage engine panicked".to_owned()));
    let (positions, torn) = inspected.map_err(Trouble::Damaged)?;
    let seal = stored_seal(&trees).map_err(Trouble::Damaged)?;
    check_mark(folder, &positions, seal)?;
    Ok(Found {
        trees,
        positions,
        seal,
        torn,
    })
}

/// What was durable once must be there.
fn check_mark(folder: &Path, positions: &Positions, seal: u64) -> Result<(), Trouble> {
    let Some(marked) = Mark::read(&mark_path(folder))? else {
        if positions.last.is_none() {
            return Ok(());
        }
        let detail = format!("its {MARK_FILE} file is missing or damaged, so it may have lost entries");
        return Err(Trouble::Damaged(detail));
    };
    if positions.last < marked.last {
        let ends = |log_id: Option<LogId>| log_id.map_or("nothing".to_owned(), |id| id.to_string());
        let detail = format!(
            "it ends at {}, but {} was once durable",
            ends(positions.last),
            ends(marked.last)
        );
        return Err(Trouble::Damaged(detail));
    }
    if Some(seal) < marked.seal {
        let detail = format!(
            "it has lost its last writes: it ends with write {seal}, but write {} was once durable",
            marked.seal.unwrap_or(0)
        );
        return Err(Trouble::Damaged(detail));
    }
    Ok(())
}

fn stored_seal(trees: &Trees) -> Result<u64, String> {
    match get_meta(trees, SEAL)? {
        Some(bytes) => {
            seal::decode(&bytes).ok_or_else(|| "the checksum of its seal does not match".to_owned())
        }
        None => Ok(0),
    }
}

fn open_trees(folder: &Path) -> Result<Trees, Trouble> {
    let config = sled::Config::new()
        .path(folder)
        // The store flushes by itself; a second flusher would only add noise.
        .flush_every_ms(None)
        .cache_capacity(LOG_CACHE_BYTES_MAX);
    let open = || {
        // sled answers some kinds of damage with a panic.
        let opened = catch_unwind(AssertUnwindSafe(|| -> sled::Result<Trees> {
            let db = config.open()?;
            let entries = db.open_tree(ENTRIES_TREE)?;
            let meta = db.open_tree(META_TREE)?;
            Ok(Trees { db, entries, meta })
        }));
        opened
            .map_err(|_panic| Trouble::Damaged("the storage engine panicked while opening".to_owned()))?
            .map_err(Trouble::from)
    };
    let trees = sled_folder::while_locked(|trouble| matches!(trouble, Trouble::InUse), open)?;
    sled_folder::sync_engine_files(folder)?;
    Ok(trees)
}

pub(super) fn io_error(folder: &Path, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            OpenError::DiskFull(folder.to_path_buf())
        }
        _ => OpenError::Io {
            folder: folder.to_path_buf(),
            source,
        },
    }
}

/// Positions as stored, and the index of a torn last entry. An error is a sentence on what is wrong.
fn inspect(trees: &Trees) -> Result<(Positions, Option<u64>), String> {
    let purged = log_id_at(trees, PURGED)?;
    let committed = log_id_at(trees, COMMITTED)?;
    let vote = match get_meta(trees, VOTE)? {
        Some(bytes) => Some(meta::decode_vote(&bytes).map_err(|error| error.to_string())?),
        None => None,
    };
    let first_index = purged.map_or(0, |id| id.index + 1);
    let (last, torn) = last_entry(trees, first_index)?;
    if let Some(last) = last
        && last.index >= first_index
    {
        let first = trees
            .entries
            .range(record::part_key(first_index, 0)..)
            .next()
            .transpose()
            .map_err(|error| sled_folder::explain(&error))?
            .ok_or("its first entry is missing")?;
        let (found, _) = parse_part_key(&first.0).map_err(|error| error.to_string())?;
        if found != first_index {
            return Err(format!(
                "it should begin with entry {first_index} and begins with {found}"
            ));
        }
    }
    let last = last.max(purged);
    if committed > last {
        return Err("it ends before its own commit position".to_owned());
    }
    Ok((
        Positions {
            vote,
            committed,
            purged,
            last,
        },
        torn,
    ))
}

fn get_meta(trees: &Trees, key: &str) -> Result<Option<sled::IVec>, String> {
    trees.meta.get(key).map_err(|error| sled_folder::explain(&error))
}

fn log_id_at(trees: &Trees, key: &str) -> Result<Option<LogId>, String> {
    match get_meta(trees, key)? {
        Some(bytes) => meta::decode_log_id(&bytes)
            .map(Some)
            .map_err(|error| error.to_string()),
        None => Ok(None),
    }
}

/// The last whole entry at or behind `first_index`. A last entry whose first parts are there and whose last are not was
/// torn by a crash, for parts are written in order; it was never acknowledged, because no barrier had passed.
fn last_entry(trees: &Trees, first_index: u64) -> Result<(Option<LogId>, Option<u64>), String> {
    let mut end = u64::MAX;
    let mut torn = None;
    loop {
        let range = record::part_key(first_index, 0)..record::part_key(end, 0);
        let Some(found) = trees.entries.range(range).next_back() else {
            return Ok((None, torn));
        };
        let (key, _) = found.map_err(|error| sled_folder::explain(&error))?;
        let (index, _) = parse_part_key(&key).map_err(|error| error.to_string())?;
        match read_one(trees, index) {
            Ok(record) => return Ok((Some(record.log_id), torn)),
            Err(RecordError::Incomplete(_)) if torn.is_none() => {
                torn = Some(index);
                end = index;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn read_one(trees: &Trees, index: u64) -> Result<Record, RecordError> {
    let mut assembler = Assembler::default();
    for found in trees.entries.scan_prefix(index.to_be_bytes()) {
        // An engine's error here shows as an entry that is not whole, and the mark tells damage from a torn write.
        let Ok((key, value)) = found else { break };
        if let Some(record) = assembler.feed(&key, &value)? {
            return Ok(record);
        }
    }
    Err(RecordError::Incomplete(index))
}
