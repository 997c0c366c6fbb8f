use ostraka_core::ids::LogIndex;
use proptest::prelude::*;

use super::*;
use crate::stream::{ResumeToken, StreamEvent};

fn decode_whole(bytes: &[u8]) -> Vec<Decoded> {
    Decoder::default().feed(bytes).unwrap()
}

fn message(event: &str, data: &str, id: &str) -> Decoded {
    Decoded::Event {
        event: event.to_owned(),
        data: data.to_owned(),
        last_event_id: id.to_owned(),
    }
}

#[test]
fn examples_of_the_standard() {
    let stocks = b"data: YHOO\ndata: +2\ndata: 10\n\n";
    assert_eq!(decode_whole(stocks), [message("message", "YHOO\n+2\n10", "")]);

    let four_blocks =
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    let expected = [
        Decoded::Comment("test stream".to_owned()),
        message("message", "first event", "1"),
        message("message", "second event", ""),
        message("message", " third event", ""),
    ];
    assert_eq!(decode_whole(four_blocks), expected);

    // The last block lacks its empty line, so it is never dispatched.
    let empties = b"data\n\ndata\ndata\n\ndata:";
    assert_eq!(
        decode_whole(empties),
        [message("message", "", ""), message("message", "\n", "")]
    );
    assert_eq!(
        decode_whole(b"data:test\n\ndata: test\n\n"),
        [message("message", "test", ""), message("message", "test", "")]
    );
}

#[test]
fn corners_of_the_standard() {
    let cases: [(&[u8], Vec<Decoded>); 10] = [
        (b"\xef\xbb\xbfdata: x\n\n", vec![message("message", "x", "")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n", vec![]),
        (
            b"data: x\r\rdata: y\r\n\r\n",
            vec![message("message", "x", ""), message("message", "y", "")],
        ),
        (b"id: 7\n\ndata: x\n\n", vec![message("message", "x", "7")]),
        (b"id: 7\nid: 8\0\ndata: x\n\n", vec![message("message", "x", "7")]),
        (b"event: a\n\ndata: x\n\n", vec![message("message", "x", "")]),
        (b"event: a\nevent: b\ndata: x\n\n", vec![message("b", "x", "")]),
        (
            b"retry: 10\nretry: 1x\nretry: -1\nretry:\nretry: 99999999999999999999\n",
            vec![Decoded::Retry(10)],
        ),
        (b"Data: x\nunknown: y\n\n", vec![]),
        (b"data: \xff\n\n", vec![message("message", "\u{fffd}", "")]),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            decode_whole(bytes),
            expected,
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn an_id_without_data_is_remembered_for_resuming() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.feed(b"id: 12\n\n").unwrap(), []);
    assert_eq!(decoder.last_event_id(), "12");
}

#[test]
fn memory_is_bounded_and_an_error_stays() {
    let mut long_line = Decoder::with_limits(8, 64);
    assert_eq!(long_line.feed(b"12345678").unwrap(), []);
    assert_eq!(long_line.feed(b"9"), Err(DecodeError::LineTooLong(8)));
    assert_eq!(
        long_line.feed(b"\n\ndata:x\n\n"),
        Err(DecodeError::LineTooLong(8))
    );

    let mut large_event = Decoder::with_limits(64, 8);
    assert_eq!(large_event.feed(b"data: 123\ndata: 456\n").unwrap(), []);
    assert_eq!(large_event.feed(b"data:\n"), Err(DecodeError::EventTooLarge(8)));
}

/// The data as any reader gets it: each kind of line break is `\n`.
fn normalized(data: &str) -> String {
    data.replace("\r\n", "\n").replace('\r', "\n")
}

/// What the server may write.
#[derive(Clone, Debug)]
enum Block {
    Event(StreamEvent, Option<u64>, String),
    Comment(String),
    Retry(u32),
}

fn any_block() -> impl Strategy<Value = Block> {
    let event = prop_oneof![
        Just(StreamEvent::Snapshot),
        Just(StreamEvent::Tally),
        Just(StreamEvent::Closed)
    ];
    let text = "[a:\\r\\n \u{feff}\u{e9}\0]{0,12}";
    prop_oneof![
        (event, any::<Option<u64>>(), text).prop_map(|(event, id, data)| Block::Event(event, id, data)),
        text.prop_map(Block::Comment),
        any::<u32>().prop_map(Block::Retry),
    ]
}

fn write(blocks: &[Block]) -> (Vec<u8>, Vec<Decoded>) {
    let (mut bytes, mut expected, mut last_id) = (Vec::new(), Vec::new(), String::new());
    for block in blocks {
        match block {
            Block::Event(event, id, data) => {
                let id = id.map(|index| ResumeToken(LogIndex(index)));
                write_event(
                    &mut bytes,
                    EventFrame {
                        event: *event,
                        id,
                        data,
                    },
                );
                last_id = id.map_or(last_id, |id| id.to_string());
                expected.push(message(event.name(), &normalized(data), &last_id));
            }
            Block::Comment(text) => {
                write_comment(&mut bytes, text);
                expected.extend(
                    normalized(text)
                        .split('\n')
                        .map(|line| Decoded::Comment(line.to_owned())),
                );
            }
            Block::Retry(retry_ms) => {
                write_retry(&mut bytes, *retry_ms);
                expected.push(Decoded::Retry(u64::from(*retry_ms)));
            }
        }
    }
    (bytes, expected)
}

/// Feeds `bytes` in chunks whose lengths repeat `cuts`.
fn decode_in_chunks(bytes: &[u8], cuts: &[usize]) -> Vec<Decoded> {
    let (mut decoder, mut decoded, mut rest) = (Decoder::default(), Vec::new(), bytes);
    for cut in cuts.iter().cycle() {
        let (chunk, later) = rest.split_at((*cut).min(rest.len()));
        decoded.extend(decoder.feed(chunk).unwrap());
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    decoded
}

/// The format's grammar read naively: the whole text at once, split into lines, then into blocks.
fn naive(text: &str) -> Vec<(String, String)> {
    let text = normalized(text.strip_prefix('\u{feff}').unwrap_or(text));
    let (mut events, mut event, mut data) = (Vec::new(), String::new(), Vec::new());
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (line, name) {
            ("", _) => {
                if !data.is_empty() {
                    let name = if event.is_empty() {
                        "message"
                    } else {
                        event.as_str()
                    };
                    events.push((name.to_owned(), data.join("\n")));
                }
                event.clear();
                data.clear();
            }
            (_, "event") => event = value.to_owned(),
            (_, "data") => data.push(value.to_owned()),
            _ => {}
        }
    }
    events
}

fn names_and_data(decoded: Vec<Decoded>) -> Vec<(String, String)> {
    let pick = |item| match item {
        Decoded::Event { event, data, .. } => Some((event, data)),
        Decoded::Comment(_) | Decoded::Retry(_) => None,
    };
    decoded.into_iter().filter_map(pick).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read_under_any_chunking(
        blocks in prop::collection::vec(any_block(), 0..8),
        cuts in prop::collection::vec(1usize..9, 1..6),
    ) {
        let (bytes, expected) = write(&blocks);
        prop_assert_eq!(decode_in_chunks(&bytes, &cuts), expected);
    }

    #[test]
    fn any_text_reads_as_the_naive_reader_says(
        text in "((event|data|id|x)?:? ?[ab:]{0,3}(\r|\n|\r\n|\u{feff}){0,2}){0,12}",
        cuts in prop::collection::vec(1usize..5, 1..6),
    ) {
        prop_assert_eq!(names_and_data(decode_in_chunks(text.as_bytes(), &cuts)), naive(&text));
    }

    #[test]
    fn arbitrary_bytes_never_panic_nor_depend_on_chunks(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b':')], 0..200),
        cuts in prop::collection::vec(1usize..9, 1..6),
    ) {
        prop_assert_eq!(decode_in_chunks(&bytes, &cuts), decode_whole(&bytes));
    }
}
