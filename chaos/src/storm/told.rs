//! What of the checkers' findings is told in words: all of a few, and of many the first, with how many there are. The
//! evidence holds all that were kept.

use ostraka_sim_model::checkers::{Checker, Class};
use ostraka_sim_model::verdict::Judgement;

use crate::limits::SENTENCES_SHOWN_MAX;

/// By checker and class, so that none hides another.
pub(super) fn violations(judgement: &Judgement) -> Vec<(Class, String)> {
    let mut told = Vec::new();
    for checker in Checker::ALL {
        for class in [Class::Safety, Class::Liveness] {
            let sentences: Vec<&str> = judgement
                .violations
                .iter()
                .filter(|violation| violation.checker == checker && violation.class == class)
                .map(|violation| violation.sentence.as_str())
                .collect();
            let first = sentences.iter().take(SENTENCES_SHOWN_MAX);
            told.extend(first.map(|sentence| (class, format!("{}: {sentence}", checker.name()))));
            if sentences.len() > SENTENCES_SHOWN_MAX {
                let (name, all) = (checker.name(), sentences.len());
                told.push((
                    class,
                    format!("{name}: {SENTENCES_SHOWN_MAX} of {all} violations are told here, the evidence holds all"),
                ));
            }
        }
        if let (Some(kept), Some(first)) = (
            judgement.cut_short(checker),
            judgement
                .violations
                .iter()
                .find(|violation| violation.checker == checker),
        ) {
            let name = checker.name();
            told.push((
                first.class,
                format!("{name}: the evidence holds {kept} violations"),
            ));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use ostraka_sim_model::checkers::Violation;

    use super::*;
    use crate::storm::testing;

    #[test]
    fn no_class_crowds_out_another_and_no_cut_is_unmarked() {
        let mut judgement = testing::empty().judgement;
        let classes = [vec![Class::Liveness; 45], vec![Class::Safety; 2]].concat();
        for (place, class) in classes.into_iter().enumerate() {
            judgement.violations.push(Violation {
                checker: Checker::Biographies,
                class,
                sentence: format!("vote {place}"),
                record: None,
            });
        }
        judgement.found.insert(Checker::Biographies, 47);
        let told = violations(&judgement);
        let sentences: Vec<&str> = told.iter().map(|(_, sentence)| sentence.as_str()).collect();
        assert_eq!(sentences.len(), 2 + 40 + 1);
        assert_eq!(told[0], (Class::Safety, "biographies: vote 45".to_owned()));
        let rest = "biographies: 40 of 45 violations are told here, the evidence holds all";
        assert_eq!(sentences[42], rest);
        judgement.found.insert(Checker::Biographies, 90);
        let told = violations(&judgement);
        assert_eq!(told[43].1, "biographies: the evidence holds 47 of 90 violations");
    }
}
