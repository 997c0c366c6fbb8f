//! What `/metrics` adds to the services' own counters: how the groups stand, read at the moment of the scrape.

use std::fmt;
use std::sync::Arc;

use ostraka_replication::{Group, GroupStatus};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Renders everything in the registry, and the groups, as OpenMetrics text.
pub fn metrics_of(mut registry: Registry, groups: Vec<Group>) -> Arc<dyn Fn() -> String + Send + Sync> {
    registry.register_collector(Box::new(GroupCollector { groups }));
    Arc::new(move || {
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes every write");
        text
    })
}

/// Name, help and where to read it.
type Figure = (&'static str, &'static str, fn(&GroupStatus) -> u64);

struct GroupCollector {
    groups: Vec<Group>,
}

impl fmt::Debug for GroupCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupCollector")
    }
}

impl Collector for GroupCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let statuses: Vec<_> = self.groups.iter().map(Group::status).collect();
        let figures: [Figure; 7] = [
            ("raft_is_leader", "1 where this node leads the group", |group| {
                u64::from(group.leader == Some(group.node))
            }),
            ("raft_term", "Current term", |group| group.term),
            ("raft_last_log_index", "Last entry in the log", |group| {
                group.last_log_index.0
            }),
            (
                "raft_committed_index",
                "Last entry known to be committed",
                |group| group.committed_index.0,
            ),
            ("raft_applied_index", "Last entry applied", |group| {
                group.applied_index.0
            }),
            (
                "raft_snapshot_index",
                "Last entry in the newest snapshot",
                |group| group.snapshot_index.0,
            ),
            ("raft_voters", "Voting members", |group| group.voters.len() as u64),
        ];
        for (name, help, figure) in figures {
            let gauge = ConstGauge::new(0_u64);
            let mut family = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            for status in &statuses {
                let label = [("group", format!("{:?}", status.name).to_lowercase())];
                ConstGauge::new(figure(status)).encode(family.encode_family(&label)?)?;
            }
        }
        Ok(())
    }
}
