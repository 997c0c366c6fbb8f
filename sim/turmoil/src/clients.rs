//! The plan's clients: each does its operations one after another, and writes down what it was told.

use std::time::Duration;

use ostraka_client::Client;
use ostraka_sim_crowd::{Request, failed};
use ostraka_sim_model::history::{Answer, Happening};
use ostraka_sim_model::ids::ClientIndex;
use tokio::time::{Instant, sleep_until};

use crate::chance::Purpose;
use crate::known::SharedKnown;
use crate::stage::{FORMED_AT, Host};

/// Does all that the plan has `index` do; `formed` is time 0.
pub(crate) async fn live(known: SharedKnown, index: ClientIndex, formed: Instant) {
    let nodes = known.stage.nodes();
    let purpose = |node: usize| Purpose::Client(u64::from(index.0) << 8 | node as u64);
    // Each node has its own, so that an operation asks the node that the plan names and no other.
    let clients: Vec<Client> = (0..nodes)
        .map(|node| known.client(&[Host(node)], purpose(node)))
        .collect();
    let operations = known.stage.plan.operations.clone();
    for operation in operations.iter().filter(|operation| operation.client == index) {
        sleep_until(formed + Duration::from_millis(operation.at_ms.0)).await;
        let client = &clients[usize::from(operation.endpoint.0)];
        let answer = match Request::of(&known.stage.plan, &known.learned, operation, FORMED_AT, |voter| {
            known.token(voter)
        }) {
            None => Answer::Skipped,
            Some(request) => {
                let operation = operation.id;
                known.stage.record(Happening::Invoked { operation });
                request.send(client).await.unwrap_or_else(|error| failed(&error))
            }
        };
        known.learned.learn(operation, &answer);
        known.stage.record(Happening::Answered {
            operation: operation.id,
            answer,
        });
    }
}
