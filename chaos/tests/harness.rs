//! The harness on real processes. Needs root and a built `ostraka`; says so where it lacks them, and ends early.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use chaos::litter::Bag;
use chaos::nemesis::{Isolate, Nemesis as _, PowerCut};
use chaos::rig::{Fs, Rig, RigOptions};
use ostraka_sim_model::plan::Target;

/// Says it where everybody sees it. What a test that passes prints is swallowed, by the macros only; and a test that is skipped
/// reads as one that passed.
fn tell_past_libtest(sentence: &str) {
    let of = std::thread::current();
    let name = of.name().unwrap_or("a test");
    let line = format!("{name}: {sentence}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Whether this machine can do all of these, by what `chaos check` says. What it cannot is said, and is no failure of the
/// tests that need it.
fn can(needed: &[&str]) -> bool {
    static SAID: OnceLock<String> = OnceLock::new();
    let said = SAID.get_or_init(|| {
        let runs = tempfile::tempdir().unwrap();
        text(&chaos(runs.path(), &["check"]).output().unwrap())
    });
    let is_there = |what: &&&str| said.lines().any(|line| line.starts_with(&format!("ok {what}:")));
    let lacking: Vec<_> = needed.iter().filter(|what| !is_there(what)).collect();
    if !lacking.is_empty() {
        tell_past_libtest(&format!(
            "INCONCLUSIVE: nothing was tested for want of {lacking:?}:\n{said}"
        ));
    }
    lacking.is_empty()
}

/// What a cluster on disks of its own takes.
const CLUSTER: &[&str] = &["root", "service", "namespace", "drop", "xfs"];

/// The service's program, where it was built: beside this test's folder, or the other profile's.
fn ostraka() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_chaos")).parent()?.parent()?;
    let found = ["debug", "release"]
        .map(|profile| target.join(profile).join("ostraka"))
        .into_iter()
        .find(|path| path.is_file());
    if found.is_none() {
        tell_past_libtest("INCONCLUSIVE: no cluster was started, because `ostraka` is not built");
    }
    found
}

fn chaos(runs: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command
        .arg("--runs")
        .arg(runs)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn said(tool: &str, arguments: &[&str]) -> String {
    text(&Command::new(tool).args(arguments).output().unwrap())
}

/// Whatever on this machine speaks of a run or lies in its folder.
fn traces(run: &str, runs: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let folder = runs.join(run);
    let folder = folder.to_str().unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for (what, text, words) in [
        ("namespace", said("ip", &["netns", "list"]), run),
        ("link", said("ip", &["-oneline", "link", "show"]), run),
        ("mount", mounts, folder),
        (
            "loop device",
            said("losetup", &["--list", "--output", "BACK-FILE"]),
            folder,
        ),
    ] {
        let lines = text.lines().filter(|line| line.contains(words));
        found.extend(lines.map(|line| format!("{what}: {line}")));
    }
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(&format!("CHAOS_CHILD={run}-")) {
            found.push(format!("process: {}", process.path().display()));
        }
    }
    for name in ["litter.jsonl", "node1.img", "node1"] {
        let path = runs.join(run).join(name);
        if path.exists() {
            found.push(format!("file: {}", path.display()));
        }
    }
    found
}

/// A harness with three nodes and a fault that is on. Dropping it ends it.
struct AtWork {
    child: Child,
    run: String,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl AtWork {
    fn start(runs: &Path, binary: &Path) -> Self {
        let mut at_work = Self {
            child: chaos(runs, &["--binary", binary.to_str().unwrap(), "nemesis", "pause"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
            run: String::new(),
        };
        let mut heard = Vec::new();
        for line in BufReader::new(at_work.child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(rest) = line.strip_prefix("run ") {
                at_work.run = rest.split(' ').next().unwrap().to_string();
            }
            if line.contains(" begins: ") {
                return at_work;
            }
            heard.push(line);
        }
        panic!("the harness ended before its fault began: {heard:?}");
    }
}

#[test]
fn what_a_killed_harness_left_is_cleaned_and_nothing_of_others() {
    let _alone = alone();
    if !can(CLUSTER) {
        return;
    }
    let Some(binary) = ostraka() else { return };
    let runs = tempfile::tempdir().unwrap();
    let mut harness = AtWork::start(runs.path(), &binary);
    let run = harness.run.clone();
    // Somebody else's, with a name that begins as the run's does.
    let foreign = format!("{run}x-n1");
    assert_eq!(said("ip", &["netns", "add", &foreign]), "");
    harness.child.kill().unwrap();
    harness.child.wait().unwrap();
    let left = traces(&run, runs.path());
    let cleaned = text(&chaos(runs.path(), &["clean"]).output().unwrap());
    let after = traces(&run, runs.path());
    let deleted = said("ip", &["netns", "delete", &foreign]);
    for kind in ["namespace", "link", "mount", "loop device", "process", "file"] {
        assert!(
            left.iter().any(|trace| trace.starts_with(kind)),
            "no {kind} was there to clean: {left:?}"
        );
    }
    assert_eq!(after, [format!("namespace: {foreign}")], "{cleaned}");
    assert_eq!(deleted, "", "the other's namespace was there to the end");
    let again = chaos(runs.path(), &["clean"]).output().unwrap();
    assert!(text(&again).contains("nothing was left"), "{}", text(&again));
    assert!(again.status.success());
}

#[test]
fn a_harness_that_is_told_to_stop_cleans_up_first() {
    let _alone = alone();
    if !can(CLUSTER) {
        return;
    }
    let Some(binary) = ostraka() else { return };
    let runs = tempfile::tempdir().unwrap();
    let mut harness = AtWork::start(runs.path(), &binary);
    let run = harness.run.clone();
    // One that is at work is left alone.
    let cleaned = text(&chaos(runs.path(), &["clean"]).output().unwrap());
    assert!(cleaned.contains("in use"), "{cleaned}");
    assert_eq!(said("kill", &["-TERM", &harness.child.id().to_string()]), "");
    assert_eq!(harness.child.wait().unwrap().code(), Some(143));
    assert_eq!(traces(&run, runs.path()), [""; 0]);
}

#[test]
fn without_rights_nothing_passes() {
    if !can(&["root"]) {
        return;
    }
    let runs = tempfile::tempdir().unwrap();
    let mut permissions = std::fs::metadata(runs.path()).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o777);
    std::fs::set_permissions(runs.path(), permissions).unwrap();
    for arguments in [
        &["check"][..],
        &["nemesis", "kill"],
        &["powercut", "--cuts", "2"],
        &["failover", "--rounds", "1"],
    ] {
        let output = chaos(runs.path(), arguments).uid(65_534).gid(65_534).output();
        let Ok(output) = output else {
            tell_past_libtest(&format!(
                "INCONCLUSIVE: others than root may not run {}",
                env!("CARGO_BIN_EXE_chaos")
            ));
            return;
        };
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("INCONCLUSIVE") && said.contains("need root"),
            "{said}"
        );
    }
}

/// Whoever builds a cluster has the machine to itself: three at once on two cores are too slow for their own load.
fn alone() -> MutexGuard<'static, ()> {
    static RIGS: Mutex<()> = Mutex::new(());
    RIGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one piece of evidence that a command has left.
fn only_file_in(folder: &Path) -> serde_json::Value {
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    let [file] = files.as_slice() else {
        panic!("{files:?}");
    };
    serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap()
}

/// The name of the run, from the first line that a command prints.
fn run_named_in(said: &str) -> &str {
    let rest = said.strip_prefix("run ").unwrap();
    rest.split(' ').next().unwrap()
}

/// Two cuts, and the evidence on them.
#[test]
fn acknowledged_votes_survive_two_power_cuts() {
    let _alone = alone();
    if !can(CLUSTER) {
        return;
    }
    let Some(binary) = ostraka() else { return };
    let runs = tempfile::tempdir().unwrap();
    let evidence = runs.path().join("evidence");
    let arguments = [
        "--binary",
        binary.to_str().unwrap(),
        "powercut",
        "--cuts",
        "2",
        // With this seed one cut is of the process first, so that what the disk dropped is told.
        "--seed",
        "1",
        "--nodes",
        "1",
        "--evidence",
        evidence.to_str().unwrap(),
    ];
    let output = chaos(runs.path(), &arguments).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("PASS: 2 power cuts"), "{said}");
    assert_eq!(traces(run_named_in(&said), runs.path()), [""; 0]);
    let value = only_file_in(&evidence);
    assert_eq!(value["verdict"], "PASS");
    let figures = &value["figures"]["figures"];
    assert_eq!(figures["cuts"], 2);
    assert_eq!(figures["votes"]["processed"], figures["counted"]);
}

/// One killed leader under a load that any machine carries: what it cost is in the evidence, and nothing was lost. How long
/// it takes on a busy machine is not this test's to judge, so what is told by a clock may fail.
#[test]
fn a_killed_leader_is_measured() {
    let _alone = alone();
    if !can(CLUSTER) {
        return;
    }
    let Some(binary) = ostraka() else { return };
    let runs = tempfile::tempdir().unwrap();
    let evidence = runs.path().join("evidence");
    let arguments = [
        "--binary",
        binary.to_str().unwrap(),
        "failover",
        "--rounds",
        "1",
        "--window-s",
        "8",
        "--votes-per-s",
        "200",
        "--evidence",
        evidence.to_str().unwrap(),
    ];
    let output = chaos(runs.path(), &arguments).output().unwrap();
    let said = text(&output);
    assert!(said.contains("the objectives are stated for 50 rounds"), "{said}");
    let value = only_file_in(&evidence);
    let figures = &value["figures"]["figures"];
    assert_eq!(figures["findings"]["counts"], serde_json::json!({}), "{said}");
    assert_eq!(figures["folders_verified"], 3, "{said}");
    assert_eq!(figures["votes"]["processed"], figures["counted"]);
    let round = &figures["rounds"][0];
    assert_eq!(round["bites"], 1);
    assert!(
        round["resume_ms"].as_u64().unwrap() >= 100,
        "an election takes longer: {said}"
    );
    assert!(round["another_leader_ms"].as_u64().is_some(), "{said}");
    let (sent, pairs) = (
        &round["window"]["votes"]["sent"],
        &round["window"]["to_screen"]["samples"],
    );
    assert!(sent.as_u64().unwrap() > 1_000, "{said}");
    assert!(
        pairs.as_u64().unwrap() > 6_000,
        "two viewers of each node see each vote: {said}"
    );
    assert_eq!(traces(run_named_in(&said), runs.path()), [""; 0]);
}

/// An isolated leader loses its place, and a node that lost its power comes back.
#[test]
fn a_cluster_is_formed_harmed_and_whole_again() {
    let _alone = alone();
    if !can(CLUSTER) {
        return;
    }
    let Some(binary) = ostraka() else { return };
    let runs = tempfile::tempdir().unwrap();
    let bag = Bag::open(runs.path()).unwrap();
    let run = bag.run().to_string();
    let rig = Rig::new(RigOptions::new(3, Fs::Xfs, binary), bag).unwrap();
    let leader = rig.leader().unwrap();

    let mut isolate = Isolate::default();
    isolate.begin(&rig, Target::Node(leader)).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_ne!(
        rig.leader().unwrap(),
        leader,
        "a majority follows somebody it hears"
    );
    let felt = isolate.end(&rig).unwrap();
    assert!(felt.bit(), "{felt}");

    let mut cut = PowerCut::default();
    let felt = cut.begin(&rig, Target::Leader).unwrap();
    assert_eq!(felt.bites, 1);
    std::thread::sleep(Duration::from_secs(1));
    let felt = cut.end(&rig).unwrap();
    assert!(felt.note.contains("blocks"), "{felt}");
    rig.all_up().unwrap();
    rig.leader().unwrap();

    for index in rig.indexes() {
        rig.stop(index).unwrap();
        rig.verify(index).unwrap();
    }
    rig.take_down().unwrap();
    assert_eq!(traces(&run, runs.path()), [""; 0]);
}

/// Storms come one after another, each with a bag of its own; one thread hears signals for all of them.
#[test]
fn a_storm_that_is_told_to_stop_cleans_up_first() {
    let _alone = alone();
    if !can(CLUSTER) {
        return;
    }
    let Some(binary) = ostraka() else { return };
    let runs = tempfile::tempdir().unwrap();
    let evidence = runs.path().join("evidence");
    let arguments = [
        "--binary",
        binary.to_str().unwrap(),
        "run",
        "--nemesis",
        "pause",
        "--evidence",
        evidence.to_str().unwrap(),
    ];
    let mut harness = chaos(runs.path(), &arguments)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    let run = loop {
        let names = std::fs::read_dir(runs.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let run = names.into_iter().find(|name| {
            let left = traces(name, runs.path());
            left.iter().filter(|trace| trace.starts_with("process")).count() >= 3
        });
        match run {
            Some(run) => break run,
            None if begun.elapsed() < Duration::from_secs(60) => {
                std::thread::sleep(Duration::from_millis(50));
            }
            None => panic!("no cluster was built"),
        }
    };
    assert_eq!(said("kill", &["-INT", &harness.id().to_string()]), "");
    assert_eq!(harness.wait().unwrap().code(), Some(130));
    assert_eq!(traces(&run, runs.path()), [""; 0]);
}

/// Nothing but a sentence, for the test below.
#[test]
#[ignore = "run by a_skip_is_seen_without_asking_for_it"]
fn a_skip() {
    println!("INCONCLUSIVE: swallowed");
    tell_past_libtest("INCONCLUSIVE: seen");
}

#[test]
fn a_skip_is_seen_without_asking_for_it() {
    let tests = std::env::current_exe().unwrap();
    let run = Command::new(tests)
        .args(["--ignored", "--exact", "a_skip"])
        .output();
    let said = text(&run.unwrap());
    assert!(said.contains("a_skip: INCONCLUSIVE: seen"), "{said}");
    assert!(!said.contains("swallowed"), "{said}");
}
