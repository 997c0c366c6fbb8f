//! A cluster of three is lost and comes back from its backup.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{PASSWORD, backup, check, free_port, number_of, register, restore, totals, vote};
use crate::support::cluster::{Cluster, add_to_cluster};
use crate::support::http::Call;
use crate::support::load::{Cast, Crowd, cast};
use crate::support::process::{NodeOptions, NodeProcess, OPERATOR_PASSWORD, assert_verified};
use crate::support::stage::{Issuer, Stage, login, vote_call};

/// Takes a cluster of three away and brings it back from its backup on three new nodes.
#[test]
fn a_cluster_comes_back_from_its_backup() {
    let mut cluster = Cluster::of_three(&["--snapshot-every-entries", "50"]);
    let dir = tempfile::tempdir().unwrap();
    let secrets = dir.path().join("secrets.json");
    std::fs::copy(cluster.options[0].data_dir.join("secrets.json"), &secrets).unwrap();
    let event = cluster.event.clone();
    let operator = login(cluster.public(0), "operator", OPERATOR_PASSWORD);
    let people: Vec<String> = ["ada", "bob", "cyd"]
        .map(|name| register(cluster.public(1), &operator, name))
        .to_vec();
    let told: Vec<_> = ["ada", "bob"]
        .iter()
        .zip(&people)
        .map(|(name, user)| {
            let token = login(cluster.public(2), name, PASSWORD);
            vote(cluster.public(2), &token, number_of(user), &event, 1)
        })
        .collect();
    assert!(told.iter().all(|(status, ..)| *status == 200), "{told:?}");

    // Votes go on while the backup is taken, through a follower.
    let next_voter = Arc::new(AtomicU32::new(1_000));
    let crowd = Crowd::start(cluster.public(0), &event, &cluster.issuer, &next_voter, 4);
    let early: Vec<Cast> = (100..160)
        .map(|voter| cast(cluster.public(voter as usize % 3), &event, &cluster.issuer, voter))
        .collect();
    assert!(early.iter().all(|cast| cast.acknowledged.is_some()));
    let follower = (cluster.leader() + 1) % 3;
    let file = dir.path().join("backup");
    let header = backup(&cluster.options[follower].operator, &file, &[]);
    assert_eq!(header["node"], follower as u64 + 1);
    // In this order, or an account made in between would have votes and be missing.
    assert_eq!(header["parts"][0]["content"], "vote");
    assert_eq!(header["parts"][1]["content"], "identity");
    let crowded = crowd.finish();
    let late: Vec<Cast> = (200..210)
        .map(|voter| cast(cluster.public(0), &event, &cluster.issuer, voter))
        .collect();
    let late_account = register(cluster.public(0), &operator, "zoe");
    assert!(late.iter().all(|cast| cast.acknowledged.is_some()));
    (0..3).for_each(|place| cluster.kill_nine(place));
    for options in &cluster.options {
        std::fs::remove_dir_all(&options.data_dir).unwrap();
    }

    let checked = check(&file).unwrap();
    assert_eq!((&checked["events"], &checked["accounts"]), (&json!(1), &json!(4)));
    let data_dir = dir.path().join("one");
    let peer = free_port();
    let with = [
        "--secrets-file",
        secrets.to_str().unwrap(),
        "--peer-advertise",
        &peer,
    ];
    let restored = restore(&file, &data_dir, &with).unwrap();
    // Tokens of before are nobody's any more: the number of an account that is lost is given out again.
    let issuer = Arc::new(Issuer::of(&secrets));
    assert_ne!(restored["cluster"], header["cluster"]);
    assert_verified(&data_dir);

    let with = ["--secrets-file", secrets.to_str().unwrap()];
    let mut first = NodeOptions::new(1, &data_dir).with(&with);
    first.peer = peer;
    let first = NodeProcess::start(first);
    let mut nodes = vec![first];
    for number in [2, 3] {
        let options = NodeOptions::new(number, &dir.path().join(format!("node{number}")))
            .with(&with)
            .with(&["--bootstrap", "wait"]);
        let node = NodeProcess::start(options);
        add_to_cluster(&nodes[0].options.operator, number, &node);
        nodes.push(node);
    }

    let of_before = cluster.issuer.voter(number_of(&late_account));
    let answer = vote_call(&of_before, number_of(&late_account), &event, 0).send(&nodes[0].options.public);
    assert_eq!(answer.status, 401, "{answer:?}");

    // Through each node: every vote of before is there under its id, logins work, and nothing counts twice.
    let kept: Vec<&Cast> = early
        .iter()
        .chain(&crowded)
        .filter(|cast| {
            let Some(id) = &cast.acknowledged else {
                return false;
            };
            let answer = Call::get(&format!("/v1/vote/{id}/status"))
                .token(&issuer.voter(cast.voter))
                .send(&nodes[0].options.public);
            match answer.status {
                200 => assert_eq!(answer.json()["vote_status"], "processed"),
                // It came behind the backup, which no vote of `early` did.
                status => assert!(status == 404 && cast.voter >= 1_000, "{cast:?} {answer:?}"),
            }
            answer.status == 200
        })
        .collect();
    assert!(kept.len() >= early.len());
    for node in &nodes {
        let addr = &node.options.public;
        login(addr, "operator", OPERATOR_PASSWORD);
        for ((name, user), first) in ["ada", "bob"].iter().zip(&people).zip(&told) {
            let token = login(addr, name, PASSWORD);
            let again = vote(addr, &token, number_of(user), &event, 1);
            assert_eq!(&again, first, "a retry gets the first answer");
            let other = vote(addr, &token, number_of(user), &event, 0);
            assert_eq!(other.2, "duplicate", "{other:?}");
        }
        let ones = kept.iter().filter(|cast| cast.contestant == 1).count() as u64 + 2;
        let zeros = kept.len() as u64 + 2 - ones;
        assert_eq!(totals(addr, &issuer.voter(1), &event), [zeros, ones]);
        // What the lost cluster said behind the backup is not known, and its ids are never given to others.
        for cast in &late {
            let id = cast.acknowledged.as_ref().unwrap();
            let answer = Call::get(&format!("/v1/vote/{id}/status"))
                .token(&issuer.voter(cast.voter))
                .send(addr);
            assert_eq!(answer.status, 404, "{answer:?}");
        }
    }
    // The account of before votes; the one behind the backup can be made again, with the same number.
    let addr = nodes[2].options.public.clone();
    let token = login(&addr, "cyd", PASSWORD);
    assert_eq!(
        vote(&addr, &token, number_of(&people[2]), &event, 0).2,
        "processed"
    );
    let again = cast(&addr, &event, &issuer, late[0].voter);
    assert!(again.acknowledged.is_some() && again.acknowledged != late[0].acknowledged);
    let operator = login(&addr, "operator", OPERATOR_PASSWORD);
    assert_eq!(register(&addr, &operator, "zoe"), late_account);
    for node in nodes {
        let data_dir = node.options.data_dir.clone();
        assert!(node.stop().1.success());
        let report = assert_verified(&data_dir);
        assert_eq!(report["votes_counted"], kept.len() as u64 + 4, "{report}");
    }
}

/// Everybody registers, then votes. In a backup that is taken meanwhile, each voter must have an account: if its number were
/// free, the next person would get it and be told "duplicate".
#[test]
fn every_voter_in_a_backup_has_an_account_in_it() {
    let stage = Stage::new();
    let event = stage.event(&["Ada", "Bo"]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for crowd in 0..4 {
            let (stage, event, stop) = (&stage, &event, &stop);
            scope.spawn(move || {
                for person in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("crowd{crowd}-person{person}");
                    let person = json!({
                        "username": name,
                        "email": format!("{name}@example.org"),
                        "date_of_birth": "1990-01-02",
                    });
                    let call = Call::post("/v1/auth/register", &person).token(&stage.operator_token);
                    let answer = stage.send(&call);
                    if answer.status == 429 {
                        std::thread::sleep(Duration::from_millis(10));
                        continue;
                    }
                    assert_eq!(answer.status, 201, "{answer:?}");
                    let number = number_of(answer.json()["user_id"].as_str().unwrap());
                    assert!(
                        cast(stage.public(), event, &stage.issuer, number)
                            .acknowledged
                            .is_some()
                    );
                }
            });
        }
        // Also when the checks below fail: or the crowd is waited for in vain.
        let _stop = StopWhenDropped(&stop);
        let mut votes_before = 0;
        for round in 0..8 {
            std::thread::sleep(Duration::from_millis(150));
            let file = stage.dir.path().join(format!("backup{round}"));
            backup(&stage.node.options.operator, &file, &[]);
            let checked = check(&file).unwrap();
            let (votes, accounts) = (checked["votes_counted"].as_u64(), checked["accounts"].as_u64());
            // One account is the operator's, who does not vote.
            assert!(votes < accounts, "round {round}: {checked}");
            assert!(
                votes > Some(votes_before),
                "round {round} tested nothing: {checked}"
            );
            votes_before = votes.unwrap();
        }
    });
}

struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
