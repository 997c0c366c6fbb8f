//! Whose tokens are revoked, as every request looks it up: no lock, and no wait for whoever changes it (record 0071).
//!
//! Identity's machine writes what its state says; whoever verifies tokens reads. A node without identity's log has nothing
//! here and refuses nobody.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ostraka_core::limits::REVOKED_PARTS;
use ostraka_core::{LogIndex, VoterNumber};

/// Of some accounts, in order, the entry that revoked what was signed before it.
type Part = Vec<(VoterNumber, LogIndex)>;

/// Cheap to read; to change one account copies the part that it lies in.
pub struct Revoked {
    /// By the voter's number, whose lower bits are evenly spread: numbers have no gaps.
    parts: Box<[ArcSwap<Part>]>,
}

impl Default for Revoked {
    fn default() -> Self {
        let empty = Arc::new(Part::new());
        let parts = (0..REVOKED_PARTS).map(|_| ArcSwap::new(Arc::clone(&empty)));
        Self {
            parts: parts.collect(),
        }
    }
}

impl Revoked {
    /// Whether a token of `voter`'s is revoked that was signed when the log was applied up to `known_to`.
    pub fn is_revoked(&self, voter: VoterNumber, known_to: LogIndex) -> bool {
        let part = self.part(voter).load();
        // Mostly there is nothing.
        !part.is_empty()
            && part
                .binary_search_by_key(&voter, |(of, _)| *of)
                .is_ok_and(|place| known_to < part[place].1)
    }

    /// One writer at a time: identity's machine is changed under its lock.
    pub(crate) fn put(&self, voter: VoterNumber, at: LogIndex) {
        let mut part = Part::clone(&self.part(voter).load());
        match part.binary_search_by_key(&voter, |(of, _)| *of) {
            Ok(place) => part[place].1 = at,
            Err(place) => part.insert(place, (voter, at)),
        }
        self.part(voter).store(Arc::new(part));
    }

    pub(crate) fn forget(&self, voter: VoterNumber) {
        let mut part = Part::clone(&self.part(voter).load());
        part.retain(|(of, _)| *of != voter);
        self.part(voter).store(Arc::new(part));
    }

    /// Takes these in place of all that there were. They come in order of their voters.
    pub(crate) fn replace(&self, all: impl Iterator<Item = (VoterNumber, LogIndex)>) {
        let mut parts = vec![Part::new(); REVOKED_PARTS];
        for (voter, at) in all {
            parts[place_of(voter)].push((voter, at));
        }
        for (place, mut part) in parts.into_iter().enumerate() {
            part.sort_unstable();
            self.parts[place].store(Arc::new(part));
        }
    }

    fn part(&self, voter: VoterNumber) -> &ArcSwap<Part> {
        &self.parts[place_of(voter)]
    }
}

fn place_of(voter: VoterNumber) -> usize {
    voter.0 as usize % REVOKED_PARTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Voters that share parts and that do not.
    fn voter(number: u32) -> VoterNumber {
        VoterNumber(1 + number % 4 + REVOKED_PARTS as u32 * (number / 4))
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Put(u32, u64),
        Forget(u32),
        Replace,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u32..16, 1u64..9).prop_map(|(voter, at)| Step::Put(voter, at)),
            2 => (0u32..16).prop_map(Step::Forget),
            1 => Just(Step::Replace),
        ]
    }

    proptest! {
        #[test]
        fn it_says_what_a_map_says(steps in proptest::collection::vec(any_step(), 0..60)) {
            let (revoked, mut map) = (Revoked::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Put(number, at) => {
                        revoked.put(voter(number), LogIndex(at));
                        map.insert(voter(number), LogIndex(at));
                    }
                    Step::Forget(number) => {
                        revoked.forget(voter(number));
                        map.remove(&voter(number));
                    }
                    Step::Replace => revoked.replace(map.iter().map(|(voter, at)| (*voter, *at))),
                }
                for number in 0..16 {
                    for known_to in 0..9 {
                        let expected = map.get(&voter(number)).is_some_and(|at| known_to < at.0);
                        prop_assert_eq!(revoked.is_revoked(voter(number), LogIndex(known_to)), expected);
                    }
                }
            }
        }
    }

    /// Readers never see an account as not revoked while another of its part comes and goes.
    #[test]
    fn a_revoked_token_stays_revoked_while_others_change() {
        let revoked = Revoked::default();
        revoked.put(voter(0), LogIndex(5));
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut looks = 0u64;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    assert!(revoked.is_revoked(voter(0), LogIndex(4)));
                    assert!(!revoked.is_revoked(voter(0), LogIndex(5)));
                    looks += 1;
                }
                looks
            });
            for round in 0..2_000 {
                revoked.put(voter(4 * (round % 7 + 1)), LogIndex(u64::from(round)));
                revoked.forget(voter(4 * (round % 5 + 1)));
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(reader.join().unwrap() > 0);
        });
    }
}
