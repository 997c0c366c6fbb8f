//! What a watched run amounts to.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Part, Report, ResidentKib, Watch};
use crate::evidence::{Buckets, Verdict};
use crate::rate::{P99_SAMPLES_MIN, Ranks, buckets};
use crate::session::Ledger;
use crate::statistics::{CpuCores, Limit, latencies};

/// How late a thread of watchers, or of the generator, may be, p99: a tenth of what the 95th percentile end to end may take.
const LATE_MS_P99_MAX: f64 = 10.0;
/// Below so many watchers most of what the memory grows by is the votes', and the limit is not looked at.
const MEMORY_WATCHERS_MIN: usize = 5_000;

/// What is to hold; none is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Limits {
    pub(crate) end_to_end_p95_ms_max: f64,
    pub(crate) end_to_end_p99_ms_max: f64,
    pub(crate) fan_out_p99_ms_max: f64,
    pub(crate) memory_a_watcher_kib_max: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct WatchFigures {
    pub(crate) asked: Watch,
    pub(crate) acked_per_s: f64,
    pub(crate) ack_ms: Ranks,
    /// From a traced vote's intended start to a watcher's having a tally that lists it: a sample for each vote and watcher.
    pub(crate) end_to_end_ms: Ranks,
    pub(crate) end_to_end_buckets_us: Buckets,
    pub(crate) traced: u64,
    /// From the first watcher's having a version to each watcher's having it, or a newer one.
    pub(crate) fan_out_ms: Ranks,
    /// From the first watcher's having a version to the last one's who had it at all.
    pub(crate) spread_ms: Ranks,
    pub(crate) versions: u64,
    pub(crate) versions_had_by_all: u64,
    /// Versions that watchers were not shown, because a newer one was there.
    pub(crate) skipped: u64,
    /// Tallies a watcher within the window.
    pub(crate) tallies_min: u64,
    pub(crate) tallies_max: u64,
    /// The total that each watcher was shown in the end.
    pub(crate) shown_min: Option<u64>,
    pub(crate) shown_max: Option<u64>,
    pub(crate) watched_to_the_end: u64,
    /// Tallies that may have had more traces than they list.
    pub(crate) omitting: u64,
    pub(crate) faults: u64,
    pub(crate) fault_sentences: Vec<String>,
    pub(crate) lost: BTreeMap<String, u64>,
    /// How long what came may have lain unread, at most, and how late the watchers' threads looked at the clock.
    pub(crate) own_lag_ms: Ranks,
    pub(crate) tick_ms: Ranks,
    /// How late the votes' generator noticed that votes were due.
    pub(crate) noticed_ms: Ranks,
    pub(crate) not_acked: u64,
    pub(crate) resident_kib: ResidentKib,
    /// Growth of resident memory a watcher: resting, and when votes had come.
    pub(crate) memory_a_watcher_kib: Option<f64>,
    pub(crate) memory_a_voted_watcher_kib: Option<f64>,
    pub(crate) cpu_cores: CpuCores,
    pub(crate) limit: Limit,
    pub(crate) ledger: Ledger,
}

fn whole(happened: &Histogram<u64>) -> Ranks {
    Ranks::of(happened, happened.len())
}

fn spread(crowd: &Part) -> Histogram<u64> {
    let mut spread = latencies();
    for had in crowd.versions.values() {
        spread.saturating_record(super::shared::micros(had.last.saturating_sub(had.first)));
    }
    spread
}

impl WatchFigures {
    pub(super) fn of(asked: Watch, report: &Report, ledger: Ledger) -> Self {
        let (crowd, open, resident) = (&report.crowd, &report.open, report.resident);
        let watchers = asked.watchers as u64;
        let grown = |until: Option<u64>| {
            let (before, until) = (resident.before?, until?);
            Some((until as f64 - before as f64) / asked.watchers as f64)
        };
        let had_by_all = crowd.versions.values().filter(|had| had.watchers == watchers);
        let seen = crowd.end_to_end_micros.len();
        Self {
            asked,
            acked_per_s: open.acked_per_s(),
            ack_ms: Ranks::of(&open.seen.acked_micros, open.seen.intended),
            end_to_end_ms: Ranks::of(&crowd.end_to_end_micros, (report.traced * watchers).max(seen)),
            end_to_end_buckets_us: buckets(&crowd.end_to_end_micros),
            traced: report.traced,
            fan_out_ms: whole(&crowd.fan_out_micros),
            spread_ms: whole(&spread(crowd)),
            versions: crowd.versions.len() as u64,
            versions_had_by_all: had_by_all.count() as u64,
            skipped: crowd.skipped,
            tallies_min: crowd.tallies.iter().copied().min().unwrap_or(0),
            tallies_max: crowd.tallies.iter().copied().max().unwrap_or(0),
            shown_min: crowd.shown.iter().copied().min(),
            shown_max: crowd.shown.iter().copied().max(),
            watched_to_the_end: crowd.shown.len() as u64,
            omitting: crowd.omitting,
            faults: crowd.faults,
            fault_sentences: crowd.fault_sentences.clone(),
            lost: crowd.lost.clone(),
            own_lag_ms: whole(&crowd.own_lag_micros),
            tick_ms: whole(&crowd.tick_micros),
            noticed_ms: Ranks::of(&open.seen.noticed_micros, open.seen.intended),
            not_acked: open.seen.intended - open.seen.acked_micros.len(),
            resident_kib: resident,
            memory_a_watcher_kib: grown(resident.watched),
            memory_a_voted_watcher_kib: grown(resident.voted),
            cpu_cores: open.cpu,
            limit: open.cpu.limit(asked.flow.threads + asked.watcher_threads),
            ledger,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let kib = |kib: Option<f64>| kib.map_or("not known".to_string(), |kib| format!("{kib:.1} KiB"));
        let total = |total: Option<u64>| total.map_or("nothing".to_string(), |total| total.to_string());
        format!(
            "{:.0} of {:.0} votes/s were acknowledged over {} s, {} of {} watchers there to the end\n\
             end to end, {} votes seen by each watcher: {}; {} of {} never\n\
             fan-out, first watcher to each: {}\n\
             fan-out, first watcher to last: {}\n\
             {} versions, {} of them had by all, {} times skipped; {} to {} tallies a watcher\n\
             acknowledgements: {}\n\
             watchers' own lateness: {}; of their clock: {}\n\
             the generator's: {}\n\
             memory a watcher: {} resting, {} after votes; cores busy: {:.2} this process, {} the service\n\
             {}; shown in the end: {} to {}",
            self.acked_per_s,
            self.asked.flow.votes_per_s,
            self.asked.flow.window_s,
            self.watched_to_the_end,
            self.asked.watchers,
            self.traced,
            self.end_to_end_ms.text(),
            self.end_to_end_ms.never,
            self.end_to_end_ms.samples,
            self.fan_out_ms.text(),
            self.spread_ms.text(),
            self.versions,
            self.versions_had_by_all,
            self.skipped,
            self.tallies_min,
            self.tallies_max,
            self.ack_ms.text(),
            self.own_lag_ms.text(),
            self.tick_ms.text(),
            self.noticed_ms.text(),
            kib(self.memory_a_watcher_kib),
            kib(self.memory_a_voted_watcher_kib),
            self.cpu_cores.generator,
            self.cpu_cores
                .server
                .map_or("?".to_string(), |cores| format!("{cores:.2}")),
            self.ledger,
            total(self.shown_min),
            total(self.shown_max),
        )
    }

    /// A promise that was broken, whoever was late.
    fn broken(&self) -> Option<String> {
        let Ledger { acked, in_doubt, .. } = self.ledger;
        if let Some(sentence) = self.ledger.unbalanced() {
            return Some(sentence);
        }
        if let Some(first) = self.fault_sentences.first() {
            return Some(format!(
                "{} times the stream broke its promise, first: {first}",
                self.faults
            ));
        }
        let (least, most) = (self.shown_min?, self.shown_max?);
        (least < acked || most > acked + in_doubt)
            .then(|| format!("{}, and the stream ended with {least} to {most}", self.ledger))
    }

    /// Why this is no measurement of the service; none if it is.
    fn doubt(&self) -> Option<String> {
        if self.watched_to_the_end < self.asked.watchers as u64 {
            let why = self.lost.iter().next().map_or("", |(why, _)| why.as_str());
            return Some(format!(
                "{} of {} watchers lost their stream: {why}",
                self.asked.watchers as u64 - self.watched_to_the_end,
                self.asked.watchers
            ));
        }
        for (who, ranks) in [
            ("the watchers were late themselves", &self.own_lag_ms),
            ("the watchers' threads were late", &self.tick_ms),
            ("the generator was late itself", &self.noticed_ms),
        ] {
            if ranks.is_over(LATE_MS_P99_MAX) {
                return Some(format!(
                    "{who} ({}), so latencies say more of this process than of the service: give it more threads or a machine \
                     of its own",
                    ranks.text()
                ));
            }
        }
        if self.limit == Limit::Generator {
            return Some(
                "this process was the bottleneck: give it more threads or a machine of its own".to_string(),
            );
        }
        if self.not_acked > 0 {
            return Some(format!(
                "{} votes were not acknowledged, so the load was not the one asked for",
                self.not_acked
            ));
        }
        if self.traced < P99_SAMPLES_MIN {
            return Some(format!(
                "{} traced votes say nothing of a p99: it takes {P99_SAMPLES_MIN}",
                self.traced
            ));
        }
        (self.end_to_end_ms.never > 0 && self.omitting > 0).then(|| {
            format!(
                "{} times a vote was not seen, and {} tallies may have had more traces than they list: ask for fewer --traced-per-s",
                self.end_to_end_ms.never, self.omitting
            )
        })
    }

    /// The verdict, and the sentence that goes with it.
    pub(crate) fn verdict(&self) -> (Verdict, String) {
        if let Some(sentence) = self.broken() {
            return (Verdict::Fail, sentence);
        }
        if let Some(verdict) = self.ledger.verdict() {
            return verdict;
        }
        if let Some(doubt) = self.doubt() {
            return (Verdict::Inconclusive, doubt);
        }
        let limits = self.asked.limits;
        let figures = [
            (
                "end to end p95",
                "ms",
                self.end_to_end_ms.p95,
                limits.end_to_end_p95_ms_max,
            ),
            (
                "end to end p99",
                "ms",
                self.end_to_end_ms.p99,
                limits.end_to_end_p99_ms_max,
            ),
            (
                "fan-out p99",
                "ms",
                self.fan_out_ms.p99,
                limits.fan_out_p99_ms_max,
            ),
        ];
        let memory = (
            "memory a watcher",
            "KiB",
            self.memory_a_voted_watcher_kib,
            limits.memory_a_watcher_kib_max,
        );
        // Of a service that somebody else started the memory is not known, and nothing is said of it.
        let known = memory.2.map(|_| memory);
        let known = known.filter(|_| self.asked.watchers >= MEMORY_WATCHERS_MIN);
        let all = figures.into_iter().chain(known);
        let (held, missed): (Vec<_>, Vec<_>) =
            all.partition(|(_, _, found, max)| found.is_some_and(|found| found <= *max));
        let said = |list: &[(&str, &str, Option<f64>, f64)]| {
            let one = |(what, unit, found, max): &(&str, &str, Option<f64>, f64)| {
                let found = found.map_or("never".to_string(), |found| format!("{found:.2} {unit}"));
                format!("{what} {found}, at most {max}")
            };
            list.iter().map(one).collect::<Vec<_>>().join("; ")
        };
        if missed.is_empty() {
            (
                Verdict::Pass,
                format!("every watcher was shown every vote; {}", said(&held)),
            )
        } else {
            (Verdict::Fail, said(&missed))
        }
    }
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
