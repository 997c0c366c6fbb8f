//! What changed since an earlier report, and whether by more than chance. It is told, and decides nothing: an objective is kept or not.

use serde::{Deserialize, Serialize};

use super::Decided;
use crate::statistics::{chance_of_longer, p_of_more_bad};

/// A change is told as one where chance alone would make it once in a hundred comparisons, shared by the three tests of an objective.
const P_MAX: f64 = 0.01 / 3.0;

/// A smaller shift may be real, and nobody needs to know: so much more often than half of the time is one time longer.
const SHIFT_MIN: f64 = 0.05;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tendency {
    Better,
    Worse,
    Same,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub tendency: Tendency,
    pub sentence: String,
}

/// None where one of the two has no figures.
pub(super) fn change(before: &Decided, now: &Decided) -> Option<Change> {
    let (share_before, share_now) = (before.share?, now.share?);
    let mut said = Vec::new();
    let (mut is_worse, mut is_better) = (false, false);
    if let (Some(was), Some(is)) = (&before.sample, &now.sample)
        && let Some((chance, p)) = chance_of_longer(was, is)
    {
        let shift = chance - 0.5;
        is_worse |= p < P_MAX && shift > SHIFT_MIN;
        is_better |= p < P_MAX && -shift > SHIFT_MIN;
        let percentile = |decided: &Decided, quantile: f64| {
            let found = decided.percentiles.iter().find(|(of, _)| *of == quantile);
            let ms = found.and_then(|(_, band)| band.ms);
            ms.map_or("never".to_owned(), |ms| format!("{ms:.1}"))
        };
        said.push(format!(
            "p50 {} → {} ms, p99 {} → {} ms; longer {:.0} % of the time, p {p:.2e}",
            percentile(before, 0.5),
            percentile(now, 0.5),
            percentile(before, 0.99),
            percentile(now, 0.99),
            chance * 100.0
        ));
    }
    let worth = |decided: &Decided| decided.sample.as_ref().map_or(1.0, |sample| sample.worth());
    let bad = |decided: &Decided, share: crate::evidence::Share| {
        let worth = worth(decided);
        let scaled = |count: u64| (count as f64 * worth).round() as u64;
        (
            scaled(share.total - share.good.min(share.total)),
            scaled(share.total),
        )
    };
    let (was, is) = (bad(before, share_before), bad(now, share_now));
    let (more, fewer) = (p_of_more_bad(was, is), p_of_more_bad(is, was));
    is_worse |= more < P_MAX;
    is_better |= fewer < P_MAX;
    let rate = |(bad, total): (u64, u64)| bad as f64 / total.max(1) as f64 * 100.0;
    said.push(format!(
        "bad {:.3} % → {:.3} %, p {:.2e}",
        rate(was),
        rate(is),
        more.min(fewer)
    ));
    Some(Change {
        tendency: match (is_worse, is_better) {
            (true, _) => Tendency::Worse,
            (false, true) => Tendency::Better,
            (false, false) => Tendency::Same,
        },
        sentence: said.join("; "),
    })
}
