//! Requests that are ready to be sent.

use std::ops::Range;

use ostraka_api::ids::TraceId;

use crate::issuer::Issuer;
use crate::wire::VoteTemplate;

/// One after the other, in one piece of memory.
pub(super) struct Requests {
    bytes: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Requests {
    /// One vote of each voter; `trace_of` says by its number whether it is traced.
    pub(super) fn render(
        template: &VoteTemplate,
        issuer: &Issuer,
        voters: Range<u32>,
        trace_of: impl Fn(usize) -> Option<TraceId>,
    ) -> Self {
        let mut requests = Self {
            bytes: String::new(),
            ends: Vec::with_capacity(voters.len()),
        };
        for (number, voter) in voters.enumerate() {
            template.render_traced_into(issuer, voter, trace_of(number), &mut requests.bytes);
            requests.ends.push(requests.bytes.len());
        }
        requests
    }

    /// # Panics
    /// Where there are not so many.
    pub(super) fn get(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes.as_bytes()[start..self.ends[number]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_the_one_of_its_voter() {
        let template = VoteTemplate::new("h", "e1", "e1-c0", "2026-01-01T00:00:00Z");
        let issuer = Issuer::new(&[7; 32], "k1", 1);
        let trace_of = |number: usize| (number == 2).then_some(TraceId([3; 16]));
        let requests = Requests::render(&template, &issuer, 8..12, trace_of);
        for (number, voter) in (8..12).enumerate() {
            let mut alone = String::new();
            template.render_traced_into(&issuer, voter, trace_of(number), &mut alone);
            assert_eq!(requests.get(number), alone.as_bytes());
        }
    }
}
