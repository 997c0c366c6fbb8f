//! Waivers: somebody answers for what is not shown, until a day.

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime};

use super::{Decided, Line, Question, checklist};
use crate::objectives::Objective;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Name of an objective or of a line of the checklist.
    pub item: String,
    pub owner: String,
    pub reason: String,
    /// The last day on which it stands, UTC, as YYYY-MM-DD.
    pub expires: String,
}

/// A waiver that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waived {
    pub owner: String,
    pub reason: String,
    pub expires: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    waivers: Vec<Waiver>,
}

/// Why a text is no waivers. All terminal.
#[derive(Debug, thiserror::Error)]
pub enum WaiverError {
    #[error("these are no waivers: {0}")]
    Malformed(String),
    #[error("the waiver of {item}: {sentence}")]
    Wrong { item: String, sentence: String },
}

/// Reads waivers.
///
/// # Errors
/// With a sentence, where they are malformed, of nothing that there is, of what may not be waived, or without an owner, reason or day.
pub fn read_waivers(text: &str, objectives: &[Objective]) -> Result<Vec<Waiver>, WaiverError> {
    let file: File =
        serde_saphyr::from_str(text).map_err(|error| WaiverError::Malformed(error.to_string()))?;
    for waiver in &file.waivers {
        check(waiver, objectives).map_err(|sentence| WaiverError::Wrong {
            item: waiver.item.clone(),
            sentence,
        })?;
    }
    Ok(file.waivers)
}

fn check(waiver: &Waiver, objectives: &[Objective]) -> Result<(), String> {
    let objective = objectives.iter().find(|objective| objective.name == waiver.item);
    if objective.is_none() && !checklist::ids().any(|id| id == waiver.item) {
        return Err("there is no such objective or line of the checklist".to_owned());
    }
    if objective.is_some_and(|objective| !objective.is_waivable) {
        return Err("no waiver covers this".to_owned());
    }
    if waiver.owner.trim().is_empty() || waiver.reason.trim().is_empty() {
        return Err("somebody must answer for it: it needs an owner and a reason".to_owned());
    }
    day(&waiver.expires).map(|_| ())
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, &Iso8601::DATE).map_err(|_| format!("{text} is no day: write it as YYYY-MM-DD"))
}

/// The waiver of an item that stands today; one that has expired is noted.
pub(super) fn of(item: &str, question: &Question<'_>, notes: &mut Vec<String>) -> Option<Waived> {
    let now_s = i64::try_from(question.now_s).unwrap_or(i64::MAX);
    let today = OffsetDateTime::from_unix_timestamp(now_s).ok()?.date();
    for waiver in question.waivers.iter().filter(|waiver| waiver.item == item) {
        match day(&waiver.expires) {
            Ok(last) if today <= last => {
                return Some(Waived {
                    owner: waiver.owner.clone(),
                    reason: waiver.reason.clone(),
                    expires: waiver.expires.clone(),
                });
            }
            _ => notes.push(format!(
                "the waiver of {item} by {} has expired ({})",
                waiver.owner, waiver.expires
            )),
        }
    }
    None
}

/// Waivers that nothing needs, so that they are taken out.
pub(super) fn unused(question: &Question<'_>, objectives: &[Decided], checklist: &[Line]) -> Vec<String> {
    let is_needed = |item: &str| {
        objectives
            .iter()
            .any(|decided| decided.name == item && decided.verdict != crate::verdict::Verdict::Pass)
            || checklist
                .iter()
                .any(|line| line.id == item && line.verdict != crate::verdict::Verdict::Pass)
    };
    question
        .waivers
        .iter()
        .filter(|waiver| !is_needed(&waiver.item))
        .map(|waiver| format!("the waiver of {} is not needed: it passes by itself", waiver.item))
        .collect()
}
