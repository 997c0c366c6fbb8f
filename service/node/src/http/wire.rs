//! A connection's socket, what came from it, and the answers on their way to it.
//!
//! What comes is looked at here before hyper sees it, so that the lane ([`super::lane`]) may answer some of it by itself.
//! hyper gets as many bytes as it is granted: one request, or all that comes.
//!
//! hyper writes into a buffer here, and the buffer goes to the socket in one write when hyper has done all it can for
//! the moment. So pipelined requests cost one write for as many answers as are ready, and no answer waits for a later
//! request. hyper can gather answers by itself (`pipeline_flush`), but then keeps those that it holds while bytes of a
//! further request wait, and drops them when those bytes turn out to be no request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use ostraka_core::limits::{HTTP_BUFFER_BYTES_MAX, HTTP_READ_BYTES_MIN};
use ostraka_replication::BoxIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::progress::Progress;

/// One end is hyper's, which reads and writes; the other is the connection's task, which sends. Both are polled by that
/// one task, so the lock is never waited for.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<Socket>>);

struct Socket {
    io: BoxIo,
    /// What came and was not taken yet.
    inbox: BytesMut,
    /// The peer has said that no more comes.
    is_over: bool,
    grant: Grant,
    answers: Vec<u8>,
    /// Bytes of `answers` that the socket has taken.
    sent: usize,
    /// hyper was told to wait for room in the buffer.
    is_full: bool,
    /// hyper has written all that it has encoded: it flushes then, and not before.
    is_flushed: bool,
    progress: Arc<Progress>,
}

/// What hyper may take of what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    Bytes(usize),
    Everything,
}

impl Wire {
    pub(super) fn new(io: BoxIo, progress: Arc<Progress>) -> Self {
        Self(Arc::new(Mutex::new(Socket {
            io,
            inbox: BytesMut::new(),
            is_over: false,
            grant: Grant::Bytes(0),
            answers: Vec::new(),
            sent: 0,
            is_full: false,
            is_flushed: true,
            progress,
        })))
    }

    /// Sends what waits. Pending while the socket takes no more.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_send(cx)
    }

    /// Gives the buffers' memory back where nothing waits in them.
    pub(super) fn rest(&self) {
        let mut socket = self.0.lock();
        if socket.waiting().is_empty() {
            (socket.answers, socket.sent) = (Vec::new(), 0);
        }
        if socket.inbox.is_empty() {
            socket.inbox = BytesMut::new();
        }
    }

    /// Reads what the socket has into the inbox, as far as there is room. Pending where nothing more came.
    pub(super) fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<io::Result<Filled>> {
        self.0.lock().poll_fill(cx)
    }

    /// What came and was not taken yet.
    pub(super) fn with_inbox<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.0.lock().inbox)
    }

    /// Takes bytes off the inbox's front. There must be as many.
    pub(super) fn take_from_inbox(&self, bytes: usize) {
        self.0.lock().inbox.advance(bytes);
    }

    /// Lets hyper take this many bytes of what comes.
    pub(super) fn grant(&self, bytes: usize) {
        self.0.lock().grant = Grant::Bytes(bytes);
    }

    /// Lets hyper take all that comes, from now on.
    pub(super) fn grant_everything(&self) {
        self.0.lock().grant = Grant::Everything;
    }

    /// Whether hyper has taken all that it was granted and keeps no part of an answer: a large one goes to the socket piece
    /// by piece, and nothing of anybody else's may come between.
    pub(super) fn is_at_rest(&self) -> bool {
        let socket = self.0.lock();
        socket.grant == Grant::Bytes(0) && socket.is_flushed
    }

    /// Appends an answer that `write` makes.
    pub(super) fn answer(&self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.0.lock().answers);
    }

    /// Whether so many bytes of answers wait that no more should be made.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.lock().waiting().len() >= HTTP_BUFFER_BYTES_MAX
    }

    /// Puts `answer` behind what waits.
    pub(super) fn push(&self, answer: &[u8]) {
        self.0.lock().answers.extend_from_slice(answer);
    }

    /// Takes back the answer without a body that hyper gives by itself to what it cannot read, where that is the last
    /// thing waiting: its status.
    pub(super) fn take_bare_answer(&self) -> Option<u16> {
        let mut socket = self.0.lock();
        let waiting = socket.waiting();
        let start = waiting
            .windows(BARE_START.len())
            .rposition(|at| at == BARE_START)?;
        let bare = std::str::from_utf8(&waiting[start..]).ok()?;
        if !bare.ends_with("\r\n\r\n") || !bare.contains("\r\ncontent-length: 0\r\n") {
            return None;
        }
        let status = bare.split(' ').nth(1)?.parse().ok()?;
        let end = socket.sent + start;
        socket.answers.truncate(end);
        Some(status)
    }

    /// Sends what waits and ends our direction.
    pub(super) async fn finish(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_send(cx)).await?;
        std::future::poll_fn(|cx| Pin::new(&mut self.0.lock().io).poll_shutdown(cx)).await
    }
}

/// What came of reading into the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    Some,
    /// The inbox holds as much as it may.
    Full,
    /// No more will come.
    Over,
}

/// How hyper's answers of its own begin: they are all errors of the client, in HTTP/1.1.
const BARE_START: &[u8] = b"HTTP/1.1 4";

impl Socket {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Filled>> {
        if self.is_over {
            return Poll::Ready(Ok(Filled::Over));
        }
        let room = HTTP_BUFFER_BYTES_MAX.saturating_sub(self.inbox.len());
        if room == 0 {
            return Poll::Ready(Ok(Filled::Full));
        }
        if self.inbox.capacity() - self.inbox.len() < HTTP_READ_BYTES_MIN {
            self.inbox.reserve(HTTP_READ_BYTES_MIN.max(self.inbox.len()));
        }
        let mut limited = (&mut self.inbox).limit(room);
        Poll::Ready(
            match ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut limited))? {
                0 => {
                    self.is_over = true;
                    Ok(Filled::Over)
                }
                _ => Ok(Filled::Some),
            },
        )
    }

    /// hyper reads: what was granted, from the inbox first.
    fn poll_take(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let granted = match self.grant {
            // It is polled again when there is more for it.
            Grant::Bytes(0) => return Poll::Pending,
            Grant::Bytes(bytes) => bytes,
            Grant::Everything if self.inbox.is_empty() && !self.is_over => {
                return Pin::new(&mut self.io).poll_read(cx, buf);
            }
            Grant::Everything => usize::MAX,
        };
        if self.inbox.is_empty() {
            ready!(self.poll_fill(cx))?;
        }
        let taken = granted.min(buf.remaining()).min(self.inbox.len());
        buf.put_slice(&self.inbox.split_to(taken));
        if let Grant::Bytes(bytes) = &mut self.grant {
            // The end of what comes is the end of a grant, too.
            *bytes = if taken == 0 { 0 } else { *bytes - taken };
        }
        Poll::Ready(Ok(()))
    }

    fn waiting(&self) -> &[u8] {
        &self.answers[self.sent..]
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting().is_empty() {
            let sent = Pin::new(&mut self.io).poll_write(cx, &self.answers[self.sent..]);
            self.progress.note_write(sent.is_pending());
            match ready!(sent)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.answers.clear();
        self.sent = 0;
        if std::mem::take(&mut self.is_full) {
            // The socket has already woken its last waiter, if it ever had one.
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_take(cx, buf)
    }
}

/// Sending is not asked for here: whoever polls hyper sends afterwards.
impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut socket = self.0.lock();
        socket.is_flushed = false;
        let is_large = buf.len() >= HTTP_BUFFER_BYTES_MAX;
        if is_large || socket.waiting().len() >= HTTP_BUFFER_BYTES_MAX {
            let sent = socket.poll_send(cx);
            socket.is_full = sent.is_pending();
            ready!(sent)?;
        }
        if is_large {
            let written = Pin::new(&mut socket.io).poll_write(cx, buf);
            socket.progress.note_write(written.is_pending());
            return written;
        }
        // A reader that is always a little behind never lets the buffer run empty.
        let sent = std::mem::take(&mut socket.sent);
        socket.answers.drain(..sent);
        socket.answers.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn wire(room: usize) -> (Wire, tokio::io::DuplexStream) {
        let (near, far) = duplex(room);
        (Wire::new(Box::new(near), Arc::default()), far)
    }

    #[tokio::test]
    async fn only_an_answer_without_a_body_at_the_very_end_is_taken_back() {
        let bare =
            "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let fine = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
        let problem = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
        for (waiting, taken, left) in [
            (fine.to_owned() + bare, Some(431), fine.to_owned()),
            (bare.to_owned(), Some(431), String::new()),
            (fine.to_owned(), None, fine.to_owned()),
            (fine.to_owned() + problem, None, fine.to_owned() + problem),
        ] {
            let (wire, mut far) = wire(1_024);
            wire.push(waiting.as_bytes());
            assert_eq!(wire.take_bare_answer(), taken, "{waiting}");
            wire.finish().await.unwrap();
            let mut sent = String::new();
            far.read_to_string(&mut sent).await.unwrap();
            assert_eq!(sent, left);
        }
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_stops_the_writer_and_gets_every_byte_in_order() {
        let (mut wire, mut far) = wire(1_000);
        let chunks: Vec<Vec<u8>> = (0..40)
            .map(|n| vec![n; HTTP_BUFFER_BYTES_MAX / 9 * usize::from(n % 12)])
            .collect();
        let all = chunks.concat();
        let sender = wire.clone();
        let writing = tokio::spawn(async move {
            for chunk in chunks {
                wire.write_all(&chunk).await.unwrap();
                let held = sender.0.lock().answers.len();
                assert!(held <= 2 * HTTP_BUFFER_BYTES_MAX, "{held} bytes are held");
            }
            sender.finish().await.unwrap();
        });
        tokio::task::yield_now().await;
        assert!(!writing.is_finished());
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        writing.await.unwrap();
        assert!(read == all, "{} bytes of {} came", read.len(), all.len());
    }
}
