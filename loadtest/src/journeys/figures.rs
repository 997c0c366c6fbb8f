//! What a run of journeys amounts to: its evidence, its words and its verdict.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use goose::metrics::{GooseMetrics, GooseRequestMetricAggregate};
use serde::Serialize;

use super::Journeys;
use super::findings::{self, Found};
use super::plan::{Mix, Plan, Role};
use super::prepare::Registration;
use super::world::World;
use crate::evidence::{Loop, Verdict};
use crate::session::{Ledger, SessionError};
use crate::statistics::LatencyMs;

/// The version that `Cargo.toml` pins; a test compares the two.
pub(crate) const GOOSE: &str = "0.19.0";

/// One line of goose's table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Requests {
    pub(crate) name: String,
    pub(crate) count: usize,
    pub(crate) failed: usize,
    pub(crate) statuses: BTreeMap<u16, usize>,
    pub(crate) mean_ms: f64,
    pub(crate) max_ms: f64,
}

impl Requests {
    fn of(name: &str, metric: &GooseRequestMetricAggregate) -> Self {
        let timing = &metric.raw_data;
        Self {
            name: name.to_string(),
            count: timing.counter,
            failed: metric.fail_count,
            statuses: metric.status_code_counts.iter().map(|(k, v)| (*k, *v)).collect(),
            mean_ms: timing.total_time_us as f64 / 1_000.0 / timing.counter.max(1) as f64,
            max_ms: timing.maximum_time_us as f64 / 1_000.0,
        }
    }
}

/// Everything that came of a run.
pub(crate) struct Outcome<'a> {
    pub(crate) world: &'a World,
    pub(crate) journeys: &'a Journeys,
    pub(crate) registration: Registration,
    pub(crate) metrics: &'a GooseMetrics,
    /// What the leaderboard says in the end.
    pub(crate) counted: Result<u64, SessionError>,
    /// The run was ended before its plan was.
    pub(crate) stopped: bool,
}

/// As they go into the evidence.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    #[serde(rename = "loop")]
    pub(crate) the_loop: Loop,
    pub(crate) goose: &'static str,
    pub(crate) report: String,
    pub(crate) plan: Plan,
    pub(crate) plan_s: u64,
    pub(crate) mix: Mix,
    /// Users at once, at most.
    pub(crate) users: usize,
    pub(crate) registration: Registration,
    pub(crate) logins: u64,
    pub(crate) journeys: BTreeMap<Role, findings::Journeys>,
    pub(crate) faults: u64,
    pub(crate) fault_sentences: Vec<String>,
    pub(crate) troubles: BTreeMap<String, u64>,
    pub(crate) acked: u64,
    pub(crate) in_doubt: u64,
    /// None if the service did not show its leaderboard any more.
    pub(crate) ledger: Option<Ledger>,
    pub(crate) books_not_closed: Option<String>,
    /// From sending a vote to its trace on the stream.
    pub(crate) own_vote_seen_ms: LatencyMs,
    pub(crate) own_votes_not_listed: u64,
    pub(crate) requests: Vec<Requests>,
    /// Seconds into the run at which the service was last heard of, if it went away.
    pub(crate) gone_s: Option<f64>,
    pub(crate) stopped: bool,
}

impl Figures {
    pub(crate) fn of(outcome: &Outcome<'_>) -> Self {
        let Outcome {
            world,
            journeys,
            metrics,
            ..
        } = outcome;
        let Found {
            journeys: walked,
            faults,
            fault_sentences,
            troubles,
            logins,
            not_listed,
        } = world.findings.taken();
        let requests = metrics.requests.iter();
        let mut requests: Vec<_> = requests
            .map(|(name, metric)| Requests::of(name, metric))
            .collect();
        requests.sort_by(|one, other| one.name.cmp(&other.name));
        Self {
            the_loop: Loop::Closed,
            goose: GOOSE,
            report: journeys.report.display().to_string(),
            plan: journeys.plan.clone(),
            plan_s: journeys.plan.seconds(),
            mix: journeys.mix,
            users: metrics.maximum_users,
            registration: outcome.registration,
            logins,
            journeys: walked,
            faults,
            fault_sentences,
            troubles,
            acked: world.books.acked(),
            in_doubt: world.books.in_doubt(),
            ledger: outcome
                .counted
                .as_ref()
                .ok()
                .map(|counted| world.books.ledger(*counted)),
            books_not_closed: outcome.counted.as_ref().err().map(ToString::to_string),
            own_vote_seen_ms: LatencyMs::of(&world.findings.own_votes_seen()),
            own_votes_not_listed: not_listed,
            requests,
            gone_s: world.findings.gone_s(),
            stopped: outcome.stopped,
        }
    }

    /// A line for each role, and what the books say.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (role, walked) in &self.journeys {
            let findings::Journeys {
                begun,
                finished,
                broken_off,
            } = walked;
            let cut = begun - finished - broken_off;
            let _ = writeln!(
                text,
                "{:9}  {finished} journeys finished, {broken_off} broken off, {cut} never ended",
                role.name()
            );
        }
        let seen = self.own_vote_seen_ms;
        let _ = writeln!(
            text,
            "{} votes seen on the stream by those who cast them, the slowest after {:.0} ms, and {} perhaps among those whose \
             traces it had no room for; {} of {} voters logged in",
            seen.count,
            seen.max,
            self.own_votes_not_listed,
            self.logins,
            self.journeys.get(&Role::Voter).map_or(0, |walked| walked.begun)
        );
        let counted = self.ledger.and_then(|ledger| ledger.counted);
        let counted = counted.map_or("nobody knows how many".to_string(), |counted| counted.to_string());
        let _ = writeln!(
            text,
            "{} votes acknowledged in the shared event, {counted} counted, {} in doubt",
            self.acked, self.in_doubt
        );
        for sentence in &self.fault_sentences {
            let _ = writeln!(text, "FAULT  {sentence}");
        }
        for (sentence, count) in &self.troubles {
            let _ = writeln!(text, "{count} times  {sentence}");
        }
        text += "closed loop: for realism, not for verdicts; while the service stalls, so do its users, so trust no latency of it";
        text
    }

    pub(crate) fn verdict(&self) -> (Verdict, String) {
        if let Some(first) = self.fault_sentences.first() {
            return (
                Verdict::Fail,
                format!("{} faults; the first: {first}", self.faults),
            );
        }
        if let Some(sentence) = self.ledger.and_then(|ledger| ledger.unbalanced()) {
            return (Verdict::Fail, sentence);
        }
        if self.acked == 0 && self.mix.votes() {
            return (Verdict::NoData, self.with_doubt("no vote was acknowledged"));
        }
        match self.doubts().into_iter().next() {
            Some(doubt) => (Verdict::Inconclusive, doubt),
            None => (
                Verdict::Pass,
                "every acknowledged vote is counted once, and no user saw a promise broken".to_string(),
            ),
        }
    }

    fn with_doubt(&self, sentence: &str) -> String {
        match self.doubts().first() {
            Some(doubt) => format!("{sentence}: {doubt}"),
            None => sentence.to_string(),
        }
    }

    /// What makes this no run of a healthy service from its beginning to its end, the weightiest first.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if let Some(gone_s) = self.gone_s {
            let unchecked = match self.ledger {
                Some(_) => "it is back, and its books balance".to_string(),
                None => format!(
                    "{} acknowledged votes are not compared with its books",
                    self.acked
                ),
            };
            doubts.push(format!(
                "the service stopped answering {gone_s:.1} s after the users began to come; {unchecked}"
            ));
        }
        if let Some(reason) = self.books_not_closed.as_ref().filter(|_| self.gone_s.is_none()) {
            doubts.push(format!("the books could not be closed: {reason}"));
        }
        if self.stopped && self.gone_s.is_none() {
            doubts.push("the run was ended before its plan was".to_string());
        }
        let counted = |(sentence, count): (&String, &u64)| format!("{count} times: {sentence}");
        doubts.extend(self.troubles.iter().map(counted));
        for role in self.mix.roles() {
            let walked = self.journeys.get(&role).copied().unwrap_or_default();
            if walked.finished == 0 {
                doubts.push(format!("no {} came to the end of a journey", role.name()));
            }
            if walked.begun > walked.finished + walked.broken_off {
                doubts.push(format!("journeys of a {} never ended", role.name()));
            }
        }
        doubts
    }
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
