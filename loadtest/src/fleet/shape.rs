//! How votes come during a show: calm, a burst when the lines open, and what follows.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::Serialize;

const STEPS_MAX: usize = 50;
const STEP_SECONDS_MAX: f64 = 600.0;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Step {
    pub(crate) seconds: f64,
    /// Of the most votes a second.
    pub(crate) share: f64,
}

/// Steps, each with a rate of its own; at least one has the whole rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Shape {
    steps: Vec<Step>,
}

impl Shape {
    /// The steps' times, and their shares.
    pub(super) fn steps_us(&self) -> impl Iterator<Item = (Range<f64>, f64)> {
        let mut begins = 0.0;
        self.steps.iter().map(move |step| {
            let ends = begins + step.seconds * 1e6;
            let within = begins..ends;
            begins = ends;
            (within, step.share)
        })
    }

    /// The first step that has the whole rate.
    pub(super) fn peak_us(&self) -> Range<f64> {
        let peak = self.steps_us().find(|(_, share)| *share >= 1.0);
        peak.expect("a shape is made with a peak").0
    }

    pub(super) fn length_us(&self) -> f64 {
        self.steps.iter().map(|step| step.seconds * 1e6).sum()
    }

    /// Votes that come, where so many a second are the most.
    pub(super) fn votes(&self, votes_per_s: f64) -> f64 {
        let shares = self.steps.iter().map(|step| step.seconds * step.share);
        shares.sum::<f64>() * votes_per_s
    }

    /// One even stretch at the whole rate.
    pub(super) fn even(seconds: f64) -> Self {
        Self {
            steps: vec![Step { seconds, share: 1.0 }],
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, Step { seconds, share }) in self.steps.iter().enumerate() {
            let between = if nth == 0 { "" } else { ";" };
            write!(formatter, "{between}{seconds},{share}")?;
        }
        Ok(())
    }
}

impl FromStr for Shape {
    type Err = String;

    /// `1,0.2;3,1;1,0.4`: for a second a fifth of the rate, for three all of it, for one two fifths.
    fn from_str(text: &str) -> Result<Self, String> {
        let step = |part: &str| {
            let (seconds, share) = part
                .split_once(',')
                .ok_or_else(|| format!("{part:?} is no SECONDS,SHARE"))?;
            let number = |text: &str, max: f64| {
                let number = text.trim().parse::<f64>().ok();
                number
                    .filter(|number| (0.0..=max).contains(number))
                    .ok_or_else(|| format!("{text:?} is no number from 0 to {max}"))
            };
            Ok(Step {
                seconds: number(seconds, STEP_SECONDS_MAX)?,
                share: number(share, 1.0)?,
            })
        };
        let steps = text.split(';').map(step).collect::<Result<Vec<_>, String>>()?;
        if steps.len() > STEPS_MAX {
            return Err(format!("{} steps are too many: {STEPS_MAX} at most", steps.len()));
        }
        if !steps.iter().any(|step| step.share >= 1.0 && step.seconds > 0.0) {
            return Err("one step has to have the share 1, and to last".to_string());
        }
        let shape = Self {
            steps: steps.into_iter().filter(|step| step.seconds > 0.0).collect(),
        };
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_says_what_it_was_given() {
        let shape: Shape = "1,0.2;3,1;1,0.4".parse().unwrap();
        assert_eq!(shape.to_string(), "1,0.2;3,1;1,0.4");
        assert_eq!(shape.peak_us(), 1e6..4e6);
        assert_eq!(shape.length_us(), 5e6);
        assert!((shape.votes(1_000.0) - 3_600.0).abs() < 1e-6);
        for wrong in [
            "",
            "1",
            "1,0.5",
            "0,1",
            "-1,1",
            "1,2",
            "x,1",
            "1,1;601,1",
            "NaN,1",
        ] {
            assert!(wrong.parse::<Shape>().is_err(), "{wrong}");
        }
        assert!(["1,1"; 51].join(";").parse::<Shape>().is_err());
    }
}
