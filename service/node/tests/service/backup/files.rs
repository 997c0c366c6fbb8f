//! Files that are no whole backup, secrets of others, folders in use, restores cut off.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ostraka_node::backup::Content;
use ostraka_node::backup::codec::{Decoder, Encoder};

use super::{PASSWORD, backup, check, free_port, register, restore, totals};
use crate::support::cluster::Cluster;
use crate::support::load::cast;
use crate::support::process::{NodeOptions, NodeProcess, OPERATOR_PASSWORD, run_ostraka};
use crate::support::stage::{Issuer, Stage, login};

/// One node with a few votes and accounts, and a backup of it with its secrets.
fn backed_up() -> (Stage, PathBuf, String) {
    let stage = Stage::new();
    let event = stage.event(&["Ada", "Bo"]);
    for voter in 10..40 {
        assert!(
            cast(stage.public(), &event, &stage.issuer, voter)
                .acknowledged
                .is_some()
        );
    }
    register(stage.public(), &stage.operator_token, "ada");
    let file = stage.dir.path().join("backup");
    let secrets = stage.dir.path().join("data/secrets.json");
    backup(
        &stage.node.options.operator,
        &file,
        &["--with-secrets", secrets.to_str().unwrap()],
    );
    (stage, file, event)
}

#[test]
fn damaged_and_foreign_files_are_refused_and_nothing_is_written() {
    let (stage, file, _) = backed_up();
    let whole = std::fs::read(&file).unwrap();
    let header_bytes = 16 + u32::from_be_bytes(whole[12..16].try_into().unwrap()) as usize;
    let first_part = header_bytes + 32;
    let length = whole.len();
    let bad = stage.dir.path().join("bad");
    let target = stage.dir.path().join("target");
    let refused = |bytes: &[u8], what: &str, sentence: &str| {
        std::fs::write(&bad, bytes).unwrap();
        let told = restore(&bad, &target, &[]).unwrap_err();
        assert!(told.contains(sentence), "{what}: {told}");
        assert!(!target.exists(), "{what}: something was written");
        let told = check(&bad).unwrap_err();
        assert!(told.contains(sentence), "{what}: {told}");
    };
    for (what, at, sentence) in [
        ("magic", 3, "not a backup of Ostraka"),
        ("version", 11, "has version 3"),
        ("length of the header", 15, "its header is damaged"),
        ("header", 40, "its header is damaged"),
        ("checksum of the header", first_part - 1, "its header is damaged"),
        ("first part", first_part + 20, "its Vote part is damaged"),
        ("last part", length - 70, "its Secrets part is damaged"),
        (
            "checksum of the last part",
            length - 40,
            "its Secrets part is damaged",
        ),
        ("last checksum", length - 1, "its last checksum does not match"),
    ] {
        let mut bytes = whole.clone();
        bytes[at] ^= 2;
        refused(&bytes, what, sentence);
    }
    for cut in [
        5,
        14,
        header_bytes - 1,
        first_part,
        first_part + 100,
        length / 2,
        length - 33,
        length - 1,
    ] {
        refused(&whole[..cut], &format!("cut at {cut}"), "ends too early");
    }
    refused(&[&whole[..], b"more"].concat(), "longer", "bytes follow its end");
    refused(&[], "empty", "ends too early");
    refused(
        b"{\"format\": 1, \"this\": \"is an export\"}",
        "a stranger",
        "not a backup of Ostraka",
    );
    let absent = restore(&stage.dir.path().join("nowhere"), &target, &[]).unwrap_err();
    assert!(absent.contains("cannot be opened"), "{absent}");
    // The one that they were made of is whole.
    restore(&file, &target, &[]).unwrap();
}

/// The backup with a bit of the vote log's snapshot turned, and right checksums around it: rot that was on the node's disk
/// before.
fn rotten(file: &Path) -> Vec<u8> {
    let mut decoder = Decoder::start(std::fs::File::open(file).unwrap()).unwrap();
    let (mut encoder, mut bytes) = Encoder::start(decoder.header()).unwrap();
    let mut part = Vec::new();
    while let Some(content) = decoder.part(&mut part).unwrap() {
        if content == Content::Vote {
            let middle = part.len() / 2;
            part[middle] ^= 1;
        }
        encoder.take(&part);
        bytes.append(&mut part);
        bytes.extend_from_slice(&encoder.end_part());
    }
    bytes.extend_from_slice(&encoder.end());
    bytes
}

/// Answers one request with these bytes, of which it said that they would be `length`. Where it listens.
fn false_operator(bytes: Vec<u8>, length: usize) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1_024];
        let _ = stream.read(&mut request).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    addr
}

#[test]
fn what_comes_rotten_or_not_whole_makes_no_backup() {
    let (stage, file, _) = backed_up();
    let whole = std::fs::read(&file).unwrap();
    let rotten = rotten(&file);
    let bad = stage.dir.path().join("bad");
    std::fs::write(&bad, &rotten).unwrap();
    for told in [
        check(&bad).unwrap_err(),
        restore(&bad, &stage.dir.path().join("target"), &[]).unwrap_err(),
    ] {
        assert!(told.contains("the checksum of chunk 0 does not match"), "{told}");
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let cut = whole[..whole.len() / 2].to_vec();
    let length = whole.len();
    let out = stage.dir.path().join("out");
    for (what, bytes, length, sentence) in [
        ("rotten", rotten, length, "the checksum of chunk 0 does not match"),
        (
            "flipped on the way",
            flipped,
            length,
            "the checksum does not match",
        ),
        ("the node died", cut.clone(), length, "it cannot be read"),
        ("cut, and HTTP does not know", cut, length / 2, "ends too early"),
    ] {
        let operator = false_operator(bytes, length);
        let args = ["backup", "--operator", &operator, "--out", out.to_str().unwrap()];
        let (status, _, stderr) = run_ostraka(&args);
        assert!(!status.success() && stderr.contains(sentence), "{what}: {stderr}");
        assert!(!out.exists() && !out.with_extension("new").exists(), "{what}");
    }
    let operator = false_operator(whole, length);
    backup(&operator, &out, &[]);
    assert!(check(&out).is_ok(), "the same way, with nothing wrong");
}

#[test]
fn secrets_must_be_those_of_the_backup() {
    let (stage, with_secrets, event) = backed_up();
    let without = stage.dir.path().join("without");
    let operator = stage.node.options.operator.clone();
    backup(&operator, &without, &[]);
    let other = Stage::new();
    let foreign = other.dir.path().join("data/secrets.json");
    let foreign = foreign.to_str().unwrap();
    let own = stage.dir.path().join("data/secrets.json");
    let target = stage.dir.path().join("target");

    let refused = [
        restore(&without, &target, &[]),
        restore(&without, &target, &["--secrets-file", "/nowhere/secrets.json"]),
    ];
    for told in refused {
        let told = told.unwrap_err();
        assert!(told.contains("does not hold its cluster's secrets"), "{told}");
    }
    for file in [&without, &with_secrets] {
        let told = restore(file, &target, &["--secrets-file", foreign]).unwrap_err();
        assert!(told.contains("is not that of the backup's cluster"), "{told}");
    }
    assert!(!target.exists());
    let file = stage.dir.path().join("mixed");
    let out = file.to_str().unwrap();
    let args = [
        "backup",
        "--operator",
        &operator,
        "--out",
        out,
        "--with-secrets",
        foreign,
    ];
    let (status, _, stderr) = run_ostraka(&args);
    assert!(
        !status.success() && stderr.contains("are not those of this cluster"),
        "{stderr}"
    );
    assert!(!file.exists() && !file.with_extension("new").exists());

    // Laid into the folder beforehand, or out of the backup, they serve.
    std::fs::create_dir(&target).unwrap();
    std::fs::copy(&own, target.join("secrets.json")).unwrap();
    assert_eq!(
        restore(&without, &target, &[]).unwrap()["secrets_restored"],
        false
    );
    let told = restore(&without, &target, &[]).unwrap_err();
    assert!(told.contains("is not empty"), "{told}");
    let target = stage.dir.path().join("second");
    assert_eq!(
        restore(&with_secrets, &target, &[]).unwrap()["secrets_restored"],
        true
    );
    let token = Issuer::of(&target.join("secrets.json")).voter(10);
    drop(stage.node);
    let node = NodeProcess::start(NodeOptions::new(1, &target));
    login(&node.options.public, "ada", PASSWORD);
    assert_eq!(totals(&node.options.public, &token, &event), [15, 15]);
}

#[test]
fn what_a_restore_leaves_half_done_does_not_start() {
    let (stage, file, _) = backed_up();
    let target = stage.dir.path().join("target");
    restore(&file, &target, &[]).unwrap();
    // As it stands before the last step.
    std::fs::remove_file(target.join("FORMAT")).unwrap();
    std::fs::write(target.join("RESTORING"), "").unwrap();
    let folder = target.to_str().unwrap();
    let ports = [
        "--listen",
        "127.0.0.1:0",
        "--operator-listen",
        "127.0.0.1:0",
        "--peer-listen",
        "127.0.0.1:0",
    ];
    let serve = [&["serve", "--data-dir", folder][..], &ports].concat();
    let (status, _, stderr) = run_ostraka(&serve);
    assert!(!status.success() && stderr.contains("was cut off"), "{stderr}");
    let told = restore(&file, &target, &[]).unwrap_err();
    assert!(told.contains("is not empty"), "{told}");
    // Between the last two steps.
    std::fs::remove_file(target.join("RESTORING")).unwrap();
    let (status, _, stderr) = run_ostraka(&serve);
    assert!(
        !status.success() && stderr.contains("has no FORMAT file"),
        "{stderr}"
    );
}

#[test]
fn a_backup_without_a_quorum_or_a_node_is_refused_and_leaves_no_file() {
    let mut cluster = Cluster::of_three(&[]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    (1..3).for_each(|place| cluster.kill_nine(place));
    for (operator, sentence) in [
        (cluster.options[0].operator.clone(), "no quorum said in time"),
        (free_port(), "no operator port answers"),
    ] {
        let args = ["backup", "--operator", &operator, "--out", file.to_str().unwrap()];
        let (status, _, stderr) = run_ostraka(&args);
        assert!(!status.success() && stderr.contains(sentence), "{stderr}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

/// A member of the lost cluster that comes back has nothing to say to the restored one.
#[test]
fn nodes_of_the_old_cluster_are_refused_by_the_new_one() {
    let (stage, file, _) = backed_up();
    let target = stage.dir.path().join("target");
    let peer = free_port();
    restore(&file, &target, &["--peer-advertise", &peer, "--node-id", "2"]).unwrap();
    let mut options = NodeOptions::new(2, &target);
    options.peer = peer;
    let new = NodeProcess::start(options);
    login(&new.options.public, "operator", OPERATOR_PASSWORD);
    let add = [
        "cluster",
        "--operator",
        &new.options.operator,
        "add",
        "--node",
        "1",
        "--peer",
        &stage.node.options.peer,
    ];
    let (status, _, stderr) = run_ostraka(&add);
    assert!(
        !status.success() && stderr.contains("belongs to another cluster"),
        "{stderr}"
    );
}
