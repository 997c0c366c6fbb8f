//! Trace context in headers: W3C `traceparent` (Trace Context, level 1) and AWS `X-Amzn-Trace-Id`.
//!
//! Pure: ids that must be new come as arguments.

use ostraka_core::ids::TraceId;
use std::fmt;

/// Id of one span, 8 bytes, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

impl SpanId {
    /// `None` if all bytes are zero, which the standard reserves for "none".
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

/// What one message says of the trace it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    pub trace_id: TraceId,
    /// The sender's span, which is the parent of the receiver's.
    pub span_id: SpanId,
    /// The sender records this trace and asks others to.
    pub sampled: bool,
}

/// What `X-Amzn-Trace-Id` says; a load balancer sends `Root` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AmznTrace {
    pub trace_id: TraceId,
    pub parent: Option<SpanId>,
    /// `None` where the decision is left to the receiver (no `Sampled`, or `?`).
    pub sampled: Option<bool>,
}

/// Where a request's trace id came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceOrigin {
    Traceparent,
    Amzn,
    /// No usable header: the trace begins here.
    Fresh,
}

/// The trace of an incoming request: which trace, whose child, our own span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IncomingTrace {
    /// The context to answer and to hand on: the request's trace id, our span id.
    pub context: TraceContext,
    pub parent: Option<SpanId>,
    pub origin: TraceOrigin,
}

impl IncomingTrace {
    /// Chooses the trace of a request: a valid `traceparent` first, else a valid `X-Amzn-Trace-Id`, else a new trace
    /// that is not sampled. An invalid header counts as none (Trace Context section 4.3), never as an error.
    ///
    /// # Panics
    /// If `fresh_trace` is all zero.
    pub fn choose(
        traceparent: Option<&str>,
        amzn: Option<&str>,
        fresh_trace: TraceId,
        own_span: SpanId,
    ) -> Self {
        assert!(fresh_trace.0 != [0; 16], "a new trace id must not be all zero");
        let ours = |trace_id, sampled| TraceContext {
            trace_id,
            span_id: own_span,
            sampled,
        };
        if let Some(sent) = traceparent.and_then(parse_traceparent) {
            return Self {
                context: ours(sent.trace_id, sent.sampled),
                parent: Some(sent.span_id),
                origin: TraceOrigin::Traceparent,
            };
        }
        if let Some(sent) = amzn.and_then(parse_amzn) {
            return Self {
                context: ours(sent.trace_id, sent.sampled.unwrap_or(false)),
                parent: sent.parent,
                origin: TraceOrigin::Amzn,
            };
        }
        Self {
            context: ours(fresh_trace, false),
            parent: None,
            origin: TraceOrigin::Fresh,
        }
    }
}

/// Reads a `traceparent` (Trace Context section 3.2): `00-<32 hex>-<16 hex>-<2 hex>`, hex in lower case, ids not zero.
/// Later versions are read by their first four fields (section 4.3: versioning), `ff` is invalid.
pub fn parse_traceparent(text: &str) -> Option<TraceContext> {
    let bytes = text.as_bytes();
    if bytes.len() < 55 || bytes[2] != b'-' || bytes[35] != b'-' || bytes[52] != b'-' {
        return None;
    }
    let [version] = hex_bytes::<1>(&bytes[..2])?;
    let ends_well = match version {
        0xff => false,
        0 => bytes.len() == 55,
        _ => bytes.len() == 55 || bytes[55] == b'-',
    };
    if !ends_well {
        return None;
    }
    let trace_id = trace_id_from_hex(&bytes[3..35])?;
    let span_id = SpanId::new(hex_bytes(&bytes[36..52])?)?;
    let [flags] = hex_bytes::<1>(&bytes[53..55])?;
    Some(TraceContext {
        trace_id,
        span_id,
        sampled: flags & 1 == 1,
    })
}

/// Writes a `traceparent`, always version 00; of the flags only `sampled`, the one that version defines.
pub fn format_traceparent(context: TraceContext) -> String {
    let flags = u8::from(context.sampled);
    format!(
        "00-{}-{}-{flags:02x}",
        Hex(&context.trace_id.0),
        Hex(&context.span_id.0)
    )
}

/// Reads `Root=1-<8 hex>-<24 hex>[;Parent=<16 hex>][;Sampled=0|1|?]` in any order; other keys (`Self`, `Lineage`) are
/// skipped. A key that is there twice or whose value is malformed makes the whole header invalid.
/// Format: AWS X-Ray developer guide, "Tracing header".
pub fn parse_amzn(text: &str) -> Option<AmznTrace> {
    let (mut root, mut parent, mut sampled) = (None, None, None);
    for field in text.split(';') {
        let (key, value) = field.trim().split_once('=')?;
        let seen_before = match key {
            "Root" => root.replace(parse_amzn_root(value)?).is_some(),
            "Parent" => {
                let id = (value.len() == 16)
                    .then(|| hex_bytes(value.as_bytes()))
                    .flatten()?;
                parent.replace(SpanId::new(id)?).is_some()
            }
            "Sampled" => sampled.replace(parse_amzn_sampled(value)?).is_some(),
            _ => false,
        };
        if seen_before {
            return None;
        }
    }
    Some(AmznTrace {
        trace_id: root?,
        parent,
        sampled: sampled.flatten(),
    })
}

/// Writes `X-Amzn-Trace-Id` for a context; the first 4 bytes of the trace id stand where AWS puts epoch seconds.
pub fn format_amzn(context: TraceContext) -> String {
    let (time, rest) = context.trace_id.0.split_at(4);
    let sampled = u8::from(context.sampled);
    format!(
        "Root=1-{}-{};Parent={};Sampled={sampled}",
        Hex(time),
        Hex(rest),
        Hex(&context.span_id.0)
    )
}

fn parse_amzn_root(value: &str) -> Option<TraceId> {
    let bytes = value.as_bytes();
    if bytes.len() != 35 || &bytes[..2] != b"1-" || bytes[10] != b'-' {
        return None;
    }
    let (time, rest) = (hex_bytes::<4>(&bytes[2..10])?, hex_bytes::<12>(&bytes[11..])?);
    let mut id = [0; 16];
    id[..4].copy_from_slice(&time);
    id[4..].copy_from_slice(&rest);
    (id != [0; 16]).then_some(TraceId(id))
}

fn parse_amzn_sampled(value: &str) -> Option<Option<bool>> {
    match value {
        "1" => Some(Some(true)),
        "0" => Some(Some(false)),
        "?" => Some(None),
        _ => None,
    }
}

/// Writes a trace id as 32 lower-case hex digits.
pub fn format_trace_id(id: TraceId) -> String {
    Hex(&id.0).to_string()
}

/// Reads a trace id from 32 lower-case hex digits, not all zero.
pub fn parse_trace_id(text: &str) -> Option<TraceId> {
    (text.len() == 32)
        .then(|| trace_id_from_hex(text.as_bytes()))
        .flatten()
}

fn trace_id_from_hex(digits: &[u8]) -> Option<TraceId> {
    let id = hex_bytes::<16>(digits)?;
    (id != [0; 16]).then_some(TraceId(id))
}

/// Reads exactly `2 * N` lower-case hex digits.
fn hex_bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    assert_eq!(digits.len(), 2 * N, "callers slice by fixed positions");
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(out)
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", Hex(&self.0))
    }
}

/// For `#[serde(with)]`: trace ids as hex text.
pub(crate) mod hex_ids {
    use ostraka_core::ids::TraceId;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(ids: &[TraceId], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(|id| super::format_trace_id(*id)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TraceId>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let parse =
            |text: &String| super::parse_trace_id(text).ok_or_else(|| D::Error::custom("malformed trace id"));
        texts.iter().map(parse).collect()
    }
}

#[cfg(test)]
mod tests;
