//! Finds the chunk that a voter's records are in: two levels of short sorted lists. Cloning copies a pointer a page; a
//! write copies the page on its way if a clone still holds it, so chunks should be cheap to clone, too.
//!
//! Memory is in proportion to the chunks that exist, wherever their numbers lie, and a directory without gaps is found
//! without searching. No hashing: voter numbers are dense, and the order is the same on every replica.

use std::sync::Arc;

use crate::ids::VoterNumber;
use crate::limits::VOTERS_PER_CHUNK;

const CHUNKS_PER_PAGE: u32 = 256;

/// Number of a chunk: its voters are `number * VOTERS_PER_CHUNK ..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChunkNumber(pub(crate) u32);

impl ChunkNumber {
    pub(crate) const MAX: u32 = u32::MAX / VOTERS_PER_CHUNK as u32;
}

/// A voter's chunk and place in it (below `VOTERS_PER_CHUNK`).
pub(crate) fn chunk_and_place(voter: VoterNumber) -> (ChunkNumber, u16) {
    let chunk = voter.0 / VOTERS_PER_CHUNK as u32;
    let place = voter.0 % VOTERS_PER_CHUNK as u32;
    (ChunkNumber(chunk), place as u16)
}

pub(crate) fn voter_at(chunk: ChunkNumber, place: u16) -> VoterNumber {
    VoterNumber(chunk.0 * VOTERS_PER_CHUNK as u32 + u32::from(place))
}

#[derive(Clone, Debug)]
struct SortedParts<P> {
    parts: Vec<(u16, P)>,
}

impl<P> Default for SortedParts<P> {
    fn default() -> Self {
        SortedParts { parts: Vec::new() }
    }
}

impl<P: Default> SortedParts<P> {
    fn find(&self, number: u16) -> Result<usize, usize> {
        let guess = usize::from(number);
        match self.parts.get(guess) {
            Some((found, _)) if *found == number => Ok(guess),
            _ => self.parts.binary_search_by_key(&number, |(found, _)| *found),
        }
    }

    fn get(&self, number: u16) -> Option<&P> {
        let at = self.find(number).ok()?;
        Some(&self.parts[at].1)
    }

    fn get_mut_or_default(&mut self, number: u16) -> &mut P {
        let at = self.find(number).unwrap_or_else(|at| {
            self.parts.insert(at, (number, P::default()));
            at
        });
        &mut self.parts[at].1
    }
}

/// Chunks by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory<T> {
    pages: SortedParts<Arc<SortedParts<T>>>,
}

impl<T: Clone + Default> Directory<T> {
    pub(crate) fn get(&self, chunk: ChunkNumber) -> Option<&T> {
        let (page, part) = page_and_part(chunk);
        self.pages.get(page)?.get(part)
    }

    pub(crate) fn get_mut_or_default(&mut self, chunk: ChunkNumber) -> &mut T {
        let (page, part) = page_and_part(chunk);
        Arc::make_mut(self.pages.get_mut_or_default(page)).get_mut_or_default(part)
    }

    /// Chunks in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ChunkNumber, &T)> {
        self.pages.parts.iter().flat_map(|(page, chunks)| {
            let first = u32::from(*page) * CHUNKS_PER_PAGE;
            chunks
                .parts
                .iter()
                .map(move |(part, chunk)| (ChunkNumber(first + u32::from(*part)), chunk))
        })
    }
}

fn page_and_part(chunk: ChunkNumber) -> (u16, u16) {
    (
        (chunk.0 / CHUNKS_PER_PAGE) as u16,
        (chunk.0 % CHUNKS_PER_PAGE) as u16,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_directory_is_an_ordered_map(writes in prop::collection::vec((0u32..=ChunkNumber::MAX, 0u32..9), 0..60)) {
            let mut directory = Directory::<u32>::default();
            let mut model = BTreeMap::new();
            for (chunk, value) in writes {
                *directory.get_mut_or_default(ChunkNumber(chunk)) += value;
                *model.entry(chunk).or_default() += value;
                prop_assert_eq!(directory.get(ChunkNumber(chunk)).copied(), model.get(&chunk).copied());
                prop_assert_eq!(directory.get(ChunkNumber(chunk ^ 1)).copied(), model.get(&(chunk ^ 1)).copied());
            }
            let listed: Vec<(u32, u32)> = directory.iter().map(|(chunk, value)| (chunk.0, *value)).collect();
            prop_assert_eq!(listed, model.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn every_voter_has_one_place(voter: u32) {
            let (chunk, place) = chunk_and_place(VoterNumber(voter));
            prop_assert!(chunk.0 <= ChunkNumber::MAX);
            prop_assert_eq!(voter_at(chunk, place), VoterNumber(voter));
        }
    }

    #[test]
    fn a_clone_keeps_what_it_saw_and_shares_the_rest() {
        let mut directory = Directory::<u32>::default();
        for chunk in 0..1_000 {
            *directory.get_mut_or_default(ChunkNumber(chunk)) = chunk;
        }
        let image = directory.clone();
        *directory.get_mut_or_default(ChunkNumber(500)) = 7;
        assert_eq!(image.get(ChunkNumber(500)), Some(&500));
        assert_eq!(directory.get(ChunkNumber(500)), Some(&7));
        let shared = image
            .iter()
            .zip(directory.iter())
            .filter(|(a, b)| std::ptr::eq(a.1, b.1))
            .count();
        assert_eq!(shared, 1_000 - CHUNKS_PER_PAGE as usize);
    }
}
