//! Many seeds, a process each: progress while it runs, and a summary with its evidence at the end.

use std::num::IntErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::child::Told;
use crate::files::can_be_written;
use crate::whole::Whole;
use crate::{Program, complain, say, write};

const PROGRESS_EVERY: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct Explore {
    /// First seed, and the one behind the last: A..B
    #[arg(long, value_parser = range)]
    seeds: Range<u64>,
    /// Seeds at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Run each seed in so many processes and compare what came of it, byte for byte
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    times: u8,
    /// Fail as vacuous if something that must happen sometimes never did
    #[arg(long)]
    all_points: bool,
    /// So many seeds may prove nothing; one more, and all fail as vacuous
    #[arg(long, value_name = "SEEDS", default_value_t = 0)]
    vacuous_max: u64,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || "seeds are given as A..B, with A below B".to_owned();
    let seed = |text: &str| {
        text.parse().map_err(|error: std::num::ParseIntError| {
            if *error.kind() == IntErrorKind::PosOverflow {
                format!("{text} is too large: seeds go up to {}", u64::MAX)
            } else {
                wrong()
            }
        })
    };
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let seeds = seed(from)?..seed(to)?;
    if seeds.is_empty() {
        return Err(wrong());
    }
    Ok(seeds)
}

/// Runs the seeds, tells of them, and gives the exit code.
///
/// # Errors
/// If the evidence cannot be written: at once where that shows, for hours of work would leave nothing behind.
pub fn explore(program: &Program, wanted: &Explore) -> Result<u8, String> {
    explore_by(program, wanted, |seed| program.of_seed(seed))
}

fn explore_by(
    program: &Program,
    wanted: &Explore,
    of_seed: impl Fn(u64) -> Told + Sync,
) -> Result<u8, String> {
    let name = format!(
        "{}-explore-{}-{}.json",
        program.name, wanted.seeds.start, wanted.seeds.end
    );
    let file = program.evidence.join(name);
    can_be_written(&file)?;
    let started = Instant::now();
    let next = AtomicU64::new(wanted.seeds.start);
    let whole = Mutex::new(Whole::new(program, &wanted.seeds, wanted.times));
    std::thread::scope(|scope| {
        for _ in 0..wanted.jobs {
            scope.spawn(|| work(program, wanted, &of_seed, &next, &whole, started));
        }
    });
    let mut whole = whole.into_inner().map_err(|_| "a worker panicked".to_owned())?;
    whole.finish(started.elapsed());
    // Before anything that can fail.
    whole.print(wanted.vacuous_max);
    let code = whole.exit_code(wanted.all_points, wanted.vacuous_max);
    kept(&whole, &file, code)
}

/// Writes the evidence. What was found decides the exit code; only where nothing is wrong but this, this is what is wrong.
fn kept(whole: &Whole, file: &Path, code: u8) -> Result<u8, String> {
    let json = serde_json::to_string_pretty(whole).expect("a summary is made of what JSON can write");
    match write(file, &json) {
        Ok(()) => say(format_args!("evidence: {}", file.display())),
        Err(sentence) if code == 0 => return Err(sentence),
        Err(sentence) => complain(sentence),
    }
    Ok(code)
}

fn work(
    program: &Program,
    wanted: &Explore,
    of_seed: &impl Fn(u64) -> Told,
    next: &AtomicU64,
    whole: &Mutex<Whole>,
    started: Instant,
) {
    let mut told_at = Instant::now();
    loop {
        let taken = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seed| {
            // The last of all seeds has none behind it.
            (seed < wanted.seeds.end).then(|| seed + 1)
        });
        let Ok(seed) = taken else { return };
        let told = of_seed(seed);
        let again: Vec<Told> = (1..wanted.times).map(|_| of_seed(seed)).collect();
        let mut whole = whole.lock().expect("no worker panics with it");
        whole.add(program, seed, told, &again);
        if told_at.elapsed() >= PROGRESS_EVERY {
            told_at = Instant::now();
            complain(whole.progress(started.elapsed()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ostraka_sim_model::verdict::Verdict;

    use super::*;
    use crate::child::Lost;
    use crate::files::tests::folder;
    use crate::program::tests::program;

    fn wanted(seeds: Range<u64>) -> Explore {
        Explore {
            seeds,
            jobs: 2,
            times: 1,
            all_points: false,
            vacuous_max: 0,
        }
    }

    #[test]
    fn a_range_has_a_first_seed_below_its_end() {
        assert_eq!(range("3..7"), Ok(3..7));
        for wrong in ["", "3", "3..", "..7", "7..3", "3..3", "-1..3", "a..b", "1..2..3"] {
            assert!(range(wrong).unwrap_err().contains("A below B"), "{wrong}");
        }
        for large in ["1..99999999999999999999", "99999999999999999999..1"] {
            assert!(
                range(large)
                    .unwrap_err()
                    .starts_with("99999999999999999999 is too large"),
                "{large}"
            );
        }
    }

    #[test]
    fn no_seed_is_run_where_evidence_cannot_be_written() {
        let folder = folder("nowhere");
        let file = folder.join("a-file");
        fs::write(&file, "").unwrap();
        let done = explore_by(&program(file), &wanted(1..9), |seed| panic!("seed {seed} is run"));
        assert!(done.unwrap_err().contains("cannot be written"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_was_found_outlives_evidence_that_is_lost_on_the_way() {
        let evidence = folder("lost");
        let lost = |_| {
            let _ = fs::remove_dir_all(&evidence);
            let _ = fs::write(&evidence, "no folder any more");
            Err(Lost::DidNotEnd)
        };
        let done = explore_by(&program(evidence.clone()), &wanted(1..2), lost);
        assert_eq!(done, Ok(Verdict::LivenessBroken.exit_code()));
        fs::remove_file(&evidence).unwrap();
    }
}
