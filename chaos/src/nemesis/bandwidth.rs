//! A node's link carries only so much a second, both ways; its clients' requests go over the same link.

use ostraka_sim_model::plan::Target;

use super::{Felt, Nemesis, not_begun};
use crate::limits::BANDWIDTH_KBIT_S;
use crate::rig::{INNER_LINK, Namespace, Rig};
use crate::{Trouble, tools};

const OF: &str = "packets held back, both ways";

pub struct Bandwidth {
    pub kbit_s: u32,
    throttled: Option<Throttled>,
}

/// Dropping it lifts the limit.
struct Throttled {
    namespace: Namespace,
}

impl Default for Bandwidth {
    fn default() -> Self {
        Self {
            kbit_s: BANDWIDTH_KBIT_S,
            throttled: None,
        }
    }
}

impl Throttled {
    /// The inner end limits what the node sends, the outer one what it gets.
    fn both_ends<T>(&self, act: impl Fn(&str) -> Result<T, Trouble> + Sync) -> [Result<T, Trouble>; 2]
    where
        T: Send,
    {
        let inner = self.namespace.inside(|| act(INNER_LINK)).and_then(|done| done);
        [inner, act(&self.namespace.to_string())]
    }

    fn overlimits(&self) -> Result<u64, Trouble> {
        let said = self.both_ends(|link| tools::run("tc", ["-s", "qdisc", "show", "dev", link]));
        said.into_iter().map(|said| Ok(overlimits(&said?))).sum()
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        let _ = self.both_ends(|link| tools::run("tc", ["qdisc", "delete", "dev", link, "root"]));
    }
}

fn overlimits(said: &str) -> u64 {
    let mut words = said.split([' ', ',', ')']);
    let mut sum = 0;
    while words.any(|word| word == "overlimits") {
        sum += words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    }
    sum
}

impl Nemesis for Bandwidth {
    fn name(&self) -> &'static str {
        "bandwidth"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let throttled = Throttled {
            namespace: rig.place(index)?.namespace.clone(),
        };
        let rate = format!("{}kbit", self.kbit_s);
        for done in throttled.both_ends(|link| {
            let limit = ["tbf", "rate", &rate, "burst", "16kb", "latency", "400ms"];
            tools::run("tc", ["qdisc", "add", "dev", link, "root"].iter().chain(&limit))
        }) {
            done?;
        }
        self.throttled = Some(throttled);
        Ok(Felt::new(0, OF).noting(format!("node {index} at {rate}/s")))
    }

    fn end(&mut self, _: &Rig) -> Result<Felt, Trouble> {
        let throttled = self.throttled.take().ok_or_else(|| not_begun(self.name()))?;
        Ok(Felt::new(throttled.overlimits()?, OF).noting(format!("{} kbit/s", self.kbit_s)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_tc_says() {
        let said = "qdisc tbf 8002: root refcnt 2 rate 256Kbit\n Sent 0 bytes 0 pkt (dropped 0, overlimits 17 requeues 0) \n";
        assert_eq!(overlimits(said), 17);
        assert_eq!(overlimits("qdisc noqueue"), 0);
    }
}
