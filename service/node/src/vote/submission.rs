//! Keys that tell a retry from a second submission. Keyed hashes (SipHash-2-4, Aumasson and Bernstein 2012), so that a
//! client cannot choose two submissions that collide; each kind of input starts with its own byte, so that one kind
//! never reads as another.

use std::hash::Hasher;

use ostraka_core::{ContestantIndex, RequestKey, SubmissionKey, UnixMs, VoterNumber};
use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher24Wide};

use crate::secrets::SecretKey;

const VOTE_BY_IDEMPOTENCY_KEY: u8 = 1;
const VOTE_BY_TIMESTAMP: u8 = 2;
const EVENT_BY_IDEMPOTENCY_KEY: u8 = 3;

/// Makes submission keys. The same on every node, so a retry may come through any of them.
#[derive(Clone)]
pub struct SubmissionKeys {
    narrow: SipHasher24,
    wide: SipHasher24Wide,
}

impl SubmissionKeys {
    pub fn new(key: &SecretKey) -> Self {
        let (narrow, wide) = key
            .0
            .split_first_chunk::<16>()
            .expect("a secret key has 32 bytes");
        let wide = wide.first_chunk::<16>().expect("a secret key has 32 bytes");
        Self {
            narrow: SipHasher24::new_with_key(narrow),
            wide: SipHasher24Wide::new_with_key(wide),
        }
    }

    /// The key of a vote that carries an `Idempotency-Key`.
    pub fn vote_by_idempotency_key(&self, idempotency_key: &[u8]) -> SubmissionKey {
        let mut hasher = self.narrow;
        hasher.write(&[VOTE_BY_IDEMPOTENCY_KEY]);
        hasher.write(idempotency_key);
        SubmissionKey(hasher.finish())
    }

    /// The key of a vote without one: who votes for the same contestant at the same moment of their own clock retries.
    pub fn vote_by_timestamp(&self, contestant: ContestantIndex, at: Option<UnixMs>) -> SubmissionKey {
        let mut input = [0; 12];
        input[0] = VOTE_BY_TIMESTAMP;
        input[1..3].copy_from_slice(&contestant.0.to_be_bytes());
        if let Some(UnixMs(at)) = at {
            input[3] = 1;
            input[4..12].copy_from_slice(&at.to_be_bytes());
        }
        let mut hasher = self.narrow;
        hasher.write(&input);
        SubmissionKey(hasher.finish())
    }

    /// The key of an event's creation that carries an `Idempotency-Key`: one owner's keys never meet another's.
    pub fn event_by_idempotency_key(&self, owner: VoterNumber, idempotency_key: &[u8]) -> RequestKey {
        let mut hasher = self.wide;
        hasher.write(&[EVENT_BY_IDEMPOTENCY_KEY]);
        hasher.write(&owner.0.to_be_bytes());
        hasher.write(idempotency_key);
        RequestKey(hasher.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> SubmissionKeys {
        SubmissionKeys::new(&SecretKey([3; 32]))
    }

    proptest! {
        #[test]
        fn the_same_submission_has_the_same_key_on_every_node(key: Vec<u8>, contestant: u16, at: Option<u64>) {
            prop_assert_eq!(keys().vote_by_idempotency_key(&key), keys().vote_by_idempotency_key(&key));
            let (contestant, at) = (ContestantIndex(contestant), at.map(UnixMs));
            prop_assert_eq!(keys().vote_by_timestamp(contestant, at), keys().vote_by_timestamp(contestant, at));
        }

        #[test]
        fn another_contestant_or_moment_is_another_submission(a: (u16, Option<u64>), b: (u16, Option<u64>)) {
            prop_assume!(a != b);
            let key = |(contestant, at): (u16, Option<u64>)| {
                keys().vote_by_timestamp(ContestantIndex(contestant), at.map(UnixMs))
            };
            prop_assert_ne!(key(a), key(b));
        }
    }

    #[test]
    fn kinds_owners_and_clusters_are_told_apart() {
        let other = SubmissionKeys::new(&SecretKey([4; 32]));
        assert_ne!(
            keys().vote_by_idempotency_key(b"a"),
            other.vote_by_idempotency_key(b"a")
        );
        assert_ne!(
            keys().event_by_idempotency_key(VoterNumber(1), b"a"),
            keys().event_by_idempotency_key(VoterNumber(2), b"a")
        );
        // An idempotency key that spells out a timestamp's input is still of its own kind.
        let mut spelled = [0; 11];
        spelled[..2].copy_from_slice(&5u16.to_be_bytes());
        assert_ne!(
            keys().vote_by_idempotency_key(&spelled),
            keys().vote_by_timestamp(ContestantIndex(5), None)
        );
    }
}
