//! Whether evidence may be used at all.

use super::Question;
use crate::evidence::Evidence;

/// Clocks of two machines may differ by so much.
const CLOCK_SKEW_S_MAX: u64 = 300;

/// A shorter beginning of a commit's name could be of several.
pub(super) const COMMIT_LETTERS_MIN: usize = 7;

const HOUR_S: u64 = 3_600;

pub(super) fn check(evidence: &Evidence, question: &Question<'_>) -> Result<(), String> {
    if let Some(planted) = &evidence.facts.planted {
        return Err(format!("it was made with the planted fault {planted}"));
    }
    is_of(evidence.commit.as_deref(), question.commit)?;
    if evidence.at_s > question.now_s.saturating_add(CLOCK_SKEW_S_MAX) {
        return Err("it was made later than now: a clock is wrong".to_owned());
    }
    let age_s = question.now_s.saturating_sub(evidence.at_s);
    if age_s > question.age_s_max {
        return Err(format!(
            "it is stale: {} h old, and at most {} h are asked for",
            age_s / HOUR_S,
            question.age_s_max / HOUR_S
        ));
    }
    Ok(())
}

/// The evidence's commit begins with the one that is asked for, to the end of its name.
fn is_of(has: Option<&str>, asked: &str) -> Result<(), String> {
    let Some(has) = has else {
        return Err("it names no commit".to_owned());
    };
    let is_begun = has.starts_with(asked)
        && has[asked.len()..]
            .chars()
            .all(|letter| letter.is_ascii_hexdigit());
    if asked.len() >= COMMIT_LETTERS_MIN && is_begun {
        return Ok(());
    }
    match has.strip_suffix("-dirty") {
        Some(clean) if clean.starts_with(asked) => {
            Err(format!("it is of files that differ from commit {asked}: {has}"))
        }
        _ => Err(format!("it is of another commit: {has}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_told_by_its_beginning_and_never_by_a_dirty_tree() {
        let whole = "0700ae9e65d3a7c1d6b0c3e2f5a4b3c2d1e0f9a8";
        assert_eq!(is_of(Some(whole), whole), Ok(()));
        assert_eq!(is_of(Some(whole), "0700ae9"), Ok(()));
        assert!(is_of(Some(whole), "0700").is_err());
        assert!(
            is_of(Some(whole), "1700ae9")
                .unwrap_err()
                .contains("another commit")
        );
        assert!(
            is_of(Some("0700ae9-dirty"), "0700ae9")
                .unwrap_err()
                .contains("files that differ")
        );
        assert_eq!(is_of(Some("0700ae9-dirty"), "0700ae9-dirty"), Ok(()));
        assert!(is_of(None, whole).unwrap_err().contains("no commit"));
        assert!(is_of(Some(whole), "").is_err());
    }
}
