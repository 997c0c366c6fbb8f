//! Backup and restore of a whole cluster: what was acknowledged before a backup is there after the restore, and what is
//! not a whole backup is refused.

mod cluster;
mod files;

use std::path::Path;

use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::process::run_ostraka;
use crate::support::stage::{leaderboard, vote_call};

const PASSWORD: &str = "a password of eight and more";

fn backup(operator: &str, out: &Path, more: &[&str]) -> Value {
    let mut args = vec![
        "backup",
        "--operator",
        operator,
        "--json",
        "--out",
        out.to_str().unwrap(),
    ];
    args.extend(more);
    let (status, stdout, stderr) = run_ostraka(&args);
    assert!(status.success(), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn check(file: &Path) -> Result<Value, String> {
    let (status, stdout, stderr) = run_ostraka(&["backup", "--json", "--check", file.to_str().unwrap()]);
    if status.success() {
        Ok(serde_json::from_str(&stdout).unwrap())
    } else {
        Err(stderr)
    }
}

fn restore(from: &Path, data_dir: &Path, more: &[&str]) -> Result<Value, String> {
    let (from, data_dir) = (from.to_str().unwrap(), data_dir.to_str().unwrap());
    let mut args = vec!["restore", "--json", "--from", from, "--data-dir", data_dir];
    args.extend(more);
    let (status, stdout, stderr) = run_ostraka(&args);
    if status.success() {
        Ok(serde_json::from_str(&stdout).unwrap())
    } else {
        assert!(stdout.is_empty(), "{stdout}");
        Err(stderr)
    }
}

/// A port that nothing listens on now.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Registers a voter with a password; the user's id.
fn register(addr: &str, operator_token: &str, name: &str) -> String {
    let person = json!({
        "username": name,
        "email": format!("{name}@example.org"),
        "date_of_birth": "1990-01-02",
        "password": PASSWORD,
    });
    let answer = Call::post("/v1/auth/register", &person)
        .token(operator_token)
        .send(addr);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["user_id"].as_str().unwrap().to_string()
}

fn number_of(user: &str) -> u32 {
    user.trim_start_matches('u').parse().unwrap()
}

/// Status, answer's vote id and verdict of a submission.
fn vote(addr: &str, token: &str, voter: u32, event: &str, contestant: u32) -> (u16, String, String) {
    let answer = vote_call(token, voter, event, contestant).send(addr);
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_string();
    (answer.status, text("vote_id"), text("vote_status"))
}

fn totals(addr: &str, token: &str, event: &str) -> [u64; 2] {
    let board = leaderboard(addr, token, event);
    let mut shown = [0, 0];
    for entry in board["contestants"].as_array().unwrap() {
        let is_second = entry["contestant_id"].as_str().unwrap().ends_with("c1");
        shown[usize::from(is_second)] = entry["total_votes"].as_u64().unwrap();
    }
    shown
}
