//! Evidence: what other programs measured, one JSON file a run, read into what the gate decides by.

mod chaos;
mod folder;
mod loadtest;
mod measures;
mod simulator;
mod synthetic;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::statistics::Sample;
use crate::verdict::Verdict;

pub use folder::{Folder, read_folder};

/// Format of evidence that this gate reads.
pub const EVIDENCE_FORMAT: u64 = 2;

/// Names of measures that the readers know; `objectives.yaml` uses the same.
pub const ACK: &str = "ack";
pub const END_TO_END: &str = "end-to-end";
pub const AVAILABILITY: &str = "availability";
pub const VOTES_LOST: &str = "votes-lost";
pub const VOTES_DOUBLED: &str = "votes-doubled";
pub const VIOLATIONS: &str = "violations";

/// One run of another program.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub file: String,
    pub program: String,
    pub command: String,
    pub at_s: u64,
    pub commit: Option<String>,
    /// What the program itself concluded.
    pub said: Verdict,
    pub sentence: String,
    pub facts: Facts,
}

/// What a run says of measures, by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub latencies: BTreeMap<String, Sample>,
    /// Latencies of a closed loop, which bound nothing.
    pub closed: Vec<String>,
    pub shares: BTreeMap<String, Share>,
    pub counts: BTreeMap<String, Count>,
    pub checks: BTreeMap<String, Check>,
    /// Votes a second that were asked for.
    pub load_per_s: Option<f64>,
    /// The fault that was put in on purpose.
    pub planted: Option<String>,
    /// Why latencies and shares of this run say nothing of the service.
    pub doubt: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub good: u64,
    pub total: u64,
}

/// How often something that must never be was found, in how many votes, with the first in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub found: u64,
    pub votes: u64,
    pub first: Option<String>,
}

/// Something that holds or does not.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Check {
    pub holds: bool,
    pub sentence: String,
}

/// Why a file is no evidence. All terminal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EvidenceError {
    #[error("it is not JSON: {0}")]
    NotJson(String),
    #[error("it has format {0}, and this gate knows format {EVIDENCE_FORMAT} alone")]
    OtherFormat(String),
    #[error("it is no evidence of {program}: {sentence}")]
    Malformed { program: String, sentence: String },
}

#[derive(Deserialize)]
struct Head {
    program: String,
    command: String,
    at_s: u64,
}

/// Reads one file's text.
///
/// # Errors
/// With a sentence, where it is not JSON, of another format, or not what its program writes.
pub fn read(file: &str, text: &str) -> Result<Evidence, EvidenceError> {
    let whole: Value =
        serde_json::from_str(text).map_err(|error| EvidenceError::NotJson(error.to_string()))?;
    let format = whole.get("format").cloned().unwrap_or(Value::Null);
    if format.as_u64() != Some(EVIDENCE_FORMAT) {
        let format = if format.is_null() {
            "none".to_owned()
        } else {
            format.to_string()
        };
        return Err(EvidenceError::OtherFormat(format));
    }
    let head: Head = parsed("any program", &whole)?;
    if matches!(head.program.as_str(), "sim" | "madsim") {
        return simulator::read(file, head, &whole);
    }
    let rest: Rest = parsed(&head.program, &whole)?;
    let facts = match (head.program.as_str(), rest.verdict) {
        // Nothing was measured, so there are no figures.
        (_, Verdict::NoData) => Facts::default(),
        ("loadtest", said) => loadtest::facts(&head.command, said, &rest)?,
        ("chaos", said) => chaos::facts(&head.command, said, &rest)?,
        ("synthetic", _) => synthetic::facts(&head.command, &rest)?,
        _ => measures::facts(&head.program, &rest)?,
    };
    Ok(Evidence {
        file: file.to_owned(),
        program: head.program,
        command: head.command,
        at_s: head.at_s,
        commit: rest.commit,
        said: rest.verdict,
        sentence: rest.sentence,
        facts,
    })
}

/// What all but the simulators write behind their head.
#[derive(Deserialize)]
struct Rest {
    commit: Option<String>,
    verdict: Verdict,
    sentence: String,
    figures: Value,
}

fn parsed<T: serde::de::DeserializeOwned>(program: &str, value: &Value) -> Result<T, EvidenceError> {
    T::deserialize(value).map_err(|error| malformed(program, error))
}

fn malformed(program: &str, sentence: impl std::fmt::Display) -> EvidenceError {
    EvidenceError::Malformed {
        program: program.to_owned(),
        sentence: sentence.to_string(),
    }
}

/// A sample as programs write it.
#[derive(Default, Deserialize)]
struct Written {
    samples: u64,
    never: u64,
}

impl Written {
    fn sample(
        &self,
        program: &str,
        buckets_us: &[(u64, u64)],
        independent: u64,
    ) -> Result<Sample, EvidenceError> {
        let mut sample = Sample {
            never: self.never,
            independent: independent.min(self.samples),
            ..Sample::default()
        };
        for (upper, count) in buckets_us {
            let bucket = sample.buckets_us.entry(*upper).or_default();
            *bucket = bucket
                .checked_add(*count)
                .ok_or_else(|| malformed(program, "a bucket holds more than can be counted"))?;
        }
        let counted = buckets_us
            .iter()
            .try_fold(self.never, |sum, (_, count)| sum.checked_add(*count));
        if counted == Some(self.samples) {
            return Ok(sample);
        }
        Err(malformed(
            program,
            format!(
                "it says {} samples, and its buckets do not hold as many",
                self.samples
            ),
        ))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
