//! What a cluster may be like. A cluster past these bounds is none that anybody would run: it never forms, or never heals,
//! or a client gives up before a healthy node could have answered, and the run would blame the service for its plan.

use super::{Found, LINK_LATENCY_MS_MIN, check};
use crate::plan::Knobs;

const NODES_MAX: u8 = 9;
/// Each client is a task with connections to every node: more would measure the simulator.
const CLIENTS_MAX: u16 = 1_000;
/// An event must be created, voted in, and something must go wrong.
const STORM_MS_MIN: u64 = 1_000;
const STORM_MS_MAX: u64 = 600_000;
/// A supervisor's pause, an election and a viewer's pause come one after another before anything is whole again; and a viewer who
/// is told nothing is judged three seconds after the storm at the earliest.
const HEAL_MS_MIN: u64 = 5_000;
const HEAL_MS_MAX: u64 = 600_000;
/// The operator of a run gives a node 100 ms to say that it is ready: four messages, a connection and a question.
const LINK_LATENCY_MS_MAX: u32 = 20;
/// A hundred milliseconds: a barrier of a rotating disk under load. The log writes one barrier after another.
const BARRIER_MICROS_MAX: u64 = 100_000;
/// Hosts take turns of 2 ms, and a leader needs several of them between two of its heartbeats.
const HEARTBEAT_MS_MIN: u64 = 10;
const HEARTBEAT_MS_MAX: u64 = 2_000;
const ELECTION_MS_MAX: u64 = 10_000;
/// Of the time for healing, an election may take so large a part: timeouts are drawn from one to two times the knob,
/// and the first election may be in vain.
const HEAL_PER_ELECTION: u64 = 4;
/// Of the time for healing, a client's patience may be so large a part: whoever asks in the storm's last moment has an
/// end to it before the run's.
const HEAL_PER_PATIENCE: u64 = 2;
/// Messages one after another until a vote is answered: a connection, the question, its way to the leader, and a quorum.
const MESSAGES_PER_ANSWER: u64 = 8;
/// Barriers one after another until a vote is answered: the leader's, a follower's, and those of the entry before.
const BARRIERS_PER_ANSWER: u64 = 4;
/// An hour. Tokens last a month from the run's beginning, by whatever clock looks at them.
const CLOCK_SKEW_MS_MAX: u64 = super::CLOCK_OFF_MS_MAX;
/// A clock that is wrong by a tenth is no clock; over the longest run it drifts by two minutes.
const CLOCK_DRIFT_PPM_MAX: u32 = 100_000;

pub(super) fn are_possible(knobs: &Knobs) -> Found {
    sizes_are_possible(knobs)?;
    spans_are_possible(knobs)?;
    delays_are_possible(knobs)?;
    elections_are_possible(knobs)?;
    patience_is_possible(knobs)?;
    clocks_are_possible(knobs)
}

fn is_within(value: u64, min: u64, max: u64, place: &str, unit: &str) -> Found {
    check(
        (min..=max).contains(&value),
        place,
        format!("is {value}: {min} to {max}{unit} can be run"),
    )
}

fn sizes_are_possible(knobs: &Knobs) -> Found {
    let nodes = u64::from(knobs.nodes);
    is_within(nodes, 1, NODES_MAX.into(), "knobs.nodes", "")?;
    check(
        knobs.clients > 0,
        "knobs.clients",
        "is 0: nobody would ask anything",
    )?;
    is_within(knobs.clients.into(), 1, CLIENTS_MAX.into(), "knobs.clients", "")?;
    check(
        knobs.snapshot_every_entries > 0,
        "knobs.snapshot_every_entries",
        "is 0",
    )
}

fn spans_are_possible(knobs: &Knobs) -> Found {
    is_within(
        knobs.storm_ms.0,
        STORM_MS_MIN,
        STORM_MS_MAX,
        "knobs.storm_ms",
        " ms",
    )?;
    is_within(knobs.heal_ms.0, HEAL_MS_MIN, HEAL_MS_MAX, "knobs.heal_ms", " ms")
}

fn delays_are_possible(knobs: &Knobs) -> Found {
    check(
        knobs.link_latency_ms_min >= LINK_LATENCY_MS_MIN,
        "knobs.link_latency_ms_min",
        format!(
            "is {}: a message takes {LINK_LATENCY_MS_MIN} at least",
            knobs.link_latency_ms_min
        ),
    )?;
    check(
        knobs.link_latency_ms_min <= knobs.link_latency_ms_max,
        "knobs.link_latency_ms_max",
        "is below the minimum",
    )?;
    is_within(
        knobs.link_latency_ms_max.into(),
        LINK_LATENCY_MS_MIN.into(),
        LINK_LATENCY_MS_MAX.into(),
        "knobs.link_latency_ms_max",
        " ms",
    )?;
    is_within(
        knobs.barrier_micros,
        0,
        BARRIER_MICROS_MAX,
        "knobs.barrier_micros",
        " µs",
    )
}

fn elections_are_possible(knobs: &Knobs) -> Found {
    let (heartbeat_ms, election_ms) = (knobs.heartbeat_ms, knobs.election_ms);
    is_within(
        heartbeat_ms,
        HEARTBEAT_MS_MIN,
        HEARTBEAT_MS_MAX,
        "knobs.heartbeat_ms",
        " ms",
    )?;
    let place = "knobs.election_ms";
    let longest = ELECTION_MS_MAX.min(knobs.heal_ms.0 / HEAL_PER_ELECTION);
    check(
        election_ms <= longest,
        place,
        format!("is {election_ms}: {longest} ms at most, or a healed cluster has no time to elect"),
    )?;
    check(
        election_ms > 2 * heartbeat_ms,
        place,
        "is not above two heartbeats: no leader could stay one",
    )?;
    // A question and an answer, and a barrier on each side. Whoever sends entries gives up on an answer after a heartbeat,
    // and sends them again.
    let asking_ms = 2 * (u64::from(knobs.link_latency_ms_max) + barrier_ms(knobs));
    check(
        heartbeat_ms > asking_ms,
        "knobs.heartbeat_ms",
        format!(
            "is {heartbeat_ms}, and an entry takes up to {asking_ms} ms to a follower and back: no follower could be fed"
        ),
    )
}

fn patience_is_possible(knobs: &Knobs) -> Found {
    let place = "knobs.client_patience_ms";
    let patience_ms = knobs.client_patience_ms.0;
    let answering_ms = MESSAGES_PER_ANSWER * u64::from(knobs.link_latency_ms_max)
        + BARRIERS_PER_ANSWER * barrier_ms(knobs)
        + knobs.heartbeat_ms;
    check(
        patience_ms > answering_ms,
        place,
        format!(
            "is {patience_ms}, and a healthy cluster may take {answering_ms} ms: no answer would come in time"
        ),
    )?;
    let longest = knobs.heal_ms.0 / HEAL_PER_PATIENCE;
    check(
        patience_ms <= longest,
        place,
        format!("is {patience_ms}: {longest} ms at most, or the storm's last question ends after the run"),
    )
}

fn clocks_are_possible(knobs: &Knobs) -> Found {
    let nodes = usize::from(knobs.nodes);
    let skews = &knobs.clock_skew_ms;
    check(
        skews.len() == nodes,
        "knobs.clock_skew_ms",
        format!("has {} numbers for {nodes} nodes", skews.len()),
    )?;
    let skewed = skews.iter().find(|skew| skew.unsigned_abs() > CLOCK_SKEW_MS_MAX);
    check(
        skewed.is_none(),
        "knobs.clock_skew_ms",
        format!(
            "has {}: {CLOCK_SKEW_MS_MAX} ms either way can be run",
            skewed.unwrap_or(&0)
        ),
    )?;
    let drifts = &knobs.clock_drift_ppm;
    check(
        drifts.len() == nodes,
        "knobs.clock_drift_ppm",
        format!("has {} numbers for {nodes} nodes", drifts.len()),
    )?;
    let drifting = drifts
        .iter()
        .find(|drift| drift.unsigned_abs() > CLOCK_DRIFT_PPM_MAX);
    check(
        drifting.is_none(),
        "knobs.clock_drift_ppm",
        format!(
            "has {}: {CLOCK_DRIFT_PPM_MAX} ppm either way can be run",
            drifting.unwrap_or(&0)
        ),
    )
}

fn barrier_ms(knobs: &Knobs) -> u64 {
    knobs.barrier_micros.div_ceil(1_000)
}
