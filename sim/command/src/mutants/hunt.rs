//! The hunt: seed after seed, until one does not hold. A seed counts only if the sound program holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use ostraka_sim_campaign::{Ended, ended_within};
use ostraka_sim_model::checkers::{Checker, Class, Violation};
use ostraka_sim_model::verdict::Verdict;
use serde::{Deserialize, Serialize};

use super::weave::CHOICE;

/// First seeds of the ranges that a mutant is hunted in, each by itself.
pub(super) const RANGES: [u64; 3] = [1, 100_001, 200_001];

/// What does not end with a mutant is tried without it, so that less patience than elsewhere makes no wrong kill.
const PATIENCE: Duration = Duration::from_secs(ostraka_sim_campaign::PATIENCE.as_secs() / 4);

/// Why a run is not sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Finding {
    /// A checker, or `assertion` for a process that panicked, or `patience` for one that did not end.
    pub(super) by: String,
    /// Checkers that complain of the same run after the first.
    #[serde(default)]
    pub(super) also: Vec<String>,
    pub(super) sentence: String,
}

/// A mutant found out in one range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kill {
    pub(super) seed: u64,
    /// Runs that it took, the last one included.
    pub(super) seeds: u64,
    pub(super) seconds: f64,
    pub(super) finding: Finding,
}

/// What is run, and as which mutant, if it has several in it.
#[derive(Clone, Debug)]
pub(super) struct Prey {
    pub(super) program: PathBuf,
    pub(super) mutant: Option<String>,
    /// Where it runs.
    pub(super) folder: PathBuf,
}

/// What the sound program makes of seeds, kept from one call to the next.
pub(super) struct Sound {
    prey: Prey,
    file: PathBuf,
    known: BTreeMap<u64, Option<Finding>>,
}

impl Sound {
    /// `file` keeps what is found out about the program's seeds.
    pub(super) fn new(prey: Prey, file: PathBuf) -> Self {
        let known = fs::read_to_string(&file)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        Sound { prey, file, known }
    }

    /// What is wrong with the seed although nothing is planted: then a kill by it proves nothing.
    pub(super) fn finding(&mut self, seed: u64) -> Result<Option<Finding>, String> {
        if let Some(known) = self.known.get(&seed) {
            return Ok(known.clone());
        }
        let found = run(&self.prey, seed)?;
        self.known.insert(seed, found.clone());
        let text = serde_json::to_string(&self.known).expect("plain data can be written");
        fs::write(&self.file, text).map_err(|error| format!("{}: {error}", self.file.display()))?;
        Ok(found)
    }
}

/// Runs the seeds from `first` on, in order and `jobs` at a time, until one that is otherwise sound is not.
pub(super) fn hunt(
    prey: &Prey,
    first: u64,
    seeds_max: u64,
    jobs: u16,
    sound: &mut Sound,
) -> Result<Option<Kill>, String> {
    let started = Instant::now();
    // What the sound program was run for is no part of the hunt.
    let mut aside = Duration::ZERO;
    let mut next = first;
    while next < first + seeds_max {
        let end = (first + seeds_max).min(next + u64::from(jobs));
        let found = std::thread::scope(|scope| {
            let running: Vec<_> = (next..end)
                .map(|seed| scope.spawn(move || (seed, run(prey, seed))))
                .collect();
            let done = running
                .into_iter()
                .map(|thread| thread.join().expect("a run's thread does not panic"));
            done.collect::<Vec<_>>()
        });
        for (seed, finding) in found {
            let Some(finding) = finding? else { continue };
            let asked = Instant::now();
            let usable = sound.finding(seed)?.is_none();
            aside += asked.elapsed();
            if usable {
                return Ok(Some(Kill {
                    seed,
                    seeds: seed - first + 1,
                    seconds: started.elapsed().saturating_sub(aside).as_secs_f64(),
                    finding,
                }));
            }
        }
        next = end;
    }
    Ok(None)
}

/// Runs one seed; `None` if it holds, or proves nothing.
fn run(prey: &Prey, seed: u64) -> Result<Option<Finding>, String> {
    let program = prey.program.display();
    let mut command = Command::new(&prey.program);
    command
        .args(["run", "--json", "--seed", &seed.to_string()])
        .env_remove(CHOICE)
        .envs(prey.mutant.as_ref().map(|name| (CHOICE, name)))
        .current_dir(&prey.folder);
    let ended = ended_within(&mut command, PATIENCE).map_err(|error| format!("{program}: {error}"))?;
    let Some(Ended {
        status,
        stdout: said,
        stderr: complained,
    }) = ended
    else {
        return Ok(Some(Finding {
            by: "patience".to_owned(),
            also: Vec::new(),
            sentence: format!("the run does not end within {} s", PATIENCE.as_secs()),
        }));
    };
    if let Ok(told) = serde_json::from_str::<Told>(said.lines().last().unwrap_or_default()) {
        return Ok(of_judgement(&told.judgement));
    }
    if status.success() {
        return Err(format!("{program} ran seed {seed} and told nothing"));
    }
    Ok(Some(Finding {
        by: "assertion".to_owned(),
        also: Vec::new(),
        sentence: of_last_words(&status.to_string(), &complained),
    }))
}

/// Of what a run tells, what is looked at here: the program may be of another commit than this one.
#[derive(Deserialize)]
struct Told {
    judgement: Judged,
}

#[derive(Deserialize)]
struct Judged {
    verdict: Verdict,
    violations: Vec<Violation>,
}

/// The first violation of the class that decided.
fn of_judgement(judged: &Judged) -> Option<Finding> {
    let class = match judged.verdict {
        Verdict::SafetyBroken => Class::Safety,
        Verdict::LivenessBroken => Class::Liveness,
        Verdict::Held | Verdict::Vacuous => return None,
    };
    let first = judged
        .violations
        .iter()
        .find(|violation| violation.class == class)?;
    let others = judged.violations.iter().map(|violation| violation.checker);
    let also: BTreeSet<&str> = others
        .filter(|checker| *checker != first.checker)
        .map(Checker::name)
        .collect();
    Some(Finding {
        by: first.checker.name().to_owned(),
        also: also.into_iter().map(str::to_owned).collect(),
        sentence: first.sentence.clone(),
    })
}

/// A panic's place and message, where there is one.
fn of_last_words(status: &str, said: &str) -> String {
    let mut lines = said.lines().skip_while(|line| !line.contains("panicked at"));
    match (lines.next(), lines.next()) {
        (Some(place), Some(message)) => format!("{} {}", place.trim(), message.trim()),
        _ => format!("{status}: {}", said.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_that_decided_is_told_first_and_the_other_checkers_beside_it() {
        let told = |verdict: &str| -> Judged {
            let violation = |checker: &str, class: &str| {
                format!(
                    "{{\"checker\":\"{checker}\",\"class\":\"{class}\",\"sentence\":\"of {checker}\",\"record\":null}}"
                )
            };
            let all = [
                violation("audience", "liveness"),
                violation("durability", "safety"),
            ]
            .join(",");
            let text = format!("{{\"verdict\":\"{verdict}\",\"violations\":[{all}],\"unheard\":1}}");
            serde_json::from_str(&text).unwrap()
        };
        let safety = of_judgement(&told("safety-broken")).unwrap();
        assert_eq!(
            (safety.by.as_str(), safety.sentence.as_str()),
            ("durability", "of durability")
        );
        assert_eq!(safety.also, ["audience"]);
        assert_eq!(of_judgement(&told("liveness-broken")).unwrap().by, "audience");
        assert_eq!(of_judgement(&told("vacuous")), None);
        assert_eq!(of_judgement(&told("held")), None);
    }

    #[test]
    fn a_panic_is_told_by_its_place_and_message() {
        let said = "noise\nthread 'main' (7) panicked at a.rs:1:2:\na log has no hole\nnote: run with\n";
        let told = of_last_words("exit status: 101", said);
        assert_eq!(told, "thread 'main' (7) panicked at a.rs:1:2: a log has no hole");
        assert_eq!(of_last_words("signal: 9", "gone\n"), "signal: 9: gone");
    }
}
