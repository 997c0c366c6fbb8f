//! `ostraka export` on real folders: what the log holds, told to programs that are not the service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostraka_core::{Batch, Command};
use ostraka_node::export::{EXPORT_FORMAT, Head, Kind, Line};

use crate::support::cluster::Cluster;
use crate::support::load::cast;
use crate::support::process::{assert_verified, run_ostraka};
use crate::support::stage::Stage;

fn export(data_dir: &Path) -> (Head, Vec<Line>) {
    let (status, stdout, stderr) = run_ostraka(&["export", "--data-dir", data_dir.to_str().unwrap()]);
    assert!(status.success(), "{stderr}");
    parsed(&stdout)
}

fn parsed(text: &str) -> (Head, Vec<Line>) {
    let mut lines = text.lines();
    let head = serde_json::from_str(lines.next().unwrap()).unwrap();
    (
        head,
        lines.map(|line| serde_json::from_str(line).unwrap()).collect(),
    )
}

/// Voter and contestant of every submission in these entries.
fn votes(lines: &[Line]) -> Vec<(u32, u16)> {
    let mut votes = Vec::new();
    for line in lines.iter().filter(|line| line.kind == Kind::Normal) {
        let batch = Batch::decode(&STANDARD.decode(&line.body).unwrap()).unwrap();
        votes.extend(batch.commands.iter().filter_map(|command| match command {
            Command::CastVote(vote) => Some((vote.voter.0, vote.contestant.0)),
            _ => None,
        }));
    }
    votes
}

/// Every file with its bytes.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

/// A node that was stopped after `voters` votes.
fn stopped(voters: std::ops::Range<u32>, flags: &[&str]) -> tempfile::TempDir {
    let stage = Stage::with(flags);
    let event = stage.event(&["Ada", "Bo"]);
    for voter in voters {
        let cast = cast(stage.public(), &event, &stage.issuer, voter);
        assert!(cast.acknowledged.is_some());
    }
    let (node, dir) = (stage.node, stage.dir);
    assert!(node.stop().1.success());
    dir
}

#[test]
fn every_vote_is_in_the_lines_and_the_node_is_unchanged() {
    let dir = stopped(10..40, &[]);
    let data_dir = dir.path().join("data");
    let before = content(&data_dir);
    let (head, lines) = export(&data_dir);
    assert_eq!(content(&data_dir), before);

    assert_eq!((head.format, head.node.0), (EXPORT_FORMAT, 1));
    let format: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data_dir.join("FORMAT")).unwrap()).unwrap();
    assert_eq!(format["cluster"]["id"], head.cluster.unwrap().to_string());
    assert_eq!(head.problems, Vec::<String>::new(), "{head:?}");
    let indexes: Vec<u64> = lines.iter().map(|line| line.index).collect();
    let range = head.first_index.unwrap()..=head.last_index.unwrap();
    assert_eq!(indexes, range.collect::<Vec<_>>());
    assert!(lines.iter().any(|line| line.kind == Kind::Membership));
    assert!(lines.iter().any(|line| line.kind == Kind::Blank));
    for line in &lines {
        let is_normal = line.kind == Kind::Normal;
        assert_eq!(
            (is_normal, is_normal),
            (!line.body.is_empty(), line.stamped_at > 0),
            "{line:?}"
        );
    }
    let expected: Vec<_> = (10..40).map(|voter| (voter, (voter % 2) as u16)).collect();
    assert_eq!(votes(&lines), expected);
    assert_eq!(assert_verified(&data_dir)["votes_counted"], 30);
}

#[test]
fn members_export_the_same_and_mark_what_they_know_to_be_committed() {
    let mut cluster = Cluster::of_three(&[]);
    for voter in 10..30 {
        let place = voter as usize % 3;
        assert!(
            cast(cluster.public(place), &cluster.event, &cluster.issuer, voter)
                .acknowledged
                .is_some()
        );
    }
    cluster.wait_converged();
    (0..3).for_each(|place| cluster.kill_nine(place));
    let exports: Vec<_> = cluster
        .options
        .iter()
        .map(|options| export(&options.data_dir))
        .collect();
    let told = |lines: &[Line]| -> Vec<Line> {
        let without = |line: &Line| Line {
            committed: false,
            ..line.clone()
        };
        lines.iter().map(without).collect()
    };
    for (place, (head, lines)) in exports.iter().enumerate() {
        assert_eq!(head.node.0, place as u64 + 1);
        assert_eq!(head.cluster, exports[0].0.cluster);
        assert_eq!(told(lines), told(&exports[0].1), "the logs are one");
        assert_eq!(votes(lines).len(), 20);
        let known = head.committed_index;
        for line in lines {
            assert_eq!(
                line.committed,
                known.is_some_and(|known| line.index <= known),
                "{known:?} {line:?}"
            );
        }
    }
    // Most is known to be committed; what came with the last barriers cannot be.
    assert!(exports.iter().all(|(head, _)| head.committed_index > Some(10)));
}

#[test]
fn a_purged_log_says_what_it_begins_with() {
    let dir = stopped(
        10..60,
        &["--snapshot-every-entries", "10", "--log-keep-entries", "5"],
    );
    let data_dir = dir.path().join("data");
    let (head, lines) = export(&data_dir);
    let purged = head.purged_index.expect("the beginning is purged");
    assert_eq!((head.first_index, lines[0].index), (Some(purged + 1), purged + 1));
    let newest = head.snapshots.last().expect("the purged part is in a snapshot");
    assert!(newest.index >= purged && newest.bytes > 0, "{head:?}");
    assert_eq!(newest.sha256.len(), 64);
    assert!(head.committed_index >= Some(newest.index), "{head:?}");

    // A damaged one is named, and the log is exported all the same.
    let path = data_dir.join(format!("vote/snapshots/snapshot-{:020}.ost", newest.index));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (damaged, same) = export(&data_dir);
    assert_eq!(same.len(), lines.len());
    assert!(
        damaged
            .problems
            .iter()
            .any(|problem| problem.contains("is damaged")),
        "{damaged:?}"
    );
}

fn export_to(out: &Path, data_dir: &Path) -> (ExitStatus, String, String) {
    let (data_dir, out) = (data_dir.to_str().unwrap(), out.to_str().unwrap());
    run_ostraka(&["export", "--data-dir", data_dir, "--out", out])
}

#[test]
fn a_file_appears_whole_and_nothing_is_written_over() {
    let dir = stopped(10..12, &[]);
    let (data_dir, out) = (dir.path().join("data"), dir.path().join("log.jsonl"));
    let (status, stdout, stderr) = export_to(&out, &data_dir);
    assert!(status.success() && stdout.is_empty(), "{stdout}{stderr}");
    let text = std::fs::read_to_string(&out).unwrap();
    assert_eq!(votes(&parsed(&text).1).len(), 2);
    let (status, _, stderr) = export_to(&out, &data_dir);
    assert!(!status.success() && stderr.contains("already"), "{stderr}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), text);
}

#[test]
fn what_cannot_be_exported_is_said_and_leaves_no_file() {
    let stage = Stage::new();
    let out = stage.dir.path().join("log.jsonl");
    let refused = |data_dir: &Path| {
        let (status, _, stderr) = export_to(&out, data_dir);
        assert!(!status.success());
        assert!(!out.exists() && !out.with_extension("jsonl.new").exists());
        stderr
    };
    let data_dir = stage.dir.path().join("data");
    assert!(refused(&data_dir).contains("in use by another ostraka process"));
    let nowhere = stage.dir.path().join("nowhere");
    assert!(refused(&nowhere).contains("there is no data folder"));
    assert!(stage.node.stop().1.success());
    std::fs::remove_dir_all(data_dir.join("vote/log")).unwrap();
    assert!(refused(&data_dir).contains("has lost its Vote log"));
}
