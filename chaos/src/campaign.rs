//! What each campaign does around its measuring.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use loadtest::evidence::{self, Evidence, Machine};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::litter::Bag;
use crate::{Trouble, Verdict};

/// A bag for one run, which is emptied also on Ctrl-C.
///
/// # Errors
/// Where the folder of the runs is of no use.
pub fn open_bag(runs: &Path) -> Result<Bag, Trouble> {
    let bag = Bag::open(runs)?;
    bag.empty_on_signals()?;
    println!("run {} in {}", bag.run(), bag.folder().display());
    Ok(bag)
}

/// Where the harness's clients run, away from whoever does the harm.
///
/// # Errors
/// Where there are no threads to be had.
pub fn client_runtime(threads: usize) -> Result<Runtime, Trouble> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Trouble::failed(format!("no runtime for the clients: {error}")))
}

/// The verdict of a campaign that may have ended early: what was found stays found, whatever became of the harness
/// afterwards, and anything else is inconclusive then.
pub fn unless_stopped(ran: &Result<(), Trouble>, decided: (Verdict, String)) -> (Verdict, String) {
    match ran {
        Err(trouble) if decided.0 != Verdict::Broken => (Verdict::Inconclusive, trouble.to_string()),
        _ => decided,
    }
}

/// Figures with what every piece of evidence says: when, of which commit, on which machine.
pub fn evidence_of<'a, T: Serialize>(
    command: &'a str,
    (verdict, sentence): (Verdict, &'a str),
    figures: T,
) -> Evidence<'a, T> {
    Evidence {
        format: 1,
        command,
        at_s: now_s(),
        commit: evidence::commit(),
        machine: Machine::this(),
        verdict: verdict.into(),
        sentence,
        figures,
    }
}

/// Writes evidence into `folder` and returns the file.
///
/// # Errors
/// Where it cannot be written.
pub fn write_evidence<T: Serialize>(folder: &Path, evidence: &Evidence<'_, T>) -> Result<PathBuf, Trouble> {
    let path = evidence::write(folder, "chaos", evidence).map_err(Trouble::with_file(folder))?;
    println!("evidence: {}", path.display());
    Ok(path)
}

/// Seconds since the Unix epoch.
pub fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_stays_found_when_the_harness_stops() {
        let held = || (Verdict::Held, "all held".to_owned());
        let broken = || (Verdict::Broken, "a vote is lost".to_owned());
        let stopped = || Err(Trouble::failed("no more disks".to_owned()));
        assert_eq!(unless_stopped(&Ok(()), held()), held());
        assert_eq!(unless_stopped(&stopped(), broken()), broken());
        let (verdict, sentence) = unless_stopped(&stopped(), held());
        assert_eq!(verdict, Verdict::Inconclusive);
        assert!(sentence.contains("no more disks"), "{sentence}");
    }
}
