//! The form of a backup: what was written is read, and nothing else is.

use std::io;

use ostraka_replication::{ClusterId, NodeNumber};
use proptest::prelude::*;

use super::codec::{CodecError, Decoder, Encoder, all_bytes};
use super::{Content, Header, Part};

type Parts = Vec<(Content, Vec<u8>)>;

fn header(parts: &Parts) -> Header {
    let told = |(content, bytes): &(Content, Vec<u8>)| Part {
        content: *content,
        bytes: bytes.len() as u64,
    };
    Header {
        ostraka: "1.2.3".to_owned(),
        taken_at: 1_795_000_000_000,
        node: NodeNumber(2),
        cluster: Some(ClusterId(7)),
        secrets: "0123456789abcdef".to_owned(),
        parts: parts.iter().map(told).collect(),
    }
}

fn encoded(header: &Header, parts: &Parts) -> Vec<u8> {
    let (mut encoder, mut bytes) = Encoder::start(header).unwrap();
    for (_, part) in parts {
        // In pieces, as it is sent.
        for piece in part.chunks(7) {
            encoder.take(piece);
            bytes.extend_from_slice(piece);
        }
        bytes.extend_from_slice(&encoder.end_part());
    }
    bytes.extend_from_slice(&encoder.end());
    bytes
}

fn decoded(bytes: &[u8]) -> Result<(Header, Parts), CodecError> {
    let mut decoder = Decoder::start(bytes)?;
    let mut parts = Parts::new();
    loop {
        let mut part = Vec::new();
        match decoder.part(&mut part)? {
            Some(content) => parts.push((content, part)),
            None => return Ok((decoder.header().clone(), parts)),
        }
    }
}

fn parts() -> impl Strategy<Value = Parts> {
    let content = prop_oneof![
        Just(Content::Vote),
        Just(Content::Identity),
        Just(Content::Secrets)
    ];
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    prop::collection::vec((content, bytes), 0..4)
}

proptest! {
    #[test]
    fn a_backup_comes_back_from_its_bytes(parts in parts()) {
        let header = header(&parts);
        let bytes = encoded(&header, &parts);
        prop_assert_eq!(bytes.len() as u64, all_bytes(&header).unwrap());
        let (read, back) = decoded(&bytes).unwrap();
        prop_assert_eq!((read, back), (header, parts));
    }

    #[test]
    fn one_flipped_bit_anywhere_is_found(parts in parts(), place: prop::sample::Index, bit in 0..8_u8) {
        let mut bytes = encoded(&header(&parts), &parts);
        let at = place.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(decoded(&bytes).is_err(), "bit {} of byte {}", bit, at);
    }

    #[test]
    fn a_backup_cut_anywhere_is_found(parts in parts(), place: prop::sample::Index) {
        let bytes = encoded(&header(&parts), &parts);
        let cut = place.index(bytes.len());
        prop_assert!(matches!(decoded(&bytes[..cut]), Err(CodecError::Short)), "cut at {}", cut);
    }

    #[test]
    fn what_follows_the_end_is_found(parts in parts(), more in prop::collection::vec(any::<u8>(), 1..9)) {
        let mut bytes = encoded(&header(&parts), &parts);
        bytes.extend_from_slice(&more);
        prop_assert!(matches!(decoded(&bytes), Err(CodecError::BytesAfterEnd)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), is_marked: bool) {
        let mut bytes = bytes;
        if is_marked && bytes.len() >= 12 {
            bytes[..12].copy_from_slice(b"OSTRBKUP\0\0\0\x01");
        }
        prop_assert!(decoded(&bytes).is_err());
    }
}

#[test]
fn every_byte_of_a_small_backup_counts() {
    let parts = vec![
        (Content::Vote, b"votes".to_vec()),
        (Content::Identity, Vec::new()),
    ];
    let bytes = encoded(&header(&parts), &parts);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(decoded(&damaged).is_err(), "byte {at} of {}", bytes.len());
        assert!(decoded(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_part_swapped_for_a_whole_one_of_another_backup_is_found() {
    let mine = vec![(Content::Vote, b"mine!".to_vec())];
    let other = vec![(Content::Vote, b"other".to_vec())];
    let (mut bytes, theirs) = (encoded(&header(&mine), &mine), encoded(&header(&other), &other));
    let end = bytes.len() - 32;
    // Its bytes and its checksum.
    bytes[end - 37..end].copy_from_slice(&theirs[end - 37..end]);
    assert!(matches!(decoded(&bytes), Err(CodecError::Whole)));
}

#[test]
fn versions_and_strangers_are_told_apart() {
    let parts = Parts::new();
    let mut newer = encoded(&header(&parts), &parts);
    newer[11] = 2;
    assert!(matches!(decoded(&newer), Err(CodecError::Newer(2))));
    assert!(matches!(
        decoded(b"PK\x03\x04 an archive of something else"),
        Err(CodecError::NotABackup)
    ));
    let mut impossible = encoded(&header(&parts), &parts);
    impossible[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(decoded(&impossible), Err(CodecError::Header(_))));
}

#[test]
fn a_reader_that_fails_is_not_taken_for_an_end() {
    struct Failing;
    impl io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no disk"))
        }
    }
    assert!(matches!(
        Decoder::start(Failing).err().unwrap(),
        CodecError::Read(_)
    ));
}
