//! A seal: a numbered mark that a writer puts behind what it writes, before the barrier.
//!
//! The engine does not tell how far its file is durable. So the writer stores a number that only grows as the last thing
//! before each barrier, and keeps the newest number outside the engine once the barrier has passed. A walk that finds
//! this number, or a higher one, among messages whose checksums are right has found all that was durable, for the engine
//! writes its messages in order.

/// Tells a seal from what else a page holds.
const MAGIC: [u8; 8] = *b"Ost-seal";
const SEAL_BYTES: usize = 20;
/// Seals stand in a page of few and short values; larger ones are not searched.
const PAGE_BYTES_MAX: usize = 1_024;

/// The stored value: magic (8 bytes), number (8, big-endian), CRC-32 of both (4).
pub fn encode(number: u64) -> [u8; SEAL_BYTES] {
    let mut seal = [0; SEAL_BYTES];
    seal[..8].copy_from_slice(&MAGIC);
    seal[8..16].copy_from_slice(&number.to_be_bytes());
    let crc = crc32fast::hash(&seal[..16]);
    seal[16..].copy_from_slice(&crc.to_be_bytes());
    seal
}

/// The number; `None` where the bytes are no seal.
pub fn decode(bytes: &[u8]) -> Option<u64> {
    let seal: &[u8; SEAL_BYTES] = bytes.try_into().ok()?;
    let number = u64::from_be_bytes(*seal[8..].first_chunk()?);
    (*seal == encode(number)).then_some(number)
}

/// The highest seal in a stored page or change.
pub(super) fn newest_in(page: &[u8]) -> Option<u64> {
    if page.len() > PAGE_BYTES_MAX {
        return None;
    }
    page.windows(SEAL_BYTES)
        .filter(|window| window.starts_with(&MAGIC))
        .filter_map(decode)
        .max()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_seal_is_read_back_and_found(number: u64, before in proptest::collection::vec(any::<u8>(), 0..99)) {
            let page = [&before[..], &encode(number), &before[..]].concat();
            prop_assert_eq!(decode(&encode(number)), Some(number));
            prop_assert_eq!(newest_in(&page), Some(number));
        }

        #[test]
        fn a_flipped_bit_makes_it_none(number: u64, place in 0..SEAL_BYTES, bit in 0..8) {
            let mut seal = encode(number);
            seal[place] ^= 1_u8 << bit;
            prop_assert_eq!(decode(&seal), None);
        }
    }
}
