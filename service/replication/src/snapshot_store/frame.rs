//! The stored form of a snapshot, which is also how it travels to peers.
//!
//! Numbers are big-endian. Header: `OSTRSNAP`, format version (4 bytes), length of the meta data (4), the meta data
//! (openraft's `SnapshotMeta` in postcard), CRC-32 of all before (4). Then chunks: length, 1 to 1,048,576 (4), CRC-32 of
//! the chunk's number (8) and bytes (4), the bytes. Then the trailer: a length of 0 (4), the body's length (8), CRC-32 of
//! the body's length and of all chunks' checksums in order (4). Nothing follows.

use std::io::{self, Read, Write};

use ostraka_core::limits::{SNAPSHOT_FILE_CHUNK_BYTES_MAX, SNAPSHOT_META_BYTES_MAX};

use crate::types::SnapshotMeta;

pub(super) const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"OSTRSNAP";

/// Why bytes are not a snapshot. Terminal for those bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("it does not begin like a snapshot")]
    Magic,
    #[error("it has format {0}, this program reads up to {VERSION}")]
    NewerVersion(u32),
    #[error("its meta data cannot be read")]
    Meta,
    #[error("the checksum of its head does not match")]
    HeadChecksum,
    #[error("chunk {0} is longer than any chunk")]
    ChunkLength(u64),
    #[error("the checksum of chunk {0} does not match")]
    ChunkChecksum(u64),
    #[error("its end does not match its chunks")]
    Trailer,
    #[error("bytes follow its end")]
    BytesAfterEnd,
    #[error("it ends too early")]
    Short,
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// Frames what is written to it.
pub(super) struct FrameWriter<W: Write> {
    out: W,
    chunk: Vec<u8>,
    chunks: u64,
    body_bytes: u64,
    /// Over the chunks' checksums.
    chain: crc32fast::Hasher,
}

fn chunk_crc(number: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn trailer_crc(body_bytes: u64, chain: crc32fast::Hasher) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&body_bytes.to_be_bytes());
    hasher.update(&chain.finalize().to_be_bytes());
    hasher.finalize()
}

impl<W: Write> FrameWriter<W> {
    /// Writes the header.
    pub(super) fn start(mut out: W, meta: &SnapshotMeta) -> io::Result<Self> {
        let meta = postcard::to_stdvec(meta).map_err(io::Error::other)?;
        if meta.len() > SNAPSHOT_META_BYTES_MAX {
            return Err(FrameError::Meta.into());
        }
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_be_bytes());
        head.extend_from_slice(
            &u32::try_from(meta.len())
                .expect("it was just checked")
                .to_be_bytes(),
        );
        head.extend_from_slice(&meta);
        let crc = crc32fast::hash(&head);
        head.extend_from_slice(&crc.to_be_bytes());
        out.write_all(&head)?;
        let chunk = Vec::with_capacity(SNAPSHOT_FILE_CHUNK_BYTES_MAX);
        Ok(Self {
            out,
            chunk,
            chunks: 0,
            body_bytes: 0,
            chain: crc32fast::Hasher::new(),
        })
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let crc = chunk_crc(self.chunks, &self.chunk);
        let length = u32::try_from(self.chunk.len()).expect("a chunk is at most a megabyte");
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&crc.to_be_bytes())?;
        self.out.write_all(&self.chunk)?;
        self.chain.update(&crc.to_be_bytes());
        self.chunks += 1;
        self.body_bytes += u64::from(length);
        self.chunk.clear();
        Ok(())
    }

    /// Writes the trailer; without it the bytes are no snapshot.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.end_chunk()?;
        self.out.write_all(&0_u32.to_be_bytes())?;
        self.out.write_all(&self.body_bytes.to_be_bytes())?;
        self.out
            .write_all(&trailer_crc(self.body_bytes, self.chain).to_be_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for FrameWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(SNAPSHOT_FILE_CHUNK_BYTES_MAX - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == SNAPSHOT_FILE_CHUNK_BYTES_MAX {
            self.end_chunk()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a snapshot's body, checking every chunk before any of its bytes is handed out. The end of file is reported
/// only once the trailer was right.
pub struct SnapshotReader {
    input: Box<dyn Read + Send>,
    meta: SnapshotMeta,
    chunk: Vec<u8>,
    chunk_at: usize,
    chunks: u64,
    body_bytes: u64,
    chain: crc32fast::Hasher,
    ended: bool,
}

impl SnapshotReader {
    /// Of the stored form, wherever it comes from. Reads and checks the header.
    pub fn start(mut input: Box<dyn Read + Send>) -> io::Result<Self> {
        let meta = read_head(&mut input)?;
        Ok(Self {
            input,
            meta,
            chunk: Vec::new(),
            chunk_at: 0,
            chunks: 0,
            body_bytes: 0,
            chain: crc32fast::Hasher::new(),
            ended: false,
        })
    }

    pub fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let length = read_u32(&mut self.input)?;
        if length == 0 {
            return self.read_trailer();
        }
        if length as usize > SNAPSHOT_FILE_CHUNK_BYTES_MAX {
            return Err(FrameError::ChunkLength(self.chunks).into());
        }
        let crc = read_u32(&mut self.input)?;
        self.chunk.resize(length as usize, 0);
        self.chunk_at = self.chunk.len();
        read_exact(&mut self.input, &mut self.chunk)?;
        if chunk_crc(self.chunks, &self.chunk) != crc {
            return Err(FrameError::ChunkChecksum(self.chunks).into());
        }
        self.chunk_at = 0;
        self.chunks += 1;
        self.body_bytes += u64::from(length);
        self.chain.update(&crc.to_be_bytes());
        Ok(())
    }

    fn read_trailer(&mut self) -> io::Result<()> {
        let mut body_bytes = [0; 8];
        read_exact(&mut self.input, &mut body_bytes)?;
        let crc = read_u32(&mut self.input)?;
        let expected = trailer_crc(self.body_bytes, self.chain.clone());
        if u64::from_be_bytes(body_bytes) != self.body_bytes || crc != expected {
            return Err(FrameError::Trailer.into());
        }
        if self.input.read(&mut [0])? != 0 {
            return Err(FrameError::BytesAfterEnd.into());
        }
        self.chunk.clear();
        self.chunk_at = 0;
        self.ended = true;
        Ok(())
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.chunk_at == self.chunk.len() && !self.ended && !out.is_empty() {
            self.next_chunk()?;
        }
        let taken = out.len().min(self.chunk.len() - self.chunk_at);
        out[..taken].copy_from_slice(&self.chunk[self.chunk_at..self.chunk_at + taken]);
        self.chunk_at += taken;
        Ok(taken)
    }
}

fn read_exact(input: &mut impl Read, out: &mut [u8]) -> io::Result<()> {
    input.read_exact(out).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Short.into(),
        _ => error,
    })
}

fn read_u32(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    read_exact(input, &mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn read_head(input: &mut impl Read) -> io::Result<SnapshotMeta> {
    let mut head = vec![0; MAGIC.len() + 8];
    read_exact(input, &mut head)?;
    if head[..8] != MAGIC {
        return Err(FrameError::Magic.into());
    }
    let number = |at: usize, head: &[u8]| {
        u32::from_be_bytes(head[at..at + 4].try_into().expect("the head has 16 bytes"))
    };
    let version = number(8, &head);
    if version != VERSION {
        return Err(FrameError::NewerVersion(version).into());
    }
    let meta_bytes = number(12, &head) as usize;
    if meta_bytes > SNAPSHOT_META_BYTES_MAX {
        return Err(FrameError::Meta.into());
    }
    let meta_at = head.len();
    head.resize(meta_at + meta_bytes, 0);
    read_exact(input, &mut head[meta_at..])?;
    if read_u32(input)? != crc32fast::hash(&head) {
        return Err(FrameError::HeadChecksum.into());
    }
    postcard::from_bytes(&head[meta_at..]).map_err(|_| FrameError::Meta.into())
}

/// The [`FrameError`] inside an I/O error, if that is what it is.
pub(super) fn frame_error(error: &io::Error) -> Option<&FrameError> {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<FrameError>())
}
