//! Which cluster a node belongs to: never fed from two, back in its own with what it has.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ostraka_replication::log_store::memory::MemoryDisk;
use ostraka_replication::{ClusterKeeper, GroupConfig, GroupError, OutOfTouch, SubmitError};
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
            own.group()
                .add(other.number, other.addr.clone(), own.group().membership(), WAIT)
                .await
                .map(|_| ()),
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
    group.remove(number, group.membership()).await.expect("it goes");
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
    group
        .add(number, addr, group.membership(), WAIT)
        .await
        .expect("it joins");
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
    // Whoever comes to it wants the other cluster.
    wait_until("its old cluster to reach it", || {
        *wiped.group().cut_off().borrow()
    })
    .await;
    let refused = wiped.submit(101, WAIT).await;
    assert!(matches!(refused, Err(SubmitError::NoLeader)), "{refused:?}");
    let why = wiped.group().out_of_touch().await;
    assert!(matches!(why, Some(OutOfTouch::Claimed { .. })), "{why:?}");
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
    // Once nobody calls it any more, it is what it has become.
    cluster.nodes.iter_mut().for_each(Node::kill);
    wait_until("the last call to be long ago", || {
        !*wiped.group().cut_off().borrow()
    })
    .await;
    wiped.submit(102, WAIT).await.expect("applied");
    assert_eq!(wiped.group().out_of_touch().await, None);
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
        .add(
            broken.number,
            broken.addr.clone(),
            own.group().membership(),
            Duration::from_secs(2),
        )
        .await;
    let Err(GroupError::Membership(sentence)) = added else {
        panic!("{added:?}");
    };
    assert!(sentence.contains("was taken out again"), "{sentence}");
    let status = own.group().status();
    assert_eq!((status.voters.len(), status.learners.len()), (1, 0));
    own.submit(3, WAIT).await.expect("the cluster goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replaced_leader_left_half_way_is_ended_before_the_next_change() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let leader = cluster.leader().await;
    let stuck = cluster.follower().await;
    let leaving = 3 - leader - stuck;
    let (number, addr) = (cluster.nodes[leaving].number, cluster.nodes[leaving].addr.clone());
    cluster.settled().await;
    // The first half needs a quorum of those who stay, too. One of these two answers, and its disk does not.
    cluster.nodes[stuck].disk.set_barrier_latency(WAIT);
    let group = cluster.nodes[leader].group();
    let removing = tokio::spawn({
        let group = group.clone();
        async move { group.remove(number, group.membership()).await }
    });
    wait_until("the first half to be in a log", || group.status().changing).await;
    let first_half = group.status().last_log_index;
    let follower = cluster.nodes[leaving].group();
    wait_until("a follower to have it", || {
        follower.status().last_log_index >= first_half
    })
    .await;
    for place in [leader, stuck] {
        cluster.nodes[place].kill();
    }
    assert!(removing.await.expect("no panic").is_err());
    cluster.nodes[stuck].disk.set_barrier_latency(Duration::ZERO);
    for place in [stuck, leader] {
        cluster.nodes[place].start().await;
    }
    let leader = cluster.leader().await;
    let group = cluster.nodes[leader].group();
    wait_until("the first half to be committed", || {
        group.status().committed_index >= first_half
    })
    .await;
    assert!(group.status().changing, "nobody ends it unasked");
    // It counts as a voter still, on its way out. If it leads, it makes way for who stays.
    let leader = loop {
        let leader = cluster.leader().await;
        let group = cluster.nodes[leader].group();
        match group.add(number, addr.clone(), group.membership(), WAIT).await {
            Ok(_) => break leader,
            Err(GroupError::NotLeader(_) | GroupError::MembersChanged(_)) => {}
            Err(error) => panic!("{error}"),
        }
    };
    let status = cluster.nodes[leader].group().status();
    assert_eq!((status.voters.len(), status.changing), (3, false));
    cluster.nodes[leader].submit(1, WAIT).await.expect("applied");
    assert_eq!(cluster.settled().await.counted.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_goes_on_when_nobody_waits_for_it() {
    // What a leader leaves half-way waits for the next change: so nobody else may be elected, however slow the machine.
    let no_elections = |config: &mut GroupConfig| {
        config.election_timeout_min = 2 * WAIT;
        config.election_timeout_max = 3 * WAIT;
    };
    let cluster = Cluster::of(3, no_elections).await;
    let leader = cluster.leader().await;
    let slow = cluster.follower().await;
    let leaving = cluster.nodes[3 - leader - slow].number;
    // Those who stay are this one and the leader.
    cluster.nodes[slow]
        .disk
        .set_barrier_latency(Duration::from_secs(1));
    let group = cluster.nodes[leader].group();
    let removing = tokio::spawn({
        let group = group.clone();
        async move { group.remove(leaving, group.membership()).await }
    });
    wait_until("the first half to be in a log", || group.status().changing).await;
    removing.abort();
    assert!(removing.await.expect_err("ended").is_cancelled());
    wait_until("the second half to be committed", || {
        let status = group.status();
        !status.changing && !status.is_member(leaving)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_hands_over_before_it_leaves() {
    let cluster = Cluster::of(3, |_| {}).await;
    let leader = cluster.leader().await;
    let number = cluster.nodes[leader].number;
    let group = cluster.nodes[leader].group();
    let term = group.status().term;
    group.remove(number, group.membership()).await.expect("it leaves");
    assert!(!group.is_leader(), "it led to the last");
    let next = cluster.leader().await;
    assert_ne!(next, leader);
    let status = cluster.nodes[next].group().status();
    assert!(!status.is_member(number));
    assert_eq!(status.term, term + 1, "one handover, no election");
    cluster.nodes[next].submit(1, WAIT).await.expect("applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_that_is_handed_to_who_leads_stays_there_and_nothing_stops() {
    // A term that an election of a slow machine has raised would say nothing.
    let no_elections = |config: &mut GroupConfig| {
        config.election_timeout_min = 2 * WAIT;
        config.election_timeout_max = 3 * WAIT;
    };
    for len in [1, 3] {
        let cluster = Cluster::of(len, no_elections).await;
        let leader = &cluster.nodes[cluster.leader().await];
        let term = leader.group().status().term;
        for (key, via) in (1..).zip(&cluster.nodes) {
            let handed_over = via.group().transfer_leader(leader.number).await;
            handed_over.expect("it leads");
            leader.submit(key, WAIT).await.expect("applied");
        }
        let status = leader.group().status();
        assert_eq!((status.leader, status.term), (Some(leader.number), term));
        assert_eq!(leader.group().out_of_touch().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_over_in_a_new_term() {
    let cluster = Cluster::of(3, |_| {}).await;
    let (leader, place) = (cluster.leader().await, cluster.follower().await);
    let (old, heir) = (cluster.nodes[leader].group(), &cluster.nodes[place]);
    let term = old.status().term;
    old.transfer_leader(heir.number).await.expect("it takes over");
    let status = old.status();
    assert_eq!(status.leader, Some(heir.number));
    assert!(status.term > term, "{status:?}");
    heir.submit(1, WAIT).await.expect("applied");
}

/// Seed 219060455433773 of the simulator: leadership was handed to a node that had just been cut off, and nobody led for five
/// seconds.
#[tokio::test(flavor = "multi_thread")]
async fn leadership_waits_for_an_heir_that_lacks_some_of_the_log() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let (leader, place) = (cluster.leader().await, cluster.follower().await);
    let heir = cluster.nodes[place].number;
    cluster.nodes[place].kill();
    let old = cluster.nodes[leader].group();
    cluster.nodes[leader]
        .submit(1, WAIT)
        .await
        .expect("two are a quorum");
    let handing = tokio::spawn({
        let old = old.clone();
        async move { old.transfer_leader(heir).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.nodes[leader]
        .submit(2, WAIT)
        .await
        .expect("it leads until the other one can");
    assert!(!handing.is_finished());
    assert_eq!(old.status().leader, Some(cluster.nodes[leader].number));
    cluster.nodes[place].start().await;
    handing.await.expect("no panic").expect("it takes over");
    assert_eq!(old.status().leader, Some(heir));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_meant_for_other_members_changes_nothing() {
    let cluster = Cluster::of(3, |_| {}).await;
    let (leader, place) = (cluster.leader().await, cluster.follower().await);
    let (number, addr) = (cluster.nodes[place].number, cluster.nodes[place].addr.clone());
    let group = cluster.nodes[leader].group();
    let seen = group.membership();
    // A voter already: what is confirmed is newer than what was seen.
    let confirmed = group.add(number, addr.clone(), seen, WAIT).await.expect("is one");
    assert_ne!(confirmed, seen);
    for late in [
        group.remove(number, seen).await,
        group.add(number, addr, seen, WAIT).await,
    ] {
        assert_eq!(late, Err(GroupError::MembersChanged(confirmed)));
    }
    // Also of the leader itself, which would hand over first.
    let (own, term) = (cluster.nodes[leader].number, group.status().term);
    let late = group.remove(own, seen).await;
    assert_eq!(late, Err(GroupError::MembersChanged(confirmed)));
    cluster.settled().await;
    assert_eq!((group.status().voters.len(), group.status().term), (3, term));
    assert_eq!(cluster.nodes[place].group().membership(), confirmed);
    group.remove(number, confirmed).await.expect("meant for these");
}

/// Three nodes, of which one lacks what the other two have acknowledged, and one of those two has lost its data folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_lost_its_log_takes_no_part_before_it_is_added_anew() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let leader = cluster.leader().await;
    let stale = cluster.follower().await;
    let emptied = 3 - leader - stale;
    cluster.nodes[leader].submit(1, WAIT).await.expect("applied");
    cluster.settled().await;
    cluster.nodes[stale].kill();
    cluster.nodes[leader]
        .submit(2, WAIT)
        .await
        .expect("acknowledged by the leader and the node that is emptied");
    for place in [leader, emptied] {
        cluster.nodes[place].kill();
    }
    cluster.nodes[emptied].disk = MemoryDisk::new();
    cluster.nodes[emptied].cluster = Arc::new(ClusterKeeper::in_memory());
    for place in [stale, emptied] {
        cluster.nodes[place].start().await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    for place in [stale, emptied] {
        let group = cluster.nodes[place].group();
        assert!(
            !group.is_leader(),
            "two of three, one of which has forgotten: {:?}",
            group.status()
        );
    }
    cluster.nodes[leader].start().await;
    let (number, addr) = (cluster.nodes[emptied].number, cluster.nodes[emptied].addr.clone());
    let group = loop {
        let leads = |place: &usize| cluster.nodes[*place].group().is_leader();
        match [leader, stale].into_iter().find(leads) {
            Some(place) => break cluster.nodes[place].group(),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    cluster.nodes[leader]
        .submit(3, WAIT)
        .await
        .expect("by the two that remember");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = cluster.nodes[emptied].group().status();
    assert!(!status.has_members(), "nobody has fed it: {status:?}");
    group.remove(number, group.membership()).await.expect("it goes");
    group
        .add(number, addr, group.membership(), WAIT)
        .await
        .expect("and comes back as a new one");
    let counted = cluster.settled().await.counted;
    assert_eq!(counted.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_removed_without_whom_there_would_be_no_quorum() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let leader = cluster.leader().await;
    let dead = cluster.follower().await;
    let alive = cluster.nodes[3 - leader - dead].number;
    let (own, dead_number) = (cluster.nodes[leader].number, cluster.nodes[dead].number);
    let group = cluster.nodes[leader].group();
    let before = group.membership();
    // A moment ago it answered, and that is no sign of life.
    cluster.nodes[dead].kill();
    for leaving in [alive, own] {
        let begun = Instant::now();
        let Err(GroupError::Membership(sentence)) = group.remove(leaving, before).await else {
            panic!("{:?}", group.status());
        };
        let expected = format!("node {dead_number} cannot be reached");
        assert!(sentence.contains(&expected), "{sentence}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    assert_eq!(group.membership(), before, "nothing was written");
    assert!(group.is_leader());
    group
        .remove(dead_number, before)
        .await
        .expect("who is dead may go");
    cluster.nodes[leader].submit(1, WAIT).await.expect("two of two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_learns_that_it_is_out_and_that_it_is_back() {
    let cluster = Cluster::of(3, |_| {}).await;
    let (leader, place) = (cluster.leader().await, cluster.follower().await);
    let (number, addr) = (cluster.nodes[place].number, cluster.nodes[place].addr.clone());
    let group = cluster.nodes[leader].group();
    let removed = cluster.nodes[place].group();
    group.remove(number, group.membership()).await.expect("it goes");
    wait_touch(&removed, Some("does not count this node as a member")).await;
    group
        .add(number, addr, group.membership(), WAIT)
        .await
        .expect("it comes back");
    wait_touch(&removed, None).await;
}

/// Waits until the node says this of being out of touch, or nothing.
async fn wait_touch(group: &ostraka_replication::Group, part: Option<&str>) {
    let begun = Instant::now();
    loop {
        let said = group.out_of_touch().await.map(|out| out.to_string());
        let is_so = match (&said, part) {
            (Some(said), Some(part)) => said.contains(part),
            (said, part) => said.is_none() && part.is_none(),
        };
        if is_so {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{said:?}, not {part:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
