//! Three nodes, 2,000 votes a second, `kill -9` of the leader, again and again: no acknowledged vote lost, none doubled,
//! no client error at the surviving nodes, and the killed node rejoins by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::cluster::Cluster;
use crate::support::http::Call;
use crate::support::process::{NodeOptions, NodeProcess, assert_verified, run_ostraka};
use crate::support::stage::{Issuer, leaderboard, vote_call};

/// Kills in the ordinary run; `OSTRAKA_FAILOVER_ROUNDS` asks for a longer campaign.
const ROUNDS_DEFAULT: u32 = 3;
const VOTES_PER_SECOND: u32 = 2_000;
const THREADS: u32 = 32;

fn rounds() -> u32 {
    std::env::var("OSTRAKA_FAILOVER_ROUNDS")
        .map_or(ROUNDS_DEFAULT, |text| text.parse().expect("a number of rounds"))
}

/// One vote through a surviving node.
struct Sent {
    voter: u32,
    vote: Result<String, String>,
    intended: Instant,
    answered: Instant,
}

/// Votes at a fixed rate, measured from the intended moment, to one of these nodes each; until told to stop.
fn vote_at_rate(
    nodes: &[String],
    event: &str,
    issuer: &Arc<Issuer>,
    next_voter: &Arc<AtomicU32>,
    stop: &Arc<AtomicBool>,
) -> Vec<std::thread::JoinHandle<Vec<Sent>>> {
    let started = Instant::now();
    (0..THREADS)
        .map(|thread| {
            let (nodes, event, issuer) = (nodes.to_vec(), event.to_string(), issuer.clone());
            let (next_voter, stop) = (next_voter.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut sent = Vec::new();
                let every = Duration::from_secs(1) * THREADS / VOTES_PER_SECOND;
                let mut intended = started + every * thread / THREADS;
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(intended.saturating_duration_since(Instant::now()));
                    let voter = next_voter.fetch_add(1, Ordering::Relaxed);
                    let addr = &nodes[voter as usize % nodes.len()];
                    let vote = submit(addr, &event, &issuer, voter);
                    sent.push(Sent {
                        voter,
                        vote,
                        intended,
                        answered: Instant::now(),
                    });
                    intended += every;
                }
                sent
            })
        })
        .collect()
}

fn submit(addr: &str, event: &str, issuer: &Issuer, voter: u32) -> Result<String, String> {
    let answer = vote_call(&issuer.voter(voter), voter, event, voter % 2)
        .try_send(addr)
        .map_err(|e| e.to_string())?;
    if answer.status != 200 {
        return Err(format!("{answer:?}"));
    }
    let body = answer.json();
    assert_eq!(
        body["vote_status"], "processed",
        "voter {voter} votes for the first time: {body}"
    );
    Ok(body["vote_id"].as_str().unwrap().to_string())
}

/// The longest time in which no vote was answered, from the kill on.
fn silence_after(kill: Instant, sent: &[Sent]) -> Duration {
    let mut answers: Vec<Instant> = sent
        .iter()
        .map(|one| one.answered)
        .filter(|at| *at >= kill)
        .collect();
    answers.sort();
    let starts = std::iter::once(kill).chain(answers.iter().copied());
    starts
        .zip(&answers)
        .map(|(from, to)| *to - from)
        .max()
        .unwrap_or_default()
}

#[test]
fn a_killed_leader_costs_slowness_and_nothing_else() {
    let mut cluster = Cluster::of_three(&["--snapshot-every-entries", "2000"]);
    let next_voter = Arc::new(AtomicU32::new(100));
    let mut acknowledged: Vec<(u32, String)> = Vec::new();
    for round in 0..rounds() {
        let leader = cluster.leader();
        let survivors: Vec<String> = cluster
            .alive()
            .into_iter()
            .filter(|place| *place != leader)
            .map(|place| cluster.public(place).to_string())
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let crowd = vote_at_rate(&survivors, &cluster.event, &cluster.issuer, &next_voter, &stop);
        std::thread::sleep(Duration::from_millis(700 + u64::from(round * 211 % 600)));
        let kill = Instant::now();
        cluster.kill_nine(leader);
        std::thread::sleep(Duration::from_millis(2_500));
        stop.store(true, Ordering::Relaxed);
        let sent: Vec<Sent> = crowd
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        assert!(
            sent.iter().any(|one| one.answered > kill),
            "round {round}: no vote was answered after the kill"
        );
        let slowest = sent.iter().map(|one| one.answered - one.intended).max().unwrap();
        let (votes, silence) = (sent.len(), silence_after(kill, &sent));
        println!(
            "round {round}: {votes} votes, silence after the kill {silence:?}, slowest answer {slowest:?}"
        );
        for one in sent {
            acknowledged.push((
                one.voter,
                one.vote
                    .unwrap_or_else(|error| panic!("round {round}, voter {}: {error}", one.voter)),
            ));
        }
        cluster.start(leader);
    }
    check(&mut cluster, &acknowledged);
}

/// On every node: every acknowledged vote has its status, the tally is one vote a voter, and the log says the same.
fn check(cluster: &mut Cluster, acknowledged: &[(u32, String)]) {
    cluster.wait_converged();
    for place in cluster.alive() {
        let addr = cluster.public(place);
        for (voter, vote) in acknowledged {
            let call = Call::get(&format!("/v1/vote/{vote}/status")).token(&cluster.issuer.voter(*voter));
            let answer = call.send(addr);
            assert_eq!(
                answer.status,
                200,
                "node {}: voter {voter}'s vote is lost: {answer:?}",
                place + 1
            );
            assert_eq!(answer.json()["vote_status"], "processed");
        }
        let board = leaderboard(addr, &cluster.issuer.voter(1), &cluster.event);
        let total: u64 = board["contestants"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["total_votes"].as_u64().unwrap())
            .sum();
        assert_eq!(total, acknowledged.len() as u64, "node {}", place + 1);
    }
    for place in cluster.alive() {
        cluster.kill_nine(place);
        let report = assert_verified(&cluster.options[place].data_dir);
        assert_eq!(
            report["votes_counted"],
            acknowledged.len() as u64,
            "node {}",
            place + 1
        );
    }
}

#[test]
fn leadership_is_handed_over_and_a_member_leaves() {
    let mut cluster = Cluster::of_three(&[]);
    let leader = cluster.leader();
    let to = (leader + 1) % 3;
    let run = |via: usize, args: &[&str]| {
        let operator = cluster.options[via].operator.clone();
        run_ostraka(&[&["cluster", "--operator", &operator], args].concat())
    };
    // Asked of a node that leads nothing: it passes the request on.
    let (status, stdout, stderr) = run(
        (leader + 2) % 3,
        &["transfer-leader", "--to", &(to + 1).to_string()],
    );
    assert!(status.success(), "{stdout}{stderr}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while cluster.leader() != to {
        assert!(Instant::now() < deadline, "leadership was not handed over");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (status, stdout, _) = run(to, &["status"]);
    assert!(status.success() && stdout.contains("Vote log"), "{stdout}");

    let (status, stdout, stderr) = run(to, &["remove", "--node", &(leader + 1).to_string()]);
    assert!(status.success(), "{stdout}{stderr}");
    cluster.kill_nine(leader);
    // Two of two are left: a vote still goes in.
    submit(cluster.public(to), &cluster.event, &cluster.issuer, 50).expect("the two are a quorum");
}

#[test]
fn a_node_that_cannot_join_is_refused_with_a_sentence_and_leaves_nothing_behind() {
    let cluster = Cluster::of_three(&[]);
    let stranger_dir = tempfile::tempdir().unwrap();
    let stranger = NodeOptions::new(4, &stranger_dir.path().join("data")).with(&["--bootstrap", "wait"]);
    let stranger = NodeProcess::start(stranger);
    let operator = cluster.options[0].operator.clone();
    let peer_of_two = cluster.options[1].peer.clone();
    for (node, peer) in [
        ("0", "127.0.0.1:1"),
        ("4", "127.0.0.1:1"),
        ("4", "nonsense"),
        ("4", peer_of_two.as_str()),
        ("4", stranger.options.peer.as_str()),
    ] {
        let add = [
            "cluster",
            "--operator",
            &operator,
            "add",
            "--node",
            node,
            "--peer",
            peer,
            "--wait-s",
            "0",
        ];
        let (status, stdout, stderr) = run_ostraka(&add);
        assert!(
            !status.success()
                && ["ostraka: ", "error: "]
                    .iter()
                    .any(|start| stderr.starts_with(start)),
            "{node} at {peer}: {stdout}{stderr}"
        );
    }
    let status = cluster.status(0).unwrap();
    for group in status["groups"].as_array().unwrap() {
        assert_eq!(group["learners"].as_array().unwrap().len(), 0, "{group}");
        assert_eq!(group["voters"].as_array().unwrap().len(), 3, "{group}");
    }
}

#[test]
fn a_duplicate_through_another_node_is_found_and_a_retry_there_gets_the_first_answer() {
    let cluster = Cluster::of_three(&[]);
    let token = cluster.issuer.voter(7);
    let first = vote_call(&token, 7, &cluster.event, 0)
        .send(cluster.public(0))
        .json();
    for place in [1, 2] {
        assert_eq!(
            vote_call(&token, 7, &cluster.event, 0)
                .send(cluster.public(place))
                .json(),
            first
        );
        let other = vote_call(&token, 7, &cluster.event, 1)
            .header("idempotency-key", "second")
            .send(cluster.public(place));
        assert_eq!(other.json()["vote_status"], "duplicate");
    }
}

/// Waits for this status of `/readyz`; what the node said with it.
fn wait_readiness(cluster: &Cluster, place: usize, status: u16) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = Call::get("/readyz").send(&cluster.options[place].operator);
        if answer.status == status {
            return answer.json()["reasons"].to_string();
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn nodes_without_a_quorum_say_that_they_are_not_ready() {
    let mut cluster = Cluster::of_three(&[]);
    let leader = cluster.leader();
    let followers: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    followers.iter().for_each(|place| cluster.kill_nine(*place));
    let said = wait_readiness(&cluster, leader, 503);
    assert!(said.contains("no quorum") || said.contains("silent"), "{said}");
    cluster.start(followers[0]);
    assert_eq!(wait_readiness(&cluster, leader, 200), "[]");
    // A follower whose leader is gone, and who cannot become one.
    cluster.kill_nine(leader);
    let said = wait_readiness(&cluster, followers[0], 503);
    assert!(!said.contains("[]"), "{said}");
}
