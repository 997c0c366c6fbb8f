use proptest::prelude::*;

use super::*;

fn log_id() -> impl Strategy<Value = LogId> {
    (any::<u64>(), any::<u64>()).prop_map(|(term, index)| openraft::LogId::new_term_index(term, index))
}

fn vote() -> impl Strategy<Value = RaftVote> {
    (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(term, node, committed)| {
        if committed {
            RaftVote::new_committed(term, NodeNumber(node))
        } else {
            RaftVote::new(term, NodeNumber(node))
        }
    })
}

fn payload() -> impl Strategy<Value = EntryPayload> {
    let body = proptest::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        Just(EntryPayload::Blank),
        (any::<u64>(), body).prop_map(|(stamp, body)| {
            EntryPayload::Normal(Proposal {
                stamped_at: UnixMs(stamp),
                body: Bytes::from(body),
            })
        }),
        proptest::collection::btree_map(1_u64..9, "[a-z]{1,8}:[0-9]{1,4}", 1..5).prop_map(|nodes| {
            let nodes: std::collections::BTreeMap<_, _> = nodes
                .into_iter()
                .map(|(node, addr)| (NodeNumber(node), PeerAddr(addr)))
                .collect();
            let voters = nodes.keys().copied().collect();
            EntryPayload::Membership(Membership::new(vec![voters], nodes).expect("every voter has a node"))
        }),
    ]
}

fn request() -> impl Strategy<Value = AppendEntriesRequest<Types>> {
    let entry = (log_id(), payload()).prop_map(|(log_id, payload)| Entry { log_id, payload });
    let entries = proptest::collection::vec(entry, 0..APPEND_ENTRIES_MAX);
    let ends = (proptest::option::of(log_id()), proptest::option::of(log_id()));
    (vote(), ends, entries).prop_map(
        |(vote, (prev_log_id, leader_commit), entries)| AppendEntriesRequest {
            vote,
            prev_log_id,
            entries,
            leader_commit,
        },
    )
}

fn same(a: &AppendEntriesRequest<Types>, b: &AppendEntriesRequest<Types>) -> bool {
    (a.vote, a.prev_log_id, a.leader_commit) == (b.vote, b.prev_log_id, b.leader_commit)
        && a.entries == b.entries
}

fn propose_answer() -> impl Strategy<Value = ProposeAnswer> {
    let hint = proptest::option::of((any::<u64>(), ".{0,20}"));
    prop_oneof![
        (any::<u64>(), proptest::collection::vec(any::<u8>(), 0..300)).prop_map(|(index, reply)| {
            ProposeAnswer::Applied(Submitted {
                index: LogIndex(index),
                reply: Bytes::from(reply),
            })
        }),
        hint.prop_map(|hint| ProposeAnswer::NotLeader(
            hint.map(|(node, addr)| (NodeNumber(node), PeerAddr(addr)))
        )),
        Just(ProposeAnswer::Unknown),
        prop_oneof![
            Just(Refusal::Overloaded),
            Just(Refusal::StorageFull),
            Just(Refusal::TooLarge)
        ]
        .prop_map(ProposeAnswer::Refused),
        ".{0,40}".prop_map(ProposeAnswer::Stopped),
    ]
}

proptest! {
    #[test]
    fn an_append_comes_back_as_it_was(request in request()) {
        let back = decode_append(encode_append(&request)).expect("own bytes");
        prop_assert!(same(&request, &back), "{request:?} became {back:?}");
    }

    #[test]
    fn a_cut_append_is_refused(request in request(), cut in any::<proptest::sample::Index>()) {
        let bytes = encode_append(&request);
        let cut = cut.index(bytes.len());
        prop_assert!(decode_append(bytes.slice(..cut)).is_err());
    }

    #[test]
    fn an_append_with_something_behind_it_is_refused(request in request()) {
        let mut bytes = encode_append(&request).to_vec();
        bytes.push(0);
        prop_assert!(decode_append(Bytes::from(bytes)).is_err());
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from([vec![WIRE_VERSION], bytes].concat());
        let _ = decode_append(bytes.clone());
        let _ = decode_append_answer(&bytes);
        let _ = decode_propose_answer(bytes.clone());
        let _ = decode::<ReadIndexAnswer>(&bytes);
        let _ = decode::<MembershipChange>(&bytes);
        let _ = decode::<MembershipAnswer>(&bytes);
        let _ = decode::<Standing>(&bytes);
        let _ = decode::<Hearing>(&bytes);
        let _ = decode::<openraft::raft::VoteRequest<Types>>(&bytes);
        let _ = decode::<crate::types::SnapshotMeta>(&bytes);
    }

    #[test]
    fn a_propose_answer_comes_back_as_it_was(answer in propose_answer()) {
        prop_assert_eq!(decode_propose_answer(encode_propose_answer(&answer)), Ok(answer));
    }

    #[test]
    fn a_standing_comes_back_as_it_was(
        cluster in proptest::option::of(any::<u64>()),
        last in proptest::option::of(any::<u64>()),
    ) {
        let standing = Standing {
            cluster: cluster.map(ClusterId),
            last_log_index: last.map(LogIndex),
        };
        prop_assert_eq!(decode(&encode(&standing)), Ok(standing));
    }

    #[test]
    fn what_a_node_hears_comes_back_as_it_was(leader: bool) {
        let hearing = Hearing { leader };
        prop_assert_eq!(decode(&encode(&hearing)), Ok(hearing));
    }

    #[test]
    fn an_append_answer_comes_back_as_it_was(log_id in proptest::option::of(log_id()), vote in vote()) {
        let conflict = log_id.map_or(Err(StreamAppendError::HigherVote(vote)), |id| Err(StreamAppendError::Conflict(id)));
        for answer in [Ok(log_id), conflict] {
            prop_assert_eq!(decode_append_answer(&encode_append_answer(&answer)), Ok(answer));
        }
    }

    #[test]
    fn another_version_is_named(request in request(), version in any::<u8>()) {
        prop_assume!(version != WIRE_VERSION);
        let mut bytes = encode_append(&request).to_vec();
        bytes[0] = version;
        prop_assert_eq!(decode_append(Bytes::from(bytes)).err(), Some(WireError::Version(version)));
    }
}

#[test]
fn a_body_longer_than_a_proposal_is_refused_by_its_head() {
    let body = Bytes::from(vec![0; PROPOSAL_BYTES_MAX + 1]);
    let entry = Entry {
        log_id: openraft::LogId::new_term_index(1, 1),
        payload: EntryPayload::Normal(Proposal {
            stamped_at: UnixMs(0),
            body,
        }),
    };
    let request = AppendEntriesRequest {
        vote: RaftVote::new_committed(1, NodeNumber(1)),
        prev_log_id: None,
        entries: vec![entry],
        leader_commit: None,
    };
    assert!(matches!(
        decode_append(encode_append(&request)),
        Err(WireError::TooLong { .. })
    ));
}

/// The bytes are a contract between versions of the binary: these were written down once.
#[test]
fn the_bytes_of_a_small_append_do_not_change() {
    let entry = Entry {
        log_id: openraft::LogId::new_term_index(3, 300),
        payload: EntryPayload::Normal(Proposal {
            stamped_at: UnixMs(5),
            body: Bytes::from_static(b"hi"),
        }),
    };
    let request = AppendEntriesRequest {
        vote: RaftVote::new_committed(3, NodeNumber(2)),
        prev_log_id: None,
        entries: vec![entry],
        leader_commit: None,
    };
    let expected = [1, 3, 1, 2, 1, 0, 0, 1, 3, 0xac, 2, 1, 5, 2, b'h', b'i'];
    assert_eq!(encode_append(&request)[..], expected);
}
