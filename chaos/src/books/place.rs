//! Where a vote stands in the log, as its id says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ostraka_api::VoteId;
use ostraka_core::ids::{EventId, LogIndex, VotePosition};

/// Bytes of an id, of which the last 8 are a seal that only the cluster can make and read.
const ID_BYTES: usize = 23;

/// Event and place that an id stands for; none where it is not of the first format (docs/components/ingest.md).
pub fn place_of(id: &VoteId) -> Option<(EventId, VotePosition)> {
    let bytes = URL_SAFE_NO_PAD.decode(id.as_str()).ok()?;
    if bytes.len() != ID_BYTES || bytes[0] != 1 {
        return None;
    }
    let event = EventId(u32::from_be_bytes(bytes[1..5].try_into().ok()?));
    let index = LogIndex(u64::from_be_bytes(bytes[5..13].try_into().ok()?));
    let offset = u16::from_be_bytes(bytes[13..15].try_into().ok()?);
    Some((event, VotePosition { index, offset }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn id_of(event: EventId, at: VotePosition) -> VoteId {
        let mut bytes = vec![1];
        bytes.extend(event.0.to_be_bytes());
        bytes.extend(at.index.0.to_be_bytes());
        bytes.extend(at.offset.to_be_bytes());
        bytes.extend([9; 8]);
        URL_SAFE_NO_PAD.encode(bytes).parse().unwrap()
    }

    #[test]
    fn an_id_says_its_place() {
        let at = VotePosition {
            index: LogIndex(0x0102),
            offset: 3,
        };
        assert_eq!(place_of(&id_of(EventId(7), at)), Some((EventId(7), at)));
        assert_eq!(place_of(&"abc".parse().unwrap()), None);
    }
}
