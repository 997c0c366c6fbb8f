//! The campaign from its first cluster to its verdict.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loadtest::evidence;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::cluster::{AfterCut, Cluster, Wanted};
use super::figures::Figures;
use super::plan::{Mix, Plan, Stage, shares};
use crate::campaign::{client_runtime, conclude, evidence_of, open_bag, unless_stopped, write_evidence};
use crate::litter::Bag;
use crate::nemesis::First;
use crate::reckon::keep_folders;
use crate::rig::Fs;
use crate::{Trouble, Verdict, tools};

/// What is to be tried.
#[derive(Clone, Debug)]
pub struct Campaign {
    pub fs: Fs,
    pub cuts: u32,
    pub seed: u64,
    pub mix: Mix,
    pub votes_per_s: f64,
    pub binary: PathBuf,
    /// The planted bug that `binary` has.
    pub planted: Option<&'static str>,
    /// Where the JSON file goes.
    pub evidence: PathBuf,
}

/// What goes into the evidence beside the figures.
#[derive(Serialize)]
struct Report<'a> {
    fs: Fs,
    cuts_wanted: u32,
    seed: u64,
    mix: Mix,
    votes_per_s: f64,
    planted: Option<&'static str>,
    binary_sha256: Option<String>,
    seconds: u64,
    figures: &'a Figures,
}

/// Counts, and says how it goes.
struct Progress {
    begun: Instant,
    figures: Figures,
    /// Of clusters before the present one.
    acked_before: usize,
}

impl Campaign {
    /// Cuts and checks until it is through or something was found, prints a line a cut, and leaves evidence. Everything
    /// that was made is removed, on Ctrl-C too; the folders of a cluster in which something was found are kept.
    ///
    /// # Errors
    /// Where the rig cannot be had here; evidence is written where it was had for a while.
    pub fn run(&self, runs: &Path) -> Result<Verdict, Trouble> {
        tools::need_root()?;
        if self.fs == Fs::Host {
            return Err(Trouble::missing(
                "a power cut needs a disk for each node: --fs xfs or --fs ext4",
            ));
        }
        let bag = open_bag(runs)?;
        let mut progress = Progress {
            begun: Instant::now(),
            figures: Figures::default(),
            acked_before: 0,
        };
        let ran = self.clusters(&bag, &mut progress);
        let emptied = bag.empty();
        let (verdict, sentence) = unless_stopped(&ran, progress.figures.verdict(self.cuts));
        for line in progress.figures.findings.told() {
            println!("  {line}");
        }
        let report = self.report(&progress);
        let evidence = evidence_of("powercut", (verdict, &sentence), report);
        let written = write_evidence(&self.evidence, &evidence).map(drop);
        Ok(conclude(verdict, &sentence, [written, emptied]))
    }

    fn clusters(&self, bag: &Bag, progress: &mut Progress) -> Result<(), Trouble> {
        let runtime = client_runtime(1)?;
        for (number, cuts) in (0..).zip(shares(self.cuts)) {
            self.cluster(&runtime, bag, (number, cuts), progress)?;
            if !progress.figures.findings.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn cluster(
        &self,
        runtime: &Runtime,
        bag: &Bag,
        (number, cuts): (u32, u32),
        progress: &mut Progress,
    ) -> Result<(), Trouble> {
        let stage = self.mix.stage_of(number);
        let mut plan = Plan::new(self.seed, number, stage);
        let wanted = Wanted {
            fs: self.fs,
            binary: self.binary.clone(),
            votes_per_s: self.votes_per_s,
        };
        let mut cluster = Cluster::begin(runtime, bag, &wanted, (number, stage), &mut plan)?;
        progress.figures.clusters += 1;
        for _ in 0..cuts {
            let after = cluster.cut(plan.round())?;
            progress.figures.cut(stage, &after);
            progress.say(self.cuts, stage, &after, cluster.acked());
            if !after.findings.is_empty() {
                let (tallied, rig) = cluster.give_up();
                progress.figures.votes(tallied);
                println!("folders kept in {}", keep_folders(&rig, number)?.display());
                return rig.clear_away();
            }
        }
        progress.acked_before += cluster.acked();
        let (reckoned, rig) = cluster.reckon()?;
        println!(
            "cluster {} ({stage}) recounted: {} votes counted in {} entries, {} asked for again, {} folders verified, {} kinds of findings",
            number + 1,
            reckoned.counted,
            reckoned.entries,
            reckoned.asked_again,
            reckoned.folders_verified,
            reckoned.findings.counts.len()
        );
        let is_sound = reckoned.findings.is_empty();
        progress.figures.reckoned(reckoned);
        if !is_sound {
            println!("folders kept in {}", keep_folders(&rig, number)?.display());
        }
        rig.clear_away()
    }

    fn report<'a>(&self, progress: &'a Progress) -> Report<'a> {
        Report {
            fs: self.fs,
            cuts_wanted: self.cuts,
            seed: self.seed,
            mix: self.mix,
            votes_per_s: self.votes_per_s,
            planted: self.planted,
            binary_sha256: evidence::sha256_of(&self.binary),
            seconds: progress.begun.elapsed().as_secs(),
            figures: &progress.figures,
        }
    }
}

impl Progress {
    fn say(&self, cuts: u32, stage: Stage, after: &AfterCut, acked: usize) {
        let done = self.figures.cuts;
        let each = self.begun.elapsed() / u32::try_from(done).unwrap_or(u32::MAX).max(1);
        let left = each * cuts.saturating_sub(u32::try_from(done).unwrap_or(u32::MAX));
        let serving = after.serving.map_or("never served again".to_owned(), |time| {
            format!("served after {} ms", time.as_millis())
        });
        let dropped = match after.first {
            First::Disk => "disk first".to_owned(),
            First::Process => {
                let (all, logs) = (after.blocks_lost, after.log_blocks_lost);
                format!("{all} blocks dropped ({logs} of vote logs)")
            }
        };
        println!(
            "cut {done} of {cuts}, {stage}: dark for {} ms, {dropped}, {serving}; {} votes acked so far, {} asked for now, {} findings; about {} left",
            after.dark.as_millis(),
            self.acked_before + acked,
            after.asked,
            after.findings.counts.values().sum::<u64>(),
            minutes(left)
        );
    }
}

fn minutes(time: Duration) -> String {
    format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
}
