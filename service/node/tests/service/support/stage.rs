//! A stage for a test: one node with an operator, an event, and tokens for any voter.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ostraka_core::{LogIndex, UnixMs, VoterNumber};
use ostraka_node::env::OsEntropy;
use ostraka_node::secrets::Secrets;
use ostraka_node::token::{Role, Tokens};
use serde_json::{Value, json};

use super::http::{Answer, Call};
use super::process::{NodeOptions, NodeProcess, OPERATOR_PASSWORD};

/// Signs tokens as the identity service does: with the secrets in the node's folder.
pub(crate) struct Issuer {
    tokens: Tokens,
}

impl Issuer {
    pub(crate) fn of(secrets_file: &Path) -> Self {
        let secrets = Secrets::load_or_create(secrets_file, &OsEntropy).unwrap();
        Self {
            tokens: Tokens::new(&secrets),
        }
    }

    pub(crate) fn voter(&self, number: u32) -> String {
        self.tokens.sign(
            VoterNumber(number),
            Role::Voter,
            now(),
            Duration::from_secs(3_600),
        )
    }

    /// A token that knows of every logout there will be.
    pub(crate) fn never_revoked(&self, number: u32) -> String {
        let (voter, hour) = (VoterNumber(number), Duration::from_secs(3_600));
        self.tokens
            .sign_at(voter, Role::Voter, LogIndex(u64::MAX), now(), hour)
    }

    /// A token that ran out a minute ago.
    pub(crate) fn expired(&self, number: u32) -> String {
        let hour_ago = UnixMs(now().0 - 3_600_000);
        self.tokens.sign(
            VoterNumber(number),
            Role::Voter,
            hour_ago,
            Duration::from_secs(3_540),
        )
    }
}

fn now() -> UnixMs {
    UnixMs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

/// One running node and what a test needs to talk with it.
pub(crate) struct Stage {
    pub(crate) node: NodeProcess,
    pub(crate) issuer: Issuer,
    pub(crate) operator_token: String,
    /// Keeps the folder until the test is over.
    pub(crate) dir: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let node = NodeProcess::start(NodeOptions::new(1, &data_dir).with(flags));
        let issuer = Issuer::of(&data_dir.join("secrets.json"));
        let operator_token = login(&node.options.public, "operator", OPERATOR_PASSWORD);
        Self {
            node,
            issuer,
            operator_token,
            dir,
        }
    }

    pub(crate) fn public(&self) -> &str {
        &self.node.options.public
    }

    pub(crate) fn send(&self, call: &Call) -> Answer {
        call.send(self.public())
    }

    /// An open event of the operator's with these contestants; its id.
    pub(crate) fn event(&self, contestants: &[&str]) -> String {
        create_event(self.public(), &self.operator_token, contestants)
    }

    pub(crate) fn leaderboard(&self, event: &str) -> Value {
        leaderboard(self.public(), &self.issuer.voter(999_999), event)
    }
}

pub(crate) fn login(addr: &str, username: &str, password: &str) -> String {
    let call = Call::post(
        "/v1/auth/login",
        &json!({"username": username, "password": password}),
    );
    // A node that was just started answers 503 until its log has a leader.
    for _ in 0..100 {
        let answer = call.send(addr);
        if answer.status == 200 {
            return answer.json()["token"].as_str().unwrap().to_string();
        }
        assert!(answer.status == 503 || answer.status == 401, "{answer:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("no login within 10 s");
}

pub(crate) fn create_event(addr: &str, operator_token: &str, contestants: &[&str]) -> String {
    let contestants: Vec<Value> = contestants
        .iter()
        .map(|name| json!({"contestant_name": name, "contestant_description": "", "contestant_image_url": "https://example.org/a.png"}))
        .collect();
    let body = json!({"user_id": "u1", "event_name": "Final", "contestants": contestants});
    let answer = Call::post("/v1/event/create", &body)
        .token(operator_token)
        .send(addr);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["event_id"].as_str().unwrap().to_string()
}

pub(crate) fn leaderboard(addr: &str, token: &str, event: &str) -> Value {
    let answer = Call::get(&format!("/v1/event/{event}/leaderboard"))
        .token(token)
        .send(addr);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// `POST /v1/vote/submit` of a voter for contestant `c` of the event.
pub(crate) fn vote_call(token: &str, voter: u32, event: &str, contestant: u32) -> Call {
    let body = json!({
        "user_id": format!("u{voter}"),
        "event_id": event,
        "contestant_id": format!("{event}-c{contestant}"),
        "client_timestamp": "2026-11-21T20:15:00Z",
        "meta": {"device_id": "d", "app_version": "1"},
    });
    Call::post("/v1/vote/submit", &body).token(token)
}
