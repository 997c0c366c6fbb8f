//! What a storm leaves behind: plan, faults as they were, figures, judgement, verdict.

use std::collections::BTreeMap;

use ostraka_sim_model::verdict::Judgement;
use serde::{Deserialize, Serialize};

use super::StormPlan;
use super::crowd::Kept;
use super::measures::{Bucket, Window};
use super::spans::{FaultSpan, Leading};
use crate::Verdict;

/// Votes by id that are not what their voters were told, in the words of the books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strays {
    pub lost: Vec<String>,
    pub doubled: Vec<String>,
    pub late: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    pub verdict: Verdict,
    /// Why it is not a pass, sentence by sentence.
    pub reasons: Vec<String>,
    pub plan: StormPlan,
    /// What the service owed after the storm and did not do, besides what the checkers judge.
    pub owed: Vec<String>,
    pub faults: Vec<FaultSpan>,
    pub kept: Kept,
    /// Before, during and after the storm.
    pub windows: BTreeMap<String, Window>,
    /// Each half second.
    pub buckets: Vec<Bucket>,
    pub strays: Strays,
    pub judgement: Judgement,
    /// From the storm's end until all nodes were up and ready.
    pub healed_ms: u64,
    pub leaders: Vec<Leading>,
}
