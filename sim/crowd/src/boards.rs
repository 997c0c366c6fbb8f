//! What a node shows once all is over.

use ostraka_client::{CallOptions, Client};
use ostraka_core::EventId;
use ostraka_sim_model::history::Standings;

use crate::answers::standings;

/// Every event, as the client's node shows it to the owner of `token`, up to the first one that it does not show. The service
/// numbers events from 1 and leaves out none.
pub async fn boards(client: &Client, token: &str) -> Vec<Standings> {
    let mut boards = Vec::new();
    for number in 1.. {
        let asked = client.leaderboard(EventId(number), CallOptions::bearer(token));
        match asked.await {
            Ok(answer) => boards.push(standings(&answer)),
            Err(_) => break,
        }
    }
    boards
}
