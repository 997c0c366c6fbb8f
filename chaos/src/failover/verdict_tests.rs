use super::super::figures::tests::{ms, round};
use super::*;
use crate::books::Finding;

const MINUTE: Duration = Duration::from_secs(60);

fn of(rounds: Vec<RoundFigures>, expects: Expects) -> (Verdict, String, Figures) {
    let mut figures = Figures::default();
    let asked = Asked {
        expects,
        rounds: u32::try_from(rounds.len()).unwrap(),
        window: MINUTE,
        what: "kill",
    };
    rounds.into_iter().for_each(|round| figures.round(round));
    let (verdict, sentence) = decide(&mut figures, asked);
    (verdict, sentence, figures)
}

fn slow(millis: u64) -> Spread {
    // Two of a hundred are so slow: the p99, and not the p95.
    let mut took = vec![ms(10); 98];
    took.extend([ms(millis); 2]);
    Spread::of(took, 0)
}

#[test]
fn rounds_that_hold_pass_and_say_what_they_were() {
    let (verdict, sentence, figures) = of(vec![round(700), round(900)], Expects::Failover);
    assert_eq!(verdict, Verdict::Held, "{sentence}");
    assert!(
        sentence.contains("900 ms in the median, 900 at worst"),
        "{sentence}"
    );
    assert_eq!(figures.rounds_that_held["writes resume"], 2);
    assert_eq!(of(vec![round(700)], Expects::Undisturbed).0, Verdict::Held);
}

#[test]
fn each_objective_that_does_not_hold_is_named_with_its_figure() {
    let broken = |change: fn(&mut RoundFigures), expects, words: &str| {
        let mut worse = round(700);
        change(&mut worse);
        let (verdict, sentence, _) = of(vec![round(700), worse, round(700)], expects);
        assert_eq!(verdict, Verdict::Broken, "{words}");
        assert!(sentence.contains(words), "{sentence} does not say {words}");
    };
    let (failover, undisturbed) = (Expects::Failover, Expects::Undisturbed);
    broken(
        |round| round.resume_ms = 2_001,
        failover,
        "first in round 2: after 2001 ms",
    );
    broken(
        |round| round.window.to_screen = slow(1_200),
        failover,
        "vote to screen p99: not in 1 of 3 rounds",
    );
    broken(
        |round| {
            round.answers.insert(500, 3);
        },
        failover,
        "no error besides 503",
    );
    broken(
        |round| round.window.ack = slow(60),
        undisturbed,
        "ack p99: not in 1 of 3 rounds, first in round 2: 60.0 ms",
    );
    let never = |round: &mut RoundFigures| round.window.to_screen = Spread::of(vec![Duration::ZERO; 90], 10);
    broken(never, undisturbed, "10 of 100 never happened");
    broken(
        |round| round.window.votes.acked = 998,
        undisturbed,
        "availability",
    );
}

#[test]
fn the_median_has_a_limit_of_its_own() {
    let (verdict, sentence, _) = of(vec![round(1_100), round(1_200), round(500)], Expects::Failover);
    assert_eq!(verdict, Verdict::Broken);
    assert!(sentence.contains("1100 ms in the median"), "{sentence}");
}

/// A load that began its votes late makes a silence of its own.
#[test]
fn rounds_that_tested_nothing_have_no_part_in_the_median() {
    let mut late = round(9_000);
    (late.load.late, late.load.latest_ms) = (500, 8_500);
    let (verdict, sentence, figures) = of(vec![round(700), late, round(800)], Expects::Failover);
    assert_eq!(verdict, Verdict::Inconclusive, "{sentence}");
    assert!(
        sentence.contains("round 2: the load was late itself"),
        "{sentence}"
    );
    assert_eq!(
        (figures.resume_ms_median, figures.resume_ms_worst),
        (Some(800), Some(800))
    );
}

#[test]
fn what_tested_nothing_or_cannot_be_told_is_inconclusive() {
    let doubtful = |change: fn(&mut RoundFigures), expects, words: &str| {
        let mut worse = round(700);
        change(&mut worse);
        let (verdict, sentence, _) = of(vec![worse], expects);
        assert_eq!(verdict, Verdict::Inconclusive, "{sentence}");
        assert!(sentence.contains(words), "{sentence} does not say {words}");
    };
    let (failover, undisturbed) = (Expects::Failover, Expects::Undisturbed);
    doubtful(|round| round.bites = 0, failover, "did not bite");
    doubtful(
        |round| round.another_leader_ms = None,
        failover,
        "no other leader",
    );
    doubtful(|round| round.window.votes.acked = 0, failover, "no vote");
    let unsent = |round: &mut RoundFigures| {
        round.load.unsent = 5;
        round.window.to_screen = slow(5_000);
    };
    doubtful(unsent, failover, "5 of 1000 votes were not sent");
    doubtful(
        |round| round.steady.to_screen = slow(1_500),
        failover,
        "before the fault already",
    );
    doubtful(
        |round| round.steady.ack = slow(60),
        undisturbed,
        "before the fault already",
    );
    doubtful(
        |round| round.window.load_late = slow(30),
        undisturbed,
        "late itself",
    );
    let (verdict, sentence, _) = of(Vec::new(), failover);
    assert_eq!(verdict, Verdict::Held, "nothing was asked for: {sentence}");
}

#[test]
fn what_is_seen_without_latencies_is_judged_whatever_the_load_did() {
    let mut worse = round(5_000);
    worse.load.unsent = 5;
    assert_eq!(of(vec![worse], Expects::Failover).0, Verdict::Broken);
    let mut figures = Figures::default();
    figures.findings.add(Finding::Lost, "voter 1");
    let asked = Asked {
        expects: Expects::Failover,
        rounds: 9,
        window: MINUTE,
        what: "kill",
    };
    let (verdict, sentence) = decide(&mut figures, asked);
    assert_eq!((verdict, sentence.as_str()), (Verdict::Broken, "kill: 1 lost"));
}

/// A fault that bit and writes that stood still: whatever else could not be told, nobody took over.
#[test]
fn a_service_that_does_not_fail_over_is_broken() {
    let broken = |change: fn(&mut RoundFigures), words: &str| {
        let mut worse = round(5_000);
        worse.another_leader_ms = None;
        change(&mut worse);
        let (verdict, sentence, figures) = of(vec![worse], Expects::Failover);
        assert_eq!(verdict, Verdict::Broken, "{sentence}");
        assert!(sentence.contains(words), "{sentence} does not say {words}");
        assert_eq!(figures.rounds_that_held["writes resume"], 0);
    };
    broken(|_| {}, "after 5000 ms, not 2000");
    broken(|round| round.window.votes.acked = 0, "after 5000 ms");
    // A load that was late by less than the silence was not what was silent.
    broken(
        |round| (round.load.late, round.load.latest_ms) = (500, 300),
        "after 5000 ms",
    );
    let mut idle = round(5_000);
    idle.bites = 0;
    assert_eq!(of(vec![idle], Expects::Failover).0, Verdict::Inconclusive);
    let mut unsent = round(5_000);
    unsent.window = Stretch::default();
    assert_eq!(of(vec![unsent], Expects::Failover).0, Verdict::Inconclusive);
}

#[test]
fn a_late_load_excuses_no_error_and_nobody_acknowledging_is_no_availability() {
    let mut late = round(700);
    (late.load.late, late.load.latest_ms) = (500, 800);
    let held = of(vec![late.clone()], Expects::Failover);
    assert_eq!(held.0, Verdict::Inconclusive, "{}", held.1);
    assert_eq!(held.2.rounds_that_held["no error besides 503"], 0);
    late.answers.insert(500, 3);
    let (verdict, sentence, _) = of(vec![late], Expects::Failover);
    assert_eq!(verdict, Verdict::Broken);
    assert!(sentence.contains("no error besides 503"), "{sentence}");
    let mut silent = round(700);
    silent.window.votes.acked = 0;
    let (verdict, sentence, _) = of(vec![silent], Expects::Undisturbed);
    assert_eq!(verdict, Verdict::Broken);
    assert!(sentence.contains("availability"), "{sentence}");
}

#[test]
fn fewer_rounds_than_asked_for_are_inconclusive() {
    let mut figures = Figures::default();
    figures.round(round(700));
    let asked = Asked {
        expects: Expects::Failover,
        rounds: 2,
        window: MINUTE,
        what: "kill",
    };
    let (verdict, sentence) = decide(&mut figures, asked);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(sentence.contains("only 1 of 2"), "{sentence}");
}

#[test]
fn what_is_stated_for_a_minute_cannot_be_broken_in_less() {
    let judged = |window| {
        let mut worse = round(700);
        worse.window.to_screen = slow(1_900);
        let mut figures = Figures::default();
        figures.round(worse);
        let asked = Asked {
            expects: Expects::Failover,
            rounds: 1,
            window,
            what: "isolate",
        };
        decide(&mut figures, asked)
    };
    assert_eq!(judged(MINUTE).0, Verdict::Broken);
    let (verdict, sentence) = judged(Duration::from_secs(12));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(sentence.contains("1900.0 ms, not 1000, over 12 s"), "{sentence}");
}
