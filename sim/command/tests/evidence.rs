//! What runs leave behind, and how they end where it cannot be left or said.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ostraka_sim_model::ids::{NodeIndex, Seed, SimMs};
use ostraka_sim_model::plan::{Action, Plan};

/// The program's exit codes.
const UNUSABLE: i32 = 2;
const VACUOUS: i32 = 12;

/// A folder of a test's own, in no repository.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ostraka-evidence-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for temporary files can be made");
    folder
}

fn sim(folder: &Path, arguments: &[&str], stdout: Stdio) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("the program can be run")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A short plan of one node in which nobody votes, so that its run is soon over and proves nothing.
fn plan_that_proves_nothing(folder: &Path) {
    let mut plan = Plan::of_seed(Seed(1));
    plan.faults.clear();
    plan.operations
        .retain(|operation| matches!(operation.action, Action::CreateEvent { .. }));
    plan.operations.truncate(1);
    plan.operations[0].endpoint = NodeIndex(0);
    plan.viewers.clear();
    plan.knobs.nodes = 1;
    plan.knobs.clock_skew_ms.truncate(1);
    plan.knobs.clock_drift_ppm.truncate(1);
    plan.knobs.storm_ms = SimMs(1_000);
    plan.knobs.heal_ms = SimMs(5_000);
    fs::write(folder.join("a plan.json"), plan.to_json()).expect("it can be written");
}

#[test]
fn what_was_found_is_the_exit_code_though_stdout_is_full() {
    let folder = folder("full");
    plan_that_proves_nothing(&folder);
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let done = sim(&folder, &["replay", "a plan.json"], full.into());
    assert_eq!(done.status.code(), Some(VACUOUS), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("stdout cannot be written"));
    fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn a_run_names_the_commit_of_its_program_and_says_that_its_history_was_cut() {
    let folder = folder("cut");
    plan_that_proves_nothing(&folder);
    let first = sim(&folder, &["replay", "a plan.json"], Stdio::piped());
    assert_eq!(first.status.code(), Some(VACUOUS), "{}", text(&first.stderr));
    let kept = "target/evidence/sim-replay-1.json";
    assert!(text(&first.stdout).contains(&format!("replay {kept}")));
    let run = fs::read_to_string(folder.join(kept)).expect("a vacuous run is kept");
    let mut run: serde_json::Value = serde_json::from_str(&run).expect("it is JSON");
    // Not that of the folder that it was started in, which has none.
    assert_eq!(run["made_by"]["commit"], env!("OSTRAKA_COMMIT"));
    let whole = folder.join("whole run.json");
    fs::write(&whole, run.to_string()).expect("it can be written");
    let second = sim(&folder, &["replay", "whole run.json"], Stdio::piped());
    assert_eq!(text(&second.stderr), "", "the same program, the same run");
    run["history"]["records"].as_array_mut().expect("records").pop();
    fs::write(&whole, run.to_string()).expect("it can be written");
    let third = sim(&folder, &["replay", "whole run.json"], Stdio::piped());
    assert_eq!(third.status.code(), Some(VACUOUS));
    assert!(
        text(&third.stderr).contains("changed or cut"),
        "{}",
        text(&third.stderr)
    );
    fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn a_summary_is_told_though_its_evidence_cannot_be_kept() {
    let folder = folder("lost");
    let evidence = folder.join("target/evidence");
    fs::create_dir_all(&evidence).expect("it can be made");
    // It can be opened, and writing fails, as on a full disk.
    std::os::unix::fs::symlink("/dev/full", evidence.join("sim-explore-7-8.json")).expect("a link");
    let done = sim(&folder, &["explore", "--seeds", "7..8"], Stdio::piped());
    assert!(
        text(&done.stdout).starts_with("1 seeds, 1 times each"),
        "{}",
        text(&done.stdout)
    );
    assert!(text(&done.stderr).contains("sim-explore-7-8.json cannot be written"));
    // Seed 7 holds, and soon: that it cannot be kept is all that is wrong.
    assert_eq!(done.status.code(), Some(UNUSABLE));
    fs::remove_dir_all(&folder).expect("it is ours");
}
