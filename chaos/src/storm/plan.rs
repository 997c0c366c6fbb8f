//! A storm's plan: all that one run does, written out, so that it can be kept and run again.

use std::collections::BTreeSet;
use std::path::Path;

use ostraka_sim_model::ids::{FaultId, NodeIndex, Seed, SimMs};
use ostraka_sim_model::plan::Target;
use serde::{Deserialize, Serialize};

use crate::Trouble;
use crate::limits::{
    NODES_MAX, STORM_FAULT_ID_MAX, STORM_MS_MAX, STORM_REQUESTS_PER_S_MAX, STORM_VIEWERS_MAX,
};
use crate::nemesis::{self, Kind, Needs};
use crate::rig::Fs;

/// Format of plan files that this program writes and reads.
const FORMAT: u32 = 1;

/// Times count from the moment when the cluster was formed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StormPlan {
    pub format: u32,
    pub seed: Seed,
    pub nodes: u8,
    pub fs: Fs,
    /// Nothing goes wrong before: what the cluster does here is its steady state.
    pub calm_ms: SimMs,
    /// All faults end before. Then whatever is down is started, and the crowd goes on for `after_ms`.
    pub storm_ms: SimMs,
    pub after_ms: SimMs,
    pub requests_per_s: u32,
    pub viewers: u16,
    /// Ascending by `at_ms`.
    pub faults: Vec<StormFault>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StormFault {
    pub id: FaultId,
    pub at_ms: SimMs,
    pub for_ms: SimMs,
    /// By its name in `chaos nemesis`.
    pub nemesis: String,
    pub target: Target,
}

impl StormFault {
    pub fn ends_at(&self) -> SimMs {
        self.at_ms.plus(self.for_ms)
    }

    pub fn overlaps(&self, other: &StormFault) -> bool {
        self.at_ms <= other.ends_at() && other.at_ms <= self.ends_at()
    }
}

impl StormPlan {
    pub(super) fn new(seed: Seed, nodes: u8, fs: Fs) -> Self {
        Self {
            format: FORMAT,
            seed,
            nodes,
            fs,
            calm_ms: SimMs(0),
            storm_ms: SimMs(0),
            after_ms: SimMs(0),
            requests_per_s: 0,
            viewers: 0,
            faults: Vec::new(),
        }
    }

    /// # Errors
    /// With the first thing in it that cannot be done.
    pub fn check(&self) -> Result<(), Trouble> {
        let refuse = |sentence: String| Err(Trouble::usage(format!("this plan cannot be run: {sentence}")));
        if self.format != FORMAT {
            return refuse(format!(
                "it has format {}, this program reads {FORMAT}",
                self.format
            ));
        }
        if self.nodes == 0 || self.nodes > NODES_MAX {
            return refuse(format!("{} nodes; 1 to {NODES_MAX} are possible", self.nodes));
        }
        let end = self.storm_ms.plus(self.after_ms);
        if self.calm_ms > self.storm_ms || end.0 > STORM_MS_MAX {
            return refuse(format!(
                "it begins to storm at {} ms and ends at {} ms; {STORM_MS_MAX} ms are the longest",
                self.calm_ms.0, end.0
            ));
        }
        if !(1..=STORM_REQUESTS_PER_S_MAX).contains(&self.requests_per_s) || self.viewers > STORM_VIEWERS_MAX
        {
            return refuse(format!(
                "{} requests a second and {} viewers; 1 to {STORM_REQUESTS_PER_S_MAX} and up to {STORM_VIEWERS_MAX} are \
                 possible",
                self.requests_per_s, self.viewers
            ));
        }
        let mut before: Option<&StormFault> = None;
        let mut ids = BTreeSet::new();
        for fault in &self.faults {
            let name = &fault.nemesis;
            if fault.id.0 > STORM_FAULT_ID_MAX {
                return refuse(format!(
                    "{name} is fault {}; {STORM_FAULT_ID_MAX} is the highest number",
                    fault.id.0
                ));
            }
            if !ids.insert(fault.id) {
                return refuse(format!("{name} is fault {}, and so is another one", fault.id.0));
            }
            if nemesis::named(name).is_none() {
                return refuse(format!("there is no nemesis {name}; `chaos nemesis` lists them"));
            }
            if fault.at_ms < self.calm_ms || fault.ends_at() > self.storm_ms {
                return refuse(format!("{name} (fault {}) lies outside of the storm", fault.id.0));
            }
            if let Target::Node(NodeIndex(node)) = fault.target
                && node >= self.nodes
            {
                return refuse(format!(
                    "{name} is aimed at node {}, which there is not",
                    node + 1
                ));
            }
            if let Some(before) = before.filter(|before| before.at_ms > fault.at_ms) {
                return refuse(format!(
                    "faults stand in the order of their times, and {name} (fault {}) at {} ms stands behind {} (fault {}) at {} ms",
                    fault.id.0, fault.at_ms.0, before.nemesis, before.id.0, before.at_ms.0
                ));
            }
            before = Some(fault);
        }
        Ok(())
    }

    /// Whether there is what its faults need. Costs nothing: what cannot be had is known before anything is built.
    ///
    /// # Errors
    /// With the first fault that cannot be had.
    pub fn check_possible(&self, upgrade_to: Option<&Path>) -> Result<(), Trouble> {
        self.kinds()
            .try_for_each(|kind| kind.check_possible(self.fs, upgrade_to))
    }

    /// # Errors
    /// Where the file is none, or its plan cannot be run.
    pub fn read(path: &Path) -> Result<Self, Trouble> {
        let text = std::fs::read_to_string(path).map_err(Trouble::with_file(path))?;
        let plan: Self = serde_json::from_str(&text)
            .map_err(|error| Trouble::usage(format!("{} is no storm's plan: {error}", path.display())))?;
        plan.check()?;
        Ok(plan)
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = &'static Kind> {
        self.faults
            .iter()
            .filter_map(|fault| nemesis::named(&fault.nemesis))
    }

    /// What a rig must have for all faults together.
    pub(super) fn needs(&self) -> Needs {
        let all = self.kinds().map(|kind| kind.needs);
        all.fold(Needs::default(), |sum, needs| Needs {
            disks: sum.disks || needs.disks,
            clocks: sum.clocks || needs.clocks,
            snapshots: sum.snapshots || needs.snapshots,
            upgrade: sum.upgrade || needs.upgrade,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storm::{composition, each, single};

    #[test]
    fn plans_survive_a_file_and_broken_ones_get_a_sentence() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.json");
        let plan = composition(Seed(7), 3, Fs::Xfs);
        let refused = |plan: &StormPlan| {
            std::fs::write(&path, serde_json::to_string(plan).expect("plain")).expect("written");
            StormPlan::read(&path).err().map(|trouble| trouble.to_string())
        };
        assert_eq!(refused(&plan), None);
        assert_eq!(StormPlan::read(&path).expect("it was written"), plan);
        let mut broken = [(); 5].map(|()| plan.clone());
        broken[0].format = 9;
        broken[1].faults[0].nemesis = "plague".to_owned();
        broken[2].faults[0].for_ms = SimMs(u64::MAX);
        broken[3].nodes = 0;
        broken[4].faults.reverse();
        for (plan, part) in broken.iter().zip([
            "format 9",
            "no nemesis plague",
            "outside",
            "0 nodes",
            "in the order of their times",
        ]) {
            let sentence = refused(plan).expect("it is refused");
            assert!(sentence.contains(part), "{sentence}");
        }
        std::fs::write(&path, "{").expect("written");
        assert!(StormPlan::read(&path).is_err());
    }

    #[test]
    fn what_cannot_be_had_is_known_beforehand() {
        let sentence = |name: &str, fs, upgrade_to: Option<&Path>| {
            let kind = nemesis::named(name).expect("it is one");
            let checked = single(kind, Seed(1), 3, fs).check_possible(upgrade_to);
            checked.err().map(|trouble| trouble.to_string())
        };
        for name in ["power-cut", "blackout", "disk-full"] {
            let refused = sentence(name, Fs::Host, None).expect("it is refused");
            assert!(
                refused.contains(name) && refused.contains("--fs xfs"),
                "{refused}"
            );
            assert_eq!(sentence(name, Fs::Ext4, None), None);
        }
        let refused = sentence("rolling-upgrade", Fs::Xfs, None).expect("it is refused");
        assert!(refused.contains("--upgrade-to"), "{refused}");
        let nowhere = sentence("rolling-upgrade", Fs::Xfs, Some(Path::new("/nowhere/ostraka")));
        assert!(nowhere.is_some_and(|refused| refused.contains("/nowhere/ostraka")));
        let build = std::env::current_exe().expect("this program has a path");
        assert_eq!(sentence("rolling-upgrade", Fs::Xfs, Some(&build)), None);
        assert_eq!(sentence("kill", Fs::Host, None), None);
    }

    #[test]
    fn each_fault_alone_is_all_of_them_that_can_be_had() {
        let names = |upgrades| {
            let plans = each(Seed(1), 3, Fs::Xfs, upgrades);
            let names = plans.into_iter().flat_map(|plan| plan.faults);
            names.map(|fault| fault.nemesis).collect::<Vec<_>>()
        };
        assert_eq!(names(true).len(), nemesis::ALL.len());
        assert_eq!(names(false).len(), nemesis::ALL.len() - 1);
        assert!(!names(false).contains(&"rolling-upgrade".to_owned()));
    }

    #[test]
    fn faults_have_numbers_of_their_own_that_the_checkers_can_count() {
        let mut plan = composition(Seed(1), 3, Fs::Ext4);
        plan.faults[0].id = FaultId(STORM_FAULT_ID_MAX);
        plan.check().expect("the highest number is one");
        plan.faults[0].id = FaultId(STORM_FAULT_ID_MAX + 1);
        assert!(plan.check().unwrap_err().to_string().contains("highest number"));
        plan.faults[0].id = plan.faults[1].id;
        assert!(
            plan.check()
                .unwrap_err()
                .to_string()
                .contains("so is another one")
        );
    }

    #[test]
    fn every_drawn_plan_can_be_run_and_is_the_seeds_own() {
        for seed in (0..300).map(Seed) {
            let plan = composition(seed, 3, Fs::Ext4);
            plan.check().expect("it can be run");
            assert_eq!(plan, composition(seed, 3, Fs::Ext4));
            assert!((2..=5).contains(&plan.faults.len()), "{}", plan.faults.len());
        }
        for kind in nemesis::ALL {
            single(kind, Seed(1), 3, Fs::Xfs).check().expect("it can be run");
        }
    }
}
