//! A data folder that cannot be used gets a sentence that says what and what to do; no vote is acknowledged that is not
//! durable; nothing is destroyed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::http::Call;
use crate::support::process::{NodeOptions, NodeProcess, OPERATOR_PASSWORD, ostraka, run_ostraka};
use crate::support::stage::{Issuer, Stage, create_event, login, vote_call};

/// Every file below the folder, with its content.
fn content(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
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
fn refused(data_dir: &Path) -> String {
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
fn kept(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
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
                && sentence.contains("restore it from a backup"),
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

/// A small file system of its own. Needs root; says so where it is not.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(path: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self {
                path: path.to_path_buf(),
            });
        }
        println!("INCONCLUSIVE: a full disk was not tested, because mounting a small one needs root");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Votes until one is refused; what was acknowledged, and the refusal.
fn vote_until_refused(
    addr: &str,
    issuer: &Issuer,
    event: &str,
    first: u32,
) -> (Vec<(u32, String)>, serde_json::Value) {
    let mut acknowledged = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    for voter in first.. {
        assert!(Instant::now() < deadline, "never refused");
        let answer = vote_call(&issuer.voter(voter), voter, event, 0).send(addr);
        if answer.status != 200 {
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(answer.header("retry-after").is_some());
            return (acknowledged, answer.assert_problem());
        }
        acknowledged.push((voter, answer.json()["vote_id"].as_str().unwrap().to_string()));
    }
    unreachable!("the loop ends by its deadline")
}

#[test]
fn a_full_disk_refuses_votes_serves_reads_and_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), 200) else {
        return;
    };
    let data_dir = disk.path.join("data");
    let node = NodeProcess::start(NodeOptions::new(1, &data_dir));
    let addr = node.options.public.clone();
    let issuer = Issuer::of(&data_dir.join("secrets.json"));
    let operator = login(&addr, "operator", OPERATOR_PASSWORD);
    let event = create_event(&addr, &operator, &["Ada"]);
    let ballast = disk.path.join("ballast");
    let free = |path: &Path| {
        let stat = Command::new("df")
            .args(["--output=avail", "-B1"])
            .arg(path)
            .output()
            .unwrap();
        String::from_utf8_lossy(&stat.stdout)
            .lines()
            .nth(1)
            .unwrap()
            .trim()
            .parse::<usize>()
            .unwrap()
    };
    std::fs::write(&ballast, vec![0; free(&disk.path) - 20 * 1024 * 1024]).unwrap();
    let (acknowledged, problem) = vote_until_refused(&addr, &issuer, &event, 10);
    assert_eq!(problem["type"], "urn:ostraka:problem:storage-full", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("disk"), "{problem}");

    // Reads go on, and the operator is told.
    for (voter, vote) in &acknowledged {
        let status = Call::get(&format!("/v1/vote/{vote}/status"))
            .token(&issuer.voter(*voter))
            .send(&addr);
        assert_eq!(status.json()["vote_status"], "processed");
    }
    let board = Call::get(&format!("/v1/event/{event}/leaderboard"))
        .token(&operator)
        .send(&addr);
    assert_eq!(
        board.json()["contestants"][0]["total_votes"],
        acknowledged.len() as u64
    );
    assert_eq!(Call::get("/readyz").send(&node.options.operator).status, 503);

    std::fs::remove_file(&ballast).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let voter = 1_000_000;
    while vote_call(&issuer.voter(voter), voter, &event, 0)
        .send(&addr)
        .status
        != 200
    {
        assert!(Instant::now() < deadline, "no recovery when space returned");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_disk_that_is_full_to_the_last_byte_acknowledges_nothing_that_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), 200) else {
        return;
    };
    let data_dir = disk.path.join("data");
    let mut node = NodeProcess::start(NodeOptions::new(1, &data_dir));
    let addr = node.options.public.clone();
    let issuer = Issuer::of(&data_dir.join("secrets.json"));
    let operator = login(&addr, "operator", OPERATOR_PASSWORD);
    let event = create_event(&addr, &operator, &["Ada"]);
    // Filled at once, quicker than the guard looks: the log's own writes meet the end of the disk.
    let ballast = disk.path.join("ballast");
    let fill = Command::new("dd")
        .args(["if=/dev/zero", "bs=1M"])
        .arg(format!("of={}", ballast.display()))
        .output();
    assert!(!fill.unwrap().status.success(), "the disk is full");
    let mut acknowledged = Vec::new();
    for voter in 10..200 {
        match vote_call(&issuer.voter(voter), voter, &event, 0).try_send(&addr) {
            Ok(answer) if answer.status == 200 => {
                acknowledged.push((voter, answer.json()["vote_id"].as_str().unwrap().to_string()));
            }
            Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
            Err(_) => break,
        }
    }
    let log = node.log();
    assert!(log.contains("disk"), "the log names the disk: {log}");
    let options = if node.has_exited() {
        node.options.clone()
    } else {
        node.kill_nine()
    };
    std::fs::remove_file(&ballast).unwrap();
    let node = NodeProcess::start(options);
    login(&addr, "operator", OPERATOR_PASSWORD);
    for (voter, vote) in &acknowledged {
        let status = Call::get(&format!("/v1/vote/{vote}/status"))
            .token(&issuer.voter(*voter))
            .send(&addr);
        assert_eq!(status.status, 200, "voter {voter}'s acknowledged vote is lost");
    }
    drop(node);
}
