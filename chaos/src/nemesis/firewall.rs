//! A table of nftables inside a node's namespace, whose counters are the bites.

use std::net::Ipv4Addr;

use ostraka_sim_model::ids::NodeIndex;
use serde_json::Value;

use crate::rig::{Namespace, Place, Rig};
use crate::{Trouble, tools};

/// What happens to packets from and to the peers; nothing where there is no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) incoming: Option<String>,
    pub(crate) outgoing: Option<String>,
}

impl Rules {
    pub(crate) fn both(rule: &str) -> Self {
        Self {
            incoming: Some(rule.to_string()),
            outgoing: Some(rule.to_string()),
        }
    }
}

/// The rules that the nemeses use; each counts.
pub(crate) mod rule {
    pub(crate) const DROP: &str = "counter drop";
    /// Answers each packet of TCP in the name of the other side that there is no such connection.
    pub(crate) const RESET: &str = "meta l4proto tcp counter reject with tcp reset";

    /// Drops so many packets of a thousand, by chance.
    pub(crate) fn drop_some(per_mille: u32) -> String {
        format!("numgen random mod 1000 < {per_mille} counter drop")
    }
}

/// Dropping it takes the table away.
pub(crate) struct Firewall {
    namespace: Namespace,
    table: String,
    is_there: bool,
}

impl Firewall {
    /// `name` is the nemesis's: each has a table of its own, so that several can be on at once.
    pub(crate) fn between(
        place: &Place,
        peers: &[Ipv4Addr],
        name: &str,
        rules: &Rules,
    ) -> Result<Self, Trouble> {
        let table = format!("chaos_{}", name.replace('-', "_"));
        let text = script(&table, peers, rules);
        place
            .namespace
            .inside(|| tools::feed("nft", &["-f", "-"], &text))??;
        Ok(Self {
            namespace: place.namespace.clone(),
            table,
            is_there: true,
        })
    }

    /// Between a node and these others.
    pub(crate) fn around(
        rig: &Rig,
        index: NodeIndex,
        others: &[NodeIndex],
        name: &str,
        rules: &Rules,
    ) -> Result<Self, Trouble> {
        let peers = addresses(rig, others)?;
        Self::between(rig.place(index)?, &peers, name, rules)
    }

    /// How many packets met one of the rules.
    pub(crate) fn packets(&self) -> Result<u64, Trouble> {
        let said = self
            .namespace
            .inside(|| tools::run("nft", ["-j", "list", "table", "inet", &self.table]))??;
        let tree: Value = serde_json::from_str(&said)
            .map_err(|error| Trouble::failed(format!("what nft lists is not JSON: {error}")))?;
        Ok(counted(&tree))
    }

    /// Takes the table away, and says how many packets met one of the rules.
    pub(crate) fn remove(mut self) -> Result<u64, Trouble> {
        let packets = self.packets()?;
        self.delete()?;
        Ok(packets)
    }

    fn delete(&mut self) -> Result<(), Trouble> {
        if std::mem::take(&mut self.is_there) {
            self.namespace
                .inside(|| tools::run("nft", ["delete", "table", "inet", &self.table]))??;
        }
        Ok(())
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        // With its namespace it is gone as well.
        let _ = self.delete();
    }
}

pub(crate) fn addresses(rig: &Rig, nodes: &[NodeIndex]) -> Result<Vec<Ipv4Addr>, Trouble> {
    nodes.iter().map(|index| Ok(rig.place(*index)?.address)).collect()
}

/// All nodes but this one.
pub(crate) fn others(rig: &Rig, index: NodeIndex) -> Vec<NodeIndex> {
    rig.indexes()
        .into_iter()
        .filter(|other| *other != index)
        .collect()
}

fn script(table: &str, peers: &[Ipv4Addr], rules: &Rules) -> String {
    let peers: Vec<_> = peers.iter().map(ToString::to_string).collect();
    let peers = peers.join(", ");
    let mut text = format!("table inet {table} {{\n");
    for (hook, field, rule) in [
        ("input", "saddr", &rules.incoming),
        ("output", "daddr", &rules.outgoing),
    ] {
        if let Some(rule) = rule {
            text += &format!(
                "  chain {hook} {{\n    type filter hook {hook} priority -100; policy accept;\n    ip {field} {{ {peers} }} {rule}\n  }}\n"
            );
        }
    }
    text + "}\n"
}

/// The sum of all counters in what nft lists, wherever they stand.
fn counted(tree: &Value) -> u64 {
    match tree {
        Value::Array(items) => items.iter().map(counted).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match (name.as_str(), value.get("packets")) {
                ("counter", Some(packets)) => packets.as_u64().unwrap_or_default(),
                _ => counted(value),
            })
            .sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wished_directions_have_a_chain() {
        let peers = [Ipv4Addr::new(10, 77, 1, 12), Ipv4Addr::new(10, 77, 1, 13)];
        let text = script("chaos_x", &peers, &Rules::both(rule::DROP));
        assert!(
            text.contains("ip saddr { 10.77.1.12, 10.77.1.13 } counter drop"),
            "{text}"
        );
        assert!(text.contains("hook output"), "{text}");
        let rules = Rules {
            incoming: Some(rule::drop_some(100)),
            outgoing: None,
        };
        let text = script("chaos_x", &peers, &rules);
        assert!(
            text.contains("mod 1000 < 100") && !text.contains("output"),
            "{text}"
        );
    }

    #[test]
    fn counters_are_summed_wherever_they_stand() {
        let listed = serde_json::json!({"nftables": [
            {"rule": {"expr": [{"match": {}}, {"counter": {"packets": 3, "bytes": 9}}, {"drop": null}]}},
            {"rule": {"expr": [{"counter": {"packets": 4, "bytes": 9}}]}},
        ]});
        assert_eq!(counted(&listed), 7);
    }
}
