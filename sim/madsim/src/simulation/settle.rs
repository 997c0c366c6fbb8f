//! The beginning and the end of a run: forms the cluster; and after the storm, waits until it is whole again and asks
//! every node what it holds.

use std::time::Duration;

use madsim::time::{Instant, sleep};
use ostraka_replication::GroupStatus;
use ostraka_sim_model::history::Happening;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use super::errands::add;
use super::known::Known;
use super::stage::Host;

/// Between two looks at whether all is well.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const FORMING_PAUSE: Duration = Duration::from_millis(10);

/// A cluster of healthy nodes is formed well before, or something is wrong with the service.
const FORMED_WITHIN_MS: u64 = 60_000;

/// As an operator would: the first node has made a cluster of itself, the others are added to it.
///
/// # Panics
/// If no cluster can be formed before anything goes wrong: then there is nothing to judge.
pub(crate) async fn form(known: &Known) {
    for node in 1..known.stage.nodes() {
        while !add(known, Host(0), Host(node)).await {
            let forming_ms = known.stage.elapsed_micros() / 1_000;
            assert!(forming_ms < FORMED_WITHIN_MS, "no cluster was formed");
            sleep(FORMING_PAUSE).await;
        }
    }
}

/// Ends when all is well, or with the time for it. `asking`: the clients, who have things to ask after the storm.
pub(crate) async fn settle(
    known: &Known,
    asking: Vec<JoinHandle<()>>,
    formed: Instant,
    storm_over: oneshot::Receiver<()>,
) {
    let knobs = &known.stage.plan.knobs;
    let storm = Duration::from_millis(knobs.storm_ms.0);
    let until = formed + storm + Duration::from_millis(knobs.heal_ms.0);
    storm_over.await.expect("whoever ends the storm outlives the run");
    for mut client in asking {
        if timeout_at(until, &mut client).await.is_err() {
            // What one node takes in while the others are asked how they stand, they would not tell of.
            client.abort();
        }
    }
    while !is_whole(known) && Instant::now() < until {
        sleep(LOOK_INTERVAL).await;
    }
    for machine in &known.machines {
        if let Some(door) = machine.door() {
            known.stage.record(Happening::Settled {
                node: machine.node,
                applied: door.group.applied_index(),
                boards: door.boards(),
            });
        }
    }
}

/// Whether all nodes are members that hold and have applied the same log, under the same leader.
fn is_whole(known: &Known) -> bool {
    let nodes = known.machines.iter();
    let all: Option<Vec<GroupStatus>> = nodes
        .map(|machine| Some(machine.door()?.group.status()))
        .collect();
    let Some(all) = all else { return false };
    let at_rest = |log: &GroupStatus| {
        log.voters.len() == all.len()
            && log.leader.is_some()
            && log.applied_index == log.last_log_index
            && log.committed_index == log.last_log_index
    };
    let same = |log: &GroupStatus, other: &GroupStatus| {
        (log.last_log_index, log.leader, log.term) == (other.last_log_index, other.leader, other.term)
    };
    all.iter().all(|log| at_rest(log) && same(log, &all[0]))
}
