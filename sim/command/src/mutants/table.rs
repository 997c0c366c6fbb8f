//! What came of each mutant: evidence as JSON, and the table that is committed.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::hunt::{Kill, RANGES};
use super::patch::{Hunter, Patch};

/// What came of one mutant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fate {
    pub(super) name: String,
    pub(super) plants: String,
    pub(super) fault: String,
    /// Whom it was written for.
    pub(super) checker: String,
    /// The tree that it was planted in.
    pub(super) commit: String,
    pub(super) seeds_max: u64,
    pub(super) end: End,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum End {
    /// By range of seeds: who found it out, if anyone did.
    Hunted(Vec<Option<Kill>>),
    /// By the judges' own tests: which, if any.
    Tested(Option<String>),
    /// It could not be tried, which is nobody's merit.
    Error(String),
}

impl Fate {
    pub(super) fn of(patch: &Patch, commit: &str, seeds_max: u64, end: End) -> Self {
        Fate {
            name: patch.name.clone(),
            plants: patch.plants.clone(),
            fault: patch.fault.clone(),
            checker: patch.checker.clone(),
            commit: commit.to_owned(),
            seeds_max,
            end,
        }
    }

    /// In every range of seeds, or by a test.
    pub(super) fn is_killed(&self) -> bool {
        match &self.end {
            End::Hunted(ranges) => ranges.iter().all(Option::is_some),
            End::Tested(found) => found.is_some(),
            End::Error(_) => false,
        }
    }

    fn kills(&self) -> Vec<&Kill> {
        match &self.end {
            End::Hunted(ranges) => ranges.iter().flatten().collect(),
            End::Tested(_) | End::Error(_) => Vec::new(),
        }
    }

    fn verdict(&self) -> String {
        match &self.end {
            End::Hunted(ranges) if self.is_killed() => format!("killed {0}/{0}", ranges.len()),
            End::Hunted(ranges) if self.kills().is_empty() => format!("**alive** 0/{}", ranges.len()),
            End::Hunted(ranges) => format!("**alive** in some: {}/{}", self.kills().len(), ranges.len()),
            End::Tested(Some(_)) => "killed".to_owned(),
            End::Tested(None) => "**alive**".to_owned(),
            End::Error(_) => "**error**".to_owned(),
        }
    }

    /// All who found it out first in a range, and those who complained of the same runs as well.
    fn killers(&self) -> String {
        if let End::Tested(Some(_)) = self.end {
            return "the judges' tests".to_owned();
        }
        let findings = || self.kills().into_iter().map(|kill| &kill.finding);
        let first: BTreeSet<&str> = findings().map(|finding| finding.by.as_str()).collect();
        let others = findings().flat_map(|finding| finding.also.iter().map(String::as_str));
        let also: BTreeSet<&str> = others.filter(|name| !first.contains(name)).collect();
        let join = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
        if also.is_empty() {
            join(first)
        } else {
            format!("{} (also {})", join(first), join(also))
        }
    }

    fn medians(&self) -> (String, String) {
        let End::Hunted(ranges) = &self.end else {
            return ("–".to_owned(), "–".to_owned());
        };
        let of = |value: fn(&Kill) -> f64| {
            let values = ranges
                .iter()
                .map(|kill| kill.as_ref().map_or(f64::INFINITY, value));
            median(values.collect())
        };
        let seeds = of(|kill| kill.seeds as f64);
        let seconds = of(|kill| kill.seconds);
        if seeds.is_infinite() {
            return (format!("over {}", self.seeds_max), "–".to_owned());
        }
        (format!("{seeds:.0}"), format!("{seconds:.1}"))
    }

    /// The first proof, for a person.
    pub(super) fn proof(&self) -> String {
        match &self.end {
            End::Tested(Some(sentence)) | End::Error(sentence) => sentence.clone(),
            End::Tested(None) => "all tests of the judges pass".to_owned(),
            End::Hunted(_) => match self.kills().first() {
                Some(kill) => format!(
                    "seed {} ({}): {}",
                    kill.seed, kill.finding.by, kill.finding.sentence
                ),
                None => format!("{} seeds in each range hold", self.seeds_max),
            },
        }
    }

    /// For a person, in one line.
    pub(super) fn line(&self) -> String {
        let (seeds, seconds) = self.medians();
        let killers = self.killers();
        format!(
            "{}: {} {killers}; seeds {seeds}, seconds {seconds}; {}",
            self.name,
            self.verdict().replace("**", ""),
            self.proof()
        )
    }
}

/// The middle one of an odd number of values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::INFINITY)
}

/// The page. `patches` are all there are; those without a fate were not tried.
pub(super) fn page(patches: &[Patch], fates: &[Fate]) -> String {
    let mut page = String::from(HEAD);
    let fate_of = |patch: &Patch| fates.iter().find(|fate| fate.name == patch.name);
    let killed = fates.iter().filter(|fate| fate.is_killed()).count();
    let mut commits: Vec<&str> = fates.iter().map(|fate| short(&fate.commit)).collect();
    commits.sort_unstable();
    commits.dedup();
    let _ = writeln!(
        page,
        "{killed} of {} are killed, {} were tried, in the tree of {}. Ranges begin with the seeds {}, {} and {}.\n",
        patches.len(),
        fates.len(),
        commits.join(", "),
        RANGES[0],
        RANGES[1],
        RANGES[2],
    );
    page.push_str("| mutant | plants | needs | meant for | result | found by | median seeds | median s |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- | ---: | ---: |\n");
    for patch in patches {
        let (verdict, killers, (seeds, seconds)) = match fate_of(patch) {
            Some(fate) => (fate.verdict(), fate.killers(), fate.medians()),
            None => ("not tried".to_owned(), String::new(), Default::default()),
        };
        let meant = match patch.hunter {
            Hunter::Seeds => patch.checker.clone(),
            Hunter::ModelTests => format!("{}'s tests", patch.checker),
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {meant} | {verdict} | {killers} | {seeds} | {seconds} |",
            patch.name, patch.plants, patch.fault
        );
    }
    page.push_str("\n## What gave them away\n\n");
    for fate in patches.iter().filter_map(fate_of) {
        let proof = fate.proof();
        let first: String = proof
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(400)
            .collect();
        let _ = writeln!(page, "- {}: `{}`", fate.name, first.replace('`', "'"));
    }
    page
}

fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

const HEAD: &str = "# Mutants\n\n\
How good the simulator is at finding bugs, measured: each mutant is a bug, planted in a copy of the tree by a patch \
of `sim/mutants/`, and seeds are run until one does not hold. This page is written by the program; do not edit it.\n\n\
```text\n\
cargo run --release -p sim -- mutants                      all of them\n\
cargo run --release -p sim -- mutants --only NAME          one\n\
cargo run --release -p sim -- mutants --quarter K          those whose place in the list, modulo 4, is K\n\
```\n\n\
A kill counts only if the same seed holds where nothing is planted. `assertion`: the process panicked, in the service's \
own assertion or the simulator's. `patience`: the run did not come to an end. Mutants of the judges themselves are \
killed by the judges' own tests. Seconds are wall time of the hunt, without building. Exit codes: 0 all were killed, \
1 some live, 2 some could not be tried.\n\n";

#[cfg(test)]
mod tests {
    use super::super::hunt::Finding;
    use super::*;

    fn patch(name: &str) -> Patch {
        Patch {
            name: name.to_owned(),
            plants: "something".to_owned(),
            fault: "clock".to_owned(),
            checker: "audience".to_owned(),
            hunter: Hunter::Seeds,
            open: None,
            text: String::new(),
        }
    }

    fn kill(seeds: u64, by: &str) -> Option<Kill> {
        Some(Kill {
            seed: seeds,
            seeds,
            seconds: seeds as f64 / 2.0,
            finding: Finding {
                by: by.to_owned(),
                also: vec!["audience".to_owned(), "liveness".to_owned()],
                sentence: "it is `wrong`".to_owned(),
            },
        })
    }

    fn fate(name: &str, end: End) -> Fate {
        Fate::of(&patch(name), "0123456789abcdef", 300, end)
    }

    #[test]
    fn a_mutant_is_killed_in_every_range_or_lives() {
        let all = fate(
            "a",
            End::Hunted(vec![
                kill(9, "audience"),
                kill(1, "assertion"),
                kill(5, "audience"),
            ]),
        );
        assert!(all.is_killed());
        assert_eq!(all.medians(), ("5".to_owned(), "2.5".to_owned()));
        assert_eq!(all.killers(), "assertion, audience (also liveness)");
        let some = fate("b", End::Hunted(vec![kill(9, "audience"), None, None]));
        assert!(!some.is_killed());
        assert_eq!(some.medians().0, "over 300");
        assert!(some.verdict().contains("1/3"));
        assert!(!fate("c", End::Error("it does not build".to_owned())).is_killed());
        assert!(!fate("d", End::Tested(None)).is_killed());
        assert!(fate("e", End::Tested(Some("the test x fails".to_owned()))).is_killed());
    }

    #[test]
    fn the_page_has_a_row_for_each_and_says_what_was_not_tried() {
        let patches = ["a", "b"].map(patch);
        let page = page(&patches, &[fate("a", End::Hunted(vec![kill(3, "audience")]))]);
        assert!(page.contains("1 of 2 are killed, 1 were tried, in the tree of 0123456789"));
        assert!(page.contains(
            "| a | something | clock | audience | killed 1/1 | audience (also liveness) | 3 | 1.5 |"
        ));
        assert!(page.contains("| b | something | clock | audience | not tried |"));
        assert!(page.contains("- a: `seed 3 (audience): it is 'wrong'`"));
    }

    #[test]
    fn evidence_outlives_its_file() {
        let fate = fate("a", End::Hunted(vec![kill(3, "audience"), None]));
        let text = serde_json::to_string(&fate).unwrap();
        assert_eq!(serde_json::from_str::<Fate>(&text).unwrap(), fate);
    }
}
