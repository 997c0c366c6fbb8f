//! A vote's position in eight bytes, with eight bits to spare for whoever stores it.

use crate::ids::{LogIndex, VotePosition};

const SPARE_BITS: u32 = 8;
const OFFSET_BITS: u32 = 14;
const INDEX_BITS: u32 = 42;
const _: () = assert!(SPARE_BITS + OFFSET_BITS + INDEX_BITS == u64::BITS);
const _: () = assert!(crate::limits::BATCH_VOTES_MAX <= 1 << OFFSET_BITS);

/// 42 bits of log index (at 250 entries a second: 557 years), 14 of offset, 8 spare.
/// The spare bits are the lowest, so packed positions sort like positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PackedPosition(pub(crate) u64);

impl PackedPosition {
    /// # Panics
    /// If the log index needs more than 42 bits or the offset more than 14: no log that this program applies has them.
    pub(crate) fn new(position: VotePosition, spare: u8) -> Self {
        assert!(position.index.0 < 1 << INDEX_BITS, "a log index fits 42 bits");
        assert!(position.offset < 1 << OFFSET_BITS, "an offset fits 14 bits");
        let index = position.index.0 << (OFFSET_BITS + SPARE_BITS);
        PackedPosition(index | u64::from(position.offset) << SPARE_BITS | u64::from(spare))
    }

    pub(crate) fn position(self) -> VotePosition {
        let offset = (self.0 >> SPARE_BITS) & ((1 << OFFSET_BITS) - 1);
        VotePosition {
            index: LogIndex(self.0 >> (OFFSET_BITS + SPARE_BITS)),
            offset: offset as u16,
        }
    }

    pub(crate) fn spare(self) -> u8 {
        self.0 as u8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_position_unpacks_to_itself(index in 0u64..1 << 42, offset in 0u16..1 << 14, spare: u8) {
            let position = VotePosition { index: LogIndex(index), offset };
            let packed = PackedPosition::new(position, spare);
            prop_assert_eq!(packed.position(), position);
            prop_assert_eq!(packed.spare(), spare);
        }
    }
}
