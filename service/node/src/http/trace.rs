//! The trace of a request: the client's where it sends one, else a new one.

use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use ostraka_api::trace::{IncomingTrace, TraceOrigin};
use ostraka_api::{SpanId, TraceContext};
use ostraka_core::TraceId;
use ostraka_replication::env::SharedClock;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::progress::Progress;
use crate::env::SharedEntropy;

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const X_AMZN_TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// What the edge knows of a request; a request's extension.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub trace: IncomingTrace,
    pub progress: Arc<Progress>,
}

impl RequestContext {}

/// The trace as the client named it, and whether it is sampled; nothing where the trace began here.
pub fn client_trace(trace: &IncomingTrace) -> Option<(TraceId, bool)> {
    let context = trace.context;
    (trace.origin != TraceOrigin::Fresh).then_some((context.trace_id, context.sampled))
}

/// Makes trace and span ids: a keyed hash of a counter, since to ask the operating system for chance at every request
/// would cost more than the rest of the edge. They need to be distinct, not secret.
pub(super) struct TraceIds {
    keyed: SipHasher13,
    count: AtomicU64,
    clock: SharedClock,
}

impl TraceIds {
    pub(super) fn new(entropy: &SharedEntropy, clock: SharedClock) -> Self {
        let keyed = SipHasher13::new_with_keys(entropy.u64(), entropy.u64());
        Self {
            keyed,
            count: AtomicU64::new(0),
            clock,
        }
    }

    /// The trace that `headers` belong to, with a span of our own in it.
    pub(super) fn incoming(&self, headers: &HeaderMap) -> IncomingTrace {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        self.of(text(TRACEPARENT), text(X_AMZN_TRACE_ID))
    }

    /// As [`incoming`](Self::incoming), of the two headers' values.
    pub(super) fn of(&self, traceparent: Option<&str>, amzn_trace: Option<&str>) -> IncomingTrace {
        let (trace_id, span_id) = self.fresh();
        IncomingTrace::choose(traceparent, amzn_trace, trace_id, span_id)
    }

    fn fresh(&self) -> (TraceId, SpanId) {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let hash = |kind: u8| {
            let mut hasher = self.keyed;
            hasher.write_u64(count);
            hasher.write_u8(kind);
            hasher.finish128().as_u128().to_be_bytes()
        };
        let mut trace_id = hash(1);
        // X-Ray refuses trace ids that do not begin with the seconds of their making.
        let seconds = (self.clock.now().0 / 1_000) as u32;
        trace_id[..4].copy_from_slice(&seconds.to_be_bytes());
        // Not zero whatever the hash says: zero means that there is none.
        trace_id[15] |= 1;
        let mut span_id = [0; 8];
        span_id.copy_from_slice(&hash(2)[..8]);
        span_id[7] |= 1;
        (
            TraceId(trace_id),
            SpanId::new(span_id).expect("its last bit is set"),
        )
    }
}

/// `traceparent` as a header value. Every answer has one, so it is written without the formatting machinery.
pub(super) fn traceparent_value(context: TraceContext) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let mut hex = |at: usize, bytes: &[u8]| {
        for (pair, byte) in text[at..].chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
    };
    hex(3, &context.trace_id.0);
    hex(36, &context.span_id.to_bytes());
    hex(53, &[u8::from(context.sampled)]);
    HeaderValue::from_bytes(&text).expect("hex digits and dashes are a header value")
}

#[cfg(test)]
mod tests {
    use ostraka_api::trace::{format_traceparent, parse_traceparent};
    use ostraka_core::UnixMs;
    use ostraka_replication::Clock;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    use super::*;
    use crate::env::Entropy;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> UnixMs {
            UnixMs(1_700_000_000_123)
        }
    }

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    proptest! {
        #[test]
        fn the_fast_writer_writes_what_the_plain_one_does(trace in 1..=u128::MAX, span in 1..=u64::MAX, sampled: bool) {
            let context = TraceContext {
                trace_id: TraceId(trace.to_be_bytes()),
                span_id: SpanId::new(span.to_be_bytes()).unwrap(),
                sampled,
            };
            let written = traceparent_value(context);
            prop_assert_eq!(written.to_str().unwrap(), format_traceparent(context));
        }
    }

    #[test]
    fn new_ids_are_distinct_valid_and_carry_the_time() {
        let ids = TraceIds::new(&(Arc::new(Fixed) as SharedEntropy), Arc::new(Fixed));
        let traces: Vec<IncomingTrace> = (0..1_000).map(|_| ids.incoming(&HeaderMap::new())).collect();
        let distinct: BTreeSet<_> = traces.iter().map(|trace| trace.context.trace_id).collect();
        assert_eq!(distinct.len(), 1_000);
        for trace in traces {
            assert_eq!(trace.context.trace_id.0[..4], 1_700_000_000u32.to_be_bytes());
            assert!(!trace.context.sampled);
            assert_eq!(
                parse_traceparent(traceparent_value(trace.context).to_str().unwrap()),
                Some(trace.context)
            );
        }
    }

    #[test]
    fn the_clients_trace_is_kept() {
        let ids = TraceIds::new(&(Arc::new(Fixed) as SharedEntropy), Arc::new(Fixed));
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static(sent))]);
        let trace = ids.incoming(&headers);
        assert!(trace.context.sampled);
        assert!(
            traceparent_value(trace.context)
                .to_str()
                .unwrap()
                .starts_with(&sent[..35])
        );
    }
}
