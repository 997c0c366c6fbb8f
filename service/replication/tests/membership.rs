//! Which cluster a node belongs to: never fed from two, back in its own with what it has.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ostraka_replication::log_store::memory::MemoryDisk;
use ostraka_replication::{ClusterKeeper, GroupError};
use support::{Cluster, Counter, Node, WAIT, wait_until};

/// A cluster of one with the number, and keys that were counted there.
async fn alone(number: u64, keys: std::ops::Range<u64>) -> Node {
    let mut node = Node::new(number, |_| {}).await;
    node.start().await;
    node.group().init(node.addr.clone()).await.expect("it is new");
    for key in keys {
        node.submit(key, WAIT).await.expect("applied");
    }
    node
}

fn standing(node: &Node) -> (u64, usize, usize, Counter) {
    let status = node.group().status();
    (
        status.last_log_index.0,
        status.voters.len(),
        status.learners.len(),
        node.counter(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_past_of_its_own_is_refused_at_once() {
    for keys_of_other in [1, 30] {
        let own = alone(1, 0..10).await;
        let other = alone(2, 100..100 + keys_of_other).await;
        let before = (standing(&own), standing(&other));
        let begun = Instant::now();
        for added in [
            own.group().check_add(other.number, other.addr.clone()).await,
            own.group().add(other.number, other.addr.clone(), WAIT).await,
        ] {
            let Err(GroupError::Membership(sentence)) = added else {
                panic!("{added:?}");
            };
            assert!(sentence.contains("another cluster"), "{sentence}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!((standing(&own), standing(&other)), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_comes_back_with_what_it_has() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let (leader, place) = (cluster.leader().await, cluster.follower().await);
    cluster.nodes[leader].submit(1, WAIT).await.expect("applied");
    cluster.settled().await;
    let (number, addr) = (cluster.nodes[place].number, cluster.nodes[place].addr.clone());
    let group = cluster.nodes[leader].group();
    group.remove(number).await.expect("it goes");
    cluster.nodes[leader].submit(2, WAIT).await.expect("applied");
    cluster.nodes[place].kill();
    cluster.nodes[place].start().await;
    assert!(
        cluster.nodes[place].group().status().last_log_index.0 > 0,
        "it has a log"
    );
    group
        .check_add(number, addr.clone())
        .await
        .expect("it may come back");
    group.add(number, addr, WAIT).await.expect("it joins");
    cluster.nodes[leader].submit(3, WAIT).await.expect("applied");
    assert_eq!(cluster.settled().await.counted.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_formed_another_cluster_is_not_fed_by_its_old_one() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let leader = cluster.leader().await;
    cluster.nodes[leader].submit(1, WAIT).await.expect("applied");
    let place = cluster.follower().await;
    cluster.nodes[place].kill();
    // Its disk is gone, and it was started as the first node of a cluster before its old one reached it.
    let mut wiped = Node::new(cluster.nodes[place].number.0, |config| config.seed = 43).await;
    wiped.start().await;
    wiped
        .group()
        .init(wiped.addr.clone())
        .await
        .expect("nobody knows it here");
    wiped.submit(100, WAIT).await.expect("applied");
    wiped.kill();
    wiped.addr = cluster.nodes[place].addr.clone();
    wiped.start().await;
    let begun = Instant::now();
    let mut key = 2;
    while begun.elapsed() < Duration::from_secs(2) {
        cluster.nodes[leader]
            .submit(key, WAIT)
            .await
            .expect("the other two go on");
        key += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(wiped.counter().counted.keys().copied().collect::<Vec<_>>(), [100]);
    assert_eq!(wiped.group().status().voters.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lost_its_log_forms_no_cluster() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let place = cluster.follower().await;
    let node = &mut cluster.nodes[place];
    node.kill();
    node.disk = MemoryDisk::new();
    node.cluster = Arc::new(ClusterKeeper::in_memory());
    node.start().await;
    let keeper = node.cluster.clone();
    wait_until("its cluster to reach it", || keeper.known().is_some()).await;
    let formed = node.group().init(node.addr.clone()).await;
    let Err(GroupError::Membership(sentence)) = formed else {
        panic!("{formed:?}");
    };
    for part in ["cluster remove", "empty data folder", "--bootstrap wait"] {
        assert!(sentence.contains(part), "{part:?} is missing: {sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_keep_up_is_taken_out_again_and_that_is_said() {
    let own = alone(1, 0..3).await;
    let mut broken = Node::new(2, |_| {}).await;
    broken.start().await;
    broken.disk.fail_barriers(true);
    let added = own
        .group()
        .add(broken.number, broken.addr.clone(), Duration::from_secs(2))
        .await;
    let Err(GroupError::Membership(sentence)) = added else {
        panic!("{added:?}");
    };
    assert!(sentence.contains("was taken out again"), "{sentence}");
    let status = own.group().status();
    assert_eq!((status.voters.len(), status.learners.len()), (1, 0));
    own.submit(3, WAIT).await.expect("the cluster goes on");
}
