//! Faults that somebody has to carry out from inside: what an operator asks for, and crowds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ostraka_client::CallOptions;
use ostraka_core::UnixMs;
use ostraka_node::env::GroupStatus;
use ostraka_node::operator::Memberships;
use ostraka_sim_crowd::{failed, vote, voted};
use ostraka_sim_model::errand::{
    ATTEMPT_PAUSE, ATTEMPT_TIMEOUT, END_MARGIN, Errand, HANDOVER_PAUSE, HANDOVER_TIMEOUT,
};
use ostraka_sim_model::history::Happening;
use ostraka_sim_model::ids::{EventSlot, FaultId, NodeIndex};
use ostraka_sim_model::names::overload_voter;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::chance::Purpose;
use crate::known::SharedKnown;
use crate::operator::Operator;
use crate::stage::Host;

/// The clock that an overload's submissions carry: before any that the plan's own carry.
const OVERLOAD_TIMESTAMP: UnixMs = UnixMs(1_600_000_000_000);

/// Does what is to be done.
pub(crate) async fn run(errand: Errand, known: SharedKnown) {
    match errand {
        Errand::TransferLeadership { fault, to, within } => {
            transfer(&known, fault, host(to), last_moment(within)).await;
        }
        Errand::LeaveAndJoin { fault, node, away } => {
            leave_and_join(&known, fault, host(node), last_moment(away)).await;
        }
        Errand::Replace {
            node,
            failures,
            after,
        } => {
            replace(&known, host(node), failures, last_moment(after)).await;
        }
        Errand::Overload {
            fault,
            slot,
            clients,
            submissions,
            within,
        } => {
            let until = last_moment(within);
            overload(&known, fault, slot, clients, submissions, until).await;
        }
    }
}

fn host(node: NodeIndex) -> Host {
    Host(usize::from(node.0))
}

/// Of a fault that begins now and lasts so long.
fn last_moment(lasts: Duration) -> Instant {
    Instant::now() + lasts.saturating_sub(END_MARGIN)
}

/// An operator's patience with an attempt that must not outlast `until`.
fn patience(until: Instant, longest: Duration) -> Duration {
    until.saturating_duration_since(Instant::now()).min(longest)
}

async fn transfer(known: &SharedKnown, fault: FaultId, to: Host, until: Instant) {
    let operator = Operator::new(&known.stage);
    while Instant::now() < until {
        let seen = operator.vote_log(to, patience(until, HANDOVER_TIMEOUT)).await;
        if seen.is_some_and(|log| log.leader == Some(log.node)) {
            return;
        }
        if operator
            .transfer_leader(to, to, patience(until, HANDOVER_TIMEOUT))
            .await
        {
            known.stage.links.lock().note_bite(fault);
            return;
        }
        sleep(HANDOVER_PAUSE).await;
    }
}

/// Adds the node again however long that takes: a cluster that has lost a member for good has not healed. The first request
/// to take it out arrives once more when it is back: a network may have kept it so long, and it is not meant any more.
async fn leave_and_join(known: &SharedKnown, fault: FaultId, node: Host, until: Instant) {
    let operator = Operator::new(&known.stage);
    let others: Vec<Host> = (0..known.stage.nodes())
        .map(Host)
        .filter(|other| *other != node)
        .collect();
    let mut vias = others.iter().cycle();
    let mut next_via = || *vias.next().expect("a node that leaves leaves others behind");
    let mut first_over: Option<Memberships> = None;
    let mut left = false;
    while !left && Instant::now() < until {
        let via = next_via();
        let (gone, over) = remove(&operator, via, node, patience(until, ATTEMPT_TIMEOUT)).await;
        first_over = first_over.or(over);
        left = gone || has_left(&operator, via, node, until).await;
        if !left {
            sleep(ATTEMPT_PAUSE).await;
        }
    }
    if left {
        known.stage.links.lock().note_bite(fault);
    }
    sleep_until(until).await;
    // Also where nobody said that it had left: an answer may have been lost.
    while !operator.add(next_via(), node, ATTEMPT_TIMEOUT).await {
        sleep(ATTEMPT_PAUSE).await;
    }
    if let Some(over) = first_over {
        // Whatever it is answered: a node that is out at the end has been taken out by this.
        operator.remove(next_via(), node, &over, ATTEMPT_TIMEOUT).await;
    }
}

/// Looks and asks, both within the time given. Whether it was done, and the memberships seen.
async fn remove(operator: &Operator, via: Host, node: Host, within: Duration) -> (bool, Option<Memberships>) {
    let until = Instant::now() + within;
    let Some(over) = operator.memberships(via, within).await else {
        return (false, None);
    };
    let left = until.saturating_duration_since(Instant::now());
    (operator.remove(via, node, &over, left).await, Some(over))
}

/// However long that takes. A member that lost its log without having been taken out would be counted as one that has it.
async fn replace(known: &SharedKnown, node: Host, failures: u64, begin: Instant) {
    let operator = Operator::new(&known.stage);
    let machine = &known.machines[node.0];
    let others: Vec<Host> = (0..known.stage.nodes())
        .map(Host)
        .filter(|other| *other != node)
        .collect();
    let mut vias = others.iter().cycle();
    let mut next_via = || *vias.next().expect("a node that is replaced leaves others behind");
    sleep_until(begin).await;
    // The operator acts when the node has said what is wrong with it.
    while machine.failures() == failures {
        sleep(ATTEMPT_PAUSE).await;
    }
    loop {
        let via = next_via();
        let patient = Instant::now() + ATTEMPT_TIMEOUT;
        let (gone, _) = remove(&operator, via, node, ATTEMPT_TIMEOUT).await;
        if gone || has_left(&operator, via, node, patient).await {
            break;
        }
        sleep(ATTEMPT_PAUSE).await;
    }
    machine.ask_for_replacement();
    while !machine.is_replaced() {
        sleep(ATTEMPT_PAUSE).await;
    }
    while !operator.add(next_via(), node, ATTEMPT_TIMEOUT).await {
        sleep(ATTEMPT_PAUSE).await;
    }
}

/// Whether a quorum has settled, as far as `via` knows, that no log counts the node any more.
async fn has_left(operator: &Operator, via: Host, node: Host, until: Instant) -> bool {
    let number = node.0 as u64 + 1;
    let logs = operator.logs(via, patience(until, ATTEMPT_TIMEOUT)).await;
    logs.is_some_and(|logs| {
        let without =
            |log: &GroupStatus| !log.changing && !log.voters.iter().any(|(voter, _)| voter.0 == number);
        !logs.is_empty() && logs.iter().all(without)
    })
}

/// The crowd goes home with its fault: what it does later, nobody would count.
async fn overload(
    known: &SharedKnown,
    fault: FaultId,
    slot: EventSlot,
    clients: u16,
    submissions: u32,
    until: Instant,
) {
    let Some(event) = known.learned.event(slot) else {
        return;
    };
    let next = Arc::new(AtomicU32::new(0));
    let mut crowd = JoinSet::new();
    for client in 0..clients {
        let (known, next) = (known.clone(), next.clone());
        let node = Host(usize::from(client) % known.stage.nodes());
        let purpose = Purpose::Overload(u64::from(fault.0) << 16 | u64::from(client));
        crowd.spawn(async move {
            let connection = known.client(&[node], purpose);
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= submissions {
                    return;
                }
                let voter = overload_voter(fault, place);
                let at = UnixMs(OVERLOAD_TIMESTAMP.0 + u64::from(place));
                let token = known.token(voter);
                let vote = vote(voter, event, 0, at);
                let answer = connection
                    .submit_vote(&vote, None, CallOptions::bearer(&token))
                    .await;
                // However it ended, the cluster had it on its hands; unless it was never reached.
                if !matches!(answer, Err(ostraka_client::ClientError::Unreachable { .. })) {
                    known.stage.links.lock().note_bite(fault);
                }
                let answer = answer.map_or_else(|error| failed(&error), |told| voted(&told));
                known
                    .stage
                    .record(Happening::CrowdAnswered { fault, place, answer });
            }
        });
    }
    // Whoever still waits for an answer goes without; if the vote is counted, the log says so.
    let _ = timeout_at(until, crowd.join_all()).await;
}
