//! Peer messages as bytes. Each begins with a version; small ones are postcard, entries carry their bodies verbatim
//! behind a postcard head that names their lengths.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};
use ostraka_core::limits::{APPEND_ENTRIES_MAX, PROPOSAL_BYTES_MAX};
use ostraka_core::{LogIndex, UnixMs};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cluster::ClusterId;
use crate::group::{GroupError, Refusal, Submitted};
use crate::types::{
    Entry, EntryPayload, LogId, Membership, MembershipId, NodeNumber, PeerAddr, Proposal, RaftVote, Types,
};

/// Version of every message. A node refuses another one's with a sentence, so that a mixed cluster is found out.
pub const WIRE_VERSION: u8 = 1;

/// Terminal, each of them: the same bytes fail again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("a message of {bytes} bytes is longer than the {bytes_max} allowed")]
    TooLong { bytes: usize, bytes_max: usize },
    #[error("the message has version {0}, this node speaks version {WIRE_VERSION}")]
    Version(u8),
    #[error("the message ends too early or is not well formed")]
    Malformed,
}

/// Version and postcard.
pub fn encode<T: Serialize>(message: &T) -> Bytes {
    let bytes = postcard::to_extend(message, vec![WIRE_VERSION])
        .expect("peer messages are plain data of known length");
    Bytes::from(bytes)
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let (message, rest) = decode_head(bytes)?;
    if rest.is_empty() {
        Ok(message)
    } else {
        Err(WireError::Malformed)
    }
}

/// The message in front and what follows it.
fn decode_head<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), WireError> {
    let (version, rest) = bytes.split_first().ok_or(WireError::Malformed)?;
    if *version != WIRE_VERSION {
        return Err(WireError::Version(*version));
    }
    postcard::take_from_bytes(rest).map_err(|_| WireError::Malformed)
}

#[derive(Serialize, Deserialize)]
struct AppendHead {
    vote: RaftVote,
    prev_log_id: Option<LogId>,
    leader_commit: Option<LogId>,
    entries: Vec<EntryHead>,
}

#[derive(Serialize, Deserialize)]
struct EntryHead {
    log_id: LogId,
    payload: PayloadHead,
}

#[derive(Serialize, Deserialize)]
enum PayloadHead {
    Blank,
    Normal { stamped_at: UnixMs, body_bytes: u32 },
    Membership(Membership),
}

pub fn encode_append(request: &AppendEntriesRequest<Types>) -> Bytes {
    let head = AppendHead {
        vote: request.vote,
        prev_log_id: request.prev_log_id,
        leader_commit: request.leader_commit,
        entries: request.entries.iter().map(entry_head).collect(),
    };
    let mut out = BytesMut::from(encode(&head));
    for entry in &request.entries {
        if let EntryPayload::Normal(proposal) = &entry.payload {
            out.put_slice(&proposal.body);
        }
    }
    out.freeze()
}

fn entry_head(entry: &Entry) -> EntryHead {
    let payload = match &entry.payload {
        EntryPayload::Blank => PayloadHead::Blank,
        EntryPayload::Normal(proposal) => PayloadHead::Normal {
            stamped_at: proposal.stamped_at,
            body_bytes: u32::try_from(proposal.body.len())
                .expect("bodies are limited when they are proposed"),
        },
        EntryPayload::Membership(membership) => PayloadHead::Membership(membership.clone()),
    };
    EntryHead {
        log_id: entry.log_id,
        payload,
    }
}

/// The bodies share the allocation of `bytes`.
pub fn decode_append(bytes: Bytes) -> Result<AppendEntriesRequest<Types>, WireError> {
    let (head, rest) = decode_head::<AppendHead>(&bytes)?;
    if head.entries.len() > APPEND_ENTRIES_MAX {
        return Err(WireError::TooLong {
            bytes: bytes.len(),
            bytes_max: APPEND_ENTRIES_MAX * PROPOSAL_BYTES_MAX,
        });
    }
    let mut bodies = bytes.slice_ref(rest);
    let entries = head
        .entries
        .into_iter()
        .map(|entry| whole_entry(entry, &mut bodies))
        .collect::<Result<_, _>>()?;
    if bodies.has_remaining() {
        return Err(WireError::Malformed);
    }
    let AppendHead {
        vote,
        prev_log_id,
        leader_commit,
        ..
    } = head;
    Ok(AppendEntriesRequest {
        vote,
        prev_log_id,
        entries,
        leader_commit,
    })
}

fn whole_entry(head: EntryHead, bodies: &mut Bytes) -> Result<Entry, WireError> {
    let payload = match head.payload {
        PayloadHead::Blank => EntryPayload::Blank,
        PayloadHead::Normal {
            stamped_at,
            body_bytes,
        } => {
            let body_bytes = body_bytes as usize;
            if body_bytes > PROPOSAL_BYTES_MAX {
                return Err(WireError::TooLong {
                    bytes: body_bytes,
                    bytes_max: PROPOSAL_BYTES_MAX,
                });
            }
            if body_bytes > bodies.len() {
                return Err(WireError::Malformed);
            }
            EntryPayload::Normal(Proposal {
                stamped_at,
                body: bodies.split_to(body_bytes),
            })
        }
        PayloadHead::Membership(membership) => EntryPayload::Membership(membership),
    };
    Ok(Entry {
        log_id: head.log_id,
        payload,
    })
}

/// A follower's answer to one append.
#[derive(Serialize, Deserialize)]
enum AppendAnswer {
    Matched(Option<LogId>),
    Conflict(LogId),
    HigherVote(RaftVote),
}

pub fn encode_append_answer(answer: &StreamAppendResult<Types>) -> Bytes {
    encode(&match answer {
        Ok(matched) => AppendAnswer::Matched(*matched),
        Err(StreamAppendError::Conflict(log_id)) => AppendAnswer::Conflict(*log_id),
        Err(StreamAppendError::HigherVote(vote)) => AppendAnswer::HigherVote(*vote),
    })
}

pub fn decode_append_answer(bytes: &[u8]) -> Result<StreamAppendResult<Types>, WireError> {
    Ok(match decode(bytes)? {
        AppendAnswer::Matched(matched) => Ok(matched),
        AppendAnswer::Conflict(log_id) => Err(StreamAppendError::Conflict(log_id)),
        AppendAnswer::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote)),
    })
}

/// Who leads, as far as the answering node knows.
pub type LeaderHint = Option<(NodeNumber, PeerAddr)>;

/// What a node answers that is asked to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposeAnswer {
    Applied(Submitted),
    /// Certainly not in the log by this call.
    NotLeader(LeaderHint),
    /// It may be in the log.
    Unknown,
    /// Certainly not in the log by this call.
    Refused(Refusal),
    /// The group has stopped on that node; certainly not in the log by this call.
    Stopped(String),
}

#[derive(Serialize, Deserialize)]
enum ProposeHead {
    Applied { index: LogIndex },
    NotLeader(LeaderHint),
    Unknown,
    Refused(Refusal),
    Stopped(String),
}

pub fn encode_propose_answer(answer: &ProposeAnswer) -> Bytes {
    match answer {
        ProposeAnswer::Applied(Submitted { index, reply }) => {
            let mut out = BytesMut::from(encode(&ProposeHead::Applied { index: *index }));
            out.put_slice(reply);
            out.freeze()
        }
        ProposeAnswer::NotLeader(hint) => encode(&ProposeHead::NotLeader(hint.clone())),
        ProposeAnswer::Unknown => encode(&ProposeHead::Unknown),
        ProposeAnswer::Refused(why) => encode(&ProposeHead::Refused(*why)),
        ProposeAnswer::Stopped(why) => encode(&ProposeHead::Stopped(why.clone())),
    }
}

pub fn decode_propose_answer(bytes: Bytes) -> Result<ProposeAnswer, WireError> {
    let (head, rest) = decode_head::<ProposeHead>(&bytes)?;
    let answer = match head {
        ProposeHead::Applied { index } => {
            return Ok(ProposeAnswer::Applied(Submitted {
                index,
                reply: bytes.slice_ref(rest),
            }));
        }
        ProposeHead::NotLeader(hint) => ProposeAnswer::NotLeader(hint),
        ProposeHead::Unknown => ProposeAnswer::Unknown,
        ProposeHead::Refused(why) => ProposeAnswer::Refused(why),
        ProposeHead::Stopped(why) => ProposeAnswer::Stopped(why),
    };
    if rest.is_empty() {
        Ok(answer)
    } else {
        Err(WireError::Malformed)
    }
}

/// What a node answers that is asked for a read index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadIndexAnswer {
    Index(LogIndex),
    NotLeader(LeaderHint),
    /// No quorum confirmed the leader in time.
    Unconfirmed,
    Stopped(String),
}

/// A change that an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipChange {
    Add {
        node: NodeNumber,
        addr: PeerAddr,
        over: MembershipId,
    },
    Remove {
        node: NodeNumber,
        over: MembershipId,
    },
    TransferLeader {
        to: NodeNumber,
    },
    /// Changes nothing: whether the node could be added now.
    CheckAdd {
        node: NodeNumber,
        addr: PeerAddr,
    },
}

/// What a node has of a group's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// `None`: it belongs to no cluster yet.
    pub cluster: Option<ClusterId>,
    /// `None`: its log is empty.
    pub last_log_index: Option<LogIndex>,
}

/// Whether a node hears a leader with a quorum behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hearing {
    pub leader: bool,
}

/// What the leader says of it: the membership that there is when it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipAnswer(pub Result<MembershipId, GroupError>);

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
