//! The text forms of ids, as clients see them: `e17`, `e17-c3`, `u42`. One id has one text; nothing else is accepted,
//! so that two different texts never mean the same thing (in a cache, a log search or a signature).

use std::fmt;
use std::str::FromStr;

use super::{ContestantId, ContestantIndex, EventId, LogIndex, VoterNumber};

/// Terminal: the text is not an id of the wanted kind. The sentence says what one looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    #[error("not an event id: expected the letter e and a number, such as e17")]
    Event,
    #[error("not a contestant id: expected an event id and a place, such as e17-c3")]
    Contestant,
    #[error("not a user id: expected the letter u and a number, such as u42")]
    Voter,
}

/// The number after `letter`, if it is written as `Display` writes it: digits only, no sign, no leading zero.
fn canonical_number<N: FromStr>(text: &str, letter: char) -> Option<N> {
    let digits = text.strip_prefix(letter)?;
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    // Checked by hand because the standard parser takes a leading plus.
    if leading_zero || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

impl FromStr for EventId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        canonical_number(text, 'e')
            .map(EventId)
            .ok_or(ParseIdError::Event)
    }
}

impl fmt::Display for ContestantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-c{}", self.event, self.contestant.0)
    }
}

impl FromStr for ContestantId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let parse = || {
            let (event, place) = text.split_once('-')?;
            let contestant = ContestantIndex(canonical_number(place, 'c')?);
            Some(ContestantId {
                event: event.parse().ok()?,
                contestant,
            })
        };
        parse().ok_or(ParseIdError::Contestant)
    }
}

impl fmt::Display for VoterNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u{}", self.0)
    }
}

impl FromStr for VoterNumber {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        canonical_number(text, 'u')
            .map(VoterNumber)
            .ok_or(ParseIdError::Voter)
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_id_reads_back_from_its_text(event: u32, contestant: u16, voter: u32) {
            let event = EventId(event);
            let contestant = ContestantId { event, contestant: ContestantIndex(contestant) };
            let voter = VoterNumber(voter);
            prop_assert_eq!(event.to_string().parse(), Ok(event));
            prop_assert_eq!(contestant.to_string().parse(), Ok(contestant));
            prop_assert_eq!(voter.to_string().parse(), Ok(voter));
        }

        #[test]
        fn what_parses_is_written_the_same(text in "[eu+0-]{0,2}[0-9]{0,11}(-c?[+]?[0-9]{0,6})?") {
            if let Ok(id) = text.parse::<EventId>() {
                prop_assert_eq!(id.to_string(), text.clone());
            }
            if let Ok(id) = text.parse::<ContestantId>() {
                prop_assert_eq!(id.to_string(), text.clone());
            }
            if let Ok(id) = text.parse::<VoterNumber>() {
                prop_assert_eq!(id.to_string(), text.clone());
            }
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "e",
            "17",
            "E17",
            "e+1",
            "e-1",
            "e01",
            "e00",
            "e4294967296",
            " e1",
            "e1 ",
            "e１",
            "u1",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(ParseIdError::Event), "{text:?}");
        }
        for text in [
            "e1",
            "e1-",
            "e1-c",
            "e1-3",
            "e1-c03",
            "e1-c65536",
            "e01-c1",
            "e1-c1-c1",
            "e1c1",
            "-c1",
        ] {
            assert_eq!(
                text.parse::<ContestantId>(),
                Err(ParseIdError::Contestant),
                "{text:?}"
            );
        }
        for text in ["", "u", "42", "u042", "u-1", "e42"] {
            assert_eq!(text.parse::<VoterNumber>(), Err(ParseIdError::Voter), "{text:?}");
        }
        assert_eq!("e0".parse(), Ok(EventId(0)));
        assert_eq!(
            "e17-c3".parse(),
            Ok(ContestantId {
                event: EventId(17),
                contestant: ContestantIndex(3)
            })
        );
    }
}
