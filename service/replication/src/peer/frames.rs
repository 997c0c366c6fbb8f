//! Length-prefixed frames in an HTTP body: four bytes of length, big-endian, and as many bytes.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame};

use super::wire::WireError;

/// Bodies of both directions.
pub(super) type PeerBody = UnsyncBoxBody<Bytes, io::Error>;

const LENGTH_BYTES: usize = 4;

pub(super) fn full(bytes: Bytes) -> PeerBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn streamed(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> PeerBody {
    StreamBody::new(stream.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

pub(super) fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("messages are limited to far less than 4 GiB");
    let mut out = BytesMut::with_capacity(LENGTH_BYTES + message.len());
    out.put_u32(length);
    out.put_slice(message);
    out.freeze()
}

/// Why no further frame came out of a body.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the peer's stream broke: {0}")]
    Broken(String),
}

/// Cuts frames out of a body.
pub(super) struct FrameReader<B> {
    body: B,
    buffer: BytesMut,
    frame_bytes_max: usize,
}

impl<B> FrameReader<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    pub(super) fn new(body: B, frame_bytes_max: usize) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            frame_bytes_max,
        }
    }

    /// The next frame; `None` at the end of the body, which is an error in the middle of a frame. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(Some(frame));
            }
            match self.next_piece().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(WireError::Malformed.into()),
            }
        }
    }

    /// The rest of the body as it comes, in pieces, once the frames in front are read.
    pub(super) async fn next_raw(&mut self) -> Result<Option<Bytes>, FrameError> {
        if !self.buffer.is_empty() {
            return Ok(Some(self.buffer.split().freeze()));
        }
        self.next_piece().await
    }

    fn buffered_frame(&mut self) -> Result<Option<Bytes>, WireError> {
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > self.frame_bytes_max {
            return Err(WireError::TooLong {
                bytes: length,
                bytes_max: self.frame_bytes_max,
            });
        }
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, FrameError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(FrameError::Broken(error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// A whole body of at most `bytes_max`, all of the length that its sender announced. The end of a body says nothing by
/// itself: hyper takes a stream that is reset, or a connection that goes away, with HTTP/2's NO_ERROR for the body's end
/// (RFC 9113 section 8.1), however much of it had come.
pub(super) async fn collect<B>(body: B, bytes_max: usize) -> Result<Bytes, FrameError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let unannounced = || FrameError::Broken("it did not say how long its message is".to_owned());
    let announced = body.size_hint().exact().ok_or_else(unannounced)?;
    let mut reader = FrameReader::new(body, bytes_max);
    let mut whole = BytesMut::new();
    while let Some(piece) = reader.next_piece().await? {
        if whole.len() + piece.len() > bytes_max {
            return Err(WireError::TooLong {
                bytes: whole.len() + piece.len(),
                bytes_max,
            }
            .into());
        }
        whole.extend_from_slice(&piece);
    }
    if whole.len() as u64 != announced {
        let came = whole.len();
        return Err(FrameError::Broken(format!("{came} of {announced} bytes came")));
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::FutureExt;
    use hyper::body::SizeHint;
    use proptest::prelude::*;

    use super::*;

    fn body_of(pieces: Vec<Vec<u8>>) -> PeerBody {
        streamed(futures_util::stream::iter(
            pieces.into_iter().map(|piece| Ok(Bytes::from(piece))),
        ))
    }

    fn read_all(pieces: Vec<Vec<u8>>, frame_bytes_max: usize) -> Result<Vec<Bytes>, FrameError> {
        let mut reader = FrameReader::new(body_of(pieces), frame_bytes_max);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut frames = Vec::new();
            while let Some(frame) = reader.next().await? {
                frames.push(frame);
            }
            Ok(frames)
        })
    }

    proptest! {
        #[test]
        fn frames_come_out_however_the_bytes_are_cut(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            cut in 1_usize..400,
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
            let pieces = stream.chunks(cut).map(<[u8]>::to_vec).collect();
            let frames = read_all(pieces, 300).expect("whole frames");
            prop_assert_eq!(frames, messages.into_iter().map(Bytes::from).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_end_in_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_all(vec![bytes], 100);
        }
    }

    #[test]
    fn a_long_frame_is_refused_before_it_is_read() {
        let refused = read_all(vec![frame(&[0; 101])[..6].to_vec()], 100);
        assert!(matches!(
            refused,
            Err(FrameError::Wire(WireError::TooLong {
                bytes: 101,
                bytes_max: 100
            }))
        ));
    }

    #[test]
    fn a_torn_frame_is_an_error() {
        let torn = read_all(vec![frame(&[7; 10])[..9].to_vec()], 100);
        assert!(matches!(torn, Err(FrameError::Wire(WireError::Malformed))));
    }

    /// Ends like a body whose connection went away with NO_ERROR.
    struct Announced {
        announced: u64,
        came: PeerBody,
    }

    impl Body for Announced {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            Pin::new(&mut self.came).poll_frame(cx)
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.announced)
        }
    }

    fn collected(announced: u64, came: Vec<Vec<u8>>) -> Result<Bytes, FrameError> {
        let came = body_of(came);
        let body = Announced { announced, came };
        collect(body, 100).now_or_never().expect("nothing is waited for")
    }

    #[test]
    fn a_message_that_was_cut_short_is_none() {
        let pieces = || vec![vec![1, 2], vec![3]];
        assert_eq!(
            collected(3, pieces()).expect("all came"),
            Bytes::from_static(&[1, 2, 3])
        );
        for announced in [0, 2, 4, u64::MAX] {
            assert!(matches!(
                collected(announced, pieces()),
                Err(FrameError::Broken(_))
            ));
        }
        let silent = collect(body_of(pieces()), 100).now_or_never().expect("at once");
        assert!(matches!(silent, Err(FrameError::Broken(_))));
    }
}
