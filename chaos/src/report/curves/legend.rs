//! What the lines and hatchings of the drawing mean, each with a sample of it.

use super::lanes::diamond;
use crate::report::html::Html;

/// How a sample is drawn.
enum Sample {
    Line,
    /// A line with what is below it.
    Hill,
    Area,
    Diamond,
}

const LEGEND: &[(&str, Sample, &str)] = &[
    ("done", Sample::Hill, "done"),
    ("asked", Sample::Line, "asked"),
    ("p50", Sample::Line, "acknowledgement, p50"),
    ("p99", Sample::Line, "acknowledgement, p99"),
    ("objective", Sample::Line, "objective"),
    ("silence", Sample::Area, "no vote due here was acknowledged"),
    ("shed", Sample::Area, "shed"),
    ("refused", Sample::Area, "refused"),
    ("unknown", Sample::Area, "unknown"),
    ("fault", Sample::Area, "a fault, with its number, name and node"),
    ("fault idle", Sample::Area, "a fault that never bit"),
    ("leader-change", Sample::Diamond, "another leader, or a new term"),
];

pub(super) fn write(html: &mut Html) {
    hatchings(html);
    html.element("ul", &[("class", &"legend")], |html| {
        for (class, sample, words) in LEGEND {
            html.element("li", &[], |html| {
                let svg: &[(&str, &dyn std::fmt::Display)] =
                    &[("viewBox", &"0 0 28 14"), ("aria-hidden", &"true")];
                html.element("svg", svg, |html| draw(html, class, sample));
                html.text(words);
            });
        }
    });
}

fn draw(html: &mut Html, class: &str, sample: &Sample) {
    match sample {
        Sample::Line => html.void("path", &[("class", &class), ("d", &"M1 7H27")]),
        Sample::Hill => {
            html.void("path", &[("class", &"done-area"), ("d", &"M1 13V3H27V13Z")]);
            html.void("path", &[("class", &class), ("d", &"M1 3H27")]);
        }
        Sample::Area => html.void(
            "rect",
            &[
                ("class", &class),
                ("x", &1),
                ("y", &1),
                ("width", &26),
                ("height", &12),
            ],
        ),
        Sample::Diamond => {
            html.void("path", &[("class", &class), ("d", &"M14 0V14")]);
            diamond(html, 14.0, 7.0);
        }
    }
}

/// By name, for the style of all drawings: stripes and dots besides colours.
fn hatchings(html: &mut Html) {
    html.element(
        "svg",
        &[("class", &"hatchings"), ("aria-hidden", &"true")],
        |html| {
            html.element("defs", &[], |html| {
                for (id, mark) in [
                    ("stripes", "M-1 5L5 -1M1 7L7 1"),
                    ("dots", "M1.5 1.5h0.1M4.5 4.5h0.1"),
                    ("crosses", "M0 0L6 6M6 0L0 6"),
                ] {
                    let pattern: &[(&str, &dyn std::fmt::Display)] = &[
                        ("id", &id),
                        ("width", &6),
                        ("height", &6),
                        ("patternUnits", &"userSpaceOnUse"),
                    ];
                    html.element("pattern", pattern, |html| {
                        let ground = format!("ground {id}");
                        html.void("rect", &[("class", &ground), ("width", &6), ("height", &6)]);
                        html.void("path", &[("class", &id), ("d", &mark)]);
                    });
                }
            });
        },
    );
}
