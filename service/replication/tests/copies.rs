//! Copies for backups: what was acknowledged before one was asked for is in it, through whichever node.

mod support;

use std::time::Duration;

use ostraka_replication::group::{CopyError, GroupCopy};
use ostraka_replication::machine::Machine;
use ostraka_replication::snapshot_store::{SnapshotReader, SnapshotStore};
use support::{Cluster, Counter, Node, WAIT};

async fn copy(node: &Node, within: Duration) -> Result<GroupCopy, CopyError> {
    let group = node.group();
    let copying = node.run(async move { group.copy(within).await });
    copying.await.expect("the node runs on")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_through_any_node_holds_what_was_acknowledged_before() {
    let cluster = Cluster::of(3, |_| {}).await;
    for key in 0..30 {
        let taker = &cluster.nodes[key as usize % 3];
        let copier = &cluster.nodes[(key as usize + 1) % 3];
        let submitted = taker.submit(key, WAIT).await.expect("applied");
        // At once: a follower has not heard yet that the entry is committed.
        let copy = copy(copier, WAIT).await.expect("a copy");
        assert!(
            copy.index >= submitted.index,
            "entry {:?} is not in it",
            submitted.index
        );
        let mut reader = SnapshotReader::start(copy.bytes).expect("a snapshot");
        assert_eq!(reader.meta().last_log_id.map(|id| id.index), Some(copy.index.0));
        let mut copied = Counter::default();
        copied.restore(&mut reader).expect("whole");
        assert_eq!(copied.counted.len() as u64, key + 1);
        assert_eq!(copied.last_applied(), copy.index);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_copy_outlives_the_snapshots_that_follow() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut node = Node::new(1, |_| {}).await;
    // On a disk, where the oldest are removed.
    node.snapshots = SnapshotStore::open(dir.path()).expect("a store");
    node.start().await;
    node.group().init(node.addr.clone()).await.expect("formed");
    node.submit(1, WAIT).await.expect("applied");
    let early = copy(&node, WAIT).await.expect("a copy");
    for key in 2..8 {
        node.submit(key, WAIT).await.expect("applied");
        copy(&node, WAIT).await.expect("a copy");
    }
    let kept = node.snapshots.all().expect("listed");
    assert!(
        kept.iter().all(|stored| stored.index() > early.index.0),
        "{kept:?}"
    );
    let mut copied = Counter::default();
    let mut reader = SnapshotReader::start(early.bytes).expect("a snapshot");
    copied.restore(&mut reader).expect("whole");
    assert_eq!(copied.counted.keys().copied().collect::<Vec<_>>(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_there_is_no_copy() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    cluster.nodes[0].submit(1, WAIT).await.expect("applied");
    cluster.settled().await;
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    let refused = copy(&cluster.nodes[0], Duration::from_secs(2)).await;
    assert_eq!(refused.err(), Some(CopyError::NoQuorum));
}
