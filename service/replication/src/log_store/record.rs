//! How one log entry stands on disk.
//!
//! An entry is a 36-byte header followed by its body, cut into parts of at most [`LOG_PART_BYTES_MAX`] bytes: sled puts a
//! page that grows too large into a side file that it never syncs, and small values keep pages small.
//!
//! Header, numbers big-endian: format version (1 byte), kind (1), number of parts (2), length of the body in bytes
//! (4), term (8), index (8), leader's stamp in Unix milliseconds (8; 0 unless normal), CRC-32 of the header before it
//! and of the body (4). Key of a part: index (8), part number from 0 (2).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use openraft::entry::RaftEntry;
use ostraka_core::UnixMs;
use ostraka_core::limits::{LOG_ENTRY_BODY_BYTES_MAX, LOG_PART_BYTES_MAX};
use serde::{Deserialize, Serialize};

use crate::types::{Entry, EntryPayload, LogId, Membership, NodeNumber, PeerAddr, Proposal};

/// Version written into every record.
pub const RECORD_VERSION: u8 = 1;

const HEADER_BYTES: usize = 36;
const CRC_AT: usize = HEADER_BYTES - 4;
const FIRST_BODY_BYTES_MAX: usize = LOG_PART_BYTES_MAX - HEADER_BYTES;

/// Key of a stored part.
pub type PartKey = [u8; 10];

/// What an entry is. The numbers are on disk and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A new leader's first entry: no content.
    Blank,
    /// A proposal of the service.
    Normal,
    /// A change of the cluster's members.
    Membership,
}

impl RecordKind {
    fn to_byte(self) -> u8 {
        match self {
            RecordKind::Blank => 1,
            RecordKind::Normal => 2,
            RecordKind::Membership => 3,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(RecordKind::Blank),
            2 => Some(RecordKind::Normal),
            3 => Some(RecordKind::Membership),
            _ => None,
        }
    }
}

/// An entry as it was stored, its body not yet interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub log_id: LogId,
    pub kind: RecordKind,
    /// The leader's clock when it proposed; 0 for entries without a proposal.
    pub stamped_at: UnixMs,
    pub body: Bytes,
}

/// Why stored bytes are not an entry. Terminal: the bytes will not get better.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("key of {0} bytes instead of 10")]
    KeyLength(usize),
    #[error("entry {index}: expected part {expected}, found part {found} of entry {found_index}")]
    PartOrder {
        index: u64,
        expected: u16,
        found: u16,
        found_index: u64,
    },
    #[error("entry {0}: the first part is shorter than its header")]
    HeaderShort(u64),
    #[error("entry {index}: record version {version}, this program reads up to {RECORD_VERSION}")]
    Version { index: u64, version: u8 },
    #[error("entry {index}: unknown kind {kind}")]
    Kind { index: u64, kind: u8 },
    #[error("entry {index}: part {part} has {found} bytes, {expected} were written")]
    PartLength {
        index: u64,
        part: u16,
        expected: usize,
        found: usize,
    },
    #[error("entry {index}: {parts} parts cannot hold {body_bytes} bytes")]
    PartCount {
        index: u64,
        parts: u16,
        body_bytes: usize,
    },
    #[error("entry {index} carries the index {inside}")]
    IndexMismatch { index: u64, inside: u64 },
    #[error("entry {0}: the checksum does not match")]
    Checksum(u64),
    #[error("entry {0}: its parts end before the whole is read")]
    Incomplete(u64),
    #[error("entry {0}: the membership cannot be read")]
    Membership(u64),
    #[error("entry {0}: content where none belongs")]
    UnexpectedContent(u64),
}

/// Why an entry cannot be stored. Terminal for the entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("entry {index} has a body of {body_bytes} bytes, the log takes {LOG_ENTRY_BODY_BYTES_MAX}")]
    BodyTooLarge { index: u64, body_bytes: usize },
    #[error("entry {0}: its membership cannot be written")]
    Membership(u64),
}

/// The members as stored: our own shape, so that the bytes do not change when a library's types do.
#[derive(Serialize, Deserialize)]
struct MembershipRecord {
    /// Voters; two sets while a change is under way (joint consensus).
    configs: Vec<Vec<u64>>,
    /// All nodes, learners too, with their peer addresses.
    nodes: Vec<(u64, String)>,
}

pub fn part_key(index: u64, part: u16) -> PartKey {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&index.to_be_bytes());
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Entry index and part number in a key.
pub fn parse_part_key(key: &[u8]) -> Result<(u64, u16), RecordError> {
    let key: &PartKey = key.try_into().map_err(|_| RecordError::KeyLength(key.len()))?;
    let (index, part) = key.split_at(8);
    Ok((be_u64(index), u16::from_be_bytes([part[0], part[1]])))
}

/// Parts that a body of this many bytes takes, at least 1.
fn part_count(body_bytes: usize) -> usize {
    1 + body_bytes
        .saturating_sub(FIRST_BODY_BYTES_MAX)
        .div_ceil(LOG_PART_BYTES_MAX)
}

/// Body bytes in part `part` of a body of `body_bytes`.
fn part_body_bytes(body_bytes: usize, part: usize) -> usize {
    if part == 0 {
        return body_bytes.min(FIRST_BODY_BYTES_MAX);
    }
    let before = FIRST_BODY_BYTES_MAX + (part - 1) * LOG_PART_BYTES_MAX;
    body_bytes.saturating_sub(before).min(LOG_PART_BYTES_MAX)
}

/// Bytes that an entry weighs in queues and caches: body and a flat sum for what surrounds it.
pub fn weight_bytes(entry: &Entry) -> usize {
    const AROUND_BYTES: usize = 128;
    AROUND_BYTES
        + match &entry.payload {
            EntryPayload::Blank => 0,
            EntryPayload::Normal(proposal) => proposal.body.len(),
            // Memberships are rare and of a few nodes; a kilobyte is ample.
            EntryPayload::Membership(_) => 1_024,
        }
}

impl Record {
    /// The stored form of an entry.
    pub fn from_entry(entry: &Entry) -> Result<Record, EncodeError> {
        let index = entry.index();
        let (kind, stamped_at, body) = match &entry.payload {
            EntryPayload::Blank => (RecordKind::Blank, UnixMs(0), Bytes::new()),
            EntryPayload::Normal(proposal) => {
                (RecordKind::Normal, proposal.stamped_at, proposal.body.clone())
            }
            EntryPayload::Membership(membership) => {
                let record = MembershipRecord {
                    configs: membership
                        .get_joint_config()
                        .iter()
                        .map(|voters| voters.iter().map(|node| node.0).collect())
                        .collect(),
                    nodes: membership
                        .nodes()
                        .map(|(node, addr)| (node.0, addr.0.clone()))
                        .collect(),
                };
                let body = postcard::to_stdvec(&record).map_err(|_| EncodeError::Membership(index))?;
                (RecordKind::Membership, UnixMs(0), Bytes::from(body))
            }
        };
        if body.len() > LOG_ENTRY_BODY_BYTES_MAX {
            return Err(EncodeError::BodyTooLarge {
                index,
                body_bytes: body.len(),
            });
        }
        Ok(Record {
            log_id: entry.log_id(),
            kind,
            stamped_at,
            body,
        })
    }

    /// The entry that was stored.
    pub fn into_entry(self) -> Result<Entry, RecordError> {
        let index = self.log_id.index;
        let payload = match self.kind {
            RecordKind::Blank if self.body.is_empty() => EntryPayload::Blank,
            RecordKind::Blank => return Err(RecordError::UnexpectedContent(index)),
            RecordKind::Normal => EntryPayload::Normal(Proposal {
                stamped_at: self.stamped_at,
                body: self.body,
            }),
            RecordKind::Membership => EntryPayload::Membership(decode_membership(index, &self.body)?),
        };
        Ok(Entry {
            log_id: self.log_id,
            payload,
        })
    }

    /// Hands every part to `store`, in order.
    pub fn for_each_part<E>(&self, mut store: impl FnMut(PartKey, &[u8]) -> Result<(), E>) -> Result<(), E> {
        assert!(
            self.body.len() <= LOG_ENTRY_BODY_BYTES_MAX,
            "a record is checked when it is made"
        );
        let (first_body, mut rest) = self.body.split_at(part_body_bytes(self.body.len(), 0));
        let mut first = self.header();
        first.extend_from_slice(first_body);
        store(part_key(self.log_id.index, 0), &first)?;
        let mut part = 0_u16;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(LOG_PART_BYTES_MAX));
            part += 1;
            store(part_key(self.log_id.index, part), piece)?;
            rest = after;
        }
        Ok(())
    }

    fn header(&self) -> Vec<u8> {
        let parts = part_count(self.body.len());
        let mut header = Vec::with_capacity(LOG_PART_BYTES_MAX);
        header.put_u8(RECORD_VERSION);
        header.put_u8(self.kind.to_byte());
        header.put_u16(u16::try_from(parts).expect("the body's limit keeps parts below 65,536"));
        header.put_u32(u32::try_from(self.body.len()).expect("the body's limit is below 4 GiB"));
        header.put_u64(**self.log_id.committed_leader_id());
        header.put_u64(self.log_id.index);
        header.put_u64(self.stamped_at.0);
        let crc = checksum(&header, &self.body);
        header.put_u32(crc);
        assert_eq!(header.len(), HEADER_BYTES, "the header's layout is fixed");
        header
    }
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(body);
    hasher.finalize()
}

fn be_u64(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("callers pass 8 bytes"))
}

fn decode_membership(index: u64, body: &[u8]) -> Result<Membership, RecordError> {
    let record: MembershipRecord = postcard::from_bytes(body).map_err(|_| RecordError::Membership(index))?;
    let configs: Vec<BTreeSet<NodeNumber>> = record
        .configs
        .into_iter()
        .map(|voters| voters.into_iter().map(NodeNumber).collect())
        .collect();
    let nodes: BTreeMap<NodeNumber, PeerAddr> = record
        .nodes
        .into_iter()
        .map(|(node, addr)| (NodeNumber(node), PeerAddr(addr)))
        .collect();
    Membership::new(configs, nodes).map_err(|_| RecordError::Membership(index))
}

/// What the first part says of the whole.
struct Begun {
    log_id: LogId,
    kind: RecordKind,
    stamped_at: UnixMs,
    parts: u16,
    parts_read: u16,
    body_bytes: usize,
    body: BytesMut,
    /// First part's header without its checksum, and the checksum.
    header: [u8; CRC_AT],
    crc: u32,
}

/// Puts parts, fed in the order of their keys, together again and checks everything on the way.
#[derive(Default)]
pub struct Assembler {
    begun: Option<Begun>,
}

impl Assembler {
    /// Takes the next part. `Some` when it was an entry's last.
    pub fn feed(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Record>, RecordError> {
        let (index, part) = parse_part_key(key)?;
        let mut begun = match self.begun.take() {
            None if part == 0 => begin(index, value)?,
            None => {
                return Err(RecordError::PartOrder {
                    index,
                    expected: 0,
                    found: part,
                    found_index: index,
                });
            }
            Some(mut begun) => {
                if index != begun.log_id.index || part != begun.parts_read {
                    return Err(RecordError::PartOrder {
                        index: begun.log_id.index,
                        expected: begun.parts_read,
                        found: part,
                        found_index: index,
                    });
                }
                check_length(
                    index,
                    part,
                    part_body_bytes(begun.body_bytes, usize::from(part)),
                    value.len(),
                )?;
                begun.body.extend_from_slice(value);
                begun
            }
        };
        begun.parts_read = part + 1;
        if begun.parts_read < begun.parts {
            self.begun = Some(begun);
            return Ok(None);
        }
        begun.finish().map(Some)
    }

    /// Says that no part follows.
    pub fn finish(self) -> Result<(), RecordError> {
        match self.begun {
            None => Ok(()),
            Some(begun) => Err(RecordError::Incomplete(begun.log_id.index)),
        }
    }
}

fn check_length(index: u64, part: u16, expected: usize, found: usize) -> Result<(), RecordError> {
    if expected == found {
        return Ok(());
    }
    Err(RecordError::PartLength {
        index,
        part,
        expected,
        found,
    })
}

fn begin(index: u64, value: &[u8]) -> Result<Begun, RecordError> {
    if value.is_empty() {
        return Err(RecordError::HeaderShort(index));
    }
    // The version comes first: another version's header may have another length.
    if value[0] != RECORD_VERSION {
        return Err(RecordError::Version {
            index,
            version: value[0],
        });
    }
    if value.len() < HEADER_BYTES {
        return Err(RecordError::HeaderShort(index));
    }
    let (header, first_body) = value.split_at(HEADER_BYTES);
    let kind = RecordKind::from_byte(header[1]).ok_or(RecordError::Kind {
        index,
        kind: header[1],
    })?;
    let parts = u16::from_be_bytes([header[2], header[3]]);
    let body_bytes = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
    if body_bytes > LOG_ENTRY_BODY_BYTES_MAX || usize::from(parts) != part_count(body_bytes) {
        return Err(RecordError::PartCount {
            index,
            parts,
            body_bytes,
        });
    }
    let term = be_u64(&header[8..16]);
    let inside = be_u64(&header[16..24]);
    if inside != index {
        return Err(RecordError::IndexMismatch { index, inside });
    }
    check_length(
        index,
        0,
        HEADER_BYTES + part_body_bytes(body_bytes, 0),
        value.len(),
    )?;
    let mut body = BytesMut::with_capacity(body_bytes);
    body.extend_from_slice(first_body);
    Ok(Begun {
        log_id: LogId::new_term_index(term, index),
        kind,
        stamped_at: UnixMs(be_u64(&header[24..32])),
        parts,
        parts_read: 0,
        body_bytes,
        body,
        header: header[..CRC_AT]
            .try_into()
            .expect("the header is longer than its checked part"),
        crc: u32::from_be_bytes([header[32], header[33], header[34], header[35]]),
    })
}

impl Begun {
    fn finish(self) -> Result<Record, RecordError> {
        let index = self.log_id.index;
        if checksum(&self.header, &self.body) != self.crc {
            return Err(RecordError::Checksum(index));
        }
        Ok(Record {
            log_id: self.log_id,
            kind: self.kind,
            stamped_at: self.stamped_at,
            body: self.body.freeze(),
        })
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
