//! The form of a backup: a header that says which parts follow and how long each is, the parts, and checksums of all.
//!
//! `OSTRBKUP`, version (4 bytes), length of the header (4), the header ([`Header`] as JSON), SHA-256 of all before; for
//! each part its bytes and their SHA-256; at the end the SHA-256 of all those checksums in order. Nothing follows.
//! Numbers are big-endian. A part is read and written piece by piece, whatever its length.

use std::io::{self, Read, Write};

use ostraka_core::limits::{BACKUP_HEADER_BYTES_MAX, BACKUP_PIECE_BYTES};
use sha2::{Digest, Sha256};

use super::{Content, Header};

/// The version that this binary writes, and the newest that it reads.
pub const BACKUP_VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"OSTRBKUP";

/// A checksum as it stands in a backup.
pub type Sum = [u8; 32];

/// Why bytes are not a whole backup. Terminal for these bytes, `Read` and `Write` excepted.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("it is not a backup of Ostraka")]
    NotABackup,
    #[error(
        "it has version {0}, and this program reads up to {BACKUP_VERSION}: use the newer ostraka that wrote it"
    )]
    Newer(u32),
    #[error("its header is damaged ({0})")]
    Header(String),
    #[error("its {0:?} part is damaged: the checksum does not match")]
    Part(Content),
    #[error("its last checksum does not match")]
    Whole,
    #[error("it ends too early: it was cut off")]
    Short,
    #[error("bytes follow its end")]
    BytesAfterEnd,
    #[error("it cannot be read: {0}")]
    Read(io::Error),
    #[error("what was read of it cannot be written: {0}")]
    Write(io::Error),
}

/// Makes the bytes around the parts. The parts' own bytes go out unchanged.
pub struct Encoder {
    part: Sha256,
    whole: Sha256,
}

impl Encoder {
    /// With it the bytes that begin the backup.
    ///
    /// # Errors
    /// The header is longer than one may be.
    pub fn start(header: &Header) -> io::Result<(Self, Vec<u8>)> {
        let text = serde_json::to_vec(header)?;
        if text.len() > BACKUP_HEADER_BYTES_MAX {
            return Err(io::Error::other("a backup's header is too long"));
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&BACKUP_VERSION.to_be_bytes());
        bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&text);
        let sum: Sum = Sha256::digest(&bytes).into();
        bytes.extend_from_slice(&sum);
        let encoder = Self {
            part: Sha256::new(),
            whole: Sha256::new_with_prefix(sum),
        };
        Ok((encoder, bytes))
    }

    /// These bytes are the next of the part.
    pub fn take(&mut self, bytes: &[u8]) {
        self.part.update(bytes);
    }

    /// What stands behind a part's bytes.
    pub fn end_part(&mut self) -> Sum {
        let sum: Sum = self.part.finalize_reset().into();
        self.whole.update(sum);
        sum
    }

    /// What stands behind the last part.
    pub fn end(self) -> Sum {
        self.whole.finalize().into()
    }
}

/// Reads a backup from its beginning to its end, checking every part.
pub struct Decoder<R> {
    input: R,
    header: Header,
    whole: Sha256,
    parts_read: usize,
}

impl<R: Read> Decoder<R> {
    /// Reads the header.
    pub fn start(mut input: R) -> Result<Self, CodecError> {
        let mut bytes = vec![0; MAGIC.len() + 8];
        read_exact(&mut input, &mut bytes)?;
        let number =
            |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("the beginning has 16 bytes"));
        if bytes[..8] != MAGIC {
            return Err(CodecError::NotABackup);
        }
        let (version, length) = (number(8), number(12) as usize);
        if version > BACKUP_VERSION {
            return Err(CodecError::Newer(version));
        }
        if version == 0 || length > BACKUP_HEADER_BYTES_MAX {
            return Err(CodecError::Header(
                "its version or length is impossible".to_owned(),
            ));
        }
        let text_at = bytes.len();
        bytes.resize(text_at + length, 0);
        read_exact(&mut input, &mut bytes[text_at..])?;
        let sum: Sum = Sha256::digest(&bytes).into();
        if read_sum(&mut input)? != sum {
            return Err(CodecError::Header("the checksum does not match".to_owned()));
        }
        let header = serde_json::from_slice(&bytes[text_at..])
            .map_err(|error| CodecError::Header(error.to_string()))?;
        Ok(Self {
            input,
            header,
            whole: Sha256::new_with_prefix(sum),
            parts_read: 0,
        })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Copies the next part to `out`. Only when this returns was it whole. `None` after the last, whose end was checked.
    pub fn part(&mut self, out: &mut dyn Write) -> Result<Option<Content>, CodecError> {
        let Some(part) = self.header.parts.get(self.parts_read).copied() else {
            return self.end().map(|()| None);
        };
        let mut sum = Sha256::new();
        let mut left = part.bytes;
        let mut piece = vec![0; BACKUP_PIECE_BYTES];
        while left > 0 {
            let wanted =
                usize::try_from(left).map_or(BACKUP_PIECE_BYTES, |left| left.min(BACKUP_PIECE_BYTES));
            read_exact(&mut self.input, &mut piece[..wanted])?;
            sum.update(&piece[..wanted]);
            out.write_all(&piece[..wanted]).map_err(CodecError::Write)?;
            left -= wanted as u64;
        }
        let sum: Sum = sum.finalize().into();
        if read_sum(&mut self.input)? != sum {
            return Err(CodecError::Part(part.content));
        }
        self.whole.update(sum);
        self.parts_read += 1;
        Ok(Some(part.content))
    }

    fn end(&mut self) -> Result<(), CodecError> {
        let sum: Sum = self.whole.clone().finalize().into();
        if read_sum(&mut self.input)? != sum {
            return Err(CodecError::Whole);
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(CodecError::BytesAfterEnd),
            Err(error) => Err(CodecError::Read(error)),
        }
    }
}

/// Bytes before the first part.
pub(super) fn head_bytes(header: &Header) -> io::Result<u64> {
    Ok(Encoder::start(header)?.1.len() as u64)
}

/// Bytes of a whole backup with this header.
pub(super) fn all_bytes(header: &Header) -> io::Result<u64> {
    let sum = size_of::<Sum>() as u64;
    let parts = header.parts.iter().map(|part| part.bytes + sum);
    Ok(head_bytes(header)? + parts.sum::<u64>() + sum)
}

fn read_exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), CodecError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => CodecError::Short,
        _ => CodecError::Read(error),
    })
}

fn read_sum(input: &mut impl Read) -> Result<Sum, CodecError> {
    let mut sum = Sum::default();
    read_exact(input, &mut sum)?;
    Ok(sum)
}
