//! Who may become a member: a node with a past of its own is never mixed into another cluster, a node of this cluster
//! may come back, and what is not carried out leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::cluster::Cluster;
use crate::support::http::Call;
use crate::support::process::{
    NodeOptions, NodeProcess, OPERATOR_PASSWORD, assert_verified, ostraka, run_ostraka,
};
use crate::support::stage::{Issuer, create_event, leaderboard, login, vote_call};

fn add(via: &str, node: u64, peer: &str, _: &str) -> (bool, String) {
    let node = node.to_string();
    let args = [
        "cluster",
        "--operator",
        via,
        "add",
        "--node",
        &node,
        "--peer",
        peer,
    ];
    let (status, stdout, stderr) = run_ostraka(&args);
    (status.success(), stdout + &stderr)
}

fn groups(operator: &str) -> Vec<Value> {
    let status = Call::get("/v1/cluster/status").send(operator).json();
    status["groups"].as_array().unwrap().clone()
}

/// Every log of the node has this many voters and no learner.
#[track_caller]
fn assert_voters(operator: &str, voters: usize) {
    for group in groups(operator) {
        assert_eq!(group["voters"].as_array().unwrap().len(), voters, "{group}");
        assert!(group["learners"].as_array().unwrap().is_empty(), "{group}");
    }
}

/// A node that formed a cluster of itself, with an event and votes of these voters.
fn cluster_of_one(node: u64, dir: &Path, voters: std::ops::Range<u32>) -> NodeProcess {
    let secrets = dir.join("secrets.json");
    let options = NodeOptions::new(node, &dir.join(format!("node{node}")))
        .with(&["--secrets-file", secrets.to_str().unwrap()]);
    let node = NodeProcess::start(options);
    let operator = login(&node.options.public, "operator", OPERATOR_PASSWORD);
    let event = create_event(&node.options.public, &operator, &["Ada"]);
    let issuer = Issuer::of(&secrets);
    for voter in voters {
        let answer = vote_call(&issuer.voter(voter), voter, &event, 0).send(&node.options.public);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    node
}

fn total(node: &NodeProcess, issuer: &Issuer) -> Value {
    leaderboard(&node.options.public, &issuer.voter(999_999), "e1")["contestants"][0]["total_votes"].clone()
}

fn wait_ready(node: &NodeProcess) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !Call::get("/readyz")
        .try_send(&node.options.operator)
        .is_ok_and(|answer| answer.status == 200)
    {
        assert!(Instant::now() < deadline, "not ready: {}", node.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Restarted so often that its terms are higher than the other's.
fn restarted(mut node: NodeProcess, times: usize, flags: &[&str]) -> NodeProcess {
    for _ in 0..times {
        let (options, _) = node.stop();
        let options = NodeOptions {
            extra: options.extra.iter().take(2).cloned().collect(),
            ..options
        };
        node = NodeProcess::start(options.with(flags));
        wait_ready(&node);
    }
    node
}

#[test]
fn a_node_with_a_cluster_of_its_own_is_refused_and_nothing_is_changed() {
    // Which of the two has the higher terms decides what the mixture would destroy.
    for (own_restarts, other_restarts, flags) in [
        (0, 0, &[][..]),
        (2, 0, &[][..]),
        (0, 2, &["--bootstrap", "wait"][..]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let own = cluster_of_one(1, dir.path(), 10..13);
        let other = cluster_of_one(2, dir.path(), 20..30);
        let own = restarted(own, own_restarts, &[]);
        let other = restarted(other, other_restarts, flags);
        let begun = Instant::now();
        let (added, said) = add(&own.options.operator, 2, &other.options.peer, "5");
        assert!(!added, "two histories were mixed: {said}");
        for part in [
            "another cluster",
            "nothing was changed",
            "empty data folder",
            "--bootstrap wait",
        ] {
            assert!(said.contains(part), "{part:?} is missing: {said}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let issuer = Issuer::of(&dir.path().join("secrets.json"));
        assert_eq!(
            (total(&own, &issuer), total(&other, &issuer)),
            (3.into(), 10.into())
        );
        for node in [own, other] {
            assert_voters(&node.options.operator, 1);
            let (options, status) = node.stop();
            assert!(status.success());
            assert_verified(&options.data_dir);
        }
    }
}

#[test]
fn a_node_that_lacks_one_of_the_logs_is_refused_before_the_other_log_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let own = cluster_of_one(1, dir.path(), 10..11);
    let secrets = dir.path().join("secrets.json");
    // The vote log is the second that is asked about; the identity log would be a member by then.
    let half = NodeProcess::start(NodeOptions::new(2, &dir.path().join("node2")).with(&[
        "identity",
        "--bootstrap",
        "wait",
        "--secrets-file",
        secrets.to_str().unwrap(),
    ]));
    let before = groups(&own.options.operator);
    let (added, said) = add(&own.options.operator, 2, &half.options.peer, "0");
    assert!(!added && said.contains("nothing was changed"), "{said}");
    assert_voters(&own.options.operator, 1);
    let after = groups(&own.options.operator);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(
            before["last_log_index"], after["last_log_index"],
            "no entry was written"
        );
    }
}

#[test]
fn a_node_that_was_removed_comes_back_with_its_log() {
    let cluster = Cluster::of_three(&[]);
    let via = &cluster.options[0].operator;
    let (status, stdout, stderr) = run_ostraka(&["cluster", "--operator", via, "remove", "--node", "3"]);
    assert!(status.success(), "{stdout}{stderr}");
    assert_voters(via, 2);
    let vote = vote_call(&cluster.issuer.voter(7), 7, &cluster.event, 0).send(cluster.public(0));
    assert_eq!(vote.status, 200);
    let (added, said) = add(via, 3, &cluster.options[2].peer, "10");
    assert!(added, "{said}");
    assert_voters(via, 3);
    cluster.wait_converged();
    let board = leaderboard(cluster.public(2), &cluster.issuer.voter(8), &cluster.event);
    assert_eq!(board["contestants"][0]["total_votes"], 1, "{board}");
    // Once more: it is a voter, and stays one.
    let (added, said) = add(via, 3, &cluster.options[2].peer, "10");
    assert!(added, "{said}");
}

#[test]
fn a_node_that_is_still_starting_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let own = cluster_of_one(1, dir.path(), 10..11);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = free.local_addr().unwrap().to_string();
    drop(free);
    let begun = Instant::now();
    let (added, said) = add(&own.options.operator, 2, &peer, "1");
    assert!(!added && begun.elapsed() >= Duration::from_secs(1), "{said}");
    assert!(said.contains("waiting") && said.contains(&peer), "{said}");
    let adding = {
        let (via, peer) = (own.options.operator.clone(), peer.clone());
        std::thread::spawn(move || add(&via, 2, &peer, "30"))
    };
    std::thread::sleep(Duration::from_millis(700));
    let secrets = dir.path().join("secrets.json");
    let mut options = NodeOptions::new(2, &dir.path().join("node2")).with(&[
        "--bootstrap",
        "wait",
        "--secrets-file",
        secrets.to_str().unwrap(),
    ]);
    options.peer = peer;
    let _late = NodeProcess::start(options);
    let (added, said) = adding.join().unwrap();
    assert!(added, "{said}");
    assert_voters(&own.options.operator, 2);
}

#[test]
fn a_member_whose_folder_was_emptied_does_not_form_a_cluster_under_the_same_name() {
    let mut cluster = Cluster::of_three(&[]);
    cluster.kill_nine(0);
    let leader = cluster.leader();
    let options = cluster.options[0].clone();
    // The secret stays: it is the log that is lost.
    let secrets = options.data_dir.join("secrets.json");
    let kept = std::fs::read(&secrets).unwrap();
    std::fs::remove_dir_all(&options.data_dir).unwrap();
    std::fs::create_dir_all(&options.data_dir).unwrap();
    std::fs::write(&secrets, kept).unwrap();
    std::fs::set_permissions(&secrets, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut child = ostraka()
        .args(["serve", "--node-id", "1", "--data-dir"])
        .arg(&options.data_dir)
        .args([
            "--listen",
            "127.0.0.1:0",
            "--operator-listen",
            "127.0.0.1:0",
            "--peer-listen",
        ])
        .arg(&options.peer)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = child.try_wait().unwrap().is_some();
    let _ = child.kill();
    let said = String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr).into_owned();
    // It has listened first, and its old cluster has reached it.
    assert!(ended, "{said}");
    for part in [
        "no new cluster is formed",
        "cluster remove --node 1",
        "empty data folder",
        "--bootstrap wait",
    ] {
        assert!(
            said.contains(part),
            "{part:?} is missing (ended: {ended}): {said}"
        );
    }
    assert_eq!(cluster.leader(), leader, "the others go on");
    // What it had says nothing any more about what it has.
    let operator = &cluster.options[leader].operator;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (_, status, _) = run_ostraka(&["cluster", "--operator", operator, "status"]);
        let of_node_1 = |line: &&str| line.contains("voter 1 at ");
        let told: Vec<&str> = status.lines().filter(of_node_1).collect();
        // Each log's leader knows, and the logs may have different ones.
        let says = |what: &str| told.iter().any(|line| line.contains(what));
        if says("has not answered") && !says("has the log up to") {
            break;
        }
        assert!(Instant::now() < deadline, "{status}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Of both logs, whoever led which before, and also if it is the same node again.
#[test]
fn leadership_can_be_sent_to_whichever_node_and_votes_go_on() {
    let cluster = Cluster::of_three(&[]);
    for (voter, to) in (10..).zip([1, 1, 3, 3, 2]) {
        let via = &cluster.options[voter as usize % 3].operator;
        let to_text = to.to_string();
        let args = ["cluster", "--operator", via, "transfer-leader", "--to", &to_text];
        let (status, stdout, stderr) = run_ostraka(&args);
        assert!(status.success(), "{to}: {stdout}{stderr}");
        for group in groups(&cluster.options[to - 1].operator) {
            assert_eq!(group["leader"], to, "{group}");
        }
        let vote = vote_call(&cluster.issuer.voter(voter), voter, &cluster.event, 0);
        assert_eq!(vote.send(cluster.public(to - 1)).status, 200, "{to}");
    }
}
