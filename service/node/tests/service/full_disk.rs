//! A full disk: votes are refused, nothing acknowledged is lost, and a start that needs room says so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::data_folder::{kept, refused};
use crate::support::http::Call;
use crate::support::process::{NodeOptions, NodeProcess, OPERATOR_PASSWORD};
use crate::support::stage::{Issuer, create_event, login, vote_call};

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
    if let Some(last_words) = log.lines().find(|line| line.contains("this node cannot go on")) {
        assert!(
            last_words.contains("free space on") && !last_words.contains("CommittedLeaderId"),
            "in our words, not the consensus library's: {last_words}"
        );
    }
    let options = if node.has_exited() {
        node.options.clone()
    } else {
        node.kill_nine()
    };
    let sentence = refused(&data_dir);
    assert!(
        sentence.contains("free"),
        "a start without room says so: {sentence}"
    );
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

/// What is doubtful is looked into as a copy, which takes room. Without it: a sentence, and nothing is touched.
#[test]
fn a_start_that_has_no_room_for_a_copy_says_so_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), 100) else {
        return;
    };
    let data_dir = disk.path.join("data");
    let node = NodeProcess::start(NodeOptions::new(1, &data_dir));
    login(&node.options.public, "operator", OPERATOR_PASSWORD);
    let (options, _) = node.stop();
    let db = data_dir.join("vote/log/db");
    let whole = std::fs::read(&db).unwrap();
    let mut torn = whole.clone();
    let used = torn.iter().rposition(|byte| *byte != 0).unwrap();
    torn.truncate(used - 200);
    std::fs::write(&db, &torn).unwrap();
    let ballast = disk.path.join("ballast");
    let fill = Command::new("dd")
        .args(["if=/dev/zero", "bs=64K"])
        .arg(format!("of={}", ballast.display()))
        .output();
    assert!(!fill.unwrap().status.success(), "the disk is full");
    let before = kept(&data_dir);
    let sentence = refused(&data_dir);
    assert!(
        sentence.contains("vote/log") && sentence.contains("free bytes on its disk: free them"),
        "{sentence}"
    );
    assert!(kept(&data_dir) == before);
    std::fs::remove_file(&ballast).unwrap();
    let sentence = refused(&data_dir);
    assert!(sentence.contains("was once durable"), "{sentence}");
    assert!(kept(&data_dir) == before);
    std::fs::write(&db, &whole).unwrap();
    drop(NodeProcess::start(options));
}

/// The account of the operator cannot be made, and that keeps nobody from asking why, or from stopping the node.
#[test]
fn a_first_start_on_a_full_disk_says_so_and_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), 40) else {
        return;
    };
    let node = NodeProcess::start(NodeOptions::new(1, &disk.path.join("data")));
    let ready = Call::get("/readyz").send(&node.options.operator);
    assert_eq!(ready.status, 503);
    assert!(ready.json().to_string().contains("nearly full"), "{ready:?}");
    let asked = Instant::now();
    let (_, status) = node.stop();
    assert!(status.success());
    assert!(asked.elapsed() < Duration::from_secs(40), "{:?}", asked.elapsed());
}
