//! The vote service: ingest, machine, feed and routes.

pub mod feed;
pub mod ingest;
pub mod machine;
pub mod metrics;
pub mod routes;
pub mod service;
pub mod submission;
pub mod vote_id;

mod creation_limits;
mod schedule;
mod stream;
#[cfg(test)]
mod testing;

pub use crate::log::Log;
pub use machine::VoteMachine;
pub use routes::{api_document, router};
pub use service::{VoteParts, VoteService};
