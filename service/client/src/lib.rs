//! A typed client of Ostraka's API over a connector that is handed in, for probes, chaos runs, load and simulators.
//!
//! It reads no clock and draws no random number: waits go through tokio's timers, which a simulator controls, and
//! jitter comes from [`ClientConfig::random`]. Every call has a timeout, and every error says whether the request was
//! certainly not done, will never be, or may have been ([`ClientError::class`]).

mod backoff;
mod calls;
mod config;
mod connect;
mod error;
mod rests;
mod submit;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod watch;

pub use calls::{CallOptions, Client, solve};
pub use config::{ClientConfig, RandomSource};
pub use connect::{BoxFuture, BoxIo, Connect, Io, TokioConnect};
pub use error::ClientError;
pub use ostraka_api as api;
pub use submit::SubmitReport;
#[cfg(feature = "tls")]
pub use tls::{TlsConnect, TlsConnectError};
pub use watch::{Update, Watch};
