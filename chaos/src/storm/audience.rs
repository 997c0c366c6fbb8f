//! The viewers of a storm: each watches one stream to the end, across cuts.

use std::time::Duration;

use ostraka_client::CallOptions;
use ostraka_sim_crowd::sight;
use ostraka_sim_model::history::Happening;
use ostraka_sim_model::names::OWNER;
use ostraka_sim_model::plan::Viewer;
use tokio::time::{sleep, sleep_until};

use super::stage::SharedStage;

/// Between two looks at whether the event is there yet.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

pub(super) async fn live(stage: SharedStage, viewer: Viewer) {
    sleep_until(stage.moment(viewer.from_ms)).await;
    let event = loop {
        match stage.known.event(viewer.slot) {
            Some(event) => break event,
            None => sleep(LOOK_PAUSE).await,
        }
    };
    let client = stage.client(viewer.endpoint, false);
    let token = stage.token(OWNER);
    let mut watch = client.watch(event, None, CallOptions::bearer(&token));
    while let Some(update) = watch.next().await {
        // Refused for good: such an end is for the checkers to wonder at.
        let Ok(update) = update else { break };
        if let Some(sight) = sight(update, |endpoint| stage.node_at(endpoint)) {
            let viewer = viewer.viewer;
            stage.known.learn_sight(viewer, &sight);
            stage.record(Happening::Saw { viewer, sight });
        }
    }
}
