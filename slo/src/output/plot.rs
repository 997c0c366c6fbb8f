//! A latency's distribution, drawn: how many took how long, where the percentiles lie with their bounds, and where the limit is.

use std::fmt::Write as _;

use super::ms;
use crate::decide::Decided;
use crate::statistics::Sample;

const WIDTH: f64 = 640.0;
const LEFT: f64 = 10.0;
const TOP: f64 = 8.0;
/// Of the bars; percentiles have a row each below them.
const BARS: f64 = 70.0;
const ROW: f64 = 16.0;
const COLUMNS: usize = 80;

/// Places on a logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn of(sample: &Sample, limit_ms: f64) -> Self {
        let ends = |upper: Option<&u64>| upper.map_or(limit_ms, |us| (*us as f64 / 1_000.0).max(0.001));
        let low = ends(sample.buckets_us.keys().next()).min(limit_ms);
        let high = ends(sample.buckets_us.keys().next_back()).max(limit_ms);
        Self {
            low: (low / 1.3).log10(),
            high: (high * 1.3).log10(),
        }
    }

    /// From 0 to 1.
    fn at(&self, ms: f64) -> f64 {
        ((ms.max(0.001).log10() - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn x(&self, ms: f64) -> f64 {
        LEFT + self.at(ms) * (WIDTH - 2.0 * LEFT)
    }
}

/// An SVG; none where there is nothing to draw.
pub(super) fn latency(decided: &Decided) -> Option<String> {
    let (sample, limit_ms) = (decided.sample.as_ref()?, decided.limit_ms?);
    let axis = Axis::of(sample, limit_ms);
    let rows = decided.percentiles.len() as f64;
    let height = TOP + BARS + rows * ROW + 24.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Distribution, logarithmic, limit {} ms\">",
        ms(Some(limit_ms))
    );
    bars(&mut svg, sample, &axis, limit_ms);
    let base = TOP + BARS;
    let _ = write!(
        svg,
        "<path class=\"axis\" d=\"M{LEFT} {base}H{:.1}\"/>",
        WIDTH - LEFT
    );
    for (row, (quantile, band)) in decided.percentiles.iter().enumerate() {
        let y = base + ROW * (row as f64 + 0.8);
        let from = axis.x(band.low_ms.or(band.ms).unwrap_or(limit_ms));
        let to = band.high_ms.map_or(WIDTH - LEFT, |high| axis.x(high));
        let _ = write!(svg, "<path class=\"band\" d=\"M{from:.1} {y:.1}H{to:.1}\"/>");
        if let Some(value) = band.ms {
            let _ = write!(
                svg,
                "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>",
                axis.x(value)
            );
        }
        let is_right = axis.at(band.ms.unwrap_or(limit_ms)) > 0.6;
        let (x, anchor) = if is_right {
            (from - 8.0, "end")
        } else {
            (to.min(WIDTH - 90.0) + 8.0, "start")
        };
        let _ = write!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">p{:.0} {} ms</text>",
            y + 4.0,
            quantile * 100.0,
            ms(band.ms)
        );
    }
    let x = axis.x(limit_ms);
    let anchor = if x > WIDTH / 2.0 { "end" } else { "start" };
    let _ = write!(
        svg,
        "<path class=\"limit\" d=\"M{x:.1} {TOP}V{:.1}\"/><text class=\"limit\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">limit {} ms</text></svg>",
        height - 16.0,
        height - 4.0,
        ms(Some(limit_ms))
    );
    Some(svg)
}

fn bars(svg: &mut String, sample: &Sample, axis: &Axis, limit_ms: f64) {
    let mut columns = [0_u64; COLUMNS];
    for (upper, count) in &sample.buckets_us {
        let place = axis.at(*upper as f64 / 1_000.0) * COLUMNS as f64;
        columns[(place as usize).min(COLUMNS - 1)] += count;
    }
    let most = columns.iter().copied().max().unwrap_or(0).max(1);
    let width = (WIDTH - 2.0 * LEFT) / COLUMNS as f64;
    for (place, count) in columns.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        // By root, so that the few late ones are seen beside the many that are not.
        let height = (count as f64 / most as f64).sqrt() * BARS;
        let x = LEFT + place as f64 * width;
        let class = if x + width / 2.0 > axis.x(limit_ms) {
            "late"
        } else {
            "bar"
        };
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
            TOP + BARS - height,
            width - 1.0
        );
    }
}

/// How much of an error budget is spent.
pub(super) fn budget(left: f64) -> String {
    let spent = (1.0 - left).clamp(0.0, 1.0) * 120.0;
    let class = if left < 0.0 { "late" } else { "bar" };
    format!(
        "<svg class=\"budget\" viewBox=\"0 0 120 8\" role=\"img\" aria-label=\"Error budget, {:.0} % left\"><rect class=\"empty\" width=\"120\" height=\"8\"/><rect class=\"{class}\" width=\"{spent:.1}\" height=\"8\"/></svg>",
        left * 100.0
    )
}
