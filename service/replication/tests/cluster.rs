//! Nodes that form a cluster, lose each other and come back.

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use ostraka_core::LogIndex;
use ostraka_core::limits::{PROPOSAL_BYTES_MAX, PROPOSALS_IN_FLIGHT_BYTES_MAX, QUORUM_SILENCE_MS_MAX};
use ostraka_replication::snapshot_store::SnapshotStore;
use ostraka_replication::{GroupConfig, GroupError, NodeNumber, SubmitError};
use support::{Cluster, Node, WAIT, body_of, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_applies_what_is_submitted_and_remembers_it() {
    let mut cluster = Cluster::of(1, |_| {}).await;
    let node = &cluster.nodes[0];
    let first = node.submit(1, WAIT).await.expect("applied");
    let again = node.submit(1, WAIT).await.expect("applied");
    assert_eq!(first.reply[..], first.index.0.to_be_bytes());
    assert_eq!(again.reply, first.reply, "the machine tells a repeated key");
    assert!(again.index > first.index);
    assert!(node.counter().last_stamp.0 >= 1_000, "the leader stamps");
    assert!(matches!(
        node.group().init(node.addr.clone()).await,
        Err(GroupError::Membership(_))
    ));

    cluster.nodes[0].kill();
    let begun = Instant::now();
    cluster.nodes[0].start().await;
    let third = cluster.nodes[0].submit(2, WAIT).await.expect("applied");
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "a node alone leads at once"
    );
    assert!(third.index > again.index);
    assert_eq!(
        cluster.nodes[0]
            .counter()
            .counted
            .keys()
            .copied()
            .collect::<Vec<_>>(),
        [1, 2]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_takes_submissions_and_reads() {
    let cluster = Cluster::of(3, |_| {}).await;
    let mut last = LogIndex(0);
    for round in 0..20 {
        for (place, node) in cluster.nodes.iter().enumerate() {
            let key = round * 3 + place as u64;
            let submitted = node.submit(key, WAIT).await.expect("applied");
            assert!(submitted.index > last, "one order");
            last = submitted.index;
        }
        // A read through any other node sees what was just acknowledged.
        let reader = &cluster.nodes[(round % 3) as usize];
        let index = reader.group().read_index(WAIT).await.expect("a quorum");
        assert!(index >= last);
        assert!(reader.group().wait_applied(index, WAIT).await);
        assert_eq!(reader.counter().counted.len() as u64, round * 3 + 3);
    }
    let settled = cluster.settled().await;
    assert_eq!((settled.counted.len(), settled.repeats), (60, 0));
    let status = cluster.nodes[cluster.leader().await].group().status();
    assert_eq!(
        (
            status.voters.len(),
            status.learners.len(),
            status.replication.len()
        ),
        (3, 0, 3)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_costs_nothing_but_time() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let mut next_key = 0;
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let survivor = cluster.follower().await;
        let in_flight: Vec<_> = (next_key..next_key + 40)
            .map(|key| tokio::spawn(cluster.nodes[survivor].submit(key, WAIT)))
            .collect();
        tokio::time::sleep(Duration::from_millis(3)).await;
        cluster.nodes[leader].kill();
        let killed = Instant::now();
        cluster.nodes[survivor]
            .submit(next_key + 40, WAIT)
            .await
            .expect("applied by the next leader");
        let gap = killed.elapsed();
        println!("a new leader answered after {gap:?}");
        assert!(gap < Duration::from_secs(5), "a new leader after {gap:?}");
        for submission in in_flight {
            submission
                .await
                .expect("does not panic")
                .expect("applied in the end");
        }
        next_key += 41;
        cluster.nodes[leader].start().await;
    }
    let settled = cluster.settled().await;
    assert_eq!(
        settled.counted.keys().copied().collect::<Vec<_>>(),
        (0..next_key).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_nothing_is_acknowledged_and_nothing_is_lost() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let leader = cluster.leader().await;
    let others: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    for place in &others {
        cluster.nodes[*place].kill();
    }
    let unknown = cluster.nodes[leader].submit(1, Duration::from_millis(600)).await;
    assert_eq!(
        unknown,
        Err(SubmitError::Unknown),
        "the leader holds it and cannot tell"
    );
    let read = cluster.nodes[leader]
        .group()
        .read_index(Duration::from_millis(600))
        .await;
    assert_eq!(read, Err(SubmitError::NoLeader));

    cluster.nodes[leader].kill();
    cluster.nodes[others[0]].start().await;
    let never_sent = cluster.nodes[others[0]]
        .submit(2, Duration::from_millis(600))
        .await;
    assert_eq!(never_sent, Err(SubmitError::NoLeader), "nobody took it");

    for place in [leader, others[1]] {
        cluster.nodes[place].start().await;
    }
    cluster.nodes[others[1]].submit(3, WAIT).await.expect("applied");
    let settled = cluster.settled().await;
    assert!(settled.counted.contains_key(&3) && !settled.counted.contains_key(&2));
}

/// Waits until the node says this of its touch with the group; `None` that all is well.
async fn wait_touch(node: &Node, sentence: Option<&str>) {
    let deadline = Instant::now() + WAIT;
    loop {
        let said = node.group().out_of_touch().await.map(|found| found.to_string());
        let as_wanted = match (&said, sentence) {
            (None, None) => true,
            (Some(said), Some(wanted)) => said.contains(wanted),
            _ => false,
        };
        if as_wanted {
            return;
        }
        assert!(Instant::now() < deadline, "wanted {sentence:?}, it says {said:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_knows_when_no_leader_with_a_quorum_is_there() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    for node in &cluster.nodes {
        wait_touch(node, None).await;
    }
    // Idle for longer than the bound: heartbeats are words enough.
    tokio::time::sleep(Duration::from_millis(QUORUM_SILENCE_MS_MAX + 500)).await;
    for node in &cluster.nodes {
        assert_eq!(node.group().out_of_touch().await, None);
    }
    let leader = cluster.leader().await;
    let others: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    others.iter().for_each(|place| cluster.nodes[*place].kill());
    wait_touch(&cluster.nodes[leader], Some("heard from no quorum for")).await;
    cluster.nodes[others[0]].start().await;
    wait_touch(&cluster.nodes[leader], None).await;
    wait_touch(&cluster.nodes[others[0]], None).await;

    let leader = cluster.leader().await;
    let follower = if leader == others[0] {
        (0..3).find(|place| !others.contains(place)).unwrap()
    } else {
        others[0]
    };
    cluster.nodes[leader].kill();
    // The name of the lost leader stays; its silence tells.
    let silent = format!("node {}, has been silent", cluster.nodes[leader].number);
    wait_touch(&cluster.nodes[follower], Some(&silent)).await;
    cluster.nodes[follower].kill();
    cluster.nodes[follower].start().await;
    // Started anew it waits for the bound once more. It has not recovered before that, and so is not ready either.
    wait_touch(&cluster.nodes[follower], Some("")).await;

    let alone = Cluster::of(1, |_| {}).await;
    tokio::time::sleep(Duration::from_millis(QUORUM_SILENCE_MS_MAX + 500)).await;
    assert_eq!(
        alone.nodes[0].group().out_of_touch().await,
        None,
        "it is its own quorum"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_catches_up_by_the_log() {
    let mut cluster = Cluster::of(1, |_| {}).await;
    for key in 0..200 {
        cluster.nodes[0].submit(key, WAIT).await.expect("applied");
    }
    let mut node = Node::new(2, |_| {}).await;
    node.start().await;
    let first = cluster.nodes[0].group();
    first
        .add(node.number, node.addr.clone(), first.membership(), WAIT)
        .await
        .expect("it joins");
    cluster.nodes.push(node);
    assert_eq!(cluster.settled().await.counted.len(), 200);
    assert_eq!(
        cluster.nodes[1].group().status().snapshot_index,
        LogIndex(0),
        "no snapshot was needed"
    );
    assert_eq!(cluster.nodes[1].group().status().voters.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_catches_up_by_a_snapshot() {
    let small = |config: &mut ostraka_replication::GroupConfig| {
        config.snapshot_every_entries = 50;
        config.log_keep_entries = Some(10);
    };
    let mut cluster = Cluster::of(1, small).await;
    for key in 0..300 {
        cluster.nodes[0].submit(key, WAIT).await.expect("applied");
    }
    let first = cluster.nodes[0].group();
    let snapshot = first.snapshot().await.expect("a snapshot");
    assert!(snapshot >= LogIndex(300));
    wait_until("a purged log", || first.status().purged_index > LogIndex(250)).await;
    let mut node = Node::new(2, small).await;
    node.start().await;
    first
        .add(node.number, node.addr.clone(), first.membership(), WAIT)
        .await
        .expect("it joins");
    cluster.nodes.push(node);
    assert_eq!(cluster.settled().await.counted.len(), 300);
    assert!(
        cluster.nodes[1].group().status().snapshot_index >= LogIndex(250),
        "the log alone does not reach back"
    );

    // And it starts from that snapshot by itself.
    cluster.nodes[1].kill();
    cluster.nodes[1].start().await;
    cluster.nodes[0].submit(1_000, WAIT).await.expect("applied");
    assert_eq!(cluster.settled().await.counted.len(), 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_moves_where_it_is_sent() {
    let cluster = Cluster::of(3, |_| {}).await;
    let (leader, other) = (cluster.leader().await, cluster.follower().await);
    let to = cluster.nodes[other].number;
    // Asked of a follower: it passes the request on, and the leader's answer back.
    let unknown = cluster.nodes[other].group().transfer_leader(NodeNumber(9)).await;
    assert!(matches!(unknown, Err(GroupError::Membership(_))), "{unknown:?}");

    let begun = Instant::now();
    cluster.nodes[leader]
        .group()
        .transfer_leader(to)
        .await
        .expect("it moves");
    println!("leadership moved in {:?}", begun.elapsed());
    assert_eq!(cluster.leader().await, other);
    cluster.nodes[leader]
        .submit(1, WAIT)
        .await
        .expect("applied through the old leader");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_is_not_missed() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let (leader, gone) = (cluster.leader().await, cluster.follower().await);
    let number = cluster.nodes[gone].number;
    let group = cluster.nodes[leader].group();
    group.remove(number, group.membership()).await.expect("removed");
    assert!(matches!(
        group.remove(number, group.membership()).await,
        Err(GroupError::Membership(_))
    ));
    assert_eq!(group.status().voters.len(), 2);
    cluster.nodes[gone].kill();
    cluster.nodes[leader].submit(1, WAIT).await.expect("two of two");
    group
        .remove(cluster.nodes[leader].number, group.membership())
        .await
        .expect("the leader removes itself");
    cluster.nodes[leader].kill();
    let last = (0..3)
        .find(|place| cluster.nodes[*place].runs())
        .expect("one is left");
    cluster.nodes[last].submit(2, WAIT).await.expect("one of one");
    assert_eq!(cluster.nodes[last].counter().counted.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_stopped_and_started_is_as_before() {
    let mut cluster = Cluster::of(3, |config| config.snapshot_every_entries = 40).await;
    for key in 0..100 {
        cluster.nodes[(key % 3) as usize]
            .submit(key, WAIT)
            .await
            .expect("applied");
    }
    let before = cluster.settled().await;
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.start().await;
    }
    let after = cluster.settled().await;
    assert_eq!(after.counted, before.counted);
    cluster.nodes[0].submit(100, WAIT).await.expect("applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_readers_share_rounds() {
    let cluster = Cluster::of(3, |_| {}).await;
    let reader = cluster.nodes[cluster.follower().await].group();
    cluster.nodes[0].submit(1, WAIT).await.expect("applied");
    let begun = Instant::now();
    let reads: Vec<_> = (0..2_000)
        .map(|_| {
            let reader = reader.clone();
            tokio::spawn(async move { reader.read_index(WAIT).await })
        })
        .collect();
    for read in reads {
        read.await.expect("does not panic").expect("a quorum");
    }
    let took = begun.elapsed();
    println!("2,000 linearizable reads from a follower took {took:?}");
    assert!(
        took < Duration::from_secs(5),
        "2,000 rounds would take longer than {took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shut_down_group_says_so() {
    let cluster = Cluster::of(1, |_| {}).await;
    let group = cluster.nodes[0].group();
    group.shutdown().await;
    let submitted = group.submit(body_of(1), Duration::from_secs(1)).await;
    assert!(matches!(submitted, Err(SubmitError::Stopped(_))), "{submitted:?}");
    let read = group.read_index(Duration::from_secs(1)).await;
    assert!(matches!(read, Err(SubmitError::Stopped(_))), "{read:?}");
    let failed = tokio::time::timeout(Duration::from_millis(100), group.failed()).await;
    assert!(failed.is_err(), "an orderly end is no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_snapshot_travels_as_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let keep_little = |config: &mut ostraka_replication::GroupConfig| {
        config.snapshot_every_entries = 1_000_000;
        config.log_keep_entries = Some(0);
    };
    let mut source = Node::new(1, keep_little).await;
    source.snapshots = SnapshotStore::open(&folder.path().join("1")).expect("a store");
    source.start().await;
    let mut cluster = Cluster { nodes: vec![source] };
    let first = cluster.nodes[0].group();
    first
        .init(cluster.nodes[0].addr.clone())
        .await
        .expect("a cluster of one");
    cluster.nodes[0].submit(0, WAIT).await.expect("applied");
    // Large by itself, so that no million of entries is needed.
    cluster.nodes[0].grow(500_000);
    first.snapshot().await.expect("a snapshot");
    wait_until("a purged log", || first.status().purged_index > LogIndex(0)).await;

    let mut node = Node::new(2, keep_little).await;
    node.snapshots = SnapshotStore::open(&folder.path().join("2")).expect("a store");
    node.start().await;
    let begun = Instant::now();
    first
        .add(node.number, node.addr.clone(), first.membership(), WAIT)
        .await
        .expect("it joins");
    println!(
        "8 MB of snapshot and the change of membership took {:?}",
        begun.elapsed()
    );
    cluster.nodes.push(node);
    cluster.nodes[0].submit(1, WAIT).await.expect("applied");
    assert_eq!(cluster.settled().await.counted.len(), 500_002);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_commit_refuses_before_it_grows() {
    // A leader that holds itself for cut off refuses everything. That must not come first, however slow the machine.
    let never_cut_off = |config: &mut GroupConfig| config.election_timeout_max = Duration::from_secs(60);
    let mut cluster = Cluster::of(3, never_cut_off).await;
    let leader = cluster.leader().await;
    for place in (0..3).filter(|place| *place != leader) {
        cluster.nodes[place].kill();
    }
    let group = cluster.nodes[leader].group();
    let body = Bytes::from(vec![0; PROPOSAL_BYTES_MAX]);
    let fitting = PROPOSALS_IN_FLIGHT_BYTES_MAX / PROPOSAL_BYTES_MAX;
    let waiting: Vec<_> = (0..fitting)
        .map(|_| {
            let (group, body) = (group.clone(), body.clone());
            tokio::spawn(async move { group.submit(body, Duration::from_secs(1)).await })
        })
        .collect();
    for submission in waiting {
        assert_eq!(
            submission.await.expect("does not panic"),
            Err(SubmitError::Unknown)
        );
    }
    // They are given up by their submitters, but the core still holds them.
    let refused = group.submit(body, Duration::from_secs(1)).await;
    assert!(matches!(refused, Err(SubmitError::Refused(_))), "{refused:?}");
}
