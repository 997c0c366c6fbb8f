//! HTTP: serving connections, problems, who may call what, traces.

pub mod access;
pub mod auth;
pub mod edge;
pub mod json;
pub mod lane;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod progress;
pub mod route;
pub mod server;
pub mod trace;

mod head;
mod log_budget;
mod refusal;
mod remainder;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

pub use access::{Admitted, Registrar};
pub use auth::Authenticator;
pub use edge::Edge;
pub use json::JsonBody;
pub use lane::{Express, ExpressAnswer, ExpressRequest};
pub use metrics::HttpMetrics;
pub use problem::Problem;
pub use route::{Route, Serve};
pub use server::Server;
pub use trace::RequestContext;
