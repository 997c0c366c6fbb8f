//! Accounts whose tokens of before some entry of identity's log count no more.
//!
//! Part of identity's replicated state. A token carries the index up to which the node that signed it had applied the log;
//! it is revoked if that is less than the index of its account's newest revocation. So no clock decides which of the two
//! was first. When a revocation can be forgotten is told by the log's time, the newest of the leaders' stamps seen by an entry
//! that revokes: then every token that it concerns has expired.

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::limits::{
    REVOCATION_SLACK_MS, REVOCATIONS_BY_OPERATORS_MAX, REVOCATIONS_FORGOTTEN_PER_ENTRY_MAX, REVOCATIONS_MAX,
};
use ostraka_core::{EntryMeta, LogIndex, UnixMs, VoterNumber};

/// What is remembered of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Tokens that do not know this entry are revoked.
    pub at: LogIndex,
    /// All of them have expired by then.
    pub forget_at: UnixMs,
}

/// What one entry changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationsChange {
    pub now: UnixMs,
    pub put: Option<(VoterNumber, Revocation)>,
    pub forgotten: Vec<VoterNumber>,
}

/// All that are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    now: UnixMs,
    by_voter: BTreeMap<VoterNumber, Revocation>,
    by_end: BTreeSet<(UnixMs, VoterNumber)>,
}

/// As many are remembered as may be. Nothing was changed; later there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Revocations {
    /// What was stored: the time, and every revocation.
    pub(super) fn stored(
        now: UnixMs,
        all: impl IntoIterator<Item = (VoterNumber, Revocation)>,
    ) -> Revocations {
        let by_voter: BTreeMap<_, _> = all.into_iter().collect();
        let by_end = by_voter
            .iter()
            .map(|(voter, revocation)| (revocation.forget_at, *voter))
            .collect();
        Revocations {
            now,
            by_voter,
            by_end,
        }
    }

    pub fn now(&self) -> UnixMs {
        self.now
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (VoterNumber, Revocation)> + '_ {
        self.by_voter
            .iter()
            .map(|(voter, revocation)| (*voter, *revocation))
    }

    /// What the entry `meta` changes that revokes all of the voter's tokens, which live no longer than `lifetime_ms`.
    pub(super) fn revoke(
        &self,
        meta: EntryMeta,
        voter: VoterNumber,
        lifetime_ms: u64,
        by_operator: bool,
    ) -> Result<RevocationsChange, Full> {
        let now = self.now.max(meta.stamped_at);
        let over = self.by_end.iter().take_while(|(end, _)| *end <= now);
        let forgotten: Vec<_> = over
            .map(|(_, over)| *over)
            .filter(|over| *over != voter)
            .take(REVOCATIONS_FORGOTTEN_PER_ENTRY_MAX)
            .collect();
        let room = if by_operator {
            REVOCATIONS_MAX + REVOCATIONS_BY_OPERATORS_MAX
        } else {
            REVOCATIONS_MAX
        };
        let is_new = !self.by_voter.contains_key(&voter);
        if is_new && self.by_voter.len() - forgotten.len() >= room {
            return Err(Full);
        }
        let kept_ms = lifetime_ms.saturating_add(REVOCATION_SLACK_MS);
        let revocation = Revocation {
            at: meta.index,
            forget_at: UnixMs(now.0.saturating_add(kept_ms)),
        };
        Ok(RevocationsChange {
            now,
            put: Some((voter, revocation)),
            forgotten,
        })
    }

    pub(super) fn change(&mut self, change: &RevocationsChange) {
        self.now = self.now.max(change.now);
        for voter in &change.forgotten {
            if let Some(old) = self.by_voter.remove(voter) {
                self.by_end.remove(&(old.forget_at, *voter));
            }
        }
        if let Some((voter, revocation)) = change.put {
            if let Some(old) = self.by_voter.insert(voter, revocation) {
                self.by_end.remove(&(old.forget_at, voter));
            }
            self.by_end.insert((revocation.forget_at, voter));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meta(index: u64, stamped_at: u64) -> EntryMeta {
        EntryMeta {
            index: LogIndex(index),
            stamped_at: UnixMs(stamped_at),
        }
    }

    #[test]
    fn the_newest_revocation_stands_until_its_tokens_are_over() {
        let mut all = Revocations::default();
        for (index, at_ms) in [(1, 10), (5, 20)] {
            let change = all.revoke(meta(index, at_ms), VoterNumber(7), 100, false);
            all.change(&change.unwrap());
        }
        let expected = Revocation {
            at: LogIndex(5),
            forget_at: UnixMs(120 + REVOCATION_SLACK_MS),
        };
        assert_eq!(all.iter().collect::<Vec<_>>(), [(VoterNumber(7), expected)]);
        let later = |at_ms| all.revoke(meta(6, at_ms), VoterNumber(8), 100, false).unwrap();
        assert!(later(expected.forget_at.0 - 1).forgotten.is_empty());
        assert_eq!(later(expected.forget_at.0).forgotten, [VoterNumber(7)]);
    }

    #[test]
    fn a_crowd_that_logs_out_leaves_room_for_operators() {
        let revocation = Revocation {
            at: LogIndex(1),
            forget_at: UnixMs(u64::MAX),
        };
        let first = (1..=REVOCATIONS_MAX as u32).map(|number| (VoterNumber(number), revocation));
        let all = Revocations::stored(UnixMs(0), first);
        let beyond = VoterNumber(u32::MAX);
        assert_eq!(all.revoke(meta(2, 0), beyond, 1, false), Err(Full));
        assert!(all.revoke(meta(2, 0), beyond, 1, true).is_ok());
        assert!(all.revoke(meta(2, 0), VoterNumber(1), 1, false).is_ok());
    }

    proptest! {
        /// Whatever the order and the stamps: a revocation is there for as long as a token of before it may live, by a clock
        /// that is no further from the log's than the slack.
        #[test]
        fn none_is_forgotten_while_it_matters(steps in proptest::collection::vec((1u32..6, 0u64..20), 1..60)) {
            let hour = 3_600_000;
            let (lifetime_ms, mut now) = (2 * hour, 0);
            let mut all = Revocations::default();
            let mut last = BTreeMap::new();
            for (index, (voter, hours)) in steps.into_iter().enumerate() {
                let (index, voter) = (index as u64 + 1, VoterNumber(voter));
                // Stamps may go back, as those of a new leader do.
                let stamped = hours * hour;
                now = now.max(stamped);
                let change = all.revoke(meta(index, stamped), voter, lifetime_ms, false).unwrap();
                all.change(&change);
                last.insert(voter, (LogIndex(index), now));
                for (voter, (index, revoked_at)) in &last {
                    let known = all.by_voter.get(voter).map(|known| known.at);
                    prop_assert!(known == Some(*index) || known.is_none() && now >= revoked_at + lifetime_ms);
                }
                prop_assert_eq!(&Revocations::stored(all.now(), all.iter()), &all);
            }
        }
    }
}
