//! What a simulated disk keeps, told as it comes to keep it: for judges who must know more than its nodes say.

use std::sync::Arc;

use bytes::Bytes;
use openraft::entry::RaftEntry;
use ostraka_core::{LogIndex, UnixMs};

use super::Change;
use crate::types::{EntryPayload, NodeNumber};

/// Told of each change once, in order, when nothing but the disk's own death can take it back.
pub type Journal = Arc<dyn Fn(&Kept) + Send + Sync>;

/// A change that the disk holds for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    Entry {
        index: LogIndex,
        term: u64,
        /// 0 for entries that carry no proposal.
        stamped_at: UnixMs,
        /// `None` for a leader's first entry and for changes of the members.
        proposal: Option<Bytes>,
    },
    /// What the node holds of a term: whom it votes for, and whether that node has won it.
    Vote { term: u64, node: NodeNumber, won: bool },
    /// Every entry from `from` on is gone.
    Truncated { from: LogIndex },
    /// Every entry up to `upto` is gone: a snapshot stands for them.
    Purged { upto: LogIndex },
}

impl Kept {
    /// `None` for what is a hint only: how far the log is known to be committed.
    pub(super) fn of(change: &Change) -> Option<Self> {
        Some(match change {
            Change::Append(entry) => {
                let (stamped_at, proposal) = match &entry.payload {
                    EntryPayload::Normal(proposal) => (proposal.stamped_at, Some(proposal.body.clone())),
                    EntryPayload::Blank | EntryPayload::Membership(_) => (UnixMs(0), None),
                };
                Kept::Entry {
                    index: LogIndex(entry.index()),
                    term: entry.log_id().committed_leader_id().term,
                    stamped_at,
                    proposal,
                }
            }
            Change::Vote(vote) => Kept::Vote {
                term: vote.leader_id.term,
                node: vote.leader_id.voted_for,
                won: vote.committed,
            },
            Change::Committed(_) => return None,
            Change::Truncate(after) => Kept::Truncated {
                from: LogIndex(after.map_or(0, |id| id.index + 1)),
            },
            Change::Purge(upto) => Kept::Purged {
                upto: LogIndex(upto.index),
            },
        })
    }
}
