//! Submissions that were recorded and not counted: duplicates and rejections, so that each keeps its id and verdict.

use std::collections::BTreeMap;

use super::directory::{ChunkNumber, Directory, chunk_and_place};
use super::layered::{Layered, Rows};
use super::position::PackedPosition;
use crate::codec::{VERDICT_CODES, code_of, value_of};
use crate::ids::{SubmissionKey, VotePosition, VoterNumber};
use crate::limits::EXTRA_SUBMISSIONS_PER_VOTER_MAX;
use crate::outcome::VoteVerdict;

/// Bits of a row's key that number a voter's extra submissions.
const SEQUENCE_BITS: u32 = 8;
const _: () = assert!(EXTRA_SUBMISSIONS_PER_VOTER_MAX <= 1 << SEQUENCE_BITS);

/// One remembered submission, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExtraVote {
    pub(crate) key: SubmissionKey,
    /// The position, with the verdict's code in the spare bits.
    pub(crate) packed: PackedPosition,
}

impl ExtraVote {
    pub(crate) fn new(key: SubmissionKey, position: VotePosition, verdict: VoteVerdict) -> Self {
        ExtraVote {
            key,
            packed: PackedPosition::new(position, code_of(VERDICT_CODES, verdict)),
        }
    }

    pub(crate) fn position(self) -> VotePosition {
        self.packed.position()
    }

    /// # Panics
    /// If the code is unknown: only `new` and a snapshot reader that checked the code make one.
    pub(crate) fn verdict(self) -> VoteVerdict {
        value_of(VERDICT_CODES, "a verdict", self.packed.spare()).expect("a stored verdict has a known code")
    }
}

/// Rows of one chunk of voters: (place, sequence) packed into a number, to the submission. One map for all of them and
/// not a list for each voter: a rejected voter then costs some 30 bytes and no allocation of its own.
pub(crate) type ExtraRows = BTreeMap<u32, ExtraVote>;

impl Rows for ExtraRows {
    fn len(&self) -> usize {
        ExtraRows::len(self)
    }

    fn absorb(&mut self, later: &Self) {
        let rows = self.len() + later.len();
        self.extend(later);
        assert!(self.len() == rows, "a submission is remembered once");
    }
}

fn row_key(place: u16, sequence: u32) -> u32 {
    u32::from(place) << SEQUENCE_BITS | sequence
}

/// The place that a row's key belongs to.
pub(crate) fn place_of(row_key: u32) -> u16 {
    (row_key >> SEQUENCE_BITS) as u16
}

/// The uncounted submissions of one event. Cheap to clone; see [`Directory`].
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtraVotes {
    chunks: Directory<Layered<ExtraRows>>,
}

impl ExtraVotes {
    /// A voter's remembered submissions, oldest first.
    pub(crate) fn of(&self, voter: VoterNumber) -> impl Iterator<Item = ExtraVote> {
        let (chunk, place) = chunk_and_place(voter);
        let layers = self.chunks.get(chunk).into_iter().flat_map(Layered::layers);
        layers.flat_map(move |rows| {
            rows.range(row_key(place, 0)..row_key(place + 1, 0))
                .map(|(_, vote)| *vote)
        })
    }

    pub(crate) fn is_full(&self, voter: VoterNumber) -> bool {
        self.of(voter).count() >= EXTRA_SUBMISSIONS_PER_VOTER_MAX
    }

    /// # Panics
    /// If the voter's memory is full.
    pub(crate) fn push(&mut self, voter: VoterNumber, vote: ExtraVote) {
        let sequence = self.of(voter).count();
        assert!(
            sequence < EXTRA_SUBMISSIONS_PER_VOTER_MAX,
            "a voter's extra submissions are bounded"
        );
        let (chunk, place) = chunk_and_place(voter);
        self.chunks
            .get_mut_or_default(chunk)
            .layer_for_writing()
            .insert(row_key(place, sequence as u32), vote);
    }

    /// Chunks that hold at least one row, ascending; rows ascending by place, then by age.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (ChunkNumber, &Layered<ExtraRows>)> {
        self.chunks.iter()
    }
}
