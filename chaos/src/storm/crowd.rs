//! The clients of a storm: each operation begins when the plan says, however the service fares.

use std::sync::Arc;
use std::time::Duration;

use ostraka_client::Client;
use ostraka_sim_crowd::{Request, failed};
use ostraka_sim_model::history::{Answer, Happening};
use ostraka_sim_model::ids::{NodeIndex, SimMs};
use ostraka_sim_model::plan::Operation;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::progress::SoFar;
use super::stage::SharedStage;
use crate::limits::LOAD_LATE_START;

/// How the harness itself kept up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Kept {
    pub begun: u64,
    /// Begun later than their time, by what would show in a latency.
    pub late: u64,
}

impl Kept {
    pub(super) fn plus(self, other: Kept) -> Kept {
        Kept {
            begun: self.begun + other.begun,
            late: self.late + other.late,
        }
    }
}

/// Does `operations`, the first of which is due when the plan's time `from` is at `begin`, and waits for all answers.
pub(super) async fn live(
    stage: SharedStage,
    so_far: Arc<SoFar>,
    operations: Vec<Operation>,
    from: SimMs,
    begin: Instant,
) -> Kept {
    let nodes = u8::try_from(stage.nodes()).expect("a rig has few nodes");
    let clients: Vec<Client> = (0..nodes)
        .map(|node| stage.client(NodeIndex(node), true))
        .collect();
    let mut kept = Kept::default();
    let mut asking = JoinSet::new();
    for operation in operations {
        let due = begin + Duration::from_millis(operation.at_ms.0.saturating_sub(from.0));
        sleep_until(due).await;
        kept.begun += 1;
        kept.late += u64::from(due.elapsed() > LOAD_LATE_START);
        let client = clients[usize::from(operation.endpoint.0)].clone();
        asking.spawn(ask(stage.clone(), so_far.clone(), operation, client));
        while asking.try_join_next().is_some() {}
    }
    asking.join_all().await;
    kept
}

async fn ask(stage: SharedStage, so_far: Arc<SoFar>, operation: Operation, client: Client) {
    let request = Request::of(&stage.plan, &stage.known, &operation, stage.formed_at, |voter| {
        stage.token(voter)
    });
    let id = operation.id;
    let answer = match request {
        None => Answer::Skipped,
        Some(request) => {
            stage.record(Happening::Invoked { operation: id });
            request.send(&client).await.unwrap_or_else(|error| failed(&error))
        }
    };
    so_far.note(&answer);
    stage.known.learn(&operation, &answer);
    stage.record(Happening::Answered {
        operation: id,
        answer,
    });
}
