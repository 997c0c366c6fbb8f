//! The objectives, and what they amount to.

use super::catch_up::CatchUp;
use super::figures::Figures;
use crate::Verdict;
use crate::failover::{Spread, Stretch, millis};
use crate::limits::{
    ACK_MS_P99_MAX, END_TO_END_MS_P95_MAX, END_TO_END_MS_P99_MAX, FAILOVER_LOAD_LATE_MS_P99_MAX,
    SCALE_SERVING_MAX, STEADY_DONE_PER_MILLE_MIN,
};

/// A latency objective: its name, whose rank, and the most that it may be, ms.
struct Latency {
    name: &'static str,
    rank: fn(&Stretch) -> Option<f64>,
    samples: fn(&Stretch) -> &Spread,
    ms_max: f64,
}

const LATENCIES: [Latency; 3] = [
    Latency {
        name: "ack p99",
        rank: |stretch| stretch.ack.p99_ms,
        samples: |stretch| &stretch.ack,
        ms_max: ACK_MS_P99_MAX,
    },
    Latency {
        name: "vote to screen p95",
        rank: |stretch| stretch.to_screen.p95_ms,
        samples: |stretch| &stretch.to_screen,
        ms_max: END_TO_END_MS_P95_MAX,
    },
    Latency {
        name: "vote to screen p99",
        rank: |stretch| stretch.to_screen.p99_ms,
        samples: |stretch| &stretch.to_screen,
        ms_max: END_TO_END_MS_P99_MAX,
    },
];

impl Latency {
    /// What it was instead. Where so many never happened that there is no such rank, it is above every limit.
    fn broken(&self, stretch: &Stretch) -> Option<String> {
        let name = self.name;
        match (self.rank)(stretch) {
            Some(ms) if ms <= self.ms_max => None,
            Some(ms) => Some(format!("{name}: {ms:.1} ms, not {}", self.ms_max)),
            None => {
                let spread = (self.samples)(stretch);
                Some(format!(
                    "{name}: none, {} of {} never happened",
                    spread.never, spread.samples
                ))
            }
        }
    }
}

/// Broken objectives, and what this run cannot tell.
#[derive(Default)]
struct Weighed {
    broken: Vec<String>,
    doubts: Vec<String>,
}

/// What the figures amount to, in a sentence. Doubts go into the figures.
pub(super) fn decide(figures: &mut Figures) -> (Verdict, String) {
    let mut weighed = Weighed::default();
    match figures.serving {
        None => weighed.doubts.push("nothing was restarted".to_owned()),
        Some(spans) if spans.worst_ms > millis(SCALE_SERVING_MAX) => weighed.broken.push(format!(
            "serving again after {} ms at the worst of {} restarts, not {}",
            spans.worst_ms,
            figures.restarts.len(),
            millis(SCALE_SERVING_MAX)
        )),
        Some(_) => {}
    }
    match &figures.catch_up {
        None => weighed.doubts.push("no node was added".to_owned()),
        Some(catch_up) => weigh(catch_up, &mut weighed),
    }
    match &figures.books {
        None => weighed.doubts.push("nothing was recounted".to_owned()),
        Some(books) => weighed.broken.extend(books.findings.told()),
    }
    figures.doubts.append(&mut weighed.doubts);
    if !weighed.broken.is_empty() {
        return (Verdict::Broken, weighed.broken.join("; "));
    }
    if let Some(doubt) = figures.doubts.first() {
        return (Verdict::Inconclusive, doubt.clone());
    }
    let sentence = "the node serves again in time, the new one caught up with every objective held, and all votes are there";
    (Verdict::Held, sentence.to_owned())
}

fn weigh(catch_up: &CatchUp, weighed: &mut Weighed) {
    if catch_up.caught_up_ms.is_none() {
        weighed
            .broken
            .push("the new node did not catch up in time".to_owned());
    }
    if let Some(sentence) = catch_up.load.missing() {
        weighed.doubts.push(sentence);
    }
    for (when, stretch) in [
        ("while it caught up", &catch_up.during),
        ("afterwards", &catch_up.after),
    ] {
        let votes = stretch.votes;
        let per_mille = votes.acked as f64 * 1_000.0 / votes.sent.max(1) as f64;
        if per_mille < STEADY_DONE_PER_MILLE_MIN as f64 {
            weighed.broken.push(format!(
                "{per_mille:.2} ‰ of {} votes acknowledged {when}, not {STEADY_DONE_PER_MILLE_MIN}",
                votes.sent
            ));
        }
        if let Some(late) = stretch
            .load_late
            .p99_ms
            .filter(|ms| *ms > FAILOVER_LOAD_LATE_MS_P99_MAX)
        {
            weighed.doubts.push(format!(
                "the load itself was {late:.1} ms late {when} (p99), so latencies say more of it"
            ));
            continue;
        }
        for latency in &LATENCIES {
            let Some(sentence) = latency.broken(stretch) else {
                continue;
            };
            match latency.broken(&catch_up.before) {
                None => weighed.broken.push(format!("{when} {sentence}")),
                Some(already) => weighed.doubts.push(format!(
                    "{when} {sentence}, but without the new node already {already}"
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::books::Books;
    use super::super::restart::tests::restart;
    use super::*;
    use crate::books::{Finding, Findings};
    use crate::failover::Costs;
    use crate::failover::Votes;
    use crate::load::Sent;

    fn spread(ms: u64) -> Spread {
        Spread::of(vec![Duration::from_millis(ms); 1_000], 0)
    }

    fn stretch(ack_ms: u64, screen_ms: u64) -> Stretch {
        Stretch {
            votes: Votes {
                sent: 1_000,
                acked: 1_000,
                ..Votes::default()
            },
            load_late: spread(1),
            ack: spread(ack_ms),
            to_screen: spread(screen_ms),
        }
    }

    fn figures() -> Figures {
        let mut figures = Figures {
            catch_up: Some(CatchUp {
                votes: 10_000_000,
                added_ms: 1,
                caught_up_ms: Some(1),
                received_bytes: 1,
                applied: Vec::new(),
                before: stretch(10, 100),
                during: stretch(50, 500),
                after: stretch(10, 100),
                costs_before: Costs::default(),
                ack_by_second: Vec::new(),
                costs_during: Costs::default(),
                load: Sent::default(),
            }),
            books: Some(Books::default()),
            ..Figures::default()
        };
        figures.restarted(restart(5_000, 5_000, 5_000));
        figures
    }

    fn catch_up(change: impl FnOnce(&mut CatchUp)) -> (Verdict, String) {
        let mut figures = figures();
        change(figures.catch_up.as_mut().unwrap());
        decide(&mut figures)
    }

    fn says((verdict, sentence): (Verdict, String), expected: Verdict, part: &str) {
        assert_eq!(verdict, expected, "{sentence}");
        assert!(sentence.contains(part), "{sentence}");
    }

    #[test]
    fn what_holds_every_objective_passes_to_the_millisecond() {
        says(decide(&mut figures()), Verdict::Held, "all votes are there");
    }

    #[test]
    fn one_slow_start_fails() {
        let mut figures = figures();
        figures.restarted(restart(10, 5_001, 10));
        says(
            decide(&mut figures),
            Verdict::Broken,
            "5001 ms at the worst of 2 restarts",
        );
    }

    #[test]
    fn each_broken_objective_while_it_catches_up_fails() {
        says(
            catch_up(|it| it.during.ack = spread(51)),
            Verdict::Broken,
            "ack p99: 51.0 ms",
        );
        says(
            catch_up(|it| it.after.ack = spread(51)),
            Verdict::Broken,
            "afterwards ack p99",
        );
        says(
            catch_up(|it| it.during.to_screen = spread(501)),
            Verdict::Broken,
            "screen p95: 501.0",
        );
        let slow = Spread::of(
            [
                vec![Duration::from_millis(9); 980],
                vec![Duration::from_millis(1_001); 20],
            ]
            .concat(),
            0,
        );
        says(
            catch_up(|it| it.during.to_screen = slow),
            Verdict::Broken,
            "screen p99: 1001.0",
        );
        says(
            catch_up(|it| it.during.votes.acked = 998),
            Verdict::Broken,
            "998.00 ‰",
        );
        says(
            catch_up(|it| it.caught_up_ms = None),
            Verdict::Broken,
            "did not catch up",
        );
        let lost = Spread::of(vec![Duration::ZERO; 90], 10);
        says(
            catch_up(|it| it.during.ack = lost),
            Verdict::Broken,
            "10 of 100 never happened",
        );
    }

    #[test]
    fn what_was_broken_before_or_not_sent_says_nothing_of_the_new_node() {
        let slow = |it: &mut CatchUp| {
            it.before.ack = spread(60);
            it.during.ack = spread(70);
        };
        says(
            catch_up(slow),
            Verdict::Inconclusive,
            "without the new node already ack p99: 60.0",
        );
        let late = |it: &mut CatchUp| {
            it.during.load_late = spread(11);
            it.during.ack = spread(70);
        };
        says(catch_up(late), Verdict::Inconclusive, "11.0 ms late");
        let unsent = |it: &mut CatchUp| it.load.unsent = 1;
        says(catch_up(unsent), Verdict::Inconclusive, "did not keep up");
    }

    #[test]
    fn a_lost_vote_fails_and_what_was_not_done_is_inconclusive() {
        let mut found = Findings::default();
        found.add(Finding::Lost, "one");
        let mut figures = figures();
        figures.books.as_mut().unwrap().findings = found;
        says(decide(&mut figures), Verdict::Broken, "lost: one");
        says(
            decide(&mut Figures::default()),
            Verdict::Inconclusive,
            "nothing was restarted",
        );
    }
}
