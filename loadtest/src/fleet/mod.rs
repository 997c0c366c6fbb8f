//! `loadtest fleet`: how many nodes carry a show of a given size, what is left, what breaks first, and what it costs. On paper where
//! sums say it, by a small simulation of queues where they do not ([`path`]). Nothing is measured here: measured numbers go in,
//! and what comes out is extrapolated.

mod cost;
mod figures;
mod inputs;
mod path;
mod plan;
mod queue;
mod shape;

use std::time::Duration;

use ostraka_api::limits::{INGEST_BYTES_MAX, STREAM_RETRY_MS_MAX};

use self::cost::Cost;
pub(crate) use self::figures::FleetFigures;
use self::figures::{Headroom, Outage, State};
use self::inputs::{Basis, Input, Instance};
pub(crate) use self::inputs::{InputError, Prices, Set, Times};
use self::path::Path;
use self::plan::Share;
pub(crate) use self::plan::{Fleet, Limits, Lose, Plan, WATCHERS_A_NODE};
pub(crate) use self::shape::Shape;
use crate::rate::Ranks;

/// How much more is tried, until something breaks.
const TIMES: [f64; 9] = [1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0];
/// Long enough for a queue that grows to be seen to.
const TIMES_SHAPE_S: f64 = 1.0;
/// So much of anything in use has nothing left to give.
const FULL: f64 = 0.95;
/// Of a peak, before the leader is lost: then batches have their size.
const OUTAGE_BEGINS: f64 = 0.25;

/// What is known of the world that a fleet stands in.
#[derive(Clone, Copy)]
struct World<'a> {
    plan: &'a Plan,
    times: &'a Times,
    instance: &'a Instance,
    disk_mb_s: f64,
}

/// Sizes the fleet unless it is given, and says what it can bear.
///
/// # Errors
/// A sentence, where there is no such instance, or no fleet carries that much.
pub(crate) fn run(
    plan: Plan,
    times: Times,
    prices: Prices,
    given: Option<Fleet>,
) -> Result<FleetFigures, String> {
    let instance = prices.instances.get(&plan.instance).ok_or_else(|| {
        let names: Vec<_> = prices.instances.keys().map(String::as_str).collect();
        format!(
            "no instance is called {:?}: there are {}",
            plan.instance,
            names.join(", ")
        )
    })?;
    let fleet = given.map_or_else(|| plan.sized(&times, instance), Ok)?;
    let world = World {
        plan: &plan,
        times: &times,
        instance,
        disk_mb_s: prices.disk.throughput_mb_s,
    };
    let healthy = world.state(fleet, Lose::Nothing);
    let lost = (plan.lose != Lose::Nothing).then(|| world.state(fleet, plan.lose));
    let outage = (plan.lose != Lose::Nothing).then(|| world.outage(fleet));
    let headroom = world.headroom(fleet, &healthy);
    let cost = Cost::of(&plan, fleet, &times, &prices, instance);
    Ok(FleetFigures {
        basis: Basis::Extrapolated,
        replicas: plan.replicas(fleet),
        asked: plan,
        fleet,
        healthy,
        lost,
        outage,
        headroom,
        cost,
        inputs: times,
        prices,
    })
}

impl World<'_> {
    fn path(&self, fleet: Fleet, left: Fleet) -> Path<'_> {
        let Self { plan, times, .. } = *self;
        let tally_us = plan.tally_ms * 1_000.0;
        let watchers = plan.watchers / left.feeders as f64;
        let cores = f64::from(self.instance.vcpus);
        let send_us = times.get(Input::ReplicaSendUs) * plan.replicas(left) as f64;
        Path {
            votes_per_s: plan.requests_per_s,
            shape: &plan.shape,
            seed: plan.seed,
            front_nodes: left.front,
            front_cores: self.instance.vcpus as usize,
            front_vote_us: plan.front_vote_us(times),
            log_nodes: fleet.log,
            log_alive: left.log,
            leader_entry_us: times.get(Input::LeaderEntryUs) + send_us,
            barrier_us_min: times.get(Input::BarrierUsMin),
            barrier_us_mean: times.get(Input::BarrierUsMean),
            apply_vote_us: times.get(Input::ApplyVoteUs),
            hop_us: times.get(Input::HopUs),
            feeder_hops: if plan.relays { 2.0 } else { 1.0 },
            tally_us,
            round_us: watchers * times.get(Input::PushUs) / cores,
            outage_us: None,
        }
    }

    /// The fleet in that state, with what was lost gone for good.
    fn state(&self, fleet: Fleet, lose: Lose) -> State {
        let left = fleet.left(lose);
        let seen = self.path(fleet, left).simulate();
        let simulated = |what, share| Share {
            what,
            share,
            most: self.plan.limits.share_max,
        };
        let mut shares = self
            .plan
            .shares(self.times, self.instance, self.disk_mb_s, (fleet, left));
        shares.push(simulated("the leader's one loop", seen.leader_share));
        shares.push(simulated("the one core that applies", seen.apply_share));
        State {
            left,
            shares,
            ack_ms: Ranks::of(&seen.ack_us, seen.peak_votes),
            end_to_end_ms: Ranks::of(&seen.end_to_end_us, seen.end_to_end_us.len()),
            entries_per_s: seen.entries_per_s,
            votes_an_entry: seen.votes_an_entry,
        }
    }

    /// The moment of the loss: no leader for a while, and a part of the others is gone.
    fn outage(&self, fleet: Fleet) -> Outage {
        let left = fleet.left(self.plan.lose);
        let peak = self.plan.shape.peak_us();
        let begins = peak.start + (peak.end - peak.start) * OUTAGE_BEGINS;
        let ends = begins + self.times.get(Input::FailoverUs);
        let seen = Path {
            outage_us: Some(begins..ends),
            ..self.path(fleet, left)
        }
        .simulate();
        let recovered = seen.timeline.recovery(Duration::from_secs_f64(ends / 1e6));
        let watchers = self.plan.watchers * (fleet.feeders - left.feeders) as f64 / fleet.feeders as f64;
        let cores = left.feeders as f64 * f64::from(self.instance.vcpus) * self.plan.limits.share_max;
        let accepting_s = watchers * self.times.get(Input::ConnectionUs) / 1e6 / cores;
        Outage {
            without_leader_s: self.times.get(Input::FailoverUs) / 1e6,
            recovered_s: recovered.as_secs_f64(),
            ack_ms: Ranks::of(&seen.ack_us, seen.peak_votes),
            waiting_votes_max: seen.waiting_max as u64,
            waiting_bytes_max: seen.waiting_max as f64 * self.times.get(Input::VoteBytes),
            waiting_bytes_allowed: INGEST_BYTES_MAX as f64,
            watchers_come_again: watchers.round() as u64,
            watchers_back_s: accepting_s.max(STREAM_RETRY_MS_MAX as f64 / 1_000.0),
        }
    }

    /// As much more as is borne by the same nodes, all of them there.
    fn headroom(&self, fleet: Fleet, healthy: &State) -> Headroom {
        let mut headroom = Headroom {
            holds_times: 0.0,
            breaks_times: Some(1.0),
            breaks: healthy.missed(&self.plan.limits, Some(FULL)),
        };
        if !headroom.breaks.is_empty() {
            return headroom;
        }
        (headroom.holds_times, headroom.breaks_times) = (1.0, None);
        for times in TIMES {
            let plan = Plan {
                shape: Shape::even(TIMES_SHAPE_S),
                ..self.plan.times(times)
            };
            if plan.impossible().is_some() {
                break;
            }
            let world = World { plan: &plan, ..*self };
            let state = world.state(fleet, Lose::Nothing);
            let breaks = state.missed(&plan.limits, Some(FULL));
            if !breaks.is_empty() {
                (headroom.breaks_times, headroom.breaks) = (Some(times), breaks);
                break;
            }
            headroom.holds_times = times;
        }
        headroom
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
