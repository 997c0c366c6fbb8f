//! A table for terminals.

use std::fmt::{Arguments, Write as _};

use super::{ms, plain};
use crate::decide::{Basis, Decided, Report, Waived};
use crate::verdict::Verdict;

/// Everything that decides, a line each.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |parts: Arguments<'_>| {
        let _ = writeln!(text, "{}", plain(&parts.to_string()));
    };
    line(format_args!(
        "{} commit {}: {}",
        report.verdict, report.commit, report.sentence
    ));
    line(format_args!("Checklist"));
    for entry in &report.checklist {
        line(format_args!(
            "  {}  {}",
            word(entry.verdict, entry.waived.as_ref()),
            entry.question
        ));
        line(format_args!("      {}", entry.sentence));
    }
    line(format_args!("Objectives"));
    for decided in &report.objectives {
        objective(&mut line, decided);
    }
    for refused in &report.refused {
        line(format_args!("refused {}: {}", refused.file, refused.sentence));
    }
    for unreadable in &report.unreadable {
        line(format_args!(
            "unreadable {}: {}",
            unreadable.file, unreadable.sentence
        ));
    }
    for note in &report.notes {
        line(format_args!("note: {note}"));
    }
    text
}

fn objective(line: &mut impl FnMut(Arguments<'_>), decided: &Decided) {
    line(format_args!(
        "  {}  {}: {}",
        word(decided.verdict, decided.waived.as_ref()),
        decided.name,
        decided.promise
    ));
    let basis = match decided.basis {
        Basis::Contained => "by what contains it; ",
        Basis::Extrapolated => "extrapolated; ",
        Basis::Measured | Basis::None => "",
    };
    line(format_args!("      {basis}{}", decided.sentence));
    if !decided.percentiles.is_empty() {
        let bands = decided.percentiles.iter().map(|(quantile, band)| {
            format!(
                "p{:.0} {} ms ({} to {})",
                quantile * 100.0,
                ms(band.ms),
                ms(band.low_ms),
                ms(band.high_ms)
            )
        });
        line(format_args!("      {}", bands.collect::<Vec<_>>().join(", ")));
    }
    if let Some(budget) = decided.budget {
        line(format_args!(
            "      error budget: {} spent of {:.1}, {:.0} % left, burn {:.2}",
            budget.spent,
            budget.allowed,
            budget.left * 100.0,
            budget.burn
        ));
    }
    if let Some(change) = &decided.change {
        line(format_args!(
            "      since the baseline: {:?}: {}",
            change.tendency, change.sentence
        ));
    }
}

fn word(verdict: Verdict, waived: Option<&Waived>) -> String {
    match waived {
        None => format!("{verdict:<12}"),
        Some(waived) => format!("{verdict} waived by {} to {}", waived.owner, waived.expires),
    }
}
