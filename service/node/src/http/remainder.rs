//! What is left of a request's body when its answer is there.
//!
//! Who refuses a request by its head reads no body. hyper then ends the connection where the body has not come yet, without a
//! word, and whatever the client sent behind it goes unanswered: of two connections with the same bytes one lives and one
//! does not. So a short rest is read and thrown away before the answer goes, and where it is long or late the answer says
//! that the connection ends (RFC 9112, section 9.6).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderValue, Request, header};
use axum::response::Response;
use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use ostraka_core::limits::{HTTP_BODY_BYTES_MAX, HTTP_REST_MS_MAX};
use parking_lot::Mutex;

/// A request's body, of which [`Remainder`] has the rest. Both are polled by the connection's task, so the lock is never
/// waited for.
pub(super) struct Kept<B>(Arc<Mutex<B>>);

pub(super) struct Remainder<B> {
    body: Arc<Mutex<B>>,
    /// The client sends nothing before it is told to, and is not told so for nothing.
    is_expectant: bool,
}

/// The request with a body whose rest is not lost with it; `None` for the rest where there is no body at all.
pub(super) fn keep<B: Body>(request: Request<B>) -> (Request<Kept<B>>, Option<Remainder<B>>) {
    let is_expectant = request.headers().contains_key(header::EXPECT);
    let mut remainder = None;
    let request = request.map(|body| {
        let is_over = body.is_end_stream();
        let body = Arc::new(Mutex::new(body));
        remainder = (!is_over).then(|| Remainder {
            body: Arc::clone(&body),
            is_expectant,
        });
        Kept(body)
    });
    (request, remainder)
}

impl<B: Body<Data = Bytes> + Unpin> Remainder<B> {
    /// Reads it, or has `response` say that the connection ends.
    pub(super) async fn settle(self, response: &mut Response) {
        let is_over = self.body.lock().is_end_stream();
        if is_over {
            return;
        }
        let is_long = self.body.lock().size_hint().lower() > HTTP_BODY_BYTES_MAX as u64;
        let patience = Duration::from_millis(HTTP_REST_MS_MAX);
        let is_read = !self.is_expectant
            && !is_long
            && tokio::time::timeout(patience, self.read()).await.unwrap_or(false);
        if !is_read {
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Whether it came to its end within the bounds of a body.
    async fn read(&self) -> bool {
        let mut bytes = 0;
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut *self.body.lock()).poll_frame(cx)).await;
            match frame {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Buf::remaining),
            }
            if bytes > HTTP_BODY_BYTES_MAX {
                return false;
            }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Kept<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut *self.0.lock()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().size_hint()
    }
}
