//! Where time and values lie in a drawing.

use ostraka_sim_model::ids::SimMicros;

use crate::limits::MEASURE_BUCKET_MS;
use crate::storm::Evidence;

/// Width that a letter takes of the drawing's font size, by the widest of the fonts that browsers bring along.
const LETTER_WIDTH: f64 = 0.62;

pub(super) const FONT_SIZE: f64 = 11.0;

/// One drawing. Two are made of each page, for wide and for narrow screens: text that is shrunk cannot be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) class: &'static str,
    pub(super) width: f64,
    left: f64,
    right: f64,
    /// Marks on the axis of time at most.
    pub(super) ticks_max: u32,
    end_ms: f64,
}

impl Frame {
    pub(super) fn wide(evidence: &Evidence) -> Self {
        Self {
            class: "wide",
            width: 1_120.0,
            left: 58.0,
            right: 14.0,
            ticks_max: 16,
            end_ms: end_ms(evidence),
        }
    }

    pub(super) fn narrow(evidence: &Evidence) -> Self {
        Self {
            class: "narrow",
            width: 370.0,
            left: 50.0,
            right: 8.0,
            ticks_max: 7,
            end_ms: end_ms(evidence),
        }
    }

    pub(super) fn x0(&self) -> f64 {
        self.left
    }

    pub(super) fn x1(&self) -> f64 {
        self.width - self.right
    }

    pub(super) fn x_ms(&self, ms: u64) -> f64 {
        let share = (ms as f64 / self.end_ms).min(1.0);
        self.x0() + share * (self.x1() - self.x0())
    }

    pub(super) fn x(&self, at: SimMicros) -> f64 {
        self.x_ms(at.0 / 1_000)
    }

    /// Seconds to be marked.
    pub(super) fn ticks_ms(&self) -> Vec<u64> {
        let step = nice_step(self.end_ms / 1e3, self.ticks_max).max(0.1) * 1e3;
        multiples(step, self.end_ms)
            .into_iter()
            .map(|ms| ms as u64)
            .collect()
    }
}

/// The last moment of which anything is known; a second where nothing is.
fn end_ms(evidence: &Evidence) -> f64 {
    let buckets = evidence
        .buckets
        .iter()
        .map(|bucket| bucket.at_ms.saturating_add(MEASURE_BUCKET_MS));
    let faults = evidence.faults.iter().map(|fault| fault.ended.0 / 1_000);
    let leaders = evidence.leaders.iter().map(|leading| leading.at.0 / 1_000);
    let end = buckets.chain(faults).chain(leaders).max().unwrap_or(0);
    end.max(1_000) as f64
}

/// About how wide a text is.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * FONT_SIZE * LETTER_WIDTH
}

/// 1, 2 or 5 times a power of ten, such that at most `steps_max` of them fill `span`.
pub(super) fn nice_step(span: f64, steps_max: u32) -> f64 {
    let least = (span / f64::from(steps_max.max(1))).max(1e-9);
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least);
    factor.unwrap_or(10.0) * power
}

/// Whole numbers: it is requests that are counted.
fn linear_step(max: f64) -> f64 {
    nice_step(max, 4).max(1.0)
}

/// 0, `step`, twice `step`, up to `end`.
pub(super) fn multiples(step: f64, end: f64) -> Vec<f64> {
    let steps = (end / step + 1e-9).floor() as u32;
    (0..=steps).map(|place| f64::from(place) * step).collect()
}

/// One curve's part of the drawing, with a scale of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    pub(super) top: f64,
    pub(super) height: f64,
    scale: Scale,
}

#[derive(Clone, Copy, Debug)]
enum Scale {
    /// From 0.
    Linear { max: f64 },
    /// From and to powers of ten.
    Log { low: i32, high: i32 },
}

impl Panel {
    pub(super) fn linear(top: f64, height: f64, max: f64) -> Self {
        let step = linear_step(max);
        let max = (max.max(1.0) / step).ceil() * step;
        let scale = Scale::Linear { max };
        Self { top, height, scale }
    }

    /// For values from `least` to `most`, both above 0.
    pub(super) fn log(top: f64, height: f64, least: f64, most: f64) -> Self {
        let low = least.log10().floor() as i32;
        let high = (most.log10().ceil() as i32).max(low + 1);
        let scale = Scale::Log { low, high };
        Self { top, height, scale }
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear { max } => value / max,
            Scale::Log { low, high } => {
                let exponent = value.max(f64::MIN_POSITIVE).log10();
                (exponent - f64::from(low)) / f64::from(high - low)
            }
        };
        self.bottom() - share.clamp(0.0, 1.0) * self.height
    }

    /// Values to be marked.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear { max } => multiples(linear_step(max), max),
            Scale::Log { low, high } => (low..=high).map(|power| 10_f64.powi(power)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storm::testing;

    #[test]
    fn steps_are_round_and_few() {
        assert_eq!(nice_step(60.0, 16), 5.0);
        assert_eq!(nice_step(66.0, 7), 10.0);
        assert_eq!(nice_step(1.0, 10), 0.1);
        assert_eq!(multiples(5.0, 12.0), [0.0, 5.0, 10.0]);
        assert!(nice_step(0.0, 0) > 0.0);
        for span in [1.0, 7.3, 59.9, 600.0, 1e12] {
            assert!(multiples(nice_step(span, 7), span).len() <= 8, "{span}");
        }
    }

    #[test]
    fn values_lie_where_their_scales_say() {
        let linear = Panel::linear(10.0, 100.0, 280.0);
        assert_eq!(linear.ticks(), [0.0, 100.0, 200.0, 300.0]);
        assert_eq!(
            (linear.y(0.0), linear.y(300.0), linear.y(9e9)),
            (110.0, 10.0, 10.0)
        );
        assert_eq!(Panel::linear(0.0, 90.0, 0.0).ticks(), [0.0, 1.0]);
        let log = Panel::log(0.0, 90.0, 2.0, 900.0);
        assert_eq!(log.ticks(), [1.0, 10.0, 100.0, 1_000.0]);
        assert!((log.y(10.0) - 60.0).abs() < 1e-9);
        assert_eq!((log.y(0.0), log.y(1e9)), (90.0, 0.0));
    }

    #[test]
    fn time_ends_where_the_evidence_does_and_nowhere_is_no_time() {
        let evidence = testing::sample();
        let frame = Frame::wide(&evidence);
        assert_eq!(frame.x_ms(0), frame.x0());
        assert_eq!(frame.x_ms(u64::MAX), frame.x1());
        let nothing = Frame::narrow(&testing::empty());
        assert!(nothing.x_ms(500).is_finite());
        assert!(nothing.ticks_ms().len() > 1);
    }
}
