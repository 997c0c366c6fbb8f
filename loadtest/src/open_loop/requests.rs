//! Requests that are ready to be sent.

use std::ops::Range;

use crate::issuer::Issuer;
use crate::wire::VoteTemplate;

/// One after the other, in one piece of memory.
pub(super) struct Requests {
    bytes: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Requests {
    /// One vote of each voter.
    pub(super) fn render(template: &VoteTemplate, issuer: &Issuer, voters: Range<u32>) -> Self {
        let mut requests = Self {
            bytes: String::new(),
            ends: Vec::with_capacity(voters.len()),
        };
        for voter in voters {
            template.render_into(issuer, voter, &mut requests.bytes);
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
        let requests = Requests::render(&template, &issuer, 8..12);
        for (number, voter) in (8..12).enumerate() {
            let mut alone = String::new();
            template.render_into(&issuer, voter, &mut alone);
            assert_eq!(requests.get(number), alone.as_bytes());
        }
    }
}
