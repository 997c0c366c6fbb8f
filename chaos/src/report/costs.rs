//! What each fault did and cost, and who led.

use super::html::Html;
use super::numbers::{NONE, count, counted, duration, moment};
use super::words;
use crate::storm::{Evidence, FaultSpan};

pub(super) fn write(html: &mut Html, evidence: &Evidence) {
    if evidence.faults.is_empty() {
        html.leaf(
            "p",
            &[("class", &"open")],
            "? There were none, so nothing was tested.",
        );
        return;
    }
    html.leaf(
        "p",
        &[],
        "Numbers are those in the drawing above. Where two faults lay over each other, each is charged with what happened \
         while it lasted.",
    );
    html.element("table", &[("class", &"cards")], |html| {
        html.element("thead", &[], |html| {
            html.element("tr", &[], |html| {
                for name in HEADINGS {
                    html.leaf("th", &[("scope", &"col")], name);
                }
            });
        });
        html.element("tbody", &[], |html| {
            for (place, fault) in evidence.faults.iter().enumerate() {
                html.element("tr", &[], |html| row(html, place + 1, fault));
            }
        });
    });
}

const HEADINGS: [&str; 9] = [
    "Fault",
    "Node",
    "From – to, s",
    "What it did",
    "Bites",
    "Detected after",
    "Failed over after",
    "Longest silence",
    "Recovered after",
];

fn row(html: &mut Html, number: usize, fault: &FaultSpan) {
    let mut headings = HEADINGS.into_iter();
    let mut cell = |html: &mut Html, class: &str, inside: &dyn Fn(&mut Html)| {
        let heading = headings.next().unwrap_or_default();
        html.element("td", &[("data-label", &heading), ("class", &class)], |html| {
            html.element("div", &[], |html| inside(html));
        });
    };
    // One that never was has cost nothing.
    let was = fault.node.is_some();
    let cost = |ms: Option<u64>, none: &str| match (was, ms) {
        (false, _) => NONE.to_owned(),
        (true, Some(ms)) => duration(ms),
        (true, None) => none.to_owned(),
    };
    cell(html, "name", &|html| {
        html.leaf("b", &[], format_args!("{number}. {}", fault.nemesis));
        if let Some(harm) = words::harm(&fault.nemesis) {
            html.leaf("small", &[], harm);
        }
    });
    cell(html, "", &|html| match fault.node {
        Some(node) => html.text(node),
        None => html.text(NONE),
    });
    cell(html, "", &|html| {
        if was {
            html.text(format_args!(
                "{}\u{a0}–\u{a0}{}",
                moment(fault.began),
                moment(fault.ended)
            ));
        } else {
            html.text("never began");
        }
    });
    cell(html, "felt", &|html| {
        if !fault.felt.is_empty() {
            html.text(&fault.felt);
        }
        if let Some(trouble) = &fault.trouble {
            html.leaf(
                "span",
                &[("class", &"open")],
                format_args!("? Trouble: {trouble}"),
            );
        } else if fault.felt.is_empty() {
            html.text(NONE);
        }
    });
    let bites = if fault.bites == 0 { "open" } else { "" };
    cell(html, bites, &|html| match fault.bites {
        0 => html.text("? none"),
        bites => html.text(count(bites)),
    });
    cell(html, "", &|html| {
        html.text(cost(fault.detected_ms, "no request failed"))
    });
    cell(html, "", &|html| {
        html.text(cost(fault.failed_over_ms, "no new leader"))
    });
    cell(html, "", &|html| html.text(cost(Some(fault.silence_ms), "")));
    let recovered = if was && fault.recovered_ms.is_none() {
        "bad"
    } else {
        ""
    };
    cell(html, recovered, &|html| {
        html.text(cost(fault.recovered_ms, "✗ not seen to recover"));
    });
}

/// Who led from when on, as a list under the drawing.
pub(super) fn write_leaders(html: &mut Html, evidence: &Evidence) {
    let changes = evidence.leaders.len().saturating_sub(1) as u64;
    html.element("details", &[], |html| {
        let heading = counted(changes, "change of leader", "changes of leader");
        html.leaf("summary", &[], heading);
        html.element("ol", &[], |html| {
            for leading in &evidence.leaders {
                let (at, node, term) = (moment(leading.at), leading.node, leading.term);
                html.leaf("li", &[], format_args!("{at} s: node {node} leads, term {term}"));
            }
        });
    });
}
