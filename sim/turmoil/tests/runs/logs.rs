//! Whoever looks at a run sees the run that he wants to see.

use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;

use crate::child::{run, run_logged};

/// Runs that debug logs made others, when votes took another way with them.
const SEEDS: [Seed; 2] = [Seed(7), Seed(31)];

#[test]
fn what_is_logged_takes_no_part_in_a_run() {
    for seed in SEEDS {
        let plan = Plan::of_seed(seed);
        let silent = run(&plan);
        let logged = run_logged(&plan, "warn,ostraka_node=debug,openraft=info");
        assert!(silent.bytes == logged.bytes, "seed {}", seed.0);
    }
}
