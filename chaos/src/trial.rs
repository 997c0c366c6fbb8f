//! One nemesis on a fresh cluster: does it bite here, and does the cluster answer again?

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::campaign::open_bag;
use crate::limits::SAMPLE_WARM_UP;
use crate::nemesis::{Felt, Kind};
use crate::rig::{Fs, Rig, RigOptions};
use crate::sample::Sample;
use crate::{Trouble, Verdict};

/// What is tried, and on what.
pub struct Trial {
    pub kind: &'static Kind,
    pub nodes: u8,
    pub fs: Fs,
    /// The nemesis's own time where nothing is said.
    pub lasts: Option<Duration>,
    pub binary: PathBuf,
}

impl Trial {
    fn options(&self) -> RigOptions {
        let mut options = RigOptions::new(self.nodes, self.fs, self.binary.clone());
        if self.kind.needs.clocks {
            options = options.with_clocks();
        }
        if self.kind.needs.snapshots {
            options = options.with_flags(&["--snapshot-every-entries", "10"]);
        }
        options
    }

    /// Builds the cluster below `runs`, does the harm while a few votes go on, and prints what came of it, line by line.
    ///
    /// # Errors
    /// Where the rig or the nemesis cannot be had here.
    pub fn run(&self, runs: &Path) -> Result<Verdict, Trouble> {
        self.kind.check_possible(self.fs, None)?;
        let name = self.kind.name;
        let bag = open_bag(runs)?;
        let rig = Rig::new(self.options(), bag)?;
        let sample = Sample::begin(&rig)?;
        let trickle = sample.trickle(&rig);
        std::thread::sleep(SAMPLE_WARM_UP);
        let blamed = |trouble| rig.blamed_for(trouble);
        let mut nemesis = self.kind.make(sample.stream());
        println!(
            "{name} begins: {}",
            nemesis.begin(&rig, self.kind.target).map_err(blamed)?
        );
        std::thread::sleep(self.lasts.unwrap_or(self.kind.lasts));
        let felt = nemesis.end(&rig).map_err(blamed)?;
        println!("{name} bit: {felt}");
        let answered = trickle.finish();
        println!(
            "votes meanwhile: {} answered, {} not",
            answered.answered, answered.not
        );
        if let Some(error) = answered.last_error {
            println!("  the last of these: {error}");
        }
        let verdict = judge(name, &felt, &rig, &sample);
        drop(nemesis);
        rig.take_down()?;
        Ok(verdict)
    }
}

fn judge(name: &str, felt: &Felt, rig: &Rig, sample: &Sample) -> Verdict {
    let is_up = rig.all_up().map_err(|trouble| trouble.to_string());
    let stood = rig.nobody_stopped().map_err(|trouble| trouble.to_string());
    let answers = is_up.and_then(|()| sample.answers_again(rig));
    if let Err(sentence) = stood {
        println!("BROKEN: {sentence}");
        return Verdict::Broken;
    }
    match answers {
        Ok(took) if felt.bit() => {
            println!(
                "the cluster answers again through every node ({} ms)",
                took.as_millis()
            );
            Verdict::Held
        }
        Ok(_) => {
            println!("INCONCLUSIVE: {name} did not bite, so nothing was tested");
            Verdict::Inconclusive
        }
        Err(sentence) => {
            println!("BROKEN: the cluster does not answer again: {sentence}");
            Verdict::Broken
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis;

    #[test]
    fn what_cannot_be_had_is_said_before_anything_is_built() {
        let runs = tempfile::tempdir().unwrap();
        for name in ["power-cut", "rolling-upgrade"] {
            let trial = Trial {
                kind: nemesis::named(name).unwrap(),
                nodes: 3,
                fs: Fs::Host,
                lasts: None,
                binary: "/nowhere/ostraka".into(),
            };
            let refused = trial.run(runs.path()).unwrap_err().to_string();
            assert!(refused.contains(&format!("{name} needs")), "{refused}");
            assert_eq!(std::fs::read_dir(runs.path()).unwrap().count(), 0);
        }
    }
}
