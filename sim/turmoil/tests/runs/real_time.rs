//! Real time has no part in a run: h2 forgets a stream that was reset after a second of the machine's clock.

use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;

use crate::child::{run, run_beside};

/// A run that two pauses of more than a second made another one, before clocks were stopped.
const SEED: Seed = Seed(25);

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(sent.expect("kill can be started").success(), "{name}");
}

#[test]
fn a_process_that_stands_still_in_between_makes_the_same_run() {
    let plan = Plan::of_seed(SEED);
    let undisturbed = run(&plan);
    let mut pauses = 0;
    let paused = run_beside(&plan, |child| {
        while child.try_wait().expect("it is ours").is_none() {
            signal(child, "-STOP");
            sleep(Duration::from_millis(1_300));
            signal(child, "-CONT");
            sleep(Duration::from_millis(1_000));
            pauses += 1;
        }
    });
    assert!(pauses > 1, "it was paused");
    assert!(undisturbed.bytes == paused.bytes, "real time has changed the run");
}
