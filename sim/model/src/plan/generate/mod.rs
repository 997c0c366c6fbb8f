//! From a seed to a plan.

mod draw;
mod events;
mod faults;
mod left_behind;
mod operations;

use super::{Knobs, LINK_LATENCY_MS_MIN, PLAN_FORMAT, Plan, Profile};
use crate::ids::{ClientIndex, EventSlot, NodeIndex, Seed, SimMs, ViewerIndex};
use crate::plan::Viewer;
use draw::Draw;
use events::Script;

/// Storm and healing of a drawn plan. With half a second in which a cluster forms, a run takes 16 simulated seconds.
const STORM_MS: u64 = 9_500;
const HEAL_MS: u64 = 6_000;

impl Plan {
    /// The plan that a seed means, to this version of the generator: a seed is good with its commit. What is to stay is kept
    /// as a plan (`sim/regressions/`).
    pub fn of_seed(seed: Seed) -> Plan {
        // Every third run is of no particular kind.
        let mut choices: Vec<(u64, Profile)> = Profile::ALL.iter().map(|profile| (2, *profile)).collect();
        choices.push((6, Profile::Mixed));
        Plan::of_profile(seed, Draw::of(seed, "profile").weighted(&choices))
    }

    /// As [`Plan::of_seed`], biased towards `profile`.
    pub fn of_profile(seed: Seed, profile: Profile) -> Plan {
        let knobs = knobs(&mut Draw::of(seed, "knobs"), profile);
        let scripts = events::scripts(&mut Draw::of(seed, "events"), profile, &knobs);
        let operations = operations::draw(&mut Draw::of(seed, "operations"), &knobs, &scripts);
        let mut viewers = viewers(&mut Draw::of(seed, "viewers"), profile, &knobs, &scripts);
        let slots: Vec<EventSlot> = scripts.iter().map(|script| script.slot).collect();
        let mut faults = faults::draw(&mut Draw::of(seed, "faults"), profile, &knobs, &slots);
        let behind = left_behind::draw(&mut Draw::of(seed, "left-behind"), profile, &knobs, &scripts);
        if let Some(behind) = behind {
            viewers.push(Viewer {
                viewer: ViewerIndex(viewers.len() as u16),
                slot: behind.slot,
                from_ms: behind.watched_from_ms,
                endpoint: behind.node,
            });
            faults.extend(behind.faults);
        }
        let faults = faults::in_order(faults);
        let plan = Plan {
            format: PLAN_FORMAT,
            seed,
            profile,
            knobs,
            operations,
            viewers,
            faults,
        };
        if let Err(impossible) = plan.validate() {
            panic!("seed {} makes an impossible plan: {impossible}", seed.0);
        }
        plan
    }
}

fn knobs(draw: &mut Draw, profile: Profile) -> Knobs {
    let nodes = draw.weighted(&[(4, 3_u8), (1, 5)]);
    let link_latency_ms_min = draw.between(u64::from(LINK_LATENCY_MS_MIN), 3) as u32;
    let heartbeat_ms = draw.pick(&[50, 75, 100, 150]);
    let purging = draw.percent(profile.purging_percent());
    let wrong_clocks = draw.percent(profile.wrong_clocks_percent());
    let skew_ms_max = if wrong_clocks {
        draw.pick(&[5, 100, 1_500])
    } else {
        0
    };
    let drift_ppm_max = if wrong_clocks { 2_000 } else { 0 };
    Knobs {
        nodes,
        clients: draw.between(12, 24) as u16,
        storm_ms: SimMs(STORM_MS),
        heal_ms: SimMs(HEAL_MS),
        link_latency_ms_min,
        link_latency_ms_max: link_latency_ms_min + draw.between(1, 10) as u32,
        barrier_micros: draw.between(200, 4_000),
        heartbeat_ms,
        election_ms: heartbeat_ms * draw.between(4, 7),
        snapshot_every_entries: if purging { draw.between(8, 40) } else { 10_000 },
        log_keep_entries: purging.then(|| draw.between(0, 10)),
        clock_skew_ms: (0..nodes).map(|_| draw.signed(skew_ms_max)).collect(),
        clock_drift_ppm: (0..nodes).map(|_| draw.signed(drift_ppm_max) as i32).collect(),
        client_patience_ms: SimMs(draw.pick(&[400, 1_000, 2_500])),
    }
}

fn viewers(draw: &mut Draw, profile: Profile, knobs: &Knobs, scripts: &[Script]) -> Vec<Viewer> {
    let (few, many) = profile.viewers();
    let viewer = |place: u64, draw: &mut Draw| {
        let script = &scripts[draw.between(0, scripts.len() as u64 - 1) as usize];
        Viewer {
            viewer: ViewerIndex(place as u16),
            slot: script.slot,
            from_ms: SimMs(script.created_at + draw.between(50, 3_000)),
            endpoint: any_node(draw, knobs),
        }
    };
    let many = draw.between(few, many);
    let mut viewers: Vec<Viewer> = (0..many).map(|place| viewer(place, draw)).collect();
    // Of the storm's events perhaps none was ever known to anybody: one viewer has something to see in any case.
    viewers.push(Viewer {
        viewer: ViewerIndex(many as u16),
        slot: fresh_slot(scripts),
        from_ms: SimMs(fresh_from_ms(knobs) + 50),
        endpoint: any_node(draw, knobs),
    });
    viewers
}

/// The event of the fresh questions comes after those of the scripts.
fn fresh_slot(scripts: &[Script]) -> EventSlot {
    EventSlot(scripts.len() as u8)
}

/// When a healed cluster is asked the first of them.
fn fresh_from_ms(knobs: &Knobs) -> u64 {
    knobs.storm_ms.0 + knobs.heal_ms.0 / 2
}

fn any_node(draw: &mut Draw, knobs: &Knobs) -> NodeIndex {
    NodeIndex(draw.between(0, u64::from(knobs.nodes) - 1) as u8)
}

/// Any client but the last: that one asks the fresh questions, and must not be held up by earlier ones.
fn any_client(draw: &mut Draw, knobs: &Knobs) -> ClientIndex {
    ClientIndex(draw.between(0, u64::from(knobs.clients) - 2) as u16)
}

fn fresh_client(knobs: &Knobs) -> ClientIndex {
    ClientIndex(knobs.clients - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn a_drawn_plan_is_possible_and_outlives_its_file(seed: u64) {
            let plan = Plan::of_seed(Seed(seed));
            prop_assert_eq!(plan.validate(), Ok(()));
            let text = plan.to_json();
            prop_assert_eq!(Plan::from_json(&text).map_err(|error| error.to_string()), Ok(plan.clone()));
            prop_assert_eq!(Plan::of_seed(Seed(seed)), plan);
        }

        #[test]
        fn each_profile_draws_possible_plans(seed: u64, place in 0..Profile::ALL.len()) {
            let plan = Plan::of_profile(Seed(seed), Profile::ALL[place]);
            prop_assert_eq!(plan.validate(), Ok(()));
            prop_assert!(!plan.operations.is_empty() && !plan.viewers.is_empty());
        }
    }

    #[test]
    fn a_run_is_small_enough_to_be_many() {
        for seed in 0..200 {
            let plan = Plan::of_seed(Seed(seed));
            assert!(
                (80..=450).contains(&plan.operations.len()),
                "seed {seed}: {}",
                plan.operations.len()
            );
            assert!(plan.faults.len() <= 20, "seed {seed}: {}", plan.faults.len());
        }
    }
}
