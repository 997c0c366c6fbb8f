//! How the log's few single facts stand on disk: Raft's own vote, and log ids.
//!
//! Each value: format version (1 byte), fields big-endian, CRC-32 of all before it (4 bytes).

use crate::types::{LogId, NodeNumber, RaftVote};

const VERSION: u8 = 1;
const CRC_BYTES: usize = 4;

/// Why stored bytes are not what they should be. Terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    #[error("a stored position has {0} bytes, which is no known length")]
    Length(usize),
    #[error("a stored position has the version {0}, this program reads {VERSION}")]
    Version(u8),
    #[error("the checksum of a stored position does not match")]
    Checksum,
    #[error("a stored vote's flag is {0}, neither 0 nor 1")]
    Flag(u8),
}

pub fn encode_log_id(log_id: &LogId) -> Vec<u8> {
    seal(&[**log_id.committed_leader_id(), log_id.index], None)
}

pub fn decode_log_id(bytes: &[u8]) -> Result<LogId, MetaError> {
    let fields = unseal(bytes, 16)?;
    Ok(LogId::new_term_index(number(fields, 0), number(fields, 1)))
}

pub fn encode_vote(vote: &RaftVote) -> Vec<u8> {
    seal(
        &[vote.leader_id.term, vote.leader_id.voted_for.0],
        Some(u8::from(vote.committed)),
    )
}

pub fn decode_vote(bytes: &[u8]) -> Result<RaftVote, MetaError> {
    let fields = unseal(bytes, 17)?;
    let (term, node) = (number(fields, 0), NodeNumber(number(fields, 1)));
    match fields[16] {
        0 => Ok(RaftVote::new(term, node)),
        1 => Ok(RaftVote::new_committed(term, node)),
        flag => Err(MetaError::Flag(flag)),
    }
}

fn seal(numbers: &[u64], flag: Option<u8>) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for number in numbers {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend(flag);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

fn unseal(bytes: &[u8], fields_bytes: usize) -> Result<&[u8], MetaError> {
    match bytes.first() {
        Some(&version) if version != VERSION => return Err(MetaError::Version(version)),
        _ => {}
    }
    if bytes.len() != 1 + fields_bytes + CRC_BYTES {
        return Err(MetaError::Length(bytes.len()));
    }
    let (sealed, crc) = bytes.split_at(bytes.len() - CRC_BYTES);
    if crc32fast::hash(sealed).to_be_bytes() != crc {
        return Err(MetaError::Checksum);
    }
    Ok(&sealed[1..])
}

fn number(fields: &[u8], position: usize) -> u64 {
    let at = position * 8;
    u64::from_be_bytes(fields[at..at + 8].try_into().expect("the length was checked"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn come_back_as_they_went(term: u64, index: u64, node: u64, committed: bool) {
            let log_id = LogId::new_term_index(term, index);
            prop_assert_eq!(decode_log_id(&encode_log_id(&log_id)), Ok(log_id));
            let mut vote = RaftVote::new(term, NodeNumber(node));
            vote.committed = committed;
            prop_assert_eq!(decode_vote(&encode_vote(&vote)), Ok(vote));
        }

        #[test]
        fn a_flipped_bit_is_found_out(term: u64, index: u64, at in 0_usize..21, bit in 0_u8..8) {
            let mut bytes = encode_log_id(&LogId::new_term_index(term, index));
            bytes[at] ^= 1 << bit;
            prop_assert!(decode_log_id(&bytes).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode_log_id(&bytes);
            let _ = decode_vote(&bytes);
        }
    }

    /// A vote is not a log id, although both are numbers.
    #[test]
    fn one_is_not_taken_for_the_other() {
        assert!(decode_vote(&encode_log_id(&LogId::new_term_index(1, 2))).is_err());
        assert!(decode_log_id(&encode_vote(&RaftVote::new(1, NodeNumber(2)))).is_err());
    }
}
