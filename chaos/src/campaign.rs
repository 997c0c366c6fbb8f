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
/// afterwards, and anything else is what the trouble is.
pub fn unless_stopped(ran: &Result<(), Trouble>, decided: (Verdict, String)) -> (Verdict, String) {
    match ran {
        Err(trouble) if decided.0 != Verdict::Broken => (trouble.verdict(), trouble.to_string()),
        _ => decided,
    }
}

/// The verdict of less than the objectives are stated for: what is broken stays so, and nothing is held by it.
pub fn unless_short(short_of: Option<String>, (verdict, sentence): (Verdict, String)) -> (Verdict, String) {
    match short_of {
        Some(short) if verdict == Verdict::Held => {
            (Verdict::Inconclusive, format!("{sentence}; but {short}"))
        }
        _ => (verdict, sentence),
    }
}

/// What a campaign says in the end, and its verdict when all is written and removed: trouble with that makes a pass
/// inconclusive, and takes nothing back of what was found.
pub fn conclude(
    verdict: Verdict,
    sentence: &str,
    afterwards: impl IntoIterator<Item = Result<(), Trouble>>,
) -> Verdict {
    println!("{verdict}: {sentence}");
    let troubles: Vec<_> = afterwards.into_iter().filter_map(Result::err).collect();
    for trouble in &troubles {
        println!("and then: {trouble}");
    }
    if verdict == Verdict::Held && !troubles.is_empty() {
        println!(
            "{}: what was to be left or removed was not",
            Verdict::Inconclusive
        );
        return Verdict::Inconclusive;
    }
    verdict
}

/// Figures with what every piece of evidence says: when, of which commit, on which machine.
pub fn evidence_of<'a, T: Serialize>(
    command: &'a str,
    (verdict, sentence): (Verdict, &'a str),
    figures: T,
) -> Evidence<'a, T> {
    Evidence {
        format: evidence::EVIDENCE_FORMAT,
        program: "chaos",
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
    let path = evidence::write(folder, evidence).map_err(Trouble::with_file(folder))?;
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
        let gone = Err(Trouble::service("node 1 ended"));
        assert_eq!(unless_stopped(&gone, held()).0, Verdict::Broken);
    }

    #[test]
    fn less_than_was_promised_is_no_pass_and_no_excuse() {
        let short = || Some("one round of fifty".to_owned());
        let of = |verdict| unless_short(short(), (verdict, "said".to_owned()));
        assert_eq!(of(Verdict::Held).0, Verdict::Inconclusive);
        assert!(of(Verdict::Held).1.contains("one round of fifty"));
        assert_eq!(of(Verdict::Broken), (Verdict::Broken, "said".to_owned()));
        let whole = (Verdict::Held, "said".to_owned());
        assert_eq!(unless_short(None, whole.clone()), whole);
    }

    #[test]
    fn what_was_found_stays_found_where_it_cannot_be_written_down() {
        let full = || Err(Trouble::failed("no space left"));
        assert_eq!(
            conclude(Verdict::Broken, "a vote is lost", [full()]),
            Verdict::Broken
        );
        assert_eq!(
            conclude(Verdict::Held, "all held", [Ok(()), full()]),
            Verdict::Inconclusive
        );
        assert_eq!(
            conclude(Verdict::Held, "all held", [Ok(()), Ok(())]),
            Verdict::Held
        );
    }
}
