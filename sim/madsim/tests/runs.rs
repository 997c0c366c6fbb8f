//! Runs, each in a process of its own, as the program itself makes them.
#![cfg(madsim)]

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
