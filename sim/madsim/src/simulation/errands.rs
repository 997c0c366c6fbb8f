//! Faults that somebody has to carry out from inside: what an operator asks for, and crowds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use madsim::time::{Instant, sleep, sleep_until};
use ostraka_core::{Command, UnixMs};
use ostraka_replication::{GroupError, MembershipId, PeerAddr};
use ostraka_sim_model::errand::{
    ATTEMPT_PAUSE, ATTEMPT_TIMEOUT, END_MARGIN, Errand, HANDOVER_PAUSE, HANDOVER_TIMEOUT,
};
use ostraka_sim_model::history::{Answer, Happening};
use ostraka_sim_model::ids::{EventSlot, FaultId, NodeIndex};
use ostraka_sim_model::names::overload_voter;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use super::clients::vote;
use super::door::{Door, Request};
use super::known::{Known, SharedKnown};
use super::stage::{Host, Stage};

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

/// Has a node do what its operator asks. Whether it said in time that it was done.
pub(crate) async fn operate<F, T>(
    known: &Known,
    via: Host,
    within: Duration,
    wish: impl FnOnce(Arc<Door>) -> F,
) -> bool
where
    F: Future<Output = Result<T, GroupError>> + Send + 'static,
{
    let machine = &known.machines[via.0];
    let Some(door) = machine.door() else { return false };
    let (answer, answered) = oneshot::channel();
    let doing = wish(door);
    machine.process().spawn(async move {
        // Whoever asked may have lost patience.
        let _ = answer.send(doing.await.is_ok());
    });
    matches!(timeout(within, answered).await, Ok(Ok(true)))
}

/// Adds a node to the cluster, which may have it already.
pub(crate) async fn add(known: &Known, via: Host, node: Host) -> bool {
    let number = known.machines[node.0].number();
    let address = PeerAddr(Stage::peer_address(node));
    let Some(over) = membership(known, via) else {
        return false;
    };
    operate(known, via, ATTEMPT_TIMEOUT, |door| async move {
        door.group.add(number, address, over, ATTEMPT_TIMEOUT).await
    })
    .await
}

/// The membership that `via` knows: what an operator sees who looks there before asking for a change.
fn membership(known: &Known, via: Host) -> Option<MembershipId> {
    let door = known.machines[via.0].door()?;
    Some(door.group.membership())
}

async fn transfer(known: &Known, fault: FaultId, to: Host, until: Instant) {
    let number = known.machines[to.0].number();
    while Instant::now() < until {
        let door = known.machines[to.0].door();
        if door.is_some_and(|door| door.group.is_leader()) {
            return;
        }
        let wish = |door: Arc<Door>| async move { door.group.transfer_leader(number).await };
        if operate(known, to, patience(until, HANDOVER_TIMEOUT), wish).await {
            known.stage.links.lock().note_bite(fault);
            return;
        }
        sleep(HANDOVER_PAUSE).await;
    }
}

/// Adds the node again however long that takes: a cluster that has lost a member for good has not healed. The first request
/// to take it out arrives once more when it is back: a network may have kept it so long, and it is not meant any more.
async fn leave_and_join(known: &Known, fault: FaultId, node: Host, until: Instant) {
    let number = known.machines[node.0].number();
    let others: Vec<Host> = (0..known.stage.nodes())
        .map(Host)
        .filter(|other| *other != node)
        .collect();
    let mut vias = others.iter().cycle();
    let mut next_via = || *vias.next().expect("a node that leaves leaves others behind");
    let mut first_over: Option<MembershipId> = None;
    let mut left = false;
    while !left && Instant::now() < until {
        let via = next_via();
        if let Some(over) = membership(known, via) {
            first_over = first_over.or(Some(over));
            let wish = |door: Arc<Door>| async move { door.group.remove(number, over).await };
            left = operate(known, via, patience(until, ATTEMPT_TIMEOUT), wish).await;
        }
        left = left || has_left(known, via, node);
        if !left {
            sleep(ATTEMPT_PAUSE).await;
        }
    }
    if left {
        known.stage.links.lock().note_bite(fault);
    }
    sleep_until(until).await;
    // Also where nobody said that it had left: an answer may have been lost.
    while !add(known, next_via(), node).await {
        sleep(ATTEMPT_PAUSE).await;
    }
    if let Some(over) = first_over {
        // Whatever it is answered: a node that is out at the end has been taken out by this.
        let wish = |door: Arc<Door>| async move { door.group.remove(number, over).await };
        operate(known, next_via(), ATTEMPT_TIMEOUT, wish).await;
    }
}

/// However long that takes. A member that lost its log without having been taken out would be counted as one that has it.
async fn replace(known: &Known, node: Host, failures: u64, begin: Instant) {
    let machine = &known.machines[node.0];
    let number = machine.number();
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
        let mut left = has_left(known, via, node);
        if let Some(over) = membership(known, via).filter(|_| !left) {
            let wish = |door: Arc<Door>| async move { door.group.remove(number, over).await };
            left = operate(known, via, ATTEMPT_TIMEOUT, wish).await;
        }
        if left {
            break;
        }
        sleep(ATTEMPT_PAUSE).await;
    }
    machine.ask_for_replacement();
    while !machine.is_replaced() {
        sleep(ATTEMPT_PAUSE).await;
    }
    while !add(known, next_via(), node).await {
        sleep(ATTEMPT_PAUSE).await;
    }
}

/// Whether a quorum has settled, as far as `via` knows, that the log does not count the node any more.
fn has_left(known: &Known, via: Host, node: Host) -> bool {
    let number = known.machines[node.0].number();
    let seen = known.machines[via.0].door().map(|door| door.group.status());
    seen.is_some_and(|log| {
        let counts_it = log.voters.iter().any(|(voter, _)| *voter == number);
        log.has_members() && !log.changing && !counts_it
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
    let Some(event) = known.event(slot) else { return };
    let next = Arc::new(AtomicU32::new(0));
    let mut crowd = JoinSet::new();
    for client in 0..clients {
        let (known, next) = (known.clone(), next.clone());
        let node = Host(usize::from(client) % known.stage.nodes());
        crowd.spawn(async move {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= submissions {
                    return;
                }
                let at = UnixMs(OVERLOAD_TIMESTAMP.0 + u64::from(place));
                let vote = vote(overload_voter(fault, place), event, 0, at);
                let request = Request::Command(Command::CastVote(vote));
                let (answer, _) = known.ask(node, request).await;
                // However it ended, the cluster had it on its hands; unless it was never reached.
                if !matches!(answer, Answer::Refused { status: 0, .. }) {
                    known.stage.links.lock().note_bite(fault);
                }
                known
                    .stage
                    .record(Happening::CrowdAnswered { fault, place, answer });
            }
        });
    }
    let all_served = async { while crowd.join_next().await.is_some() {} };
    // Whoever still waits for an answer goes without; if the vote is counted, the log says so.
    let _ = timeout_at(until, all_served).await;
}
