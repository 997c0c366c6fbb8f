use proptest::prelude::*;

use super::*;

fn parts_of(record: &Record) -> Vec<(PartKey, Vec<u8>)> {
    let mut parts = Vec::new();
    let stored: Result<(), std::convert::Infallible> = record.for_each_part(|key, value| {
        parts.push((key, value.to_vec()));
        Ok(())
    });
    stored.unwrap();
    parts
}

fn assemble(parts: &[(PartKey, Vec<u8>)]) -> Result<Vec<Record>, RecordError> {
    let mut assembler = Assembler::default();
    let mut records = Vec::new();
    for (key, value) in parts {
        records.extend(assembler.feed(key, value)?);
    }
    assembler.finish()?;
    Ok(records)
}

fn any_membership() -> impl Strategy<Value = Membership> {
    (
        proptest::collection::btree_map(1_u64..50, "[a-z]{1,8}:[0-9]{1,5}", 1..6),
        any::<bool>(),
    )
        .prop_map(|(nodes, joint)| {
            let nodes: BTreeMap<NodeNumber, PeerAddr> = nodes
                .into_iter()
                .map(|(n, a)| (NodeNumber(n), PeerAddr(a)))
                .collect();
            let all: BTreeSet<NodeNumber> = nodes.keys().copied().collect();
            let first: BTreeSet<NodeNumber> = nodes.keys().take(1).copied().collect();
            let configs = if joint { vec![first, all] } else { vec![first] };
            Membership::new(configs, nodes).unwrap()
        })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..100),
        proptest::collection::vec(any::<u8>(), 3_900..4_100),
        proptest::collection::vec(any::<u8>(), 7_900..12_100),
    ];
    let payload = prop_oneof![
        Just(EntryPayload::Blank),
        (body, any::<u64>()).prop_map(|(body, at)| EntryPayload::Normal(Proposal {
            stamped_at: UnixMs(at),
            body: body.into(),
        })),
        any_membership().prop_map(EntryPayload::Membership),
    ];
    (any::<u64>(), any::<u64>(), payload).prop_map(|(term, index, payload)| Entry {
        log_id: LogId::new_term_index(term, index),
        payload,
    })
}

proptest! {
    #[test]
    fn an_entry_comes_back_as_it_went(entry in any_entry()) {
        let parts = parts_of(&Record::from_entry(&entry).unwrap());
        for (_, value) in &parts {
            prop_assert!(value.len() <= LOG_PART_BYTES_MAX);
        }
        prop_assert!(parts.windows(2).all(|pair| pair[0].0 < pair[1].0), "keys ascend");
        let records = assemble(&parts).unwrap();
        prop_assert_eq!(records.len(), 1);
        let back = records[0].clone().into_entry().unwrap();
        prop_assert_eq!(back, entry);
    }

    /// Whatever single bit turns over, in key or value, is found out: an error, no panic, never another entry.
    #[test]
    fn a_flipped_bit_is_found_out(entry in any_entry(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut parts = parts_of(&Record::from_entry(&entry).unwrap());
        let total: usize = parts.iter().map(|(key, value)| key.len() + value.len()).sum();
        let mut at = at.index(total);
        for (key, value) in &mut parts {
            if at < key.len() {
                key[at] ^= 1 << bit;
                break;
            }
            at -= key.len();
            if at < value.len() {
                value[at] ^= 1 << bit;
                break;
            }
            at -= value.len();
        }
        prop_assert!(assemble(&parts).is_err());
    }

    #[test]
    fn a_lost_doubled_or_shortened_part_is_found_out(
        entry in any_entry(),
        at in any::<prop::sample::Index>(),
        how in 0..3,
    ) {
        let mut parts = parts_of(&Record::from_entry(&entry).unwrap());
        let at = at.index(parts.len());
        match how {
            0 => {
                parts.remove(at);
                prop_assume!(!parts.is_empty());
            }
            1 => parts.insert(at, parts[at].clone()),
            _ => {
                parts[at].1.pop();
            }
        }
        // A doubled one-part entry is two entries; the log's own check of continuity finds that.
        prop_assume!(how != 1 || parts.len() > 2);
        prop_assert!(assemble(&parts).is_err());
    }

    #[test]
    fn garbage_never_panics(
        parts in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..12), proptest::collection::vec(any::<u8>(), 0..80)),
            0..6,
        ),
        valid_start in any::<bool>(),
    ) {
        let mut assembler = Assembler::default();
        for (number, (mut key, mut value)) in parts.into_iter().enumerate() {
            if valid_start {
                key = part_key(7, number as u16).to_vec();
                value.splice(0..0, [RECORD_VERSION, 2, 0, 1]);
            }
            if let Ok(Some(record)) = assembler.feed(&key, &value) {
                let _ = record.into_entry();
            }
        }
        let _ = assembler.finish();
    }

    #[test]
    fn garbage_membership_never_panics(body in proptest::collection::vec(any::<u8>(), 0..60)) {
        let record = Record {
            log_id: LogId::new_term_index(1, 2),
            kind: RecordKind::Membership,
            stamped_at: UnixMs(0),
            body: body.into(),
        };
        let _ = record.into_entry();
    }
}

/// The layout is a contract: these bytes were written by version 1 and must be read for ever.
#[test]
fn the_layout_of_version_1_stands() {
    let entry = Entry {
        log_id: LogId::new_term_index(3, 258),
        payload: EntryPayload::Normal(Proposal {
            stamped_at: UnixMs(1_000),
            body: Bytes::from_static(b"abc"),
        }),
    };
    let parts = parts_of(&Record::from_entry(&entry).unwrap());
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].0, [0, 0, 0, 0, 0, 0, 1, 2, 0, 0]);
    let header = [
        1, 2, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 0xe8,
    ];
    assert_eq!(parts[0].1[..32], header);
    assert_eq!(parts[0].1[36..], *b"abc");
}

#[test]
fn part_boundaries() {
    for (body_bytes, parts) in [
        (0, 1),
        (FIRST_BODY_BYTES_MAX, 1),
        (FIRST_BODY_BYTES_MAX + 1, 2),
        (FIRST_BODY_BYTES_MAX + LOG_PART_BYTES_MAX, 2),
        (FIRST_BODY_BYTES_MAX + LOG_PART_BYTES_MAX + 1, 3),
        (64 * 1024, 17),
    ] {
        assert_eq!(part_count(body_bytes), parts, "{body_bytes}");
        let sum: usize = (0..parts).map(|part| part_body_bytes(body_bytes, part)).sum();
        assert_eq!(sum, body_bytes);
    }
    let too_large = Entry {
        log_id: LogId::new_term_index(1, 1),
        payload: EntryPayload::Normal(Proposal {
            stamped_at: UnixMs(1),
            body: Bytes::from(vec![0; LOG_ENTRY_BODY_BYTES_MAX + 1]),
        }),
    };
    assert!(matches!(
        Record::from_entry(&too_large),
        Err(EncodeError::BodyTooLarge { index: 1, .. })
    ));
}
