//! The bytes of batches and outcomes. They lie on disks for years and travel between nodes of different versions, so:
//! little-endian, a version byte first, and codes that are written out here and never reused.

mod codes;
mod command;
mod outcome;
mod wire;

pub use command::{BATCH_HEAD_BYTES, BATCH_VERSION};
pub use outcome::{OUTCOMES_VERSION, decode_outcomes, encode_outcomes};

pub(crate) use codes::{STATUS_CODES, VERDICT_CODES, code_of, value_of};
pub(crate) use command::{decode_new_event, encode_new_event, new_event_len};
pub(crate) use wire::{ByteReader, ByteWriter};

/// Why bytes are not what they claim to be. Each is terminal: the same bytes never decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("{what} has format version {found}, this program knows {known}")]
    UnknownVersion {
        what: &'static str,
        found: u8,
        known: u8,
    },
    #[error("{what} has the unknown code {found}")]
    UnknownCode { what: &'static str, found: u8 },
    #[error("{what}: {found} is over the limit of {max}")]
    OverLimit {
        what: &'static str,
        found: u64,
        max: u64,
    },
    #[error("the bytes end early")]
    EndsEarly,
    #[error("{0} bytes follow after the end")]
    TrailingBytes(usize),
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
}
