//! Nodes that hear no leader: given up where others may have one, and not where all wait together.

mod support;

use std::time::{Duration, Instant};

use ostraka_core::limits::CUT_OFF_MS;
use ostraka_replication::SubmitError;
use ostraka_replication::log_store::memory::MemoryDisk;
use support::{Cluster, WAIT, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_gives_up_at_once() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let leader = cluster.leader().await;
    let others: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    others.iter().for_each(|place| cluster.nodes[*place].kill());
    let long = 10 * WAIT;
    // In its log, and then nobody was there to agree.
    assert_eq!(
        cluster.nodes[leader].submit(1, long).await,
        Err(SubmitError::Unknown)
    );
    // Known to be cut off: not even tried.
    assert!(*cluster.nodes[leader].group().cut_off().borrow());
    assert_eq!(
        cluster.nodes[leader].submit(2, long).await,
        Err(SubmitError::NoLeader)
    );
    cluster.nodes[others[0]].start().await;
    wait_until("somebody leads again", || {
        !*cluster.nodes[leader].group().cut_off().borrow()
    })
    .await;
    cluster.nodes[leader].submit(3, WAIT).await.expect("applied");
    cluster.nodes[others[1]].start().await;
    assert!(!cluster.settled().await.counted.contains_key(&2));
}

/// Nobody is elected for longer than a node may be out of touch: votes are written down too slowly.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_leader_together_with_a_quorum_is_not_cut_off() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let leader = cluster.leader().await;
    let survivors: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    let disks = survivors.iter().map(|place| cluster.nodes[*place].disk.clone());
    let disks: Vec<MemoryDisk> = disks.collect();
    let write_votes_down_in = |latency| disks.iter().for_each(|disk| disk.set_barrier_latency(latency));
    write_votes_down_in(Duration::from_millis(600));
    cluster.nodes[leader].kill();
    let begun = Instant::now();
    let waiting = cluster.nodes[survivors[0]].submit(1, WAIT);
    let waiting = tokio::spawn(waiting);
    tokio::time::sleep(Duration::from_millis(2 * CUT_OFF_MS)).await;
    assert!(
        !waiting.is_finished(),
        "nobody leads yet, and nothing is given up"
    );
    write_votes_down_in(Duration::ZERO);
    waiting
        .await
        .expect("no panic")
        .expect("slowly, and without an error");
    assert!(begun.elapsed() > Duration::from_millis(2 * CUT_OFF_MS));
    cluster.nodes[survivors[1]]
        .submit(2, WAIT)
        .await
        .expect("applied");
}
