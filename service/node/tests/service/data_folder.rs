//! A data folder that cannot be used gets a sentence that says what and what to do; no vote is acknowledged that is not
//! durable; nothing is destroyed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::http::Call;
use crate::support::process::{NodeOptions, NodeProcess, ostraka, run_ostraka};
use crate::support::stage::{Issuer, Stage, vote_call};

/// Every file below the folder, with its content.
pub(crate) fn content(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    files
}

/// Starts a node that must not start; what it said.
pub(crate) fn refused(data_dir: &Path) -> String {
    let mut child = ostraka()
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--operator-listen",
            "127.0.0.1:0",
            "--peer-listen",
            "127.0.0.1:0",
        ])
        .arg("--data-dir")
        .arg(data_dir)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the node started on a folder that it must refuse");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "a refusal is exit code 1");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with a vote in it, its node stopped.
fn used_folder() -> (tempfile::TempDir, PathBuf) {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    assert_eq!(
        stage
            .send(&vote_call(&stage.issuer.voter(7), 7, &event, 0))
            .status,
        200
    );
    let Stage { node, dir, .. } = stage;
    let (_, status) = node.stop();
    assert!(status.success());
    let data_dir = dir.path().join("data");
    (dir, data_dir)
}

#[test]
fn a_newer_format() {
    let (_dir, data) = used_folder();
    std::fs::write(data.join("FORMAT"), br#"{"format": 999, "node": 1}"#).unwrap();
    let before = content(&data);
    let sentence = refused(&data);
    assert!(
        sentence.contains("format 999") && sentence.contains("newer"),
        "{sentence}"
    );
    assert!(content(&data) == before, "nothing is touched");
}

#[test]
fn another_process_has_it() {
    let stage = Stage::new();
    let sentence = refused(&stage.dir.path().join("data"));
    assert!(
        sentence.contains("in use by another ostraka process"),
        "{sentence}"
    );
    let (status, _, stderr) = run_ostraka(&[
        "verify",
        "--data-dir",
        stage.dir.path().join("data").to_str().unwrap(),
    ]);
    assert!(!status.success() && stderr.contains("in use"), "{stderr}");
}

#[test]
fn a_corrupt_log() {
    let (_dir, data) = used_folder();
    let db = data.join("vote/log/db");
    let mut bytes = std::fs::read(&db).unwrap();
    for byte in &mut bytes {
        *byte ^= 0x5a;
    }
    std::fs::write(&db, &bytes).unwrap();
    let sentence = refused(&data);
    assert!(
        sentence.contains("vote/log") && sentence.contains("restore"),
        "{sentence}"
    );
    assert!(
        !sentence.contains("RUST_BACKTRACE"),
        "a sentence, not a panic: {sentence}"
    );
    assert!(std::fs::read(&db).unwrap() == bytes, "the evidence is kept");
    let (status, _, _) = run_ostraka(&["verify", "--data-dir", data.to_str().unwrap()]);
    assert!(!status.success());
}

/// One flipped byte where the log's entries are.
fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let place = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 2;
    bytes[place] ^= 0x01;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn verify_changes_nothing_in_what_it_finds_damaged() {
    let (_dir, data) = used_folder();
    flip(&data.join("vote/log/db"));
    let before = content(&data);
    let (status, _, stderr) = run_ostraka(&["verify", "--data-dir", data.to_str().unwrap()]);
    assert!(!status.success(), "a damaged log does not verify: {stderr}");
    assert!(content(&data) == before, "an audit changes nothing");
}

/// The files that a refused start must leave byte for byte: all but the lock's.
pub(crate) fn kept(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = content(data);
    files.remove(&data.join("LOCK"));
    files
}

#[test]
fn damage_inside_a_segment_is_refused_untouched_and_can_be_undone() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    let issuer = Issuer::of(&stage.dir.path().join("data/secrets.json"));
    let votes: Vec<(u32, String)> = (1..=60)
        .map(|voter| {
            let answer = stage.send(&vote_call(&issuer.voter(voter), voter, &event, 0));
            assert_eq!(answer.status, 200);
            (voter, answer.json()["vote_id"].as_str().unwrap().to_string())
        })
        .collect();
    let Stage { node, dir, .. } = stage;
    let (options, status) = node.stop();
    assert!(status.success());
    let data = dir.path().join("data");
    for (log, part) in [("vote/log", 2), ("vote/log", 3), ("identity/log", 2)] {
        let db = data.join(log).join("db");
        let whole = std::fs::read(&db).unwrap();
        let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
        let mut damaged = whole.clone();
        for byte in &mut damaged[used / part..used / part + 40] {
            *byte ^= 0x21;
        }
        std::fs::write(&db, &damaged).unwrap();
        let before = kept(&data);
        let sentence = refused(&data);
        assert!(
            sentence.contains(log)
                && sentence.contains("is damaged")
                && sentence.contains("remove this node from the cluster"),
            "{sentence}"
        );
        assert!(
            !sentence.contains("Corruption") && !sentence.contains("backtrace"),
            "the engine's own words are no help: {sentence}"
        );
        assert!(kept(&data) == before, "{log}: a refusal changes nothing");
        let (status, _, stderr) = run_ostraka(&["verify", "--data-dir", data.to_str().unwrap()]);
        assert!(!status.success(), "verify says the same: {stderr}");
        std::fs::write(&db, &whole).unwrap();
    }
    let node = NodeProcess::start(options);
    for (voter, vote) in &votes {
        let status = Call::get(&format!("/v1/vote/{vote}/status"))
            .token(&issuer.voter(*voter))
            .send(&node.options.public);
        assert_eq!(status.json()["vote_status"], "processed", "voter {voter}");
    }
}

#[test]
fn a_torn_end_after_a_kill_opens_and_leaves_no_copy() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    let issuer = Issuer::of(&stage.dir.path().join("data/secrets.json"));
    let answer = stage.send(&vote_call(&issuer.voter(5), 5, &event, 0));
    assert_eq!(answer.status, 200);
    let vote = answer.json()["vote_id"].as_str().unwrap().to_string();
    let Stage { node, dir, .. } = stage;
    let options = node.kill_nine();
    let data = dir.path().join("data");
    // What a write that was cut off leaves, and what a start that was killed while it looked into a copy does.
    let db = data.join("vote/log/db");
    let mut bytes = std::fs::read(&db).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes.truncate(used + 1);
    bytes.extend([0x77; 300]);
    std::fs::write(&db, &bytes).unwrap();
    let copy = data.join("vote/log/REHEARSAL");
    std::fs::create_dir(&copy).unwrap();
    std::fs::write(copy.join("db"), b"half a copy").unwrap();
    let node = NodeProcess::start(options);
    let status = Call::get(&format!("/v1/vote/{vote}/status"))
        .token(&issuer.voter(5))
        .send(&node.options.public);
    assert_eq!(status.json()["vote_status"], "processed");
    assert!(!copy.exists());
}

#[test]
fn formats_of_a_log_are_told_apart() {
    let (_dir, data) = used_folder();
    let file = data.join("vote/log/FORMAT");
    for (format, said) in [
        ("ostraka log format 99\n", "written by a newer Ostraka"),
        ("poems\n", "not a log of Ostraka"),
    ] {
        std::fs::write(&file, format).unwrap();
        let before = kept(&data);
        let sentence = refused(&data);
        assert!(
            sentence.contains(said) && sentence.contains("vote/log"),
            "{sentence}"
        );
        assert!(kept(&data) == before);
    }
}

#[test]
fn a_log_without_its_mark_is_refused() {
    let (_dir, data) = used_folder();
    std::fs::write(data.join("vote/log/MARK"), b"").unwrap();
    let before = kept(&data);
    let sentence = refused(&data);
    assert!(
        sentence.contains("MARK") && sentence.contains("vote/log"),
        "{sentence}"
    );
    assert!(kept(&data) == before);
    let (status, _, _) = run_ostraka(&["verify", "--data-dir", data.to_str().unwrap()]);
    assert!(!status.success());
}

#[test]
fn lost_and_foreign_secrets() {
    let (_dir, data) = used_folder();
    let file = data.join("secrets.json");
    let own = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let sentence = refused(&data);
    assert!(
        sentence.contains("secrets.json") && sentence.contains("is gone"),
        "{sentence}"
    );
    assert!(!file.exists(), "no new one is made in its place");
    let (_other_dir, other) = used_folder();
    std::fs::copy(other.join("secrets.json"), &file).unwrap();
    let sentence = refused(&data);
    assert!(sentence.contains("other secrets"), "{sentence}");
    std::fs::write(&file, own).unwrap();
    drop(NodeProcess::start(NodeOptions::new(1, &data)));
}

#[test]
fn verify_sees_a_damaged_or_missing_identity_log() {
    let (_dir, data) = used_folder();
    std::fs::remove_dir_all(data.join("identity")).unwrap();
    let (status, _, stderr) = run_ostraka(&["verify", "--data-dir", data.to_str().unwrap()]);
    assert!(!status.success() && stderr.contains("Identity"), "{stderr}");
}

#[test]
fn a_lost_log_beside_a_snapshot_or_accounts_is_not_a_new_node() {
    let (_dir, data) = used_folder();
    std::fs::remove_dir_all(data.join("vote")).unwrap();
    let sentence = refused(&data);
    assert!(sentence.contains("vote"), "{sentence}");
}

#[test]
fn unusable_secrets() {
    let (_dir, data) = used_folder();
    std::fs::write(data.join("secrets.json"), b"{}").unwrap();
    let sentence = refused(&data);
    assert!(sentence.contains("secrets.json"), "{sentence}");
}

#[test]
fn a_port_in_use() {
    let stage = Stage::new();
    let dir = tempfile::tempdir().unwrap();
    let output = ostraka()
        .args([
            "serve",
            "--operator-listen",
            "127.0.0.1:0",
            "--peer-listen",
            "127.0.0.1:0",
            "--listen",
        ])
        .arg(stage.public())
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    let sentence = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        sentence.contains(stage.public()) && sentence.contains("in use"),
        "{sentence}"
    );
}
