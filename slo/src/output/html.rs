//! One page that needs nothing else: verdict, checklist, objectives with their evidence, what changed.

use std::fmt::Write as _;

use super::{day_and_time, escape, ms, plot};
use crate::decide::{Basis, Decided, Refused, Report, Tendency, Waived};
use crate::verdict::Verdict;

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(report: &Report) -> String {
    let mut html = String::new();
    let commit = escape(&report.commit);
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\"><title>{} · Ostraka {commit}</title><style>{STYLE}</style></head><body>",
        report.verdict
    );
    let _ = write!(
        html,
        "<header class=\"{}\"><h1>{}</h1><p>{}</p><p class=\"small\">Ostraka, commit <code>{commit}</code>, decided {}</p></header>",
        class(report.verdict),
        sign(report.verdict),
        escape(&report.sentence),
        day_and_time(report.at_s)
    );
    checklist(&mut html, report);
    changes(&mut html, report);
    html.push_str("<section><h2>Objectives</h2>");
    report
        .objectives
        .iter()
        .for_each(|decided| objective(&mut html, decided));
    html.push_str("</section>");
    evidence(&mut html, report);
    html.push_str("</body></html>\n");
    html
}

/// With a sign, so that nobody needs to see colours.
fn sign(verdict: Verdict) -> String {
    let sign = match verdict {
        Verdict::Pass => '✓',
        Verdict::Fail => '✗',
        Verdict::Inconclusive => '?',
        Verdict::NoData => '–',
    };
    format!("{sign} {verdict}")
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "good",
        Verdict::Fail => "bad",
        Verdict::Inconclusive | Verdict::NoData => "open",
    }
}

fn badge(verdict: Verdict, waived: Option<&Waived>) -> String {
    let badge = format!(
        "<span class=\"badge {}\">{}</span>",
        class(verdict),
        sign(verdict)
    );
    match waived {
        None => badge,
        Some(waived) => format!(
            "{badge} <span class=\"small\">waived by {} to {}: {}</span>",
            escape(&waived.owner),
            escape(&waived.expires),
            escape(&waived.reason)
        ),
    }
}

fn checklist(html: &mut String, report: &Report) {
    html.push_str("<section><h2>Checklist</h2><table>");
    for line in &report.checklist {
        let _ = write!(
            html,
            "<tr><td class=\"verdict\">{}</td><td>{}<div class=\"small\">{}</div></td></tr>",
            badge(line.verdict, line.waived.as_ref()),
            escape(&line.question),
            escape(&line.sentence)
        );
    }
    html.push_str("</table></section>");
}

fn changes(html: &mut String, report: &Report) {
    html.push_str("<section><h2>Since the baseline</h2>");
    let Some(baseline) = &report.baseline else {
        html.push_str("<p>No baseline was given, so nothing is said of what changed.</p></section>");
        return;
    };
    let _ = write!(
        html,
        "<p>Commit <code>{}</code>, decided {}: {}.</p><ul>",
        escape(&baseline.commit),
        day_and_time(baseline.at_s),
        baseline.verdict
    );
    for decided in &report.objectives {
        let Some(change) = &decided.change else { continue };
        let (class, word) = match change.tendency {
            Tendency::Better => ("good", "better"),
            Tendency::Worse => ("bad", "worse"),
            Tendency::Same => ("", "no more than chance"),
        };
        let _ = write!(
            html,
            "<li>{}: <b class=\"{class}\">{word}</b> <span class=\"small\">{}</span></li>",
            escape(&decided.title),
            escape(&change.sentence)
        );
    }
    html.push_str("</ul></section>");
}

fn objective(html: &mut String, decided: &Decided) {
    let basis = match decided.basis {
        Basis::Measured => "measured",
        Basis::Contained => "not measured by itself: bounded by what contains it",
        Basis::Extrapolated => "not measured: extrapolated",
        Basis::None => "not measured",
    };
    let _ = write!(
        html,
        "<article><h3>{} {}</h3><p><b>{}</b>, {:.4} % of the time. {}</p><p>{} <span class=\"basis\">{basis}</span></p>",
        badge(decided.verdict, decided.waived.as_ref()),
        escape(&decided.title),
        escape(&decided.promise),
        decided.target * 100.0,
        escape(&decided.description),
        escape(&decided.sentence)
    );
    if let Some(svg) = plot::latency(decided) {
        html.push_str(&svg);
        let bands = decided.percentiles.iter().map(|(quantile, band)| {
            format!(
                "p{:.0} {} ms (95 % bounds {} to {})",
                quantile * 100.0,
                ms(band.ms),
                ms(band.low_ms),
                ms(band.high_ms)
            )
        });
        let _ = write!(
            html,
            "<p class=\"small\">{}</p>",
            bands.collect::<Vec<_>>().join(" · ")
        );
    }
    if let Some(budget) = decided.budget {
        let _ = write!(
            html,
            "<p>{} {} spent of {:.1} that may be bad: {:.0} % of the error budget left, burn {:.2}</p>",
            plot::budget(budget.left),
            budget.spent,
            budget.allowed,
            budget.left * 100.0,
            budget.burn
        );
    }
    if !decided.runs.is_empty() {
        html.push_str("<details><summary>Evidence</summary><table>");
        for run in &decided.runs {
            let _ = write!(
                html,
                "<tr><td class=\"verdict\">{}</td><td><code>{}</code><div class=\"small\">{}</div></td></tr>",
                badge(run.verdict, None),
                escape(&run.file),
                escape(&run.sentence)
            );
        }
        html.push_str("</table></details>");
    }
    html.push_str("</article>");
}

fn evidence(html: &mut String, report: &Report) {
    html.push_str("<section><h2>Evidence used</h2><table>");
    for used in &report.evidence {
        let _ = write!(
            html,
            "<tr><td class=\"verdict\">{}</td><td><code>{}</code> {} {}, {}<div class=\"small\">{}</div></td></tr>",
            badge(used.said, None),
            escape(&used.file),
            escape(&used.program),
            escape(&used.command),
            day_and_time(used.at_s),
            escape(&used.sentence)
        );
    }
    html.push_str("</table>");
    list(html, "Refused", &report.refused);
    list(html, "Unreadable", &report.unreadable);
    if !report.notes.is_empty() {
        html.push_str("<h3>Notes</h3><ul>");
        for note in &report.notes {
            let _ = write!(html, "<li>{}</li>", escape(note));
        }
        html.push_str("</ul>");
    }
    html.push_str("</section>");
}

fn list(html: &mut String, title: &str, files: &[Refused]) {
    if files.is_empty() {
        return;
    }
    let _ = write!(html, "<h3>{title}</h3><ul>");
    for file in files {
        let _ = write!(
            html,
            "<li><code>{}</code>: {}</li>",
            escape(&file.file),
            escape(&file.sentence)
        );
    }
    html.push_str("</ul>");
}
