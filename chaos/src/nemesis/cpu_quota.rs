//! A node gets a fraction of one core.

use std::path::{Path, PathBuf};

use ostraka_sim_model::plan::Target;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::limits::{CPU_PERIOD_MICROS, CPU_QUOTA_MICROS};
use crate::litter::{Bag, Litter, LitterId};
use crate::rig::Rig;

const OF: &str = "periods in which the node was throttled";
const ROOT: &str = "/sys/fs/cgroup/cpu";

pub struct CpuQuota {
    /// Of each `CPU_PERIOD_MICROS`.
    pub quota_micros: u64,
    throttled: Option<Throttled>,
}

/// Dropping it lifts the limit.
struct Throttled {
    bag: Bag,
    group: PathBuf,
    id: LitterId,
}

impl Default for CpuQuota {
    fn default() -> Self {
        Self {
            quota_micros: CPU_QUOTA_MICROS,
            throttled: None,
        }
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        if let Err(trouble) = self.bag.remove(self.id) {
            eprintln!("{trouble}");
        }
    }
}

impl Throttled {
    fn count(&self) -> Result<u64, Trouble> {
        let path = self.group.join("cpu.stat");
        let said = std::fs::read_to_string(&path).map_err(Trouble::with_file(&path))?;
        Ok(throttled_periods(&said))
    }
}

fn throttled_periods(said: &str) -> u64 {
    let mut lines = said.lines().filter_map(|line| line.strip_prefix("nr_throttled "));
    lines
        .next()
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

fn set(group: &Path, name: &str, value: u64) -> Result<(), Trouble> {
    let path = group.join(name);
    std::fs::write(&path, value.to_string()).map_err(Trouble::with_file(&path))
}

impl Nemesis for CpuQuota {
    fn name(&self) -> &'static str {
        "cpu-quota"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        if !Path::new(ROOT).join("cpu.cfs_quota_us").exists() && !Path::new(ROOT).join("cpu.shares").exists()
        {
            return Err(Trouble::missing(format!(
                "there is no control group of version 1 for processors at {ROOT}"
            )));
        }
        let index = rig.resolve(target)?;
        let pid = rig.running(index)?;
        let group = Path::new(ROOT).join(format!("{}-n{index}", rig.bag().run()));
        let litter = Litter::ControlGroup { path: group.clone() };
        let (id, ()) = rig.bag().make(litter, || {
            std::fs::create_dir(&group).map_err(Trouble::with_file(&group))
        })?;
        let throttled = Throttled {
            bag: rig.bag().clone(),
            group,
            id,
        };
        set(&throttled.group, "cpu.cfs_period_us", CPU_PERIOD_MICROS)?;
        set(&throttled.group, "cpu.cfs_quota_us", self.quota_micros)?;
        set(&throttled.group, "cgroup.procs", u64::from(pid.0))?;
        self.throttled = Some(throttled);
        Ok(Felt::new(0, OF).noting(format!("node {index}")))
    }

    fn end(&mut self, _: &Rig) -> Result<Felt, Trouble> {
        let throttled = self.throttled.take().ok_or_else(|| not_begun(self.name()))?;
        let share = self.quota_micros * 100 / CPU_PERIOD_MICROS;
        Ok(Felt::new(throttled.count()?, OF).noting(format!("{share} % of one core")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_the_groups_statistics() {
        assert_eq!(
            throttled_periods("nr_periods 9\nnr_throttled 4\nthrottled_time 7\n"),
            4
        );
        assert_eq!(throttled_periods(""), 0);
    }
}
