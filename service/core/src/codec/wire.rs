//! Little-endian reading and writing. The reader never looks past its slice and never allocates on the word of a length
//! that the slice cannot hold.

use super::CodecError;

/// Appends fields to a byte vector.
pub(crate) trait ByteWriter {
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    fn put_u128(&mut self, value: u128);
    /// Four bytes of count.
    fn put_count(&mut self, count: usize);
    /// Four bytes of length, then the text.
    fn put_text(&mut self, text: &str);
}

impl ByteWriter for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u128(&mut self, value: u128) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_count(&mut self, count: usize) {
        self.put_u32(u32::try_from(count).expect("counts are bounded by limits far below 4 billion"));
    }

    fn put_text(&mut self, text: &str) {
        self.put_count(text.len());
        self.extend_from_slice(text.as_bytes());
    }
}

/// Takes fields off the front of a slice.
pub(crate) struct ByteReader<'a> {
    rest: &'a [u8],
}

impl<'a> ByteReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        ByteReader { rest: bytes }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(CodecError::EndsEarly)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, CodecError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128, CodecError> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// A count of things of which each takes at least `bytes_each_min` of what follows, so that it is safe to allocate
    /// for.
    pub(crate) fn count(
        &mut self,
        what: &'static str,
        max: usize,
        bytes_each_min: usize,
    ) -> Result<usize, CodecError> {
        let found = self.u32()?;
        let count = found as usize;
        if count > max {
            return Err(CodecError::OverLimit {
                what,
                found: u64::from(found),
                max: max as u64,
            });
        }
        if count * bytes_each_min > self.rest.len() {
            return Err(CodecError::EndsEarly);
        }
        Ok(count)
    }

    pub(crate) fn text(&mut self, what: &'static str, bytes_max: usize) -> Result<String, CodecError> {
        let length = self.count(what, bytes_max, 1)?;
        let (head, rest) = self.rest.split_at(length);
        self.rest = rest;
        std::str::from_utf8(head)
            .map(str::to_owned)
            .map_err(|_| CodecError::NotUtf8(what))
    }

    /// Nothing may follow.
    pub(crate) fn finish(self) -> Result<(), CodecError> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(CodecError::TrailingBytes(more)),
        }
    }
}
