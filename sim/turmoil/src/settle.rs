//! After the storm: waits until the cluster is whole again, and asks every node what it holds.

use std::time::Duration;

use ostraka_core::LogIndex;
use ostraka_node::env::GroupStatus;
use ostraka_sim_model::history::{Happening, Standings};
use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::names::OWNER;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::chance::Purpose;
use crate::known::SharedKnown;
use crate::operator::Operator;
use crate::stage::Host;

/// Between two looks at whether all is well.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// A healthy node answers its operator at once.
const LOOK_TIMEOUT: Duration = Duration::from_millis(300);
/// Purposes of the clients that ask here, past those of any plan's.
const ASKER: u64 = u64::MAX - 0xff;

/// Ends when all is well, or with the time for it. `asking`: the clients, who have things to ask after the storm.
pub(crate) async fn settle(known: SharedKnown, asking: Vec<JoinHandle<()>>, formed: Instant) {
    let knobs = &known.stage.plan.knobs;
    let storm = Duration::from_millis(knobs.storm_ms.0);
    let until = formed + storm + Duration::from_millis(knobs.heal_ms.0);
    sleep_until(formed + storm).await;
    for mut client in asking {
        match timeout_at(until, &mut client).await {
            Ok(Err(panic)) => panic!("a client has panicked: {panic}"),
            Ok(Ok(())) => {}
            // The nodes are asked one after another how they stand: what one of them took in meanwhile, another would not
            // have told of.
            Err(_) => client.abort(),
        }
    }
    // What the cluster owes the plan it owes by now; what is left is to write down how it stands.
    let settled = async {
        while !is_whole(&known).await {
            sleep(LOOK_INTERVAL).await;
        }
        while !audience_is_there(&known).await {
            sleep(LOOK_INTERVAL).await;
        }
    };
    // In time or not, the nodes are asked.
    let _ = timeout_at(until, settled).await;
    for node in 0..known.stage.nodes() {
        tell(&known, Host(node)).await;
    }
}

/// Whether all nodes are members that hold and have applied the same log, under the same leader, for each log.
async fn is_whole(known: &SharedKnown) -> bool {
    let operator = Operator::new(&known.stage);
    let mut all = Vec::new();
    for node in 0..known.stage.nodes() {
        match operator.logs(Host(node), LOOK_TIMEOUT).await {
            Some(logs) => all.push(logs),
            None => return false,
        }
    }
    let nodes = known.stage.nodes();
    let at_rest = |log: &GroupStatus| {
        log.voters.len() == nodes
            && !log.changing
            && log.leader.is_some()
            && log.applied_index == log.last_log_index
            && log.committed_index == log.last_log_index
    };
    let same = |log: &GroupStatus, other: &GroupStatus| {
        (log.last_log_index, log.leader, log.term) == (other.last_log_index, other.leader, other.term)
    };
    all.iter().all(|logs| {
        let of_first = logs.iter().zip(&all[0]);
        logs.len() == 2
            && of_first
                .clone()
                .all(|(log, first)| at_rest(log) && same(log, first))
    })
}

/// Whether the viewers have seen how it stands.
async fn audience_is_there(known: &SharedKnown) -> bool {
    let boards = boards(known, Host(0)).await;
    boards.iter().all(|board| {
        known
            .learned
            .all_have_seen(&known.stage.plan.viewers, board.event, board.version)
    })
}

async fn boards(known: &SharedKnown, node: Host) -> Vec<Standings> {
    let client = known.client(&[node], Purpose::Client(ASKER + node.0 as u64));
    ostraka_sim_crowd::boards(&client, &known.token(OWNER)).await
}

async fn tell(known: &SharedKnown, node: Host) {
    let Some(log) = Operator::new(&known.stage).vote_log(node, LOOK_TIMEOUT).await else {
        return;
    };
    let boards = boards(known, node).await;
    known.stage.record(Happening::Settled {
        node: NodeIndex(node.0 as u8),
        applied: LogIndex(log.applied_index.0),
        boards,
    });
}
