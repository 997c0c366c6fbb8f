//! Vote ids that describe themselves: where the vote stands in the log, in which event, and a short MAC, so that a
//! forged or foreign id is found out without a lookup and no index is kept beside the log.
//!
//! 23 bytes, big-endian, as 31 characters of URL-safe base64: format (1), event (4), log index (8), offset (2), MAC (8:
//! HMAC-SHA-256, RFC 2104, cut to its left 64 bits, over the 15 bytes before it). One guess in 2^64 is right, and a right
//! one would show its finder nothing: a status is told to the vote's own voter only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use ostraka_core::{EventId, LogIndex, VotePosition};
use sha2::Sha256;

use crate::secrets::SecretKey;

const FORMAT: u8 = 1;
const PLACE_BYTES: usize = 15;
const MAC_BYTES: usize = 8;
const ID_BYTES: usize = PLACE_BYTES + MAC_BYTES;
/// Characters of a vote id.
pub const VOTE_ID_CHARS: usize = 31;

/// Why a text is not the id of a vote of this cluster. Both terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoteIdError {
    #[error("a vote id has {VOTE_ID_CHARS} URL-safe characters")]
    Malformed,
    #[error("this service has not given out this vote id")]
    NotOurs,
}

/// A vote id as text, without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VoteIdText([u8; VOTE_ID_CHARS]);

impl VoteIdText {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64 is ASCII")
    }
}

/// Makes and reads vote ids.
#[derive(Clone)]
pub struct VoteIds {
    // The key is hashed in once; each id clones this state.
    keyed: Hmac<Sha256>,
}

impl VoteIds {
    pub fn new(key: &SecretKey) -> Self {
        Self {
            keyed: Hmac::new_from_slice(&key.0).expect("HMAC takes a key of any length"),
        }
    }

    pub fn encode(&self, event: EventId, position: VotePosition) -> VoteIdText {
        let mut id = [0; ID_BYTES];
        id[0] = FORMAT;
        id[1..5].copy_from_slice(&event.0.to_be_bytes());
        id[5..13].copy_from_slice(&position.index.0.to_be_bytes());
        id[13..15].copy_from_slice(&position.offset.to_be_bytes());
        let mac = self
            .keyed
            .clone()
            .chain_update(&id[..PLACE_BYTES])
            .finalize()
            .into_bytes();
        id[PLACE_BYTES..].copy_from_slice(&mac[..MAC_BYTES]);
        let mut text = [0; VOTE_ID_CHARS];
        let length = URL_SAFE_NO_PAD
            .encode_slice(id, &mut text)
            .expect("31 characters hold 23 bytes");
        assert_eq!(length, VOTE_ID_CHARS, "23 bytes are 31 characters of base64");
        VoteIdText(text)
    }

    pub fn decode(&self, text: &str) -> Result<(EventId, VotePosition), VoteIdError> {
        let mut id = [0; ID_BYTES];
        if text.len() != VOTE_ID_CHARS
            || URL_SAFE_NO_PAD.decode_slice(text, &mut id) != Ok(ID_BYTES)
            || id[0] != FORMAT
        {
            return Err(VoteIdError::Malformed);
        }
        let (place, mac) = id.split_at(PLACE_BYTES);
        // Compares in constant time.
        self.keyed
            .clone()
            .chain_update(place)
            .verify_truncated_left(mac)
            .map_err(|_| VoteIdError::NotOurs)?;
        let field = |from: usize, to: usize| {
            id[from..to]
                .iter()
                .fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let event = EventId(field(1, 5) as u32);
        Ok((
            event,
            VotePosition {
                index: LogIndex(field(5, 13)),
                offset: field(13, 15) as u16,
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids() -> VoteIds {
        VoteIds::new(&SecretKey([7; 32]))
    }

    proptest! {
        #[test]
        fn an_id_is_read_back_as_it_was_made(event: u32, index: u64, offset: u16) {
            let position = VotePosition { index: LogIndex(index), offset };
            let text = ids().encode(EventId(event), position);
            prop_assert_eq!(ids().decode(text.as_str()), Ok((EventId(event), position)));
            prop_assert!(text.as_str().parse::<ostraka_api::VoteId>().is_ok());
        }

        #[test]
        fn any_flipped_bit_is_refused(event: u32, index: u64, offset: u16, bit in 0..ID_BYTES * 8) {
            let text = ids().encode(EventId(event), VotePosition { index: LogIndex(index), offset });
            let mut bytes = URL_SAFE_NO_PAD.decode(text.as_str()).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(ids().decode(&URL_SAFE_NO_PAD.encode(bytes)).is_err());
        }

        #[test]
        fn another_text_is_never_the_same_id(event: u32, index: u64, at in 0..VOTE_ID_CHARS, other in "[A-Za-z0-9_=.-]") {
            let text = ids().encode(EventId(event), VotePosition { index: LogIndex(index), offset: 0 });
            let mut changed = text.as_str().to_owned();
            changed.replace_range(at..=at, &other);
            prop_assume!(changed != text.as_str());
            prop_assert!(ids().decode(&changed).is_err());
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".{0,64}") {
            prop_assert!(ids().decode(&text).is_err());
        }
    }

    #[test]
    fn another_clusters_id_is_not_ours_and_rubbish_is_malformed() {
        let position = VotePosition {
            index: LogIndex(12),
            offset: 3,
        };
        let foreign = VoteIds::new(&SecretKey([8; 32])).encode(EventId(1), position);
        assert_eq!(ids().decode(foreign.as_str()), Err(VoteIdError::NotOurs));
        assert_eq!(ids().decode("17"), Err(VoteIdError::Malformed));
        assert_eq!(
            ids().decode(&"!".repeat(VOTE_ID_CHARS)),
            Err(VoteIdError::Malformed)
        );
    }
}
