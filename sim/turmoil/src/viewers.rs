//! The plan's viewers: each watches one stream to the end of the run, across cuts.

use std::time::Duration;

use ostraka_client::api::{StandingsPayload, TallyPayload};
use ostraka_client::{CallOptions, Update};
use ostraka_core::EventId;
use ostraka_sim_model::history::{Happening, Sight, Standings};
use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::names::OWNER;
use ostraka_sim_model::plan::Viewer;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Purpose;
use crate::clients::{in_order, status};
use crate::known::SharedKnown;
use crate::stage::{Host, Stage};

/// Between two looks at whether the event is there yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) async fn live(known: SharedKnown, viewer: Viewer, formed: Instant) {
    sleep_until(formed + Duration::from_millis(viewer.from_ms.0)).await;
    let event = loop {
        match known.event(viewer.slot) {
            Some(event) => break event,
            None => sleep(LOOK_INTERVAL).await,
        }
    };
    let nodes = known.stage.nodes();
    let first = usize::from(viewer.endpoint.0);
    let order: Vec<Host> = (0..nodes).map(|place| Host((first + place) % nodes)).collect();
    let client = known.client(&order, Purpose::Viewer(u64::from(viewer.viewer.0)));
    let token = known.token(OWNER);
    let mut watch = client.watch(event, None, CallOptions::bearer(&token));
    while let Some(update) = watch.next().await {
        let update = match update {
            Ok(update) => update,
            // Refused for good: such an end is for the checkers to wonder at.
            Err(_) => break,
        };
        if let Some(sight) = sight(&known.stage, update) {
            if let Some(version) = version(&sight) {
                known.learn_sight(viewer.viewer, version);
            }
            let viewer = viewer.viewer;
            known.stage.record(Happening::Saw { viewer, sight });
        }
    }
}

fn version(sight: &Sight) -> Option<u64> {
    match sight {
        Sight::Snapshot(standings) | Sight::Closed(standings) => Some(standings.version),
        Sight::Tally { version, .. } => Some(*version),
        Sight::Connected { .. } | Sight::Disconnected => None,
    }
}

/// `None` for a sign of life, which shows nothing.
fn sight(stage: &Stage, update: Update) -> Option<Sight> {
    Some(match update {
        Update::Connected {
            endpoint,
            resumed_from,
        } => {
            let name = endpoint.split(':').next().unwrap_or_default();
            let host = stage.host_named(name).expect("viewers know the nodes only");
            Sight::Connected {
                node: NodeIndex(host.0 as u8),
                resumed_from: resumed_from.map(|token| token.0.0),
            }
        }
        Update::Snapshot(payload) => Sight::Snapshot(standings(&payload)),
        Update::Closed(payload) => Sight::Closed(standings(&payload)),
        Update::Tally(payload) => tally(&payload),
        Update::Disconnected { .. } => Sight::Disconnected,
        Update::Heartbeat => return None,
    })
}

fn standings(payload: &StandingsPayload) -> Standings {
    let totals = payload
        .contestants
        .iter()
        .map(|entry| (entry.contestant_id.contestant, entry.total_votes));
    in_order(payload.event_id, status(payload.status), payload.version, totals)
}

fn tally(payload: &TallyPayload) -> Sight {
    let event: EventId = payload.event_id;
    Sight::Tally {
        event,
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
