//! The verdict that the page shows: the evidence's own, unless what the evidence holds is worse.

use crate::Verdict;
use crate::storm::Evidence;

pub(super) struct Outcome {
    verdict: Verdict,
    /// Why it is not a pass.
    pub(super) reasons: Vec<String>,
    is_unexplained: bool,
}

impl Outcome {
    pub(super) fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Held => "PASS",
            Verdict::Broken => "FAIL",
            Verdict::Inconclusive => "INCONCLUSIVE",
        }
    }

    pub(super) fn sign(&self) -> &'static str {
        match self.verdict {
            Verdict::Held => "✓",
            Verdict::Broken => "✗",
            Verdict::Inconclusive => "?",
        }
    }

    pub(super) fn class(&self) -> &'static str {
        match self.verdict {
            Verdict::Held => "good",
            Verdict::Broken => "bad",
            Verdict::Inconclusive => "open",
        }
    }

    pub(super) fn sentence(&self) -> &'static str {
        match self.verdict {
            Verdict::Held => {
                "Every fault did harm, the cluster kept its promises through all of them, and was its old self afterwards."
            }
            Verdict::Broken => "The cluster broke a promise. It is not fit for release as it is.",
            Verdict::Inconclusive => {
                "This run proves nothing, neither for the release nor against it. It has to be repeated."
            }
        }
    }

    pub(super) fn is_pass(&self) -> bool {
        self.verdict == Verdict::Held
    }

    /// Where the evidence gives no reason for what it says itself, this one stands too.
    fn at_least(&mut self, verdict: Verdict, reason: &str) {
        let is_worse = match verdict {
            Verdict::Held => false,
            Verdict::Inconclusive => self.verdict == Verdict::Held,
            Verdict::Broken => self.verdict != Verdict::Broken,
        };
        if is_worse {
            self.verdict = verdict;
        }
        if is_worse || (self.is_unexplained && self.verdict == verdict) {
            self.reasons.push(reason.to_owned());
        }
    }
}

pub(super) fn of(evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome {
        verdict: evidence.verdict,
        reasons: evidence.reasons.clone(),
        is_unexplained: evidence.verdict != Verdict::Held && evidence.reasons.is_empty(),
    };
    let strays = &evidence.strays;
    let has_strays = ![&strays.lost, &strays.doubled, &strays.late]
        .into_iter()
        .all(Vec::is_empty);
    if has_strays || !evidence.judgement.violations.is_empty() {
        outcome.at_least(
            Verdict::Broken,
            "the evidence holds violations, whatever its verdict says",
        );
    }
    for window in ["before", "during", "after"] {
        let requests = evidence.windows.get(window).map_or(0, |window| window.requests);
        if requests == 0 {
            let reason = format!("the evidence holds no request {window} the storm");
            outcome.at_least(Verdict::Inconclusive, &reason);
        }
    }
    if evidence.judgement.compared.values().all(|facts| *facts == 0) {
        outcome.at_least(Verdict::Inconclusive, "no checker compared anything");
    }
    if evidence.faults.iter().all(|fault| fault.bites == 0) {
        outcome.at_least(Verdict::Inconclusive, "no fault did any harm");
    }
    outcome
}
