//! A walk along the engine's files that changes nothing: would the engine, opening them, find everything?
//!
//! Written from the format of sled 0.34.7 (`pagecache/{logger,iterator,snapshot,segment}.rs`, `serialization.rs`, all
//! integers little-endian):
//!
//! - `db` is a row of segments of 512 KiB. A segment's head: CRC-32 (4 bytes, inverted) of the 16 bytes behind it, its
//!   first LSN and the LSN below which all was stable when it was begun (8 bytes each, all bits but the sign inverted).
//!   An LSN counts bytes from the log's beginning; segments lie in the file in any order.
//! - A message: CRC-32 (4 bytes, inverted) of its body and then the rest of its head, kind (1 byte), length of the body,
//!   LSN of its segment divided by the segment's length, page (three numbers of 1 to 9 bytes), body. Where fewer than 32
//!   bytes are left, none follows. The last segment ends with the file, in zeros, or in leftovers.
//! - `snap.<LSN, 16 hex digits>` holds where every page was at that LSN, its last 4 bytes the CRC-32 of all but the last 12.
//!
//! What the engine may write while it opens: it puts zeros behind the last message that it can read; over whole segments
//! behind a gap; over segments to which no page points; it cuts such segments off the file's end; it replaces `snap.*`,
//! completes `conf`, and removes files under `blobs/` that lie behind its end. Where [`walk`] finds the folder
//! [`Whole`](Finding::Whole), each of these hits what the engine itself had given up, or what no barrier had passed.
//!
//! The engine begins a new segment in the place of one that it has given up, without clearing it, so behind the last
//! message stands what is left of older ones. That cannot be told from damage by looking at it: the [seal](super::seal)
//! tells whether all that was ever durable lies before it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::seal;

/// sled's default; a folder with another is not ours, and its `conf` says so.
pub(super) const SEGMENT_BYTES: usize = 512 * 1024;
const SEGMENT_HEAD_BYTES: usize = 20;
const MESSAGE_HEAD_BYTES_MAX: usize = 32;
const CONF: &[u8] = b"segment_size: 524288\nuse_compression: false\nversion: 0.34\n";

const KIND_NONE: u8 = 0;
const KIND_CAP: u8 = 2;
const KIND_BATCH: u8 = 3;
/// Kinds whose body is the name of a file under `blobs/`.
const KINDS_BLOB: [u8; 3] = [7, 9, 11];
/// A page, and a change to one.
const KINDS_PAGE: [u8; 2] = [8, 10];
const KIND_MAX: u8 = 11;

/// What a walk found. The sentences say where.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The engine finds everything that was ever written and still counts, and overwrites none of it.
    Whole,
    /// A crash can have left this, and so can damage.
    Doubtful(String),
    /// No crash leaves this.
    Damaged(String),
}

/// Reads all of `db` once, in memory for one segment. `seal`: the newest one that a barrier has passed; `None` where
/// nothing hangs on how far the log goes.
pub(super) fn walk(folder: &Path, seal: Option<u64>) -> io::Result<Finding> {
    Ok(match look(folder, seal)? {
        Ok(()) => Finding::Whole,
        Err(finding) => finding,
    })
}

fn doubtful<T>(what: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Doubtful(what.into()))
}

fn look(folder: &Path, seal: Option<u64>) -> io::Result<Result<(), Finding>> {
    let snapshot = snapshots(folder)?;
    let conf = read_if_there(&folder.join("conf"))?;
    let file = match File::open(folder.join("db")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(match (conf, snapshot, seal) {
                (None, Ok(None), None | Some(0)) => Ok(()),
                _ => doubtful("its db file is missing"),
            });
        }
        Err(error) => return Err(error),
    };
    let has_blobs = match fs::read_dir(folder.join("blobs")) {
        Ok(mut files) => files.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if has_blobs {
        return Ok(doubtful("it has files under blobs"));
    }
    if !conf.is_some_and(|conf| is_conf(&conf)) {
        return Ok(doubtful("its conf file is not whole"));
    }
    let snapshot_lsn = match snapshot {
        Ok(lsn) => lsn,
        Err(finding) => return Ok(Err(finding)),
    };
    Ok(match read_segments(&file)? {
        Ok(segments) => check_order(&segments, snapshot_lsn)
            .and_then(|()| check_batches(&segments, snapshot_lsn, seal))
            .and_then(|()| check_seal(&segments, seal)),
        Err(finding) => Err(finding),
    })
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_conf(content: &[u8]) -> bool {
    content
        .strip_prefix(CONF)
        .is_some_and(|crc| crc == crc32fast::hash(CONF).to_le_bytes())
}

/// The LSN of the one whole `snap.*` file; `None` where there is none.
fn snapshots(folder: &Path) -> io::Result<Result<Option<u64>, Finding>> {
    let mut found = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(digits) = name.to_str().and_then(|name| name.strip_prefix("snap.")) else {
            continue;
        };
        let Ok(lsn) = u64::from_str_radix(digits, 16) else {
            return Ok(doubtful(format!("{} is unfinished", name.display())));
        };
        if found.replace(lsn).is_some() {
            return Ok(doubtful("it has more than one snap file"));
        }
        let content = fs::read(folder.join(&name))?;
        let is_whole = content.len() > 12 && {
            let (body, tail) = content.split_at(content.len() - 12);
            tail[8..] == crc32fast::hash(body).to_le_bytes()
        };
        if !is_whole {
            return Ok(doubtful(format!(
                "the checksum of {} does not match",
                name.display()
            )));
        }
    }
    Ok(Ok(found))
}

/// What is known of the file after reading all of it.
#[derive(Default)]
struct Segments {
    /// By first LSN.
    used: BTreeMap<u64, Segment>,
    has_unused: bool,
    seal_max: Option<u64>,
}

struct Segment {
    /// Everything below this LSN was stable when the segment was begun; -1: nothing.
    stable_lsn: i64,
    /// Where in the segment the next message would stand; the end mark's place, where it has one.
    end: usize,
    is_closed: bool,
    /// The last batch that begins here: its first and its last LSN.
    batch: Option<(u64, u64)>,
    seal_max: Option<u64>,
}

fn read_segments(file: &File) -> io::Result<Result<Segments, Finding>> {
    let mut segments = Segments::default();
    let mut buffer = vec![0; SEGMENT_BYTES];
    let mut place = 0;
    loop {
        let length = read_at_most(file, &mut buffer, place)?;
        if length == 0 {
            return Ok(Ok(segments));
        }
        if let Err(finding) = segments.add(&buffer[..length], place) {
            return Ok(Err(finding));
        }
        place += SEGMENT_BYTES as u64;
    }
}

fn read_at_most(file: &File, buffer: &mut [u8], place: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], place + length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

impl Segments {
    fn add(&mut self, bytes: &[u8], place: u64) -> Result<(), Finding> {
        if is_zero(bytes) {
            self.has_unused = true;
            return Ok(());
        }
        if bytes.len() < SEGMENT_HEAD_BYTES {
            return doubtful(format!("the segment at byte {place} of db was not begun whole"));
        }
        let Some((lsn, stable_lsn)) = parse_segment_head(bytes) else {
            return Err(Finding::Damaged(format!(
                "the head of the segment at byte {place} of db is not what was written"
            )));
        };
        if lsn % SEGMENT_BYTES as u64 != 0 {
            return doubtful(format!(
                "the segment at byte {place} of db has no possible number"
            ));
        }
        let segment = parse_messages(bytes, lsn, stable_lsn).map_err(|at| {
            let at = place + at as u64;
            Finding::Doubtful(format!(
                "the message at byte {at} of db is of no kind that is written here"
            ))
        })?;
        self.seal_max = self.seal_max.max(segment.seal_max);
        if self.used.insert(lsn, segment).is_some() {
            return doubtful(format!("the segment at byte {place} of db is there twice"));
        }
        Ok(())
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    // In words: most of a fresh segment is zeros.
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|word| *word == [0; 64]) && rest.iter().all(|byte| *byte == 0)
}

/// First LSN and stable LSN; `None` where the checksum does not match.
fn parse_segment_head(bytes: &[u8]) -> Option<(u64, i64)> {
    const SIGN_KEPT: i64 = i64::MAX;
    let head = bytes.get(..SEGMENT_HEAD_BYTES)?;
    let (crc, covered) = head.split_first_chunk::<4>()?;
    let (lsn, stable) = covered.split_first_chunk::<8>()?;
    let stable = stable.first_chunk::<8>()?;
    let is_sound = u32::from_le_bytes(*crc) ^ u32::MAX == crc32fast::hash(covered);
    let lsn = u64::try_from(i64::from_le_bytes(*lsn) ^ SIGN_KEPT).ok()?;
    is_sound.then_some((lsn, i64::from_le_bytes(*stable) ^ SIGN_KEPT))
}

/// Reads a segment up to what is no message of it. The place of one that should not be there, as an error.
fn parse_messages(bytes: &[u8], lsn: u64, stable_lsn: i64) -> Result<Segment, usize> {
    let number = lsn / SEGMENT_BYTES as u64;
    let mut segment = Segment {
        stable_lsn,
        end: SEGMENT_HEAD_BYTES,
        is_closed: false,
        batch: None,
        seal_max: None,
    };
    while SEGMENT_BYTES - segment.end >= MESSAGE_HEAD_BYTES_MAX {
        let rest = bytes.get(segment.end..).unwrap_or(&[]);
        let Some(message) = parse_message(rest, number) else {
            return Ok(segment);
        };
        match message.kind {
            KIND_CAP => {
                segment.is_closed = true;
                return Ok(segment);
            }
            KIND_BATCH => {
                let last = message.body.try_into().map(u64::from_le_bytes);
                let last = last.map_err(|_| segment.end)?;
                segment.batch = Some((lsn + segment.end as u64, last));
            }
            kind if KINDS_BLOB.contains(&kind) => return Err(segment.end),
            kind if KINDS_PAGE.contains(&kind) => {
                segment.seal_max = segment.seal_max.max(seal::newest_in(message.body));
            }
            _ => {}
        }
        segment.end += message.bytes;
    }
    segment.is_closed = true;
    Ok(segment)
}

struct Message<'a> {
    kind: u8,
    body: &'a [u8],
    /// Of head and body.
    bytes: usize,
}

fn parse_message(bytes: &[u8], segment_number: u64) -> Option<Message<'_>> {
    let (crc, after_crc) = bytes.split_first_chunk::<4>()?;
    let (&kind, mut rest) = after_crc.split_first()?;
    if kind == KIND_NONE || kind > KIND_MAX {
        return None;
    }
    let length = usize::try_from(parse_number(&mut rest)?).ok()?;
    let number = parse_number(&mut rest)?;
    let _page = parse_number(&mut rest)?;
    let body = rest.get(..length)?;
    let head = &after_crc[..after_crc.len() - rest.len()];
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(head);
    let is_sound = hasher.finalize() ^ u32::MAX == u32::from_le_bytes(*crc) && number == segment_number;
    is_sound.then_some(Message {
        kind,
        body,
        bytes: crc.len() + head.len() + length,
    })
}

/// A number of 1 to 9 bytes, taken off the front.
fn parse_number(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    let byte = |place: usize| rest.get(place).copied().map(u64::from);
    let first = u64::from(first);
    let (number, taken) = match first {
        0..=240 => (first, 0),
        241..=248 => (240 + 256 * (first - 241) + byte(0)?, 1),
        249 => (2_288 + 256 * byte(0)? + byte(1)?, 2),
        _ => {
            let taken = usize::try_from(first - 247).expect("at most 8");
            let mut whole = [0; 8];
            whole[..taken].copy_from_slice(rest.get(..taken)?);
            (u64::from_le_bytes(whole), taken)
        }
    };
    *bytes = &rest[taken..];
    Some(number)
}

/// Whether the segments are those that the engine will take for the log, up to the last one.
fn check_order(segments: &Segments, snapshot_lsn: Option<u64>) -> Result<(), Finding> {
    const SEGMENT: u64 = SEGMENT_BYTES as u64;
    let from = snapshot_lsn.unwrap_or(0) / SEGMENT * SEGMENT;
    let Some((&last_lsn, last)) = segments.used.last_key_value() else {
        return match snapshot_lsn {
            None => Ok(()),
            Some(_) => doubtful("its db file is empty"),
        };
    };
    if let Some((lsn, _)) = segments
        .used
        .iter()
        .find(|(lsn, segment)| **lsn != last_lsn && !segment.is_closed)
    {
        return doubtful(format!("the segment of LSN {lsn} breaks off"));
    }
    let resumes_lsn = if last.end + MESSAGE_HEAD_BYTES_MAX >= SEGMENT_BYTES {
        last_lsn + SEGMENT
    } else {
        last_lsn + last.end as u64
    };
    if resumes_lsn < snapshot_lsn.unwrap_or(0) {
        return doubtful("its db file ends before its snap file does");
    }
    // From the last stable position on the engine stops at the first gap; before it, gaps are segments given up, unless
    // one was lost and reads as zeros now.
    let stable_lsn = segments.used.values().map(|segment| segment.stable_lsn).max();
    let stable_lsn = u64::try_from(stable_lsn.unwrap_or(-1)).unwrap_or(0);
    let unstable = (stable_lsn / SEGMENT * SEGMENT).max(from);
    let strict_from = if segments.has_unused { from } else { unstable };
    let mut expected = strict_from;
    for &lsn in segments.used.range(strict_from..).map(|(lsn, _)| lsn) {
        if lsn != expected {
            return doubtful(format!("the segment of LSN {expected} is missing"));
        }
        expected += SEGMENT;
    }
    Ok(())
}

/// The engine writes a batch's head before what is in it, so a killed process leaves a last batch that is not whole, idle
/// or not. The engine takes what is before its head, and only writes over what is behind. Where nobody was told that
/// anything is durable (no seal), that is what a start must find. One that lies before the engine's own snapshot it would
/// not come upon, and it could take half of it.
fn check_batches(segments: &Segments, snapshot_lsn: Option<u64>, seal: Option<u64>) -> Result<(), Finding> {
    let Some((&last_lsn, last)) = segments.used.last_key_value() else {
        return Ok(());
    };
    let end_lsn = last_lsn + last.end as u64;
    let torn = segments.used.values().filter_map(|segment| segment.batch);
    let mut torn = torn.filter(|(_, batch_end_lsn)| *batch_end_lsn >= end_lsn);
    let (first, others) = (torn.next(), torn.count());
    match first {
        None => Ok(()),
        Some((lsn, _)) if seal.is_none() && others == 0 && lsn >= snapshot_lsn.unwrap_or(0) => Ok(()),
        Some(_) => doubtful("its last batch is not whole"),
    }
}

/// Whether everything that was durable once lies before the end of the last message.
fn check_seal(segments: &Segments, seal: Option<u64>) -> Result<(), Finding> {
    let Some(durable) = seal.filter(|seal| *seal > 0) else {
        return Ok(());
    };
    match segments.seal_max {
        Some(found) if found >= durable => Ok(()),
        Some(found) => doubtful(format!(
            "it ends at write {found}, but write {durable} was once durable"
        )),
        None => doubtful(format!("write {durable}, once durable, is not in its db file")),
    }
}
