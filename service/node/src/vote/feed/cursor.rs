//! What one subscriber has been told, and what that makes of the next frame.

use bytes::Bytes;
use ostraka_core::LogIndex;

use super::Frame;

/// A subscriber's place. Pure: frames in, bytes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    told: Option<LogIndex>,
    told_final: bool,
}

impl Cursor {
    /// The next block to send of `frame`: a snapshot first, then deltas, or all totals where frames were skipped, then
    /// the final result. Nothing for what was told already, and never an older version. Call again until `None`.
    pub fn next(&mut self, frame: &Frame) -> Option<Bytes> {
        let version = frame.version();
        match self.told {
            None => {
                self.told = Some(version);
                Some(frame.snapshot())
            }
            Some(told) if version > told => {
                self.told = Some(version);
                Some(if frame.previous() == Some(told) {
                    frame.delta()
                } else {
                    frame.full()
                })
            }
            Some(told) if version == told && frame.is_closed() && !self.told_final => {
                self.told_final = true;
                Some(frame.closed())
            }
            Some(_) => None,
        }
    }

    /// The final result was told: there is no more.
    pub fn is_done(&self) -> bool {
        self.told_final
    }
}
