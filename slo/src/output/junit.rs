//! JUnit XML, which every CI system shows.

use std::fmt::Write as _;

use super::escape;
use crate::decide::{Report, Waived};
use crate::verdict::Verdict;

/// A test case each for the objectives and the lines of the checklist. NO-DATA and INCONCLUSIVE are errors, FAIL is a failure, and what is
/// waived is skipped.
pub fn junit(report: &Report) -> String {
    let objectives = report.objectives.iter().map(|decided| Case {
        class: "slo.objectives",
        name: &decided.name,
        verdict: decided.verdict,
        sentence: &decided.sentence,
        waived: decided.waived.as_ref(),
    });
    let lines = report.checklist.iter().map(|line| Case {
        class: "slo.checklist",
        name: &line.id,
        verdict: line.verdict,
        sentence: &line.sentence,
        waived: line.waived.as_ref(),
    });
    let unreadable = report.unreadable.iter().map(|file| Case {
        class: "slo.evidence",
        name: &file.file,
        verdict: Verdict::NoData,
        sentence: &file.sentence,
        waived: None,
    });
    let cases: Vec<Case<'_>> = objectives.chain(lines).chain(unreadable).collect();
    let count = |wanted: fn(&Case<'_>) -> bool| cases.iter().filter(|case| wanted(case)).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"slo gate\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
        cases.len(),
        count(|case| case.waived.is_none() && case.verdict == Verdict::Fail),
        count(|case| case.waived.is_none() && !matches!(case.verdict, Verdict::Fail | Verdict::Pass)),
        count(|case| case.waived.is_some()),
    );
    cases.iter().for_each(|case| case.write(&mut xml));
    xml.push_str("</testsuite>\n");
    xml
}

struct Case<'a> {
    class: &'static str,
    name: &'a str,
    verdict: Verdict,
    sentence: &'a str,
    waived: Option<&'a Waived>,
}

impl Case<'_> {
    fn write(&self, xml: &mut String) {
        let (name, sentence) = (escape(self.name), escape(self.sentence));
        let _ = write!(xml, "  <testcase classname=\"{}\" name=\"{name}\">", self.class);
        let _ = match (self.waived, self.verdict) {
            (Some(waived), verdict) => write!(
                xml,
                "<skipped message=\"{verdict}, waived by {} to {}: {}\"/>",
                escape(&waived.owner),
                escape(&waived.expires),
                escape(&waived.reason)
            ),
            (None, Verdict::Pass) => write!(xml, "<system-out>{sentence}</system-out>"),
            (None, Verdict::Fail) => write!(xml, "<failure message=\"{sentence}\"/>"),
            (None, verdict) => write!(xml, "<error type=\"{verdict}\" message=\"{sentence}\"/>"),
        };
        xml.push_str("</testcase>\n");
    }
}
