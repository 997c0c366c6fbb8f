//! The plan's viewers: each watches one stream to the end of the run, across cuts.

use std::time::Duration;

use ostraka_client::CallOptions;
use ostraka_sim_crowd::sight;
use ostraka_sim_model::history::Happening;
use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::names::OWNER;
use ostraka_sim_model::plan::Viewer;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Purpose;
use crate::known::SharedKnown;
use crate::stage::{Host, Stage};

/// Between two looks at whether the event is there yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) async fn live(known: SharedKnown, viewer: Viewer, formed: Instant) {
    sleep_until(formed + Duration::from_millis(viewer.from_ms.0)).await;
    let event = loop {
        match known.learned.event(viewer.slot) {
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
        if let Some(sight) = sight(update, |endpoint| node_at(&known.stage, endpoint)) {
            let viewer = viewer.viewer;
            known.learned.learn_sight(viewer, &sight);
            known.stage.record(Happening::Saw { viewer, sight });
        }
    }
}

fn node_at(stage: &Stage, endpoint: &str) -> NodeIndex {
    let name = endpoint.split(':').next().unwrap_or_default();
    let host = stage.host_named(name).expect("viewers know the nodes only");
    NodeIndex(host.0 as u8)
}
