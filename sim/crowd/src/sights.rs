//! What a stream shows, as a history has it.

use ostraka_client::Update;
use ostraka_client::api::{StandingsPayload, TallyPayload};
use ostraka_sim_model::history::{Sight, Standings};
use ostraka_sim_model::ids::NodeIndex;

use crate::answers::{by_name, in_order, status};

/// The version that a viewer knows after this, if it shows one.
pub fn version_of(sight: &Sight) -> Option<u64> {
    match sight {
        Sight::Snapshot(standings) | Sight::Closed(standings) => Some(standings.version),
        Sight::Tally { version, .. } => Some(*version),
        Sight::Connected { .. } | Sight::Disconnected => None,
    }
}

/// `None` for a sign of life, which shows nothing. `node_at`: the node behind an endpoint.
pub fn sight(update: Update, node_at: impl FnOnce(&str) -> NodeIndex) -> Option<Sight> {
    Some(match update {
        Update::Connected {
            endpoint,
            resumed_from,
        } => Sight::Connected {
            node: node_at(&endpoint),
            resumed_from: resumed_from.map(|token| token.0.0),
        },
        Update::Snapshot(payload) => Sight::Snapshot(standings(&payload)),
        Update::Closed(payload) => Sight::Closed(standings(&payload)),
        Update::Tally(payload) => tally(&payload),
        Update::Disconnected { .. } => Sight::Disconnected,
        Update::Heartbeat => return None,
    })
}

fn standings(payload: &StandingsPayload) -> Standings {
    let totals = by_name(&payload.contestants).into_iter();
    in_order(payload.event_id, status(payload.status), payload.version, totals)
}

fn tally(payload: &TallyPayload) -> Sight {
    Sight::Tally {
        event: payload.event_id,
        status: status(payload.status),
        version: payload.version,
        previous_version: payload.previous_version,
        totals: payload
            .contestants
            .iter()
            .map(|entry| (entry.contestant_id.contestant.0, entry.total_votes))
            .collect(),
    }
}
