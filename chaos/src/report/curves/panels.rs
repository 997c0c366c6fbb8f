//! The three curves: throughput, latency, errors. Each half second's figures are of the requests that were due in it.

use std::fmt::Write;

use super::frame::{Frame, Panel, text_width};
use super::lanes::label;
use crate::limits::{END_TO_END_MS_P99_MAX, MEASURE_BUCKET_MS};
use crate::report::html::Html;
use crate::report::numbers::Px;
use crate::report::objectives::ACK_MS_P99_MAX;
use crate::storm::Evidence;

/// What the scale of latencies shows at least, milliseconds.
const LATENCY_SHOWN_MS: (f64, f64) = (1.0, 1_000.0);

/// Of a panel's name, above it.
const TITLE_HEIGHT: f64 = 22.0;

/// So many half seconds in a second.
const PER_SECOND: f64 = 1_000.0 / MEASURE_BUCKET_MS as f64;

/// A curve: by half second, a value or none.
type Curve = Vec<(u64, Option<f64>)>;

pub(super) fn throughput(html: &mut Html, frame: &Frame, evidence: &Evidence, top: f64) -> f64 {
    let done: Curve = curve(evidence, |[done, ..]| Some(done));
    let asked: Curve = curve(evidence, |counts| Some(counts.iter().sum()));
    let most = asked.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max);
    let panel = Panel::linear(top + TITLE_HEIGHT, 120.0, most);
    grid(
        html,
        frame,
        &panel,
        "Throughput: requests a second, by when they were due",
        |value| format!("{value:.0}"),
    );
    html.void(
        "path",
        &[("class", &"done-area"), ("d", &area(frame, &panel, &done))],
    );
    html.void(
        "path",
        &[("class", &"asked"), ("d", &path(frame, &panel, &asked))],
    );
    html.void("path", &[("class", &"done"), ("d", &path(frame, &panel, &done))]);
    panel.bottom()
}

pub(super) fn latencies(html: &mut Html, frame: &Frame, evidence: &Evidence, top: f64) -> f64 {
    let positive = |ms: f64| (ms.is_finite() && ms > 0.0).then_some(ms);
    let of = |ms: &[(u64, f64)]| -> Curve { ms.iter().map(|(at_ms, ms)| (*at_ms, positive(*ms))).collect() };
    let raw: Vec<(u64, f64)> = evidence
        .buckets
        .iter()
        .map(|bucket| (bucket.at_ms, bucket.ack_ms_p50))
        .collect();
    let p50 = of(&raw);
    let raw: Vec<(u64, f64)> = evidence
        .buckets
        .iter()
        .map(|bucket| (bucket.at_ms, bucket.ack_ms_p99))
        .collect();
    let p99 = of(&raw);
    let values = || p50.iter().chain(&p99).filter_map(|(_, value)| *value);
    let least = values().fold(LATENCY_SHOWN_MS.0, f64::min);
    let most = values().fold(LATENCY_SHOWN_MS.1, f64::max);
    // What is quicker than a hundredth of a millisecond is no answer of a network.
    let panel = Panel::log(top + TITLE_HEIGHT, 170.0, least.max(0.01), most * 1.05);
    grid(
        html,
        frame,
        &panel,
        "Latency of acknowledgement, logarithmic scale",
        |ms| {
            if ms < 1.0 {
                format!("{ms} ms")
            } else {
                round_latency(ms)
            }
        },
    );
    silences(html, frame, &panel, evidence);
    html.void("path", &[("class", &"p50"), ("d", &path(frame, &panel, &p50))]);
    html.void("path", &[("class", &"p99"), ("d", &path(frame, &panel, &p99))]);
    // Over the curves, which would cross out their names.
    for (ms, what) in [
        (ACK_MS_P99_MAX, "objective: acknowledged, p99"),
        (END_TO_END_MS_P99_MAX, "objective: on the screens, p99"),
    ] {
        objective(html, frame, &panel, ms, &format!("{} {what}", round_latency(ms)));
    }
    panel.bottom()
}

fn round_latency(ms: f64) -> String {
    if ms < 1_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.0} s", ms / 1e3)
    }
}

pub(super) fn errors(html: &mut Html, frame: &Frame, evidence: &Evidence, top: f64) -> f64 {
    let failed = |[_, shed, refused, unknown]: [f64; 4]| shed + refused + unknown;
    let sums = curve(evidence, |counts| Some(failed(counts)));
    let most = sums.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max);
    let panel = Panel::linear(top + TITLE_HEIGHT, 100.0, most);
    grid(
        html,
        frame,
        &panel,
        "Errors: requests a second that were not done",
        |value| format!("{value:.0}"),
    );
    for (at_ms, counts) in each_second(evidence) {
        let mut below = 0.0;
        for (name, rate) in ["shed", "refused", "unknown"].into_iter().zip(&counts[1..]) {
            if *rate > 0.0 {
                bar(html, frame, &panel, at_ms, name, (below, below + rate));
            }
            below += rate;
        }
    }
    if most == 0.0 {
        let words = if sums.is_empty() {
            "nothing was asked"
        } else {
            "none"
        };
        let middle = (frame.x0() + frame.x1() - text_width(words)) / 2.0;
        label(html, "quiet", middle, panel.top + panel.height / 2.0, words);
    }
    panel.bottom()
}

fn bar(html: &mut Html, frame: &Frame, panel: &Panel, at_ms: u64, name: &str, (low, high): (f64, f64)) {
    let (from, to) = (frame.x_ms(at_ms), frame.x_ms(at_ms + MEASURE_BUCKET_MS));
    let (top, bottom) = (panel.y(high), panel.y(low));
    let rect: &[(&str, &dyn std::fmt::Display)] = &[
        ("class", &name),
        ("x", &Px(from)),
        ("y", &Px(top)),
        ("width", &Px(to - from)),
        ("height", &Px(bottom - top)),
    ];
    html.element("rect", rect, |html| {
        let (at, rate) = (at_ms as f64 / 1e3, high - low);
        html.leaf("title", &[], format_args!("{at:.1} s: {rate:.0} a second {name}"));
    });
}

/// By half second: done, shed, refused and unknown, each a second.
fn each_second(evidence: &Evidence) -> Vec<(u64, [f64; 4])> {
    let buckets = evidence.buckets.iter();
    let rates = buckets.map(|bucket| {
        let counts = [bucket.done, bucket.shed, bucket.refused, bucket.unknown];
        (bucket.at_ms, counts.map(|count| count as f64 * PER_SECOND))
    });
    rates.collect()
}

fn curve(evidence: &Evidence, value: impl Fn([f64; 4]) -> Option<f64>) -> Curve {
    let rates = each_second(evidence).into_iter();
    rates.map(|(at_ms, counts)| (at_ms, value(counts))).collect()
}

/// Stretches without a gap: where nothing was due, or there is no value, a curve ends and begins anew.
fn stretches(curve: &Curve) -> Vec<Vec<(u64, f64)>> {
    let mut stretches: Vec<Vec<(u64, f64)>> = Vec::new();
    let mut before: Option<u64> = None;
    for (at_ms, value) in curve {
        let Some(value) = value else {
            before = None;
            continue;
        };
        let goes_on = before.is_some_and(|before| at_ms.saturating_sub(before) == MEASURE_BUCKET_MS);
        match stretches.last_mut() {
            Some(last) if goes_on => last.push((*at_ms, *value)),
            _ => stretches.push(vec![(*at_ms, *value)]),
        }
        before = Some(*at_ms);
    }
    stretches
}

/// The middle of a half second.
fn middle(frame: &Frame, at_ms: u64) -> f64 {
    frame.x_ms(at_ms.saturating_add(MEASURE_BUCKET_MS / 2))
}

fn path(frame: &Frame, panel: &Panel, curve: &Curve) -> String {
    let mut path = String::new();
    for stretch in stretches(curve) {
        for (place, (at_ms, value)) in stretch.iter().enumerate() {
            let letter = if place == 0 { 'M' } else { 'L' };
            let (x, y) = (Px(middle(frame, *at_ms)), Px(panel.y(*value)));
            write!(path, "{letter}{x} {y}").expect("to a string");
        }
        // One half second alone is a dot, which round ends make of nearly nothing.
        path.push_str("h0.1");
    }
    path
}

fn area(frame: &Frame, panel: &Panel, curve: &Curve) -> String {
    let mut path = String::new();
    let bottom = Px(panel.bottom());
    for stretch in stretches(curve) {
        let (Some((first, _)), Some((last, _))) = (stretch.first(), stretch.last()) else {
            continue;
        };
        write!(path, "M{} {bottom}", Px(middle(frame, *first))).expect("to a string");
        for (at_ms, value) in &stretch {
            let (x, y) = (Px(middle(frame, *at_ms)), Px(panel.y(*value)));
            write!(path, "L{x} {y}").expect("to a string");
        }
        write!(path, "L{} {bottom}Z", Px(middle(frame, *last))).expect("to a string");
    }
    path
}

/// Bars at the foot where nothing that was due was acknowledged: a percentile of nothing is no point of a curve. Where all
/// that was asked was done, and none of it was an acknowledgement, no vote was due.
fn silences(html: &mut Html, frame: &Frame, panel: &Panel, evidence: &Evidence) {
    let buckets = evidence.buckets.iter().map(|bucket| {
        let is_silent = bucket.ack_ms_p99 <= 0.0 && bucket.shed + bucket.refused + bucket.unknown > 0;
        (bucket.at_ms, is_silent.then_some(0.0))
    });
    let silent: Curve = buckets.collect();
    for stretch in stretches(&silent) {
        let (Some((first, _)), Some((last, _))) = (stretch.first(), stretch.last()) else {
            continue;
        };
        let (from, to) = (frame.x_ms(*first), frame.x_ms(last + MEASURE_BUCKET_MS));
        let rect: &[(&str, &dyn std::fmt::Display)] = &[
            ("class", &"silence"),
            ("x", &Px(from)),
            ("y", &Px(panel.bottom() - 7.0)),
            ("width", &Px(to - from)),
            ("height", &Px(7.0)),
        ];
        html.element("rect", rect, |html| {
            let (first, last) = (*first as f64 / 1e3, (last + MEASURE_BUCKET_MS) as f64 / 1e3);
            html.leaf(
                "title",
                &[],
                format_args!("no vote that was due from {first:.1} to {last:.1} s was acknowledged"),
            );
        });
    }
}

fn objective(html: &mut Html, frame: &Frame, panel: &Panel, ms: f64, words: &str) {
    let y = panel.y(ms);
    across(html, "objective", frame, y);
    label(
        html,
        "objective-name",
        frame.x1() - text_width(words) - 4.0,
        y - 4.0,
        words,
    );
}

fn across(html: &mut Html, class: &str, frame: &Frame, y: f64) {
    html.void(
        "line",
        &[
            ("class", &class),
            ("x1", &Px(frame.x0())),
            ("x2", &Px(frame.x1())),
            ("y1", &Px(y)),
            ("y2", &Px(y)),
        ],
    );
}

fn grid(html: &mut Html, frame: &Frame, panel: &Panel, title: &str, words: impl Fn(f64) -> String) {
    label(html, "panel", 2.0, panel.top - 11.0, title);
    for value in panel.ticks() {
        let y = panel.y(value);
        across(html, "grid", frame, y);
        let words = words(value);
        label(
            html,
            "tick",
            frame.x0() - text_width(&words) - 4.0,
            y + 4.0,
            &words,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_breaks_where_nothing_was_due_or_nothing_was_acknowledged() {
        let step = MEASURE_BUCKET_MS;
        let curve: Curve = vec![
            (0, Some(1.0)),
            (step, Some(2.0)),
            (2 * step, None),
            (3 * step, Some(3.0)),
            (9 * step, Some(4.0)),
        ];
        let values: Vec<Vec<f64>> = stretches(&curve)
            .into_iter()
            .map(|stretch| stretch.into_iter().map(|(_, value)| value).collect())
            .collect();
        assert_eq!(values, [vec![1.0, 2.0], vec![3.0], vec![4.0]]);
    }
}
