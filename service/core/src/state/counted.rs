//! Who has a counted vote in an event, and where it stands in the log: 12 bytes a voter.

use super::directory::{ChunkNumber, Directory, chunk_and_place};
use super::layered::{Layered, Rows};
use super::position::PackedPosition;
use crate::ids::{SubmissionKey, VotePosition, VoterNumber};
use crate::limits::{SPARSE_VOTERS_PER_CHUNK_MAX, VOTERS_PER_CHUNK};

/// A counted vote: its position, and 40 of the 64 bits of its submission key, to know a retry by.
///
/// 40 bits and not 64 because every bit is 38 MB at 300 million voters. A different submission is taken for a retry if
/// all 40 agree: one chance in 1.1e12, keys being keyed hashes that nobody outside can steer. And only the same
/// voter's own second submission in the same event can meet that chance: it would be answered with the first vote's
/// id and `processed` instead of `duplicate`. No count changes either way, because the voter already has a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountedVote {
    /// The position, with the lowest 8 bits of the key. Zero means none: log index 0 holds no commands.
    pub(crate) packed: PackedPosition,
    /// The key's next 32 bits.
    pub(crate) key_tag: u32,
}

impl CountedVote {
    const NONE: CountedVote = CountedVote {
        packed: PackedPosition(0),
        key_tag: 0,
    };

    pub(crate) fn new(position: VotePosition, key: SubmissionKey) -> Self {
        assert!(position.index.0 > 0, "log index 0 holds no commands");
        CountedVote {
            packed: PackedPosition::new(position, key.0 as u8),
            key_tag: (key.0 >> 8) as u32,
        }
    }

    pub(crate) fn position(self) -> VotePosition {
        self.packed.position()
    }

    /// Whether `key` is (but for the chance above) the key that this vote was submitted with.
    pub(crate) fn is_of(self, key: SubmissionKey) -> bool {
        self.packed.spare() == key.0 as u8 && self.key_tag == (key.0 >> 8) as u32
    }

    fn is_none(self) -> bool {
        self.packed.position().index.0 == 0
    }
}

/// The counted votes of up to `VOTERS_PER_CHUNK` voters of neighbouring numbers.
#[derive(Clone, Debug)]
pub(crate) enum CountedChunk {
    /// Ascending by place.
    Sparse(Vec<(u16, CountedVote)>),
    Dense(DenseChunk),
}

/// Two arrays, because one of 12-byte records would be padded to 16.
#[derive(Clone, Debug)]
pub(crate) struct DenseChunk {
    packed: Box<[u64]>,
    key_tags: Box<[u32]>,
    filled: usize,
}

impl Default for CountedChunk {
    fn default() -> Self {
        CountedChunk::Sparse(Vec::new())
    }
}

impl DenseChunk {
    fn from_rows(rows: &[(u16, CountedVote)]) -> Self {
        let mut chunk = DenseChunk {
            packed: vec![0; VOTERS_PER_CHUNK].into_boxed_slice(),
            key_tags: vec![0; VOTERS_PER_CHUNK].into_boxed_slice(),
            filled: 0,
        };
        for (place, vote) in rows {
            chunk.put(*place, *vote);
        }
        chunk
    }

    fn put(&mut self, place: u16, vote: CountedVote) {
        let place = usize::from(place);
        assert!(self.packed[place] == 0, "a voter is counted once");
        self.packed[place] = vote.packed.0;
        self.key_tags[place] = vote.key_tag;
        self.filled += 1;
    }

    fn at(&self, place: usize) -> CountedVote {
        CountedVote {
            packed: PackedPosition(self.packed[place]),
            key_tag: self.key_tags[place],
        }
    }
}

impl CountedChunk {
    pub(crate) fn get(&self, place: u16) -> Option<CountedVote> {
        match self {
            CountedChunk::Sparse(rows) => {
                let at = rows.binary_search_by_key(&place, |(row, _)| *row).ok()?;
                Some(rows[at].1)
            }
            CountedChunk::Dense(chunk) => Some(chunk.at(usize::from(place))).filter(|vote| !vote.is_none()),
        }
    }

    /// # Panics
    /// If the place is taken: a voter is counted once.
    pub(crate) fn insert(&mut self, place: u16, vote: CountedVote) {
        match self {
            CountedChunk::Sparse(rows) => {
                let at = rows.binary_search_by_key(&place, |(row, _)| *row);
                rows.insert(at.expect_err("a voter is counted once"), (place, vote));
                if rows.len() > SPARSE_VOTERS_PER_CHUNK_MAX {
                    *self = CountedChunk::Dense(DenseChunk::from_rows(rows));
                }
            }
            CountedChunk::Dense(chunk) => chunk.put(place, vote),
        }
    }

    pub(crate) fn is_dense(&self) -> bool {
        matches!(self, CountedChunk::Dense(_))
    }

    /// Places and votes, ascending by place.
    pub(crate) fn rows(&self) -> Box<dyn Iterator<Item = (u16, CountedVote)> + '_> {
        match self {
            CountedChunk::Sparse(rows) => Box::new(rows.iter().copied()),
            CountedChunk::Dense(chunk) => {
                let all = (0..VOTERS_PER_CHUNK).map(|place| (place as u16, chunk.at(place)));
                Box::new(all.filter(|(_, vote)| *vote != CountedVote::NONE))
            }
        }
    }
}

impl Rows for CountedChunk {
    fn len(&self) -> usize {
        match self {
            CountedChunk::Sparse(rows) => rows.len(),
            CountedChunk::Dense(chunk) => chunk.filled,
        }
    }

    fn absorb(&mut self, later: &Self) {
        later.rows().for_each(|(place, vote)| self.insert(place, vote));
    }
}

/// The counted votes of one event. Cheap to clone; see [`Directory`].
#[derive(Clone, Debug, Default)]
pub(crate) struct CountedVotes {
    chunks: Directory<Layered<CountedChunk>>,
    len: u64,
}

impl CountedVotes {
    pub(crate) fn get(&self, voter: VoterNumber) -> Option<CountedVote> {
        let (chunk, place) = chunk_and_place(voter);
        self.chunks.get(chunk)?.find(|layer| layer.get(place))
    }

    /// # Panics
    /// If the voter has a counted vote already.
    pub(crate) fn insert(&mut self, voter: VoterNumber, vote: CountedVote) {
        let (chunk, place) = chunk_and_place(voter);
        let chunk = self.chunks.get_mut_or_default(chunk);
        chunk.layer_for_writing().insert(place, vote);
        let is_below = chunk
            .layer_below()
            .is_some_and(|below| below.get(place).is_some());
        assert!(!is_below, "a voter is counted once");
        self.len += 1;
    }

    /// A whole chunk, where there was none.
    pub(crate) fn put_chunk(&mut self, number: ChunkNumber, chunk: CountedChunk) {
        self.len += chunk.len() as u64;
        let place = self.chunks.get_mut_or_default(number);
        assert!(place.len() == 0, "a chunk is put once");
        *place.layer_for_writing() = chunk;
    }

    /// Distinct voters counted.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Chunks that hold at least one vote, ascending.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (ChunkNumber, &Layered<CountedChunk>)> {
        self.chunks.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::ids::LogIndex;

    fn vote(index: u64, key: u64) -> CountedVote {
        CountedVote::new(
            VotePosition {
                index: LogIndex(index),
                offset: (key % 4_096) as u16,
            },
            SubmissionKey(key),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn counted_votes_are_an_ordered_map(voters in prop::collection::btree_set(0u32..6_000, 0..4_000), key: u64) {
            let mut counted = CountedVotes::default();
            let mut model = BTreeMap::new();
            for (at, voter) in voters.iter().rev().enumerate() {
                let vote = vote(at as u64 + 1, key.wrapping_add(at as u64));
                counted.insert(VoterNumber(*voter), vote);
                model.insert(*voter, vote);
            }
            for voter in 0..6_000 {
                prop_assert_eq!(counted.get(VoterNumber(voter)), model.get(&voter).copied());
            }
            prop_assert_eq!(counted.len(), model.len() as u64);
            for (_, chunk) in counted.chunks() {
                let chunk = chunk.merged();
                prop_assert_eq!(chunk.is_dense(), chunk.len() > SPARSE_VOTERS_PER_CHUNK_MAX);
                prop_assert_eq!(chunk.rows().count(), chunk.len());
                prop_assert!(chunk.rows().is_sorted_by(|a, b| a.0 < b.0));
            }
        }

        #[test]
        fn a_key_is_known_by_its_low_40_bits(key: u64, bit in 0u32..64) {
            let vote = vote(3, key);
            prop_assert!(vote.is_of(SubmissionKey(key)));
            prop_assert_eq!(vote.is_of(SubmissionKey(key ^ 1 << bit)), bit >= 40);
        }
    }

    #[test]
    #[should_panic(expected = "a voter is counted once")]
    fn a_second_count_of_a_voter_stops_the_replica() {
        let mut counted = CountedVotes::default();
        counted.insert(VoterNumber(5), vote(1, 1));
        counted.insert(VoterNumber(5), vote(2, 2));
    }

    #[test]
    #[should_panic(expected = "a voter is counted once")]
    fn a_second_count_beside_an_image_stops_the_replica() {
        let mut counted = CountedVotes::default();
        counted.insert(VoterNumber(5), vote(1, 1));
        let image = counted.clone();
        counted.insert(VoterNumber(5), vote(2, 2));
        drop(image);
    }
}
