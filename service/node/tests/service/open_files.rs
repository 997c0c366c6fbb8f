//! A process that may open few files: it takes what it may have, says what is missing, and does not end for want of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::http::Call;
use crate::support::process::{NodeOptions, NodeProcess, OPERATOR_PASSWORD, assert_verified};
use crate::support::stage::{Issuer, create_event, login};

/// Files of a process whose connections are soon all there are. A node with nobody connected has some two dozen open.
const FEW_FILES: &str = "-n 64";

fn limited(dir: &tempfile::TempDir, ulimit: &str, flags: &[&str]) -> NodeProcess {
    let mut options = NodeOptions::new(1, &dir.path().join("data")).with(flags);
    options.ulimit = Some(ulimit.to_owned());
    NodeProcess::start(options)
}

#[test]
fn a_node_raises_its_soft_limit_of_open_files_to_the_hard_one() {
    let dir = tempfile::tempdir().unwrap();
    let node = limited(&dir, "-S -n 256", &[]);
    let (soft, hard) = node.open_files_max();
    assert_ne!(hard, "256");
    assert_eq!(soft, hard, "{}", node.log());
}

#[test]
fn a_node_with_too_few_files_for_its_connections_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let node = limited(&dir, "-n 1024", &[]);
    assert_eq!(node.open_files_max(), ("1024".to_owned(), "1024".to_owned()));
    let log = node.log();
    for part in ["WARN", "may have too few files open", "1024", "17024"] {
        assert!(log.contains(part), "{part:?} is missing: {log}");
    }
}

/// Connections that stay open take the last file, and a snapshot is due.
#[test]
fn a_snapshot_that_finds_no_file_to_write_to_waits_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = limited(&dir, FEW_FILES, &["--snapshot-every-entries", "1"]);
    let addr = node.options.public.clone();
    let issuer = Issuer::of(&node.options.data_dir.join("secrets.json"));
    let event = create_event(&addr, &login(&addr, "operator", OPERATOR_PASSWORD), &["Ada"]);
    let mut voters = TcpStream::connect(&addr).unwrap();
    vote(&mut voters, &issuer, 10, &event);

    let connect = || TcpStream::connect(&addr).unwrap();
    let mut idle: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    // With each entry a snapshot is due, unless one is being written. Idle connections are closed after a while.
    until(&mut node, |log| {
        vote(&mut voters, &issuer, 10, &event);
        idle.push(connect());
        log.contains("a connection could not be accepted")
            && log.contains("a snapshot waits until this process may open files again")
    });
    drop(idle);
    let operator = node.options.operator.clone();
    let mut applied_before = None;
    until(&mut node, |_| {
        vote(&mut voters, &issuer, 11, &event);
        let Some((snapshot, applied)) = snapshot_of_votes(&operator) else {
            return false;
        };
        snapshot >= *applied_before.get_or_insert(applied)
    });
    drop(voters);
    let (options, status) = node.stop();
    assert!(status.success());
    let report = assert_verified(&options.data_dir);
    assert_eq!(report["votes_counted"], 2, "{report}");
}

/// Looks at the node's log until it is so.
fn until(node: &mut NodeProcess, mut is_so: impl FnMut(&str) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so(&node.log()) {
        assert!(!node.has_exited(), "the node ended: {}", node.log());
        assert!(Instant::now() < deadline, "too late: {}", node.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where the vote log's snapshot and its machine are.
fn snapshot_of_votes(operator: &str) -> Option<(u64, u64)> {
    let status = Call::get("/v1/cluster/status").try_send(operator);
    let status = status.ok()?.json();
    let groups = status["groups"].as_array()?;
    let group = groups.iter().find(|group| group["name"] == "Vote")?;
    Some((
        group["snapshot_index"].as_u64()?,
        group["applied_index"].as_u64()?,
    ))
}

/// On a connection that stays open.
fn vote(stream: &mut TcpStream, issuer: &Issuer, voter: u32, event: &str) {
    let body = json!({
        "user_id": format!("u{voter}"), "event_id": event, "contestant_id": format!("{event}-c0"),
    })
    .to_string();
    let token = issuer.voter(voter);
    let request = format!(
        "POST /v1/vote/submit HTTP/1.1\r\nhost: ostraka\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&bytes[..read]);
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
