//! Runs, each in a process of its own, as the program itself makes them.
#![cfg(madsim)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The program's exit codes.
const HELD: i32 = 0;
const SAFETY_BROKEN: i32 = 10;
const NOT_DETERMINISTIC: i32 = 13;
const UNUSABLE: i32 = 2;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim-madsim"))
        .args(arguments)
        .output()
        .expect("the program can be started")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The first seed, of so many, at which the program ends with `code`; or the last thing that it said.
fn found(plant: &str, seeds: u64, code: i32) -> Result<String, String> {
    let mut last = String::new();
    for seed in 0..seeds {
        let seed = seed.to_string();
        let output = run(&["run", "--unchecked", "--seed", &seed, "--plant", plant]);
        last = said(&output);
        if output.status.code() == Some(code) {
            return Ok(last);
        }
    }
    Err(last)
}

#[test]
fn the_same_seed_gives_the_same_run_in_another_process() {
    let first = run(&["run", "--json", "--seed", "3"]);
    assert_eq!(first.status.code(), Some(HELD), "{}", said(&first));
    let second = run(&["run", "--json", "--unchecked", "--seed", "3"]);
    assert_eq!(
        said(&first),
        said(&second),
        "with and without the check, the run is one"
    );
    let other = run(&["run", "--json", "--unchecked", "--seed", "4"]);
    assert_eq!(other.status.code(), Some(HELD), "{}", said(&other));
    assert_ne!(said(&first), said(&other));
}

#[test]
fn chance_from_elsewhere_does_not_pass_the_check() {
    let output = run(&["run", "--seed", "1", "--plant", "other-chance"]);
    assert_eq!(output.status.code(), Some(NOT_DETERMINISTIC), "{}", said(&output));
}

#[test]
fn an_acknowledgement_before_the_barrier_is_found() {
    let said = found("ack-before-barrier", 20, SAFETY_BROKEN).expect("found");
    assert!(said.contains("VIOLATION"), "{said}");
}

/// Behind `replay`, in the last command that was printed: what its user would type.
fn replay_printed(said: &str) -> Vec<String> {
    let command = said.rsplit_once("again: ").expect("a command is printed").1;
    let arguments = command.lines().next().unwrap_or_default();
    let arguments = arguments.split_once(" -- ").expect("cargo's own come first").1;
    arguments.split(' ').map(str::to_owned).collect()
}

#[test]
fn what_a_planted_fault_broke_is_broken_again_by_the_printed_command_and_by_the_file_alone() {
    let said_first = found("ack-before-barrier", 20, SAFETY_BROKEN).expect("found");
    let printed = replay_printed(&said_first);
    let arguments: Vec<&str> = printed.iter().map(String::as_str).collect();
    assert_eq!(arguments[2..], ["--unchecked", "--plant", "ack-before-barrier"]);
    // Other tests run the same seeds, and other replays leave their own files.
    let kept = std::env::temp_dir().join(format!("ostraka planted {}.json", std::process::id()));
    fs::copy(arguments[1], &kept).expect("it was kept");
    let kept = kept.display().to_string();
    let as_printed = run(&["replay", &kept, "--unchecked", "--plant", "ack-before-barrier"]);
    assert_eq!(
        as_printed.status.code(),
        Some(SAFETY_BROKEN),
        "{}",
        said(&as_printed)
    );
    let by_file = run(&["replay", &kept]);
    assert_eq!(by_file.status.code(), Some(SAFETY_BROKEN), "{}", said(&by_file));
    assert!(
        said(&by_file).contains("planted fault \"ack-before-barrier\", which is to be put in again"),
        "{}",
        said(&by_file)
    );
    let file = fs::read_to_string(&kept).expect("it is there");
    let commit = concat!("\"commit\":\"", env!("OSTRAKA_COMMIT"), "\"");
    assert!(file.contains(commit), "its program's commit is {commit}");
    #[cfg(target_os = "linux")]
    {
        let full = fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("Linux has it");
        let unsaid = Command::new(env!("CARGO_BIN_EXE_sim-madsim"))
            .args(["replay", "--unchecked", &kept])
            .stdout(full)
            .status();
        assert_eq!(unsaid.expect("it can be started").code(), Some(SAFETY_BROKEN));
    }
    fs::remove_file(Path::new(&kept)).expect("it is ours");
}

#[test]
fn a_read_that_asks_no_quorum_is_found() {
    let said = found("stale-reads", 20, SAFETY_BROKEN).expect("found");
    assert!(said.contains("VIOLATION (linearizability)"), "{said}");
}

#[test]
fn what_cannot_be_used_gets_a_sentence() {
    let missing = run(&["replay", "no such file"]);
    assert_eq!(missing.status.code(), Some(UNUSABLE));
    assert!(
        said(&missing).contains("no such file cannot be read"),
        "{}",
        said(&missing)
    );
    for wrong in ["", "3", "3..", "..7", "7..3", "3..3", "-1..3", "a..b", "1..2..3"] {
        let output = run(&["explore", &format!("--seeds={wrong}")]);
        assert_eq!(output.status.code(), Some(UNUSABLE), "{wrong}: {}", said(&output));
    }
    assert_eq!(run(&["run", "--seed", "x"]).status.code(), Some(UNUSABLE));
}
