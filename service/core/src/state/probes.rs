//! Probes: the votes of a canary event. They are remembered for a while, so that a retry finds its first outcome.

use std::collections::{BTreeMap, VecDeque};

use super::extras::ExtraVote;
use crate::ids::{SubmissionKey, VotePosition, VoterNumber};
use crate::limits::PROBE_KEYS_PER_EVENT_MAX;
use crate::outcome::VoteVerdict;

/// The last `PROBE_KEYS_PER_EVENT_MAX` probes of one event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probes {
    by_key: BTreeMap<(VoterNumber, SubmissionKey), ExtraVote>,
    /// Oldest first.
    order: VecDeque<(VoterNumber, SubmissionKey)>,
}

impl Probes {
    pub(crate) fn get(&self, voter: VoterNumber, key: SubmissionKey) -> Option<ExtraVote> {
        self.by_key.get(&(voter, key)).copied()
    }

    pub(crate) fn verdict_at(&self, voter: VoterNumber, position: VotePosition) -> Option<VoteVerdict> {
        let mut of_voter = self
            .by_key
            .range((voter, SubmissionKey(0))..=(voter, SubmissionKey(u64::MAX)));
        of_voter
            .find(|(_, probe)| probe.position() == position)
            .map(|(_, probe)| probe.verdict())
    }

    /// # Panics
    /// If the same probe is remembered already.
    pub(crate) fn push(&mut self, voter: VoterNumber, probe: ExtraVote) {
        if self.order.len() >= PROBE_KEYS_PER_EVENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_key.remove(&oldest);
        }
        self.order.push_back((voter, probe.key));
        let before = self.by_key.insert((voter, probe.key), probe);
        assert!(before.is_none(), "a probe is remembered once");
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (VoterNumber, ExtraVote)> {
        self.order.iter().map(|key| (key.0, self.by_key[key]))
    }
}
