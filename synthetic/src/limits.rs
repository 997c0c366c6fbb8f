//! Every limit and default of the probe, with its unit and its reason.

use std::time::Duration;

/// Probes an hour from each place. One every 3.6 s: an outage of a minute meets sixteen, and p99 of an hour has ten beyond it.
pub const PROBES_PER_HOUR: u32 = 1_000;

/// One each 20 ms. Past that it is a load test, and the service remembers some thousands of probes only (ADR 0017).
pub const PROBES_PER_HOUR_MAX: u32 = 180_000;

/// How long a vote may take to be acknowledged and seen before it counts as unanswered or missing. Ten times the objective's
/// p99: longer than any failover, so that what is merely slow is told apart from what is lost.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Share of the interval within which a probe's moment is drawn, percent: steady, and in step with nothing else.
pub const JITTER_PERCENT: u64 = 50;

/// A probe that begins this much after its moment was held up by this machine: it says nothing of the service.
pub const LATE_MS_MAX: u64 = 50;

/// Percent of probes that may be late before a run says more about this machine than about the service.
pub const LATE_PERCENT_MAX: f64 = 1.0;

/// Silence on a stream after which it counts as cut: the service's signs of life are 10 s apart.
pub const STREAM_SILENCE: Duration = Duration::from_secs(15);

/// Between two tries to log in. The service takes ten a minute from one account.
pub const LOGIN_PAUSE: Duration = Duration::from_secs(7);

/// Places at most: each has a canary event, a stream and a connection of its own.
pub const PLACES_MAX: usize = 64;

/// Sentences about faults that evidence keeps; all are counted.
pub const FINDINGS_TOLD_MAX: usize = 100;

/// Between two writings of evidence, and two lines about how it goes.
pub const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Objective: from sending to the stream, 95th and 99th percentile, milliseconds (the API contract).
pub const SEEN_P95_MS_MAX: u64 = 500;
pub const SEEN_P99_MS_MAX: u64 = 1_000;

/// Objective: from sending to the durable acknowledgement, milliseconds (the API contract), taken at the 99th percentile.
pub const ACK_P99_MS_MAX: u64 = 50;

/// Objective: percent of probes that are complete.
pub const COMPLETE_PERCENT_MIN: f64 = 99.9;

/// Samples from which on a 99th (95th) percentile has an upper bound at all, with 95 % confidence: the fewest n with 0.99^n
/// (0.95^n) below 0.05 (order statistics; H. David, H. Nagaraja, "Order Statistics", 2003, 7.1).
pub const SAMPLES_FOR_P99_MIN: u64 = 299;
pub const SAMPLES_FOR_P95_MIN: u64 = 59;

/// Largest password or token file that is read, bytes.
pub const SECRET_BYTES_MAX: u64 = 4_096;
