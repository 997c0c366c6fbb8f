//! Plan files: JSON, one plan each.

use serde::Deserialize;

use super::validate::Impossible;
use super::{PLAN_FORMAT, Plan};

/// Why a text is no plan that can be run. All terminal: the same text never is one.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("this is not a plan: {0}")]
    Malformed(#[source] serde_json::Error),
    #[error("this plan has format {found}, and this program knows format {PLAN_FORMAT} only")]
    OtherFormat { found: u32 },
    #[error("this plan cannot be run: {0}")]
    Impossible(#[from] Impossible),
}

/// Read first: another format's fields may be anything.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Plan {
    /// Reads and validates a plan.
    ///
    /// # Errors
    /// If it is not JSON, not a plan, of another format, or impossible.
    pub fn from_json(text: &str) -> Result<Plan, PlanError> {
        let head: Head = serde_json::from_str(text).map_err(PlanError::Malformed)?;
        if head.format != PLAN_FORMAT {
            return Err(PlanError::OtherFormat { found: head.format });
        }
        let plan: Plan = serde_json::from_str(text).map_err(PlanError::Malformed)?;
        plan.validate()?;
        Ok(plan)
    }

    /// The plan as a file's text; the same plan gives the same text.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a plan is made of what JSON can write");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Seed;

    fn sentence(text: &str) -> String {
        Plan::from_json(text).expect_err("no plan").to_string()
    }

    #[test]
    fn what_is_no_plan_gets_a_sentence() {
        assert!(sentence("").starts_with("this is not a plan: EOF"));
        assert!(sentence("[1, 2]").starts_with("this is not a plan:"));
        assert!(sentence("{}").contains("missing field `format`"));
        assert_eq!(
            sentence(r#"{"format": 7, "anything": []}"#),
            "this plan has format 7, and this program knows format 1 only"
        );
        assert!(sentence(r#"{"format": 1}"#).contains("missing field"));
    }

    #[test]
    fn a_field_that_is_missing_is_refused_though_it_could_be_null() {
        let mut plan = Plan::of_seed(Seed(1));
        plan.knobs.log_keep_entries = None;
        let whole: serde_json::Value = serde_json::from_str(&plan.to_json()).unwrap();
        let knobs = whole["knobs"].as_object().unwrap();
        for knob in knobs.keys() {
            let mut cut = whole.clone();
            cut["knobs"].as_object_mut().unwrap().remove(knob);
            assert!(
                sentence(&cut.to_string()).contains(&format!("missing field `{knob}`")),
                "{knob}: {}",
                sentence(&cut.to_string())
            );
        }
        for field in ["opens_at_ms", "closes_at_ms"] {
            let mut cut = whole.clone();
            let operations = cut["operations"].as_array_mut().unwrap();
            let creation = operations
                .iter_mut()
                .find_map(|operation| operation["action"]["CreateEvent"].as_object_mut());
            creation.unwrap().remove(field);
            assert!(sentence(&cut.to_string()).contains(&format!("missing field `{field}`")));
        }
    }

    #[test]
    fn unknown_fields_and_impossible_plans_are_refused() {
        let plan = Plan::of_seed(Seed(1));
        let with_more = plan
            .to_json()
            .replacen("\"format\"", "\"surprise\": 1, \"format\"", 1);
        assert!(sentence(&with_more).contains("unknown field `surprise`"));
        let mut broken = plan.clone();
        broken.knobs.nodes = 0;
        assert!(sentence(&broken.to_json()).starts_with("this plan cannot be run: "));
        let unknown_fault = plan.to_json().replace(
            "\"faults\": [",
            "\"faults\": [{\"id\": 99, \"at_ms\": 1, \"for_ms\": 1, \"kind\": {\"Meteor\": {}}},",
        );
        assert!(
            sentence(&unknown_fault).starts_with("this is not a plan: unknown variant `Meteor`"),
            "{}",
            sentence(&unknown_fault)
        );
    }
}
