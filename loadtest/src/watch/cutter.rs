//! A stream's bytes, cut into the blocks that they say: HTTP/1.1 head, chunks (RFC 9112, section 7.1), server-sent events.

/// A block is some hundred bytes; whoever never ends one is no service of ours.
const HELD_BYTES_MAX: usize = 1024 * 1024;
const BLOCK_END: &[u8] = b"\n\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Chunks,
    Ended,
}

/// One connection's, between two reads. Where a read brings whole blocks nothing is copied.
#[derive(Debug)]
pub(super) struct Cutter {
    phase: Phase,
    /// The beginning of a head or of a chunk.
    raw: Vec<u8>,
    /// The beginning of a block.
    text: Vec<u8>,
}

impl Cutter {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Head,
            raw: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Whether the server has said that nothing will follow.
    pub(super) fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Takes the next bytes, and hands on each block that they complete.
    ///
    /// # Errors
    /// Where they are no stream, or with what `each` refuses a block.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.raw.is_empty() {
            let taken = self.take(bytes, &mut each)?;
            self.raw.extend_from_slice(&bytes[taken..]);
        } else {
            let mut held = std::mem::take(&mut self.raw);
            held.extend_from_slice(bytes);
            let taken = self.take(&held, &mut each)?;
            held.drain(..taken);
            self.raw = held;
        }
        if self.raw.len().max(self.text.len()) > HELD_BYTES_MAX {
            return Err(format!("no block ended within {HELD_BYTES_MAX} bytes"));
        }
        Ok(())
    }

    /// How many bytes of `bytes` are done with.
    fn take(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<usize, String> {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            match self.phase {
                Phase::Head => match head_bytes(rest)? {
                    Some(head) => {
                        taken += head;
                        self.phase = Phase::Chunks;
                    }
                    None => return Ok(taken),
                },
                Phase::Chunks => match chunk(rest)? {
                    Some((start, 0)) => {
                        taken += start;
                        self.phase = Phase::Ended;
                    }
                    Some((start, length)) => {
                        self.piece(&rest[start..start + length], each)?;
                        taken += start + length + 2;
                    }
                    None => return Ok(taken),
                },
                Phase::Ended => return Ok(bytes.len()),
            }
        }
    }

    fn piece(
        &mut self,
        piece: &[u8],
        each: &mut impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.text.is_empty() {
            let whole = blocks(piece, each)?;
            self.text.extend_from_slice(&piece[whole..]);
        } else {
            self.text.extend_from_slice(piece);
            let whole = blocks(&self.text, each)?;
            self.text.drain(..whole);
        }
        Ok(())
    }
}

/// Hands on the whole blocks at the start of `text`, and says how long they are.
fn blocks(text: &[u8], each: &mut impl FnMut(&[u8]) -> Result<(), String>) -> Result<usize, String> {
    let mut whole = 0;
    while let Some(end) = find(&text[whole..], BLOCK_END) {
        each(&text[whole..whole + end + BLOCK_END.len()])?;
        whole += end + BLOCK_END.len();
    }
    Ok(whole)
}

fn find(text: &[u8], words: &[u8]) -> Option<usize> {
    text.windows(words.len()).position(|window| window == words)
}

/// The length of a head that begins a stream; none while it is not all there.
fn head_bytes(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let first = head.lines().next().unwrap_or_default();
    if !first.starts_with("http/1.1 200 ") {
        return Err(format!("a watcher was answered {first:?}"));
    }
    if !head.contains("\r\ntransfer-encoding: chunked") {
        return Err("the answer to a watcher is not chunked".to_string());
    }
    Ok(Some(end + 4))
}

/// Where the data of the chunk at the start begins, and its length; none while it is not all there.
fn chunk(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let Some(end) = find(&bytes[..bytes.len().min(32)], b"\r\n") else {
        return if bytes.len() < 32 {
            Ok(None)
        } else {
            Err("a chunk does not say its length".to_string())
        };
    };
    let length = std::str::from_utf8(&bytes[..end])
        .ok()
        .and_then(|digits| usize::from_str_radix(digits, 16).ok())
        .filter(|length| *length <= HELD_BYTES_MAX)
        .ok_or("a chunk does not say its length, or one that nobody can want")?;
    let start = end + 2;
    Ok((bytes.len() >= start + length + 2).then_some((start, length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

    fn cut(reads: &[&[u8]]) -> Result<(Vec<String>, bool), String> {
        let mut cutter = Cutter::new();
        let mut found = Vec::new();
        for read in reads {
            cutter.feed(read, |block| {
                found.push(String::from_utf8_lossy(block).into_owned());
                Ok(())
            })?;
        }
        Ok((found, cutter.is_ended()))
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        for (bytes, word) in [
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "503"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", "not chunked"),
            (&format!("{HEAD}xyz\r\n"), "its length"),
            (&format!("{HEAD}ffffffff\r\n"), "its length"),
            (&format!("{HEAD}{}", "0".repeat(40)), "its length"),
        ] {
            let error = cut(&[bytes.as_bytes()]).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "a".repeat(1 << 20));
        let error = cut(&[HEAD.as_bytes(), chunk.as_bytes(), b"1\r\na\r\n"]).unwrap_err();
        assert!(error.contains("no block ended"), "{error}");
    }

    proptest! {
        /// However blocks are put into chunks and chunks into reads, the same blocks come out.
        #[test]
        fn blocks_come_out_as_they_went_in(
            lines in proptest::collection::vec("[a-z: ]{1,40}", 1..8),
            chunk_bytes in 1usize..60, read_bytes in 1usize..90, ends: bool,
        ) {
            let blocks: Vec<String> = lines.iter().map(|line| format!("{line}\n\n")).collect();
            let mut wire = HEAD.to_owned();
            for piece in blocks.concat().as_bytes().chunks(chunk_bytes) {
                wire += &format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap());
            }
            if ends {
                wire += "0\r\n\r\n";
            }
            let reads: Vec<&[u8]> = wire.as_bytes().chunks(read_bytes).collect();
            prop_assert_eq!(cut(&reads), Ok((blocks, ends)));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = cut(&[&bytes]);
            let _ = cut(&[HEAD.as_bytes(), &bytes]);
        }
    }
}
