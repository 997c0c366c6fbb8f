//! Faults that somebody has to carry out from inside: what an operator asks for, and crowds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ostraka_client::CallOptions;
use ostraka_core::UnixMs;
use ostraka_sim_model::ids::{EventSlot, FaultId};
use ostraka_sim_model::names::overload_voter;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Purpose;
use crate::clients::vote;
use crate::known::SharedKnown;
use crate::operator::Operator;
use crate::stage::Host;

/// Between two attempts of an operator whose wish was not granted.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(200);
/// An operator's patience with one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2_500);
/// The clock that an overload's submissions carry: before any that the plan's own carry.
const OVERLOAD_TIMESTAMP: UnixMs = UnixMs(1_600_000_000_000);

/// Something to be done for a fault. Times are as long as the fault lasts.
pub(crate) enum Errand {
    TransferLeadership {
        fault: FaultId,
        to: Host,
        within: Duration,
    },
    LeaveAndJoin {
        fault: FaultId,
        node: Host,
        away: Duration,
    },
    Overload {
        fault: FaultId,
        slot: EventSlot,
        clients: u16,
        submissions: u32,
    },
}

impl Errand {
    pub(crate) async fn run(self, known: SharedKnown) {
        match self {
            Errand::TransferLeadership { fault, to, within } => transfer(&known, fault, to, within).await,
            Errand::LeaveAndJoin { fault, node, away } => leave_and_join(&known, fault, node, away).await,
            Errand::Overload {
                fault,
                slot,
                clients,
                submissions,
            } => overload(&known, fault, slot, clients, submissions),
        }
    }
}

async fn transfer(known: &SharedKnown, fault: FaultId, to: Host, within: Duration) {
    let operator = Operator::new(&known.stage);
    let until = Instant::now() + within;
    while Instant::now() < until {
        let seen = operator.vote_log(to, ATTEMPT_TIMEOUT).await;
        if seen.is_some_and(|log| log.leader == Some(log.node)) {
            return;
        }
        if operator.transfer_leader(to, to, ATTEMPT_TIMEOUT).await {
            known.stage.links.lock().note_bite(fault);
            return;
        }
        sleep(ATTEMPT_PAUSE).await;
    }
}

/// Adds the node again however long that takes: a cluster that has lost a member for good has not healed.
async fn leave_and_join(known: &SharedKnown, fault: FaultId, node: Host, away: Duration) {
    let operator = Operator::new(&known.stage);
    let until = Instant::now() + away;
    let others: Vec<Host> = (0..known.stage.nodes())
        .map(Host)
        .filter(|other| *other != node)
        .collect();
    let mut vias = others.iter().cycle();
    let mut next_via = || *vias.next().expect("a node that leaves leaves others behind");
    let mut left = false;
    while !left && Instant::now() < until {
        left = operator.remove(next_via(), node, ATTEMPT_TIMEOUT).await;
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
}

/// Starts the crowd; it does not wait for itself.
fn overload(known: &SharedKnown, fault: FaultId, slot: EventSlot, clients: u16, submissions: u32) {
    let Some(event) = known.event(slot) else { return };
    let next = Arc::new(AtomicU32::new(0));
    for client in 0..clients {
        let (known, next) = (known.clone(), next.clone());
        let node = Host(usize::from(client) % known.stage.nodes());
        let purpose = Purpose::Overload(u64::from(fault.0) << 16 | u64::from(client));
        tokio::spawn(async move {
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
            }
        });
    }
}
