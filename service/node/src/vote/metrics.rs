//! What the vote service counts. Increments are single atomic additions, but for histograms, which take a short lock.

use ostraka_api::VoteStatus;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

/// Handles to the metrics. Cheap to clone.
#[derive(Clone)]
pub struct VoteMetrics {
    processed: Counter,
    duplicate: Counter,
    rejected: Counter,
    /// Submissions without a vote id: refused, overloaded or unknown.
    pub(super) failed: Counter,
    /// Seconds from a vote's entering ingest to its outcome.
    pub(super) ack_latency_s: Histogram,
    pub(super) batch_commands: Histogram,
    pub(super) ingest_bytes: Gauge,
    pub(super) subscribers: Gauge,
    pub(super) tallies: Counter,
}

impl VoteMetrics {
    /// Registers under the registry's own prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let votes = Family::<StatusLabel, Counter>::default();
        let of = |status| votes.get_or_create_owned(&StatusLabel { status });
        // From under a disk's barrier to over the submission's deadline; 50 ms, the objective, is a bound.
        let seconds = [
            0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
        ];
        let commands = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];
        let metrics = Self {
            processed: of("processed"),
            duplicate: of("duplicate"),
            rejected: of("rejected"),
            failed: of("failed"),
            ack_latency_s: Histogram::new(seconds),
            batch_commands: Histogram::new(commands),
            ingest_bytes: Gauge::default(),
            subscribers: Gauge::default(),
            tallies: Counter::default(),
        };
        let m = &metrics;
        registry.register("votes", "Votes by what became of them", votes);
        registry.register(
            "vote_ack_latency_seconds",
            "From a vote's entering ingest to its outcome",
            m.ack_latency_s.clone(),
        );
        registry.register(
            "batch_commands",
            "Commands of one log entry",
            m.batch_commands.clone(),
        );
        registry.register(
            "ingest_bytes",
            "Commands taken in and not yet answered",
            m.ingest_bytes.clone(),
        );
        registry.register("subscribers", "Open streams", m.subscribers.clone());
        registry.register("tallies", "Tallies rendered for streams", m.tallies.clone());
        metrics
    }

    pub(super) fn vote(&self, status: VoteStatus) {
        match status {
            VoteStatus::Acked | VoteStatus::Processed => self.processed.inc(),
            VoteStatus::Duplicate => self.duplicate.inc(),
            VoteStatus::Rejected => self.rejected.inc(),
        };
    }
}
