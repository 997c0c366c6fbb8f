//! Whether a connection still gets anywhere. One look every few seconds, and no timer for a single request, finds idle
//! connections, slow senders of headers and readers that do not read.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use ostraka_core::limits::{HTTP_STALL_MS_MAX, HTTP_WATCH_MS};

/// What one connection has done so far, and for whom. Written by its own task, read by its own watchdog, its handlers
/// and its streaming bodies.
#[derive(Debug, Default)]
pub struct Progress {
    /// `None` in tests without a socket.
    peer: Option<IpAddr>,
    request_heads: AtomicU64,
    requests_open: AtomicU64,
    writes: AtomicU64,
    write_blocked: AtomicBool,
    room: AtomicWaker,
}

/// A request that is being answered, its streamed body included. The connection counts as busy until this is dropped.
#[derive(Debug)]
pub struct OpenRequest(Arc<Progress>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.requests_open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Progress {
    pub(crate) fn of(peer: IpAddr) -> Self {
        Self {
            peer: Some(peer),
            ..Self::default()
        }
    }

    /// The address at the other end: the client, or the last proxy before this node.
    pub fn peer(&self) -> IpAddr {
        self.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// Whether a request is being answered.
    pub(super) fn is_answering(&self) -> bool {
        self.requests_open.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn begin_request(self: &Arc<Self>) -> OpenRequest {
        self.request_heads.fetch_add(1, Ordering::Relaxed);
        self.keep_busy()
    }

    /// For a body that goes on after its handler has returned.
    pub fn keep_busy(self: &Arc<Self>) -> OpenRequest {
        self.requests_open.fetch_add(1, Ordering::Relaxed);
        OpenRequest(Arc::clone(self))
    }

    /// Ready when the socket takes bytes. A stream asks before it makes its next frame, so that what a slow reader gets
    /// is the newest and never a backlog.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.write_blocked.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.room.register(cx.waker());
        if self.write_blocked.load(Ordering::Acquire) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    pub(super) fn note_write(&self, pending: bool) {
        if pending {
            self.write_blocked.store(true, Ordering::Release);
            return;
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        if self.write_blocked.swap(false, Ordering::AcqRel) {
            self.room.wake();
        }
    }
}

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// No whole request head arrived, and nothing is being answered.
    NoRequest,
    /// An answer waits and the peer takes no byte of it.
    NotReading,
}

/// Looks at one connection every [`Watchdog::PERIOD`].
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    request_heads: u64,
    writes: u64,
    idle_looks: u64,
    blocked_looks: u64,
}

impl Watchdog {
    pub(crate) const PERIOD: Duration = Duration::from_millis(HTTP_WATCH_MS);
    const LOOKS_MAX: u64 = HTTP_STALL_MS_MAX / HTTP_WATCH_MS;

    pub(crate) fn look(&mut self, progress: &Progress) -> Option<Stalled> {
        let request_heads = progress.request_heads.load(Ordering::Relaxed);
        let writes = progress.writes.load(Ordering::Relaxed);
        let nothing_written = writes == self.writes;
        let open = progress.is_answering();
        let blocked = progress.write_blocked.load(Ordering::Relaxed);
        let idle = !open && nothing_written && request_heads == self.request_heads;
        self.idle_looks = if idle { self.idle_looks + 1 } else { 0 };
        self.blocked_looks = if blocked && nothing_written {
            self.blocked_looks + 1
        } else {
            0
        };
        self.request_heads = request_heads;
        self.writes = writes;
        if self.blocked_looks >= Self::LOOKS_MAX {
            return Some(Stalled::NotReading);
        }
        (self.idle_looks >= Self::LOOKS_MAX).then_some(Stalled::NoRequest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks_until_given_up(progress: &Progress, looks_max: u64) -> Option<(u64, Stalled)> {
        let mut watchdog = Watchdog::default();
        (1..=looks_max).find_map(|look| watchdog.look(progress).map(|stalled| (look, stalled)))
    }

    #[test]
    fn a_connection_without_a_request_is_given_up_after_the_limit() {
        let progress = Progress::default();
        assert_eq!(
            looks_until_given_up(&progress, 10),
            Some((Watchdog::LOOKS_MAX, Stalled::NoRequest))
        );
    }

    #[test]
    fn a_request_that_is_being_answered_keeps_the_connection() {
        let progress = Arc::new(Progress::default());
        let open = progress.begin_request();
        assert_eq!(looks_until_given_up(&progress, 100), None);
        drop(open);
        assert!(looks_until_given_up(&progress, 100).is_some());
    }

    #[test]
    fn a_reader_that_takes_nothing_is_given_up_although_its_stream_is_open() {
        let progress = Arc::new(Progress::default());
        let _open = progress.begin_request();
        progress.note_write(true);
        assert_eq!(
            looks_until_given_up(&progress, 10),
            Some((Watchdog::LOOKS_MAX, Stalled::NotReading))
        );
        progress.note_write(false);
        assert_eq!(looks_until_given_up(&progress, 10), None);
    }

    #[test]
    fn a_blocked_stream_is_woken_when_the_socket_takes_bytes_again() {
        let progress = Progress::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(progress.poll_room(&mut cx).is_ready());
        progress.note_write(true);
        assert!(progress.poll_room(&mut cx).is_pending());
        progress.note_write(false);
        assert!(progress.poll_room(&mut cx).is_ready());
    }
}
