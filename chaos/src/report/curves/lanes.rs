//! Above the curves, and behind them: phases, leaders and faults.

use super::frame::{Frame, text_width};
use crate::report::html::Html;
use crate::report::numbers::{Px, moment};
use crate::storm::{Evidence, FaultSpan};

const ROW: f64 = 19.0;
/// Between a label and whatever stands beside it.
const GAP: f64 = 5.0;
/// A fault of no time is still to be seen.
const BAR_MIN: f64 = 5.0;

/// How far down the lanes reach.
pub(super) fn height(frame: &Frame, evidence: &Evidence) -> f64 {
    let lanes = places(frame, evidence).iter().map(|place| place.lane + 1).max();
    ROW * (2.0 + lanes.unwrap_or(0) as f64) + 6.0
}

/// Where one fault's bar and label lie.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    lane: usize,
    from: f64,
    to: f64,
    label: String,
    label_from: f64,
}

impl Place {
    fn of(frame: &Frame, number: usize, fault: &FaultSpan) -> Self {
        let from = frame.x(fault.began).min(frame.x1() - BAR_MIN);
        let to = frame.x(fault.ended).max(from + BAR_MIN);
        let label = match fault.node {
            Some(node) => format!("{number} {}, node {node}", fault.nemesis),
            None => format!("{number} {}, never began", fault.nemesis),
        };
        let wide = text_width(&label);
        let label_from = if to - from >= wide + 2.0 * GAP {
            from + GAP
        } else if to + GAP + wide <= frame.x1() {
            to + GAP
        } else {
            // Left of it, or as far left as there is room.
            (from - GAP - wide).max(frame.x0())
        };
        Self {
            lane: 0,
            from,
            to,
            label,
            label_from,
        }
    }

    fn occupied(&self) -> (f64, f64) {
        let label_to = self.label_from + text_width(&self.label);
        (self.from.min(self.label_from) - GAP, self.to.max(label_to) + GAP)
    }

    fn collides(&self, other: &Place) -> bool {
        let ((from, to), (other_from, other_to)) = (self.occupied(), other.occupied());
        self.lane == other.lane && from < other_to && other_from < to
    }
}

/// Each fault in the first lane in which neither its bar nor its label lies on another's.
fn places(frame: &Frame, evidence: &Evidence) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for (index, fault) in evidence.faults.iter().enumerate() {
        let mut place = Place::of(frame, index + 1, fault);
        while places.iter().any(|other| place.collides(other)) {
            place.lane += 1;
        }
        places.push(place);
    }
    places
}

/// The faults as bands behind the curves, down to `bottom`.
pub(super) fn draw_behind(html: &mut Html, frame: &Frame, evidence: &Evidence, bottom: f64) {
    for place in places(frame, evidence) {
        let top = lane_top(place.lane) + ROW - 3.0;
        let (x, y) = (Px(place.from), Px(top));
        let (width, height) = (Px(place.to - place.from), Px((bottom - top).max(0.0)));
        let band: &[(&str, &dyn std::fmt::Display)] = &[
            ("class", &"band"),
            ("x", &x),
            ("y", &y),
            ("width", &width),
            ("height", &height),
        ];
        html.void("rect", band);
        for edge in [place.from, place.to] {
            line(html, "band-edge", edge, top, bottom);
        }
    }
    // On top of all bands: whoever led, when another began to.
    for leading in evidence.leaders.iter().skip(1) {
        line(html, "leader-change", frame.x(leading.at), ROW * 2.0, bottom);
    }
}

pub(super) fn draw(html: &mut Html, frame: &Frame, evidence: &Evidence, bottom: f64) {
    phases(html, frame, evidence, bottom);
    leaders(html, frame, evidence);
    for (place, fault) in places(frame, evidence).iter().zip(&evidence.faults) {
        let top = lane_top(place.lane);
        let class = if fault.bites > 0 { "fault" } else { "fault idle" };
        html.element("g", &[], |html| {
            let told = format!(
                "{}: {} to {} s. {}",
                place.label,
                moment(fault.began),
                moment(fault.ended),
                fault.trouble.as_deref().unwrap_or(&fault.felt)
            );
            html.leaf("title", &[], told);
            rect(html, class, (place.from, place.to), (top + 1.0, ROW - 4.0));
            label(html, "on", place.label_from, top + 12.5, &place.label);
        });
    }
}

fn lane_top(lane: usize) -> f64 {
    ROW * (2.0 + lane as f64)
}

fn phases(html: &mut Html, frame: &Frame, evidence: &Evidence, bottom: f64) {
    let plan = &evidence.plan;
    let (calm, storm) = (frame.x_ms(plan.calm_ms.0), frame.x_ms(plan.storm_ms.0));
    if calm >= storm {
        return;
    }
    for at in [calm, storm] {
        line(html, "phase", at, 4.0, bottom);
    }
    // The first grows from the left and the last from the right, so that what is too narrow for its name leans into the
    // storm, whose own name stands in its middle.
    let (before, during, after) = ("before", "storm", "after");
    label(html, "phase-name", frame.x0() + 2.0, 13.0, before);
    label(
        html,
        "phase-name",
        (calm + storm - text_width(during)) / 2.0,
        13.0,
        during,
    );
    label(html, "phase-name", frame.x1() - text_width(after), 13.0, after);
}

/// Who led, as soon as any node said so, until the next one did.
fn leaders(html: &mut Html, frame: &Frame, evidence: &Evidence) {
    let (top, ends) = (ROW, evidence.leaders.iter().skip(1).map(|next| frame.x(next.at)));
    let ends = ends.chain([frame.x1()]);
    for (place, (leading, to)) in evidence.leaders.iter().zip(ends).enumerate() {
        let (from, node, term) = (frame.x(leading.at), leading.node, leading.term);
        let class = if place % 2 == 0 { "leads" } else { "leads other" };
        html.element("g", &[], |html| {
            let at = moment(leading.at);
            html.leaf(
                "title",
                &[],
                format_args!("{at} s: node {node} leads, term {term}"),
            );
            rect(html, class, (from, to.max(from)), (top + 1.0, ROW - 4.0));
            if place > 0 {
                diamond(html, from, top + ROW / 2.0 - 1.0);
            }
            // The longest that fits, or nothing; the list below the drawing has them all.
            let room = to - from - 4.0 * GAP;
            let texts = [
                format!("node {node} leads, term {term}"),
                format!("node {node} leads"),
                format!("{node}"),
            ];
            if let Some(text) = texts.iter().find(|text| text_width(text) <= room) {
                label(html, "on", from + 2.0 * GAP, top + 12.5, text);
            }
        });
    }
}

pub(super) fn diamond(html: &mut Html, x: f64, y: f64) {
    let path = format!("M{} {}l5 5l-5 5l-5 -5z", Px(x), Px(y - 5.0));
    html.void("path", &[("class", &"diamond"), ("d", &path)]);
}

pub(super) fn line(html: &mut Html, class: &str, x: f64, from: f64, to: f64) {
    html.void(
        "line",
        &[
            ("class", &class),
            ("x1", &Px(x)),
            ("x2", &Px(x)),
            ("y1", &Px(from)),
            ("y2", &Px(to)),
        ],
    );
}

fn rect(html: &mut Html, class: &str, (from, to): (f64, f64), (top, height): (f64, f64)) {
    html.void(
        "rect",
        &[
            ("class", &class),
            ("x", &Px(from)),
            ("y", &Px(top)),
            ("width", &Px(to - from)),
            ("height", &Px(height)),
            ("rx", &2),
        ],
    );
}

pub(super) fn label(html: &mut Html, class: &str, x: f64, y: f64, text: &str) {
    html.leaf("text", &[("class", &class), ("x", &Px(x)), ("y", &Px(y))], text);
}

#[cfg(test)]
mod tests {
    use ostraka_sim_model::ids::SimMicros;

    use super::*;
    use crate::storm::testing;

    #[test]
    fn however_many_faults_there_are_none_lies_on_another() {
        let mut evidence = testing::sample();
        let fault = evidence.faults[0].clone();
        evidence.faults = (0..60_u64)
            .map(|number| {
                let mut fault = fault.clone();
                fault.nemesis = ["kill", "disk-error-on-write", "flap"][number as usize % 3].to_owned();
                fault.began = SimMicros(number * 1_100_000);
                fault.ended = SimMicros(number * 1_100_000 + number % 7 * 2_000_000);
                fault
            })
            .collect();
        for frame in [Frame::wide(&evidence), Frame::narrow(&evidence)] {
            let places = places(&frame, &evidence);
            assert_eq!(places.len(), 60);
            for (index, place) in places.iter().enumerate() {
                assert!(
                    places[..index].iter().all(|other| !place.collides(other)),
                    "{place:?}"
                );
                assert!(place.label_from >= frame.x0(), "{place:?}");
                assert!(place.to <= frame.x1() + 1e-9, "{place:?}");
            }
            assert!(places.iter().any(|place| place.lane > 0));
        }
    }

    #[test]
    fn two_on_one_place_would_be_found() {
        let evidence = testing::sample();
        let frame = Frame::wide(&evidence);
        let place = Place::of(&frame, 1, &evidence.faults[0]);
        assert!(place.collides(&place.clone()));
        let lower = Place {
            lane: 1,
            ..place.clone()
        };
        assert!(!place.collides(&lower));
    }
}
