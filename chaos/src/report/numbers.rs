//! Figures as people read them.

use std::fmt;

use ostraka_sim_model::ids::SimMicros;

/// What stands where there is no figure.
pub(super) const NONE: &str = "–";

/// With its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// One of them, or several.
pub(super) fn counted(number: u64, one: &str, several: &str) -> String {
    let word = if number == 1 { one } else { several };
    format!("{} {word}", count(number))
}

/// A duration: milliseconds up to a second, then seconds.
pub(super) fn duration(ms: u64) -> String {
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    format!("{:.1} s", ms as f64 / 1e3)
}

/// A measured latency, rounded up, so that none that misses its objective looks as if it kept it; 0 stands for nothing
/// measured.
pub(super) fn latency(ms: f64) -> String {
    if !ms.is_finite() || ms <= 0.0 {
        return NONE.to_owned();
    }
    match ms {
        ms if ms <= 100.0 => format!("{:.1} ms", (ms * 10.0).ceil() / 10.0),
        ms if ms < 1_000.0 => format!("{:.0} ms", ms.ceil()),
        ms => format!("{:.2} s", (ms / 10.0).ceil() / 100.0),
    }
}

/// A moment, in seconds since the cluster was formed.
pub(super) fn moment(at: SimMicros) -> String {
    format!("{:.1}", at.0 as f64 / 1e6)
}

/// A share in percent, cut and not rounded: 99.996 % is not all. Does not break before its sign.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return NONE.to_owned();
    }
    let hundredths = u128::from(part) * 10_000 / u128::from(whole);
    format!("{}.{:02}\u{a0}%", hundredths / 100, hundredths % 100)
}

/// A coordinate of a drawing.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Px(pub(super) f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable_and_never_better_than_they_are() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(counted(1, "vote", "votes"), "1 vote");
        assert_eq!(percent(99_999, 100_000), "99.99\u{a0}%");
        assert_eq!(percent(0, 0), NONE);
        assert_eq!(latency(0.0), NONE);
        assert_eq!(latency(f64::NAN), NONE);
        assert_eq!(latency(2.71), "2.8 ms");
        assert_eq!(latency(50.01), "50.1 ms");
        assert_eq!(latency(500.2), "501 ms");
        assert_eq!(latency(1_250.0), "1.25 s");
        assert_eq!(latency(1_000.1), "1.01 s");
        assert_eq!(duration(999), "999 ms");
        assert_eq!(duration(61_000), "61.0 s");
        assert_eq!(moment(SimMicros(12_340_000)), "12.3");
    }
}
