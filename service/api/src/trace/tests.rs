use proptest::prelude::*;

use super::*;

const TRACE_HEX: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn sample(sampled: bool) -> TraceContext {
    TraceContext {
        trace_id: parse_trace_id(TRACE_HEX).unwrap(),
        span_id: SpanId::new(0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()).unwrap(),
        sampled,
    }
}

#[test]
fn traceparent_as_in_the_standard() {
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(parse_traceparent(text), Some(sample(true)));
    assert_eq!(format_traceparent(sample(true)), text);
    assert_eq!(
        parse_traceparent(&text.replace("-01", "-fe")),
        Some(sample(false))
    );
    for later in [
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes",
    ] {
        assert_eq!(parse_traceparent(later), Some(sample(true)), "{later}");
    }
}

#[test]
fn malformed_traceparents_are_none() {
    for bad in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
    ] {
        assert_eq!(parse_traceparent(bad), None, "{bad:?}");
    }
}

#[test]
fn amzn_as_in_the_guide() {
    let text = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1";
    assert_eq!(format_amzn(sample(true)), text);
    let parent = Some(sample(true).span_id);
    let trace_id = sample(true).trace_id;
    assert_eq!(
        parse_amzn(text),
        Some(AmznTrace {
            trace_id,
            parent,
            sampled: Some(true)
        })
    );
    let root_only = "Self=1-67891234-12456789abcdef012345678;Root=1-4bf92f35-77b34da6a3ce929d0e0e4736";
    assert_eq!(
        parse_amzn(root_only),
        Some(AmznTrace {
            trace_id,
            parent: None,
            sampled: None
        })
    );
    let undecided = "Sampled=?; Root=1-4bf92f35-77b34da6a3ce929d0e0e4736";
    assert_eq!(
        parse_amzn(undecided),
        Some(AmznTrace {
            trace_id,
            parent: None,
            sampled: None
        })
    );
}

#[test]
fn malformed_amzn_headers_are_none() {
    for bad in [
        "",
        "Root",
        "Sampled=1",
        "Root=2-4bf92f35-77b34da6a3ce929d0e0e4736",
        "Root=1-4bf92f3577b34da6a3ce929d0e0e4736",
        "Root=1-00000000-000000000000000000000000",
        "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa",
        "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=0000000000000000",
        "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Sampled=yes",
        "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Sampled=1;Sampled=?",
        "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Root=1-4bf92f35-77b34da6a3ce929d0e0e4736",
    ] {
        assert_eq!(parse_amzn(bad), None, "{bad:?}");
    }
}

#[test]
fn traceparent_wins_then_amzn_then_a_new_trace() {
    let own = SpanId::new([9; 8]).unwrap();
    let fresh = TraceId([7; 16]);
    let w3c = format_traceparent(sample(true));
    let amzn = "Root=1-0000000a-00000000000000000000000b";
    let choose = |traceparent, amzn| IncomingTrace::choose(traceparent, amzn, fresh, own);

    let both = choose(Some(w3c.as_str()), Some(amzn));
    assert_eq!(both.origin, TraceOrigin::Traceparent);
    assert_eq!(both.parent, Some(sample(true).span_id));
    assert_eq!(
        both.context,
        TraceContext {
            span_id: own,
            ..sample(true)
        }
    );

    let only_amzn = choose(Some("broken"), Some(amzn));
    assert_eq!((only_amzn.origin, only_amzn.parent), (TraceOrigin::Amzn, None));
    assert_eq!(
        format_trace_id(only_amzn.context.trace_id),
        "0000000a00000000000000000000000b"
    );

    let neither = choose(None, Some("broken"));
    assert_eq!(neither.origin, TraceOrigin::Fresh);
    assert_eq!(
        neither.context,
        TraceContext {
            trace_id: fresh,
            span_id: own,
            sampled: false
        }
    );
}

fn any_context() -> impl Strategy<Value = TraceContext> {
    (1..=u128::MAX, 1..=u64::MAX, any::<bool>()).prop_map(|(trace, span, sampled)| TraceContext {
        trace_id: TraceId(trace.to_be_bytes()),
        span_id: SpanId::new(span.to_be_bytes()).unwrap(),
        sampled,
    })
}

proptest! {
    #[test]
    fn both_headers_round_trip(context in any_context()) {
        prop_assert_eq!(parse_traceparent(&format_traceparent(context)), Some(context));
        let amzn = parse_amzn(&format_amzn(context)).unwrap();
        prop_assert_eq!(amzn.trace_id, context.trace_id);
        prop_assert_eq!(amzn.parent, Some(context.span_id));
        prop_assert_eq!(amzn.sampled, Some(context.sampled));
    }

    #[test]
    fn one_changed_byte_never_panics_nor_gives_zero_ids(context in any_context(), at in 0usize..55, byte in 0u8..128) {
        let mut bytes = format_traceparent(context).into_bytes();
        bytes[at] = byte;
        if let Some(read) = parse_traceparent(std::str::from_utf8(&bytes).unwrap()) {
            prop_assert!(read.trace_id.0 != [0; 16]);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,80}", hexish in "[0-9a-f-]{0,60}") {
        for text in [text.as_str(), hexish.as_str()] {
            let _ = parse_traceparent(text);
            let _ = parse_amzn(text);
            let _ = parse_amzn(&format!("Root={text};Parent={text}"));
        }
    }
}
