//! Every limit of the service in one place, each with its unit and its reason.

/// Votes in one log entry. A vote's offset must fit 14 bits of its packed position; 4,096 votes keep an entry under
/// 256 KiB and its commit near a millisecond.
pub const BATCH_VOTES_MAX: usize = 4_096;

/// Encoded bytes of one batch. Bounds the memory of a proposal, a forward and a peer message.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Age in microseconds at which a batch closes although it is not full: the price a lone vote pays for company.
pub const BATCH_AGE_MICROS_MAX: u64 = 1_000;

/// Contestants in one event. A leaderboard stays one small JSON document.
pub const CONTESTANTS_PER_EVENT_MAX: usize = 1_000;

/// Contestants an event needs: a vote needs a choice, and one name may be a choice (approve or stay away).
pub const CONTESTANTS_PER_EVENT_MIN: usize = 1;

/// Events in one log group. Past it an event belongs to another group.
pub const EVENTS_MAX: usize = 100_000;

/// Bytes of an event's or contestant's name (UTF-8). Fits any title; keeps frames small.
pub const NAME_BYTES_MAX: usize = 200;

/// Bytes of a contestant's description (UTF-8).
pub const DESCRIPTION_BYTES_MAX: usize = 2_000;

/// Bytes of an image URL (the length that browsers and proxies agree to carry).
pub const URL_BYTES_MAX: usize = 2_048;

/// Further, really different submissions of one voter in one event that are remembered, each with its own vote id
/// and verdict. Beyond it the voter is told 429: a person changes their mind a few times, a script does not stop,
/// and the state must stay bounded.
pub const EXTRA_SUBMISSIONS_PER_VOTER_MAX: usize = 16;

/// Probe submissions remembered per canary event for idempotent retry (a ring: the oldest is forgotten). 1,000 probes
/// an hour from a few places, retried within minutes.
pub const PROBE_KEYS_PER_EVENT_MAX: usize = 4_096;

/// Sampled trace ids carried in one tally delta; more are counted, not listed, so that a frame stays small.
pub const TRACES_PER_DELTA_MAX: usize = 64;
