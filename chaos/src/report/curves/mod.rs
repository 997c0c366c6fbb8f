//! Throughput, latency and errors over one axis of time, with the faults behind them and the leaders above.

mod frame;
mod lanes;
mod legend;
mod panels;

use super::costs;
use super::html::Html;
use super::numbers::Px;
use crate::storm::Evidence;
use frame::{Frame, text_width};

/// Between two curves.
const BETWEEN: f64 = 18.0;
const AXIS_HEIGHT: f64 = 34.0;

pub(super) fn write(html: &mut Html, evidence: &Evidence) {
    legend::write(html);
    html.element("figure", &[], |html| {
        draw(html, &Frame::wide(evidence), evidence);
        draw(html, &Frame::narrow(evidence), evidence);
    });
    costs::write_leaders(html, evidence);
}

fn draw(html: &mut Html, frame: &Frame, evidence: &Evidence) {
    // The bands lie behind everything, and must know how far down it reaches; so the curves are drawn first, and put in later.
    let mut curves = Html::default();
    let mut bottom = lanes::height(frame, evidence);
    for panel in [panels::throughput, panels::latencies, panels::errors] {
        bottom = panel(&mut curves, frame, evidence, bottom + BETWEEN);
    }
    let height = bottom + AXIS_HEIGHT;
    let view = format!("0 0 {} {}", Px(frame.width), Px(height));
    let words = format!(
        "Throughput, latency and errors over time, {} and {} leaders; the tables below hold the same in figures",
        super::numbers::counted(evidence.faults.len() as u64, "fault", "faults"),
        evidence.leaders.len()
    );
    html.element(
        "svg",
        &[
            ("class", &frame.class),
            ("viewBox", &view),
            ("role", &"img"),
            ("aria-label", &words),
        ],
        |html| {
            lanes::draw_behind(html, frame, evidence, bottom);
            html.append(curves);
            lanes::draw(html, frame, evidence, bottom);
            axis(html, frame, bottom);
        },
    );
}

fn axis(html: &mut Html, frame: &Frame, bottom: f64) {
    for ms in frame.ticks_ms() {
        let (x, words) = (frame.x_ms(ms), format!("{}", ms as f64 / 1e3));
        lanes::line(html, "axis", x, bottom, bottom + 5.0);
        // Centred, but never out of the drawing.
        let wide = text_width(&words);
        let from = (x - wide / 2.0).min(frame.width - wide);
        lanes::label(html, "tick", from, bottom + 17.0, &words);
    }
    let words = "seconds since the cluster was formed";
    let from = (frame.x0() + frame.x1() - text_width(words)) / 2.0;
    lanes::label(html, "tick", from, bottom + 31.0, words);
}
