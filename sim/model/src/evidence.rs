//! What a failed run leaves behind: one file from which it is replayed.

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::ids::Seed;
use crate::plan::{Plan, PlanError};
use crate::verdict::Judgement;

/// Format of failure files that this program writes and reads.
pub const FAILURE_FORMAT: u32 = 2;

/// What made a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maker {
    pub simulator: String,
    /// The SHA-256 of the program's file: the same program makes the same run of a plan.
    pub program: String,
    /// Of the tree that the program was built from, with `-dirty` behind it where files differed from the commit's, and
    /// `unknown` where it was built without git: for people.
    pub commit: String,
    /// The fault that was put into the nodes or the simulator on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plant: Option<String>,
}

/// A failed run. Replaying `plan` with the same program gives the same history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    pub format: u32,
    pub seed: Seed,
    pub made_by: Maker,
    /// Of every message and of the history, as the simulator tells two runs apart.
    pub digest: String,
    pub plan: Plan,
    pub judgement: Judgement,
    pub history: History,
}

/// Why a text is no failure that can be replayed. All terminal.
#[derive(Debug, thiserror::Error)]
pub enum FailureError {
    #[error("this is not a failure file: {0}")]
    Malformed(#[source] serde_json::Error),
    #[error("this failure file has format {found}, and this program knows format {FAILURE_FORMAT} only")]
    OtherFormat { found: u32 },
    #[error("in this failure file, {0}")]
    Plan(#[from] PlanError),
}

#[derive(Deserialize)]
struct Head {
    format: u32,
    plan: PlanHead,
}

#[derive(Deserialize)]
struct PlanHead {
    format: u32,
}

impl Failure {
    pub fn new(made_by: Maker, digest: String, plan: Plan, judgement: Judgement, history: History) -> Self {
        Failure {
            format: FAILURE_FORMAT,
            seed: plan.seed,
            made_by,
            digest,
            plan,
            judgement,
            history,
        }
    }

    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("a failure is made of what JSON can write");
        text.push('\n');
        text
    }

    /// # Errors
    /// If it is not JSON, not a failure, of another format, or of an impossible plan.
    pub fn from_json(text: &str) -> Result<Failure, FailureError> {
        let head: Head = serde_json::from_str(text).map_err(FailureError::Malformed)?;
        if head.format != FAILURE_FORMAT {
            return Err(FailureError::OtherFormat { found: head.format });
        }
        if head.plan.format != crate::plan::PLAN_FORMAT {
            let found = head.plan.format;
            return Err(PlanError::OtherFormat { found }.into());
        }
        let failure: Failure = serde_json::from_str(text).map_err(FailureError::Malformed)?;
        failure.plan.validate().map_err(PlanError::from)?;
        Ok(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{clean, maker};
    use crate::verdict::judge;

    fn failure() -> Failure {
        let run = clean();
        let judgement = judge(&run.plan, &run.history);
        // The hand-made plan's operations are as they were carried out; as a plan it is sound.
        Failure::new(maker(), "00ff".to_owned(), run.plan, judgement, run.history)
    }

    #[test]
    fn a_failure_outlives_its_file() {
        let failure = failure();
        let read = Failure::from_json(&failure.to_json()).map_err(|error| error.to_string());
        assert_eq!(read, Ok(failure));
    }

    #[test]
    fn a_planted_fault_stands_in_the_file_and_its_absence_does_not() {
        let mut failure = failure();
        assert!(!failure.to_json().contains("plant"));
        failure.made_by.plant = Some("stale-reads".to_owned());
        let read = Failure::from_json(&failure.to_json()).map_err(|error| error.to_string());
        assert_eq!(read, Ok(failure));
    }

    #[test]
    fn what_is_no_failure_gets_a_sentence() {
        let sentence = |text: &str| Failure::from_json(text).expect_err("it is none").to_string();
        assert!(sentence("x").starts_with("this is not a failure file: "));
        let text = failure().to_json();
        assert_eq!(
            sentence(&text.replacen("\"format\":2", "\"format\":3", 1)),
            "this failure file has format 3, and this program knows format 2 only"
        );
        let newer_plan = text.replacen("\"plan\":{\"format\":1", "\"plan\":{\"format\":9", 1);
        assert_eq!(
            sentence(&newer_plan),
            "in this failure file, this plan has format 9, and this program knows format 1 only"
        );
        let nobody = text.replacen("\"nodes\":3", "\"nodes\":0", 1);
        assert!(sentence(&nobody).contains("this plan cannot be run: knobs.nodes is 0"));
    }
}
