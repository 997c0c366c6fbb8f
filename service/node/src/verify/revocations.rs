//! The recount of revoked tokens: a plain map, and the rules once more.

use std::collections::BTreeMap;

use ostraka_core::limits::{
    REVOCATION_SLACK_MS, REVOCATIONS_BY_OPERATORS_MAX, REVOCATIONS_FORGOTTEN_PER_ENTRY_MAX, REVOCATIONS_MAX,
};
use ostraka_core::{EntryMeta, LogIndex, UnixMs, VoterNumber};

use crate::identity::command::RevokeTokens;
use crate::identity::revocations::Revocations;

/// Who was revoked by which entry, and until when that is remembered.
#[derive(Debug, Default)]
pub(super) struct RecountedRevocations {
    by_voter: BTreeMap<VoterNumber, (LogIndex, UnixMs)>,
    /// The newest stamp of an entry that revoked.
    now: UnixMs,
}

impl RecountedRevocations {
    /// Those of a snapshot that is taken on trust.
    pub(super) fn of(stored: &Revocations) -> Self {
        let all = stored.iter();
        Self {
            by_voter: all
                .map(|(voter, known)| (voter, (known.at, known.forget_at)))
                .collect(),
            now: stored.now(),
        }
    }

    pub(super) fn revoke(&mut self, meta: EntryMeta, wanted: &RevokeTokens, accounts: usize) {
        let voter = wanted.voter;
        if voter.0 == 0 || voter.0 as usize > accounts {
            return;
        }
        let now = self.now.max(meta.stamped_at);
        let mut over: Vec<(UnixMs, VoterNumber)> = self
            .by_voter
            .iter()
            .filter(|(of, (_, until))| **of != voter && *until <= now)
            .map(|(of, (_, until))| (*until, *of))
            .collect();
        over.sort_unstable();
        over.truncate(REVOCATIONS_FORGOTTEN_PER_ENTRY_MAX);
        let extra = if wanted.by_operator {
            REVOCATIONS_BY_OPERATORS_MAX
        } else {
            0
        };
        let left = self.by_voter.len() - over.len();
        if !self.by_voter.contains_key(&voter) && left >= REVOCATIONS_MAX + extra {
            return;
        }
        for (_, of) in over {
            self.by_voter.remove(&of);
        }
        let kept_ms = wanted.lifetime_ms.saturating_add(REVOCATION_SLACK_MS);
        let until = UnixMs(now.0.saturating_add(kept_ms));
        self.by_voter.insert(voter, (meta.index, until));
        self.now = now;
    }

    /// Whether these are the ones that are stored.
    pub(super) fn are(&self, stored: &Revocations) -> bool {
        let theirs = stored
            .iter()
            .map(|(voter, known)| (voter, (known.at, known.forget_at)));
        self.now == stored.now() && theirs.eq(self.by_voter.iter().map(|(voter, known)| (*voter, *known)))
    }
}
