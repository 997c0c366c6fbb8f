//! Figures before, during and after the storm, beside what is promised.

use super::html::Html;
use super::numbers::{NONE, count, latency, percent};
use super::objectives::{self, ACK_MS_P99_MAX, END_TO_END_MS_P95_MAX, Met};
use crate::limits::{END_TO_END_MS_P99_MAX, STEADY_DONE_PER_MILLE_MIN};
use crate::storm::Evidence;

const WINDOWS: [&str; 3] = ["before", "during", "after"];

/// Lines of the table.
const LINES: usize = 12;

/// One figure of a window, and whether it keeps its objective, if there is one.
struct Cell(String, Option<Met>);

pub(super) fn write(html: &mut Html, evidence: &Evidence) {
    html.leaf(
        "p",
        &[],
        format_args!(
            "The objectives are those of a cluster that nothing disturbs; the verdict asks of before and after that {} of \
             the requests are done and that vote to screen keeps its p99. Latencies of acknowledgement are of votes that \
             were acknowledged; the others stand among shed, refused and unknown.",
            percent(STEADY_DONE_PER_MILLE_MIN, 1_000)
        ),
    );
    html.element("table", &[("class", &"figures")], |html| {
        html.element("thead", &[], |html| {
            html.element("tr", &[], |html| {
                html.leaf("th", &[("scope", &"col")], "");
                for name in WINDOWS {
                    html.leaf("th", &[("scope", &"col")], name);
                }
            });
        });
        html.element("tbody", &[], |html| {
            let columns = WINDOWS.map(|window| column(evidence, window));
            for (place, (name, objective)) in lines().into_iter().enumerate() {
                let cells = columns
                    .each_ref()
                    .map(|column| column.as_ref().map(|cells| &cells[place]));
                html.element("tr", &[], |html| row(html, name, &objective, cells));
            }
        });
    });
}

fn row(html: &mut Html, name: &str, objective: &str, cells: [Option<&Cell>; WINDOWS.len()]) {
    html.element("th", &[("scope", &"row")], |html| {
        html.text(name);
        if !objective.is_empty() {
            html.leaf("small", &[], format_args!("objective {objective}"));
        }
    });
    for cell in cells {
        html.element("td", &[], |html| match cell {
            // Without a window there is nothing to say, which is not the same as 0.
            None => html.text(NONE),
            Some(Cell(figure, met)) => {
                html.text(figure);
                if let Some(met) = met {
                    html.leaf("small", &[("class", &met.class())], met.words());
                }
            }
        });
    }
}

/// Names and objectives, in the order of [`column`].
fn lines() -> [(&'static str, String); LINES] {
    let at_most = |ms: f64| format!("≤ {ms} ms");
    let none = String::new;
    [
        ("Requests", none()),
        ("Done", format!("≥ {}", percent(STEADY_DONE_PER_MILLE_MIN, 1_000))),
        ("Shed", none()),
        ("Refused", none()),
        ("Unknown", none()),
        ("Acknowledgement, p50", none()),
        ("Acknowledgement, p95", none()),
        ("Acknowledgement, p99", at_most(ACK_MS_P99_MAX)),
        ("Votes seen, each by each viewer", none()),
        ("Vote to screen, p50", none()),
        ("Vote to screen, p95", at_most(END_TO_END_MS_P95_MAX)),
        ("Vote to screen, p99", at_most(END_TO_END_MS_P99_MAX)),
    ]
}

fn column(evidence: &Evidence, window: &str) -> Option<[Cell; LINES]> {
    let window = evidence.windows.get(window)?;
    let plain = |number: u64| Cell(count(number), None);
    let shown = |ms: f64| Cell(latency(ms), None);
    let judged = |ms: f64, met: Met| Cell(latency(ms), Some(met));
    let done = format!(
        "{} ({})",
        count(window.done),
        percent(window.done, window.requests)
    );
    Some([
        plain(window.requests),
        Cell(done, Some(objectives::done(window.done, window.requests))),
        plain(window.shed),
        plain(window.refused),
        plain(window.unknown),
        shown(window.ack_ms_p50),
        shown(window.ack_ms_p95),
        judged(
            window.ack_ms_p99,
            objectives::ack_p99(window.ack_ms_p99, window.done),
        ),
        plain(window.seen),
        shown(window.end_to_end_ms_p50),
        judged(
            window.end_to_end_ms_p95,
            objectives::end_to_end_p95(window.end_to_end_ms_p95, window.seen),
        ),
        judged(
            window.end_to_end_ms_p99,
            objectives::end_to_end_p99(window.end_to_end_ms_p99, window.seen),
        ),
    ])
}
