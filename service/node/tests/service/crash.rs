//! `kill -9` at any moment under load, restart: every acknowledged vote is there, nobody is counted twice, and
//! `ostraka verify` agrees.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::support::http::Call;
use crate::support::load::{Cast, Crowd, cast};
use crate::support::process::{NodeOptions, NodeProcess, OPERATOR_PASSWORD, assert_verified};
use crate::support::stage::{Issuer, create_event, leaderboard, login};

/// Kills in the ordinary run; `OSTRAKA_CRASH_ROUNDS` asks for a longer campaign.
const ROUNDS_DEFAULT: u32 = 5;

fn rounds() -> u32 {
    std::env::var("OSTRAKA_CRASH_ROUNDS")
        .map_or(ROUNDS_DEFAULT, |text| text.parse().expect("a number of rounds"))
}

/// Everything that voters were told over all rounds.
#[derive(Default)]
struct Ledger {
    casts: BTreeMap<u32, Cast>,
}

impl Ledger {
    /// A retry must get what the first submission got, where that was heard.
    fn write(&mut self, cast: Cast) {
        if let Some(before) = self.casts.get(&cast.voter) {
            let heard = before.acknowledged.is_none() || before.acknowledged == cast.acknowledged;
            assert!(
                heard,
                "voter {} was told two different things: {before:?} and {cast:?}",
                cast.voter
            );
        }
        self.casts.insert(cast.voter, cast);
    }

    fn totals(&self) -> [u64; 2] {
        let count = |contestant| {
            self.casts
                .values()
                .filter(|cast| cast.contestant == contestant)
                .count() as u64
        };
        [count(0), count(1)]
    }

    /// Every acknowledged vote still has its status; votes whose outcome was not heard are sent again.
    fn check(&mut self, addr: &str, event: &str, issuer: &Issuer) {
        let unheard: Vec<u32> = self
            .casts
            .values()
            .filter(|cast| cast.acknowledged.is_none())
            .map(|cast| cast.voter)
            .collect();
        for voter in unheard {
            let again = cast(addr, event, issuer, voter);
            assert!(
                again.acknowledged.is_some(),
                "the node is up, so voter {voter} gets an answer"
            );
            self.write(again);
        }
        for cast in self.casts.values() {
            let vote = cast.acknowledged.as_ref().unwrap();
            let answer = Call::get(&format!("/v1/vote/{vote}/status"))
                .token(&issuer.voter(cast.voter))
                .send(addr);
            assert_eq!(
                answer.status, 200,
                "the acknowledged vote of voter {} is lost: {answer:?}",
                cast.voter
            );
            assert_eq!(answer.json()["vote_status"], "processed");
        }
        let board = leaderboard(addr, &issuer.voter(1), event);
        let mut shown = [0, 0];
        for entry in board["contestants"].as_array().unwrap() {
            let is_second = entry["contestant_id"].as_str().unwrap().ends_with("c1");
            shown[usize::from(is_second)] = entry["total_votes"].as_u64().unwrap();
        }
        assert_eq!(
            shown,
            self.totals(),
            "the tally is exactly one vote for every voter"
        );
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nobody_counts_twice() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    // Few entries a snapshot, so that kills meet snapshots being written too.
    let options = NodeOptions::new(1, &data_dir).with(&["--snapshot-every-entries", "200"]);
    let mut node = NodeProcess::start(options);
    let issuer = Arc::new(Issuer::of(&data_dir.join("secrets.json")));
    let operator = login(&node.options.public, "operator", OPERATOR_PASSWORD);
    let event = create_event(&node.options.public, &operator, &["Ada", "Bo"]);
    let next_voter = Arc::new(AtomicU32::new(100));
    let mut ledger = Ledger::default();
    for round in 0..rounds() {
        let crowd = Crowd::start(&node.options.public, &event, &issuer, &next_voter, 16);
        // A different moment each round: a simple spread, printed with the failure by the round's number.
        std::thread::sleep(Duration::from_millis(150 + u64::from(round * 137 % 700)));
        let options = node.kill_nine();
        let casts = crowd.finish();
        let heard = casts.iter().filter(|cast| cast.acknowledged.is_some()).count();
        assert!(
            heard > 0,
            "round {round} tested nothing: no vote was acknowledged before the kill"
        );
        casts.into_iter().for_each(|cast| ledger.write(cast));
        node = NodeProcess::start(options);
        login(&node.options.public, "operator", OPERATOR_PASSWORD);
        ledger.check(&node.options.public, &event, &issuer);
    }
    node.kill_nine();
    let report = assert_verified(&data_dir);
    assert_eq!(report["votes_counted"], ledger.casts.len() as u64);
}

#[test]
fn a_graceful_stop_ends_with_success_and_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let node = NodeProcess::start(NodeOptions::new(1, &data_dir));
    let issuer = Issuer::of(&data_dir.join("secrets.json"));
    let operator = login(&node.options.public, "operator", OPERATOR_PASSWORD);
    let event = create_event(&node.options.public, &operator, &["Ada", "Bo"]);
    let mut ledger = Ledger::default();
    (10..40).for_each(|voter| ledger.write(cast(&node.options.public, &event, &issuer, voter)));
    let (options, status) = node.stop();
    assert!(status.success(), "{status}");
    assert_verified(&data_dir);
    let node = NodeProcess::start(options);
    login(&node.options.public, "operator", OPERATOR_PASSWORD);
    ledger.check(&node.options.public, &event, &issuer);
}
