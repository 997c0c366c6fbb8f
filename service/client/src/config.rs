//! What a client may be told, and what it takes where it is told nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ostraka_api::limits::CLIENT_SERVER_PAUSE_S_MAX;

/// Gives 64 random bits a call. A simulator hands in a seeded one.
pub type RandomSource = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Longest `Retry-After` and SSE `retry:` that is obeyed.
pub(crate) const SERVER_PAUSE_MAX: Duration = Duration::from_secs(CLIENT_SERVER_PAUSE_S_MAX);

/// Everything but connector and endpoints. Start from [`ClientConfig::new`].
#[derive(Clone)]
pub struct ClientConfig {
    /// From the start of connecting until the connection can take a request.
    pub connect_timeout: Duration,
    /// From sending a request until its whole answer is there; for a stream, until its head is there.
    pub request_timeout: Duration,
    /// Unused connections kept open for each endpoint.
    pub idle_connections_per_endpoint_max: usize,
    /// Silence on a stream, heartbeats included, after which it counts as cut. Must be longer than the server's heartbeat.
    pub stream_silence_max: Duration,
    /// Shortest pause before another attempt; doubles with each attempt in a row, and is jittered.
    pub retry_pause_min: Duration,
    /// Longest pause before another attempt.
    pub retry_pause_max: Duration,
    /// Where jitter comes from.
    pub random: RandomSource,
}

impl ClientConfig {
    pub fn new(random: RandomSource) -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(5),
            idle_connections_per_endpoint_max: 64,
            stream_silence_max: Duration::from_secs(45),
            retry_pause_min: Duration::from_millis(20),
            retry_pause_max: Duration::from_secs(2),
            random,
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientConfig")
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("stream_silence_max", &self.stream_silence_max)
            .finish_non_exhaustive()
    }
}
