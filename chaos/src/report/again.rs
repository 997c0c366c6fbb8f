//! How a storm is run again.

use super::html::Html;
use crate::limits::STORM_REQUESTS_PER_S;
use crate::nemesis;
use crate::storm::{self, StormPlan};

/// The plan in a file, where nobody has said which.
const PLAN_FILE: &str = "plan.json";

/// The one command that does to a cluster what this plan did: by its seed where that gives the same plan, else by the plan.
pub(super) fn command(plan: &StormPlan, plan_file: Option<&str>) -> String {
    let flags = drawn(plan).unwrap_or_else(|| format!("--plan {}", plan_file.unwrap_or(PLAN_FILE)));
    format!("target/release/chaos run {flags}")
}

fn drawn(plan: &StormPlan) -> Option<String> {
    // Only of plans that can be run can anything be drawn.
    plan.check().ok()?;
    let StormPlan { seed, nodes, fs, .. } = *plan;
    let is_this = |drawn: StormPlan| {
        *plan
            == StormPlan {
                requests_per_s: plan.requests_per_s,
                ..drawn
            }
    };
    let mut flags = if is_this(storm::composition(seed, nodes, fs)) {
        format!("--seed {}", seed.0)
    } else {
        let [fault] = plan.faults.as_slice() else {
            return None;
        };
        let kind = nemesis::named(&fault.nemesis)?;
        is_this(storm::single(kind, seed, nodes, fs))
            .then(|| format!("--nemesis {} --seed {}", kind.name, seed.0))?
    };
    flags.push_str(&format!(" --nodes {nodes} --fs {fs}"));
    if plan.requests_per_s != STORM_REQUESTS_PER_S {
        flags.push_str(&format!(" --requests-per-s {}", plan.requests_per_s));
    }
    Some(flags)
}

pub(super) fn write_plan(html: &mut Html, plan: &StormPlan) {
    html.leaf(
        "p",
        &[],
        format_args!(
            "All that this run did to the cluster. In a file it can be run again, or changed first: chaos run --plan {PLAN_FILE}. \
             Times are milliseconds since the cluster was formed; nodes are counted from 0 here, and from 1 in all other \
             places of this page."
        ),
    );
    let text = serde_json::to_string_pretty(plan).unwrap_or_else(|error| error.to_string());
    html.element("details", &[], |html| {
        html.leaf("summary", &[], "The plan as JSON");
        html.leaf("pre", &[], text);
    });
}

#[cfg(test)]
mod tests {
    use ostraka_sim_model::ids::{Seed, SimMs};

    use super::*;
    use crate::rig::Fs;

    #[test]
    fn what_a_seed_gives_is_named_by_it_and_all_else_by_its_plan() {
        let mut plan = storm::composition(Seed(7), 3, Fs::Ext4);
        assert_eq!(
            command(&plan, None),
            "target/release/chaos run --seed 7 --nodes 3 --fs ext4"
        );
        plan.requests_per_s = 77;
        assert_eq!(
            command(&plan, None),
            "target/release/chaos run --seed 7 --nodes 3 --fs ext4 --requests-per-s 77"
        );
        plan.viewers += 1;
        assert_eq!(command(&plan, None), "target/release/chaos run --plan plan.json");
        assert_eq!(
            command(&plan, Some("a/b.json")),
            "target/release/chaos run --plan a/b.json"
        );
        let kill = nemesis::named("kill").expect("it is one");
        let mut single = storm::single(kill, Seed(2), 5, Fs::Host);
        assert_eq!(
            command(&single, None),
            "target/release/chaos run --nemesis kill --seed 2 --nodes 5 --fs host"
        );
        single.after_ms = SimMs(1);
        assert_eq!(
            command(&single, None),
            "target/release/chaos run --plan plan.json"
        );
    }

    #[test]
    fn of_a_plan_that_cannot_be_run_nothing_is_drawn() {
        let mut plan = storm::composition(Seed(7), 3, Fs::Xfs);
        plan.nodes = 0;
        assert_eq!(command(&plan, None), "target/release/chaos run --plan plan.json");
    }
}
