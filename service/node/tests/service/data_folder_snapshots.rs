//! Log and snapshots belong together: what does not fit is refused before anything is opened, and an audit of it says
//! what a start would do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::data_folder::{kept, refused};
use crate::support::http::Call;
use crate::support::process::{NodeOptions, NodeProcess, run_ostraka};
use crate::support::stage::{Issuer, Stage, vote_call};

/// A stopped node with votes and vote snapshots.
struct Stopped {
    dir: tempfile::TempDir,
    options: NodeOptions,
    event: String,
    votes: Vec<(u32, String)>,
}

impl Stopped {
    fn with(flags: &[&str], voters: std::ops::RangeInclusive<u32>) -> Self {
        let stage = Stage::with(flags);
        let event = stage.event(&["Ada"]);
        let votes = vote(stage.public(), &stage.issuer, &event, voters);
        let Stage { node, dir, .. } = stage;
        let_snapshots_be(&dir.path().join("data"));
        let (options, status) = node.stop();
        assert!(status.success());
        Self {
            dir,
            options,
            event,
            votes,
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A copy of the data folder to plant a fault in.
    fn copy(&self, name: &str) -> PathBuf {
        let copy = self.dir.path().join(name);
        copy_folder(&self.data(), &copy);
        copy
    }

    fn assert_votes(&self, node: &NodeProcess) {
        let issuer = Issuer::of(&self.data().join("secrets.json"));
        for (voter, vote) in &self.votes {
            let status = Call::get(&format!("/v1/vote/{vote}/status"))
                .token(&issuer.voter(*voter))
                .send(&node.options.public);
            assert_eq!(status.json()["vote_status"], "processed", "voter {voter}");
        }
    }
}

fn vote(
    addr: &str,
    issuer: &Issuer,
    event: &str,
    voters: std::ops::RangeInclusive<u32>,
) -> Vec<(u32, String)> {
    voters
        .map(|voter| {
            let answer = vote_call(&issuer.voter(voter), voter, event, 0).send(addr);
            assert_eq!(answer.status, 200, "{answer:?}");
            (voter, answer.json()["vote_id"].as_str().unwrap().to_string())
        })
        .collect()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// The vote snapshots, oldest first.
fn snapshots(data: &Path) -> Vec<PathBuf> {
    let found = listed(data);
    assert_eq!(found.len(), 2, "two snapshots are kept");
    found
}

fn listed(data: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(data.join("vote/snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "ost"))
        .collect();
    found.sort();
    found
}

/// Waits until no snapshot is on its way: a node that stops while one is taking the oldest one's place leaves three.
fn let_snapshots_be(data: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut seen, mut looks) = (Vec::new(), 0);
    while looks < 3 || seen.len() > 2 {
        assert!(
            Instant::now() < deadline,
            "snapshots do not come to rest: {seen:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
        let is_half_written = fs::read_dir(data.join("vote/snapshots")).unwrap().count() > listed(data).len();
        let now = listed(data);
        looks = if is_half_written || now != seen {
            0
        } else {
            looks + 1
        };
        seen = now;
    }
}

fn flip(file: &Path, place: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(file).unwrap();
    let place = place(bytes.len());
    bytes[place] ^= 0x01;
    fs::write(file, bytes).unwrap();
}

/// Exit code 0, the report where there is one, and what was said.
fn verify(data: &Path) -> (bool, Option<Value>, String) {
    let (status, stdout, stderr) = run_ostraka(&["verify", "--json", "--data-dir", data.to_str().unwrap()]);
    (status.success(), serde_json::from_str(&stdout).ok(), stderr)
}

const OFTEN: [&str; 2] = ["--snapshot-every-entries", "20"];
const PURGING: [&str; 4] = ["--snapshot-every-entries", "20", "--log-keep-entries", "5"];

#[test]
fn an_older_log_under_newer_snapshots_is_refused_untouched() {
    let mut stopped = Stopped::with(&OFTEN, 1..=30);
    let data = stopped.data();
    let backup = stopped.dir.path().join("backup");
    copy_folder(&data.join("vote/log"), &backup);
    let node = NodeProcess::start(stopped.options.clone());
    let issuer = Issuer::of(&data.join("secrets.json"));
    stopped
        .votes
        .extend(vote(&node.options.public, &issuer, &stopped.event, 31..=80));
    assert!(node.stop().1.success());

    let own = stopped.dir.path().join("own");
    fs::rename(data.join("vote/log"), &own).unwrap();
    copy_folder(&backup, &data.join("vote/log"));
    let before = kept(&data);
    let sentence = refused(&data);
    assert!(
        sentence.contains("vote/log")
            && sentence.contains("ends at entry")
            && sentence.contains("belong together"),
        "{sentence}"
    );
    assert!(sentence.contains("nothing was changed"), "{sentence}");
    assert!(kept(&data) == before, "a refusal changes nothing");
    let (agrees, ..) = verify(&data);
    assert!(!agrees, "an audit finds it too");

    // The advice helps: with the log that belongs to them, everything is there.
    fs::remove_dir_all(data.join("vote/log")).unwrap();
    fs::rename(own, data.join("vote/log")).unwrap();
    stopped.assert_votes(&NodeProcess::start(stopped.options.clone()));
}

#[test]
fn an_older_log_under_newer_accounts_is_refused() {
    let stopped = Stopped::with(&[], 1..=3);
    let data = stopped.data();
    let log = data.join("identity/log");
    let backup = stopped.dir.path().join("backup");
    copy_folder(&log, &backup);
    // Each start leaves an entry of the new leader's in both.
    assert!(NodeProcess::start(stopped.options.clone()).stop().1.success());
    let own = stopped.dir.path().join("own");
    fs::rename(&log, &own).unwrap();
    copy_folder(&backup, &log);
    let sentence = refused(&data);
    assert!(
        sentence.contains("identity") && sentence.contains("the log ends at entry"),
        "{sentence}"
    );
    assert!(sentence.contains("belong together"), "{sentence}");

    fs::remove_dir_all(&log).unwrap();
    fs::rename(own, &log).unwrap();
    stopped.assert_votes(&NodeProcess::start(stopped.options.clone()));
}

#[test]
fn snapshots_that_cannot_be_used_on_a_purged_log_are_refused_untouched() {
    let stopped = Stopped::with(&PURGING, 1..=80);
    let (agrees, report, said) = verify(&stopped.data());
    let report = report.unwrap();
    assert!(
        agrees && report["trusted_index"].as_u64().unwrap() > 0,
        "{report}{said}"
    );
    type Plant = fn(&[PathBuf]);
    let damage_newest: Plant = |files| flip(&files[1], |bytes| bytes / 2);
    let damage_both: Plant = |files| files.iter().for_each(|file| flip(file, |bytes| bytes / 2));
    let newer_format: Plant = |files| {
        let mut bytes = fs::read(&files[1]).unwrap();
        bytes[11] = 2;
        fs::write(&files[1], bytes).unwrap();
    };
    let delete_newest: Plant = |files| fs::remove_file(&files[1]).unwrap();
    let delete_both: Plant = |files| files.iter().for_each(|file| fs::remove_file(file).unwrap());
    for (name, plant, said) in [
        ("damaged", damage_newest, "is damaged"),
        ("both-damaged", damage_both, "is damaged"),
        ("newer", newer_format, "start a newer Ostraka"),
        ("newest-deleted", delete_newest, "vote/snapshots"),
        ("deleted", delete_both, "vote/snapshots"),
    ] {
        let data = stopped.copy(name);
        plant(&snapshots(&data));
        let before = kept(&data);
        let sentence = refused(&data);
        assert!(sentence.contains(said), "{name}: {sentence}");
        assert!(
            !sentence.contains("Cannot re-apply") && !sentence.contains("CommittedLeaderId"),
            "{name}: no text of the consensus library's: {sentence}"
        );
        assert!(
            sentence.contains("remove this node from the cluster") || sentence.contains("newer Ostraka"),
            "{name}: it says what to do: {sentence}"
        );
        assert!(kept(&data) == before, "{name}: a refusal changes nothing");
        let (agrees, ..) = verify(&data);
        assert!(!agrees, "{name}: an audit finds it too");
    }
    stopped.assert_votes(&NodeProcess::start(stopped.options.clone()));
}

/// A node that was killed while it took over a peer's snapshot: its log ends before it, and that is in order.
#[test]
fn a_node_that_was_killed_while_it_installed_a_snapshot_starts() {
    let mut first = Stopped::with(&PURGING, 1..=80);
    let source = NodeProcess::start(first.options.clone());
    let data = first.dir.path().join("node2");
    let mut options = NodeOptions::new(2, &data).with(&PURGING);
    options
        .extra
        .extend(["--bootstrap".to_owned(), "wait".to_owned()]);
    fs::create_dir(&data).unwrap();
    fs::copy(first.data().join("secrets.json"), data.join("secrets.json")).unwrap();
    let node = NodeProcess::start(options);
    let fresh = first.dir.path().join("fresh-log");
    copy_folder(&data.join("vote/log"), &fresh);
    let via = ["cluster", "--operator", &source.options.operator];
    let add = ["add", "--node", "2", "--peer", &node.options.peer];
    let (status, stdout, stderr) = run_ostraka(&[&via[..], &add[..]].concat());
    assert!(status.success(), "{stdout}{stderr}\n{}", node.log());
    let options = node.kill_nine();
    let has_note = |data: &Path| {
        let names = fs::read_dir(data.join("vote/snapshots")).unwrap();
        names
            .map(|entry| entry.unwrap().path())
            .any(|path| path.extension().is_some_and(|end| end == "early"))
    };
    assert!(has_note(&data), "the log had not come so far");
    // As the kill would have left it between the snapshot and the log.
    fs::remove_dir_all(data.join("vote/log")).unwrap();
    copy_folder(&fresh, &data.join("vote/log"));
    let (agrees, _, said) = verify(&data);
    assert!(agrees, "an audit finds it in order: {said}");
    // The leader, too, knows nothing yet of what the node has by now.
    let source = NodeProcess::start(source.kill_nine());
    let node = NodeProcess::start(options);
    let deadline = Instant::now() + Duration::from_secs(30);
    while Call::get("/readyz").send(&node.options.operator).status != 200 {
        assert!(Instant::now() < deadline, "{}", node.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    first.assert_votes(&node);
    // The next snapshot is its own: the note goes, and an older log is no longer explained.
    let issuer = Issuer::of(&data.join("secrets.json"));
    let more = vote(&source.options.public, &issuer, &first.event, 81..=130);
    first.votes.extend(more);
    while has_note(&data) {
        assert!(Instant::now() < deadline, "{}", node.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(node.stop().1.success());
    fs::remove_dir_all(data.join("vote/log")).unwrap();
    copy_folder(&fresh, &data.join("vote/log"));
    let before = kept(&data);
    let any = "127.0.0.1:0";
    let ports = ["--listen", any, "--operator-listen", any, "--peer-listen", any];
    let serve = ["serve", "--node-id", "2", "--data-dir", data.to_str().unwrap()];
    let said = run_ostraka(&[&serve[..], &ports[..]].concat()).2;
    assert!(said.contains("belong together"), "{said}");
    assert!(kept(&data) == before);
}

/// The log is whole, so a damaged snapshot costs nothing; an audit says which one, and what a start does with it.
#[test]
fn an_audit_finds_a_damaged_snapshot_wherever_the_damage_is_and_goes_on_with_the_log() {
    let stopped = Stopped::with(&OFTEN, 1..=60);
    let (agrees, whole, said) = verify(&stopped.data());
    assert!(agrees, "{said}");
    let whole = whole.unwrap();
    type Place = fn(usize) -> usize;
    let places: [(&str, Place); 3] = [
        ("first", |_| 0),
        ("middle", |bytes| bytes / 2),
        ("last", |bytes| bytes - 1),
    ];
    for (name, place) in places {
        for number in [0, 1] {
            let data = stopped.copy(&format!("{name}-{number}"));
            let file = snapshots(&data)[number].clone();
            flip(&file, place);
            assert_damaged_snapshot_found(&data, &file, &whole);
        }
    }
    let data = stopped.copy("cut");
    let file = snapshots(&data)[1].clone();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    assert_damaged_snapshot_found(&data, &file, &whole);
    // And it is as the audit says: the node starts, and every vote is there.
    let mut options = stopped.options.clone();
    options.data_dir = data;
    let node = NodeProcess::start(options);
    assert!(node.log().contains("A SNAPSHOT IS DAMAGED"));
    stopped.assert_votes(&node);
}

fn assert_damaged_snapshot_found(data: &Path, file: &Path, whole: &Value) {
    let (agrees, report, said) = verify(data);
    assert!(!agrees, "damage is no agreement: {said}");
    let report = report.unwrap_or_else(|| panic!("the log is recounted all the same: {said}"));
    assert_eq!(report["votes_counted"], whole["votes_counted"], "{said}");
    let disagreements = report["disagreements"].to_string();
    assert!(
        disagreements.contains(file.to_str().unwrap()) && disagreements.contains("set aside"),
        "{disagreements}"
    );
    assert_eq!(
        report["disagreements"].as_array().unwrap().len(),
        1,
        "{disagreements}"
    );
}

#[test]
fn an_audit_names_the_folder_that_it_was_given() {
    let stopped = Stopped::with(&[], 1..=5);
    for part in ["vote/log", "identity/log", "identity/accounts"] {
        let data = stopped.copy(&part.replace('/', "-"));
        flip(&data.join(part).join("db"), |_| 1);
        let (agrees, _, said) = verify(&data);
        assert!(!agrees);
        assert!(said.contains(data.join(part).to_str().unwrap()), "{said}");
        assert!(!said.contains("ostraka-verify"), "not the copy's: {said}");
    }
}

#[test]
fn an_audit_of_a_folder_that_is_not_there_gives_no_advice_to_make_one() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("absent"), dir.path().to_path_buf()] {
        let (agrees, _, said) = verify(&path);
        assert!(!agrees && said.contains(path.to_str().unwrap()), "{said}");
        assert!(!said.contains("empty --data-dir"), "{said}");
    }
    assert!(!dir.path().join("absent").exists());
}

/// What a kill leaves is whole: no copy is made, which would take time and room with every crash.
#[test]
fn a_killed_node_comes_back_without_a_look_into_copies() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    vote(stage.public(), &stage.issuer, &event, 1..=5);
    let Stage { mut node, dir, .. } = stage;
    for round in 0..3 {
        node = NodeProcess::start(node.kill_nine());
        crate::support::stage::login(
            &node.options.public,
            "operator",
            crate::support::process::OPERATOR_PASSWORD,
        );
        let log = node.log();
        assert!(!log.contains("opening a copy first"), "kill {round}: {log}");
    }
    drop(dir);
}

#[test]
fn a_start_that_fails_leaves_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for listen in ["127.0.0.1:x", "192.0.2.1:8080"] {
        let (status, _, said) = run_ostraka(&[
            "serve",
            "--operator-listen",
            "127.0.0.1:0",
            "--peer-listen",
            "127.0.0.1:0",
            "--listen",
            listen,
            "--data-dir",
            data.to_str().unwrap(),
        ]);
        assert!(!status.success() && said.contains(listen), "{said}");
        assert!(!data.exists(), "{listen}: nothing was begun");
    }
}

#[test]
fn a_data_dir_that_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::write(&data, b"a letter").unwrap();
    let sentence = refused(&data);
    assert!(sentence.contains("is a file"), "{sentence}");
    assert_eq!(fs::read(&data).unwrap(), b"a letter");
}
