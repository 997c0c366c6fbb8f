//! Trace ids that say which vote they belong to and when it was to begin, so that whoever sees one on a stream needs no table.

use std::time::Duration;

use ostraka_api::ids::TraceId;

/// Which votes of a run are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traced {
    run: u32,
    /// The first vote of each thread, and from there on one in so many.
    pub(crate) one_in: usize,
}

impl Traced {
    /// `chance` tells this run's traces from all others'.
    pub(crate) const fn new(chance: u32, one_in: usize) -> Self {
        Self {
            // An id of zeros only would be none.
            run: chance | 1,
            one_in: if one_in == 0 { 1 } else { one_in },
        }
    }

    /// The trace of the `nth` traced vote.
    pub(crate) fn id(self, nth: u32, intended: Duration) -> TraceId {
        let nanos = u64::try_from(intended.as_nanos()).expect("no run lasts for centuries");
        let id = u128::from(self.run) << 96 | u128::from(nth) << 64 | u128::from(nanos);
        TraceId(id.to_be_bytes())
    }

    /// Which traced vote that was, and when it was to begin; none where it is not of this run.
    pub(crate) fn read(self, id: TraceId) -> Option<(u32, Duration)> {
        let id = u128::from_be_bytes(id.0);
        let is_ours = (id >> 96) as u32 == self.run;
        is_ours.then(|| ((id >> 64) as u32, Duration::from_nanos(id as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_trace_says_what_it_was_given_and_only_to_its_run(chance: u32, nth: u32, nanos: u64) {
            let traced = Traced::new(chance, 7);
            let intended = Duration::from_nanos(nanos);
            let id = traced.id(nth, intended);
            prop_assert!(id.0 != [0; 16]);
            prop_assert_eq!(traced.read(id), Some((nth, intended)));
            prop_assert_eq!(Traced::new(chance ^ 2, 7).read(id), None);
        }
    }
}
