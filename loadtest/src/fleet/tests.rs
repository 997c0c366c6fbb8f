//! Fleets that are known, and planted faults.

use super::*;
use crate::evidence::Verdict;

pub(super) fn plan() -> Plan {
    Plan {
        requests_per_s: 20_000.0,
        users: 1e6,
        watchers: 50_000.0,
        shape: "0.2,0.3;0.6,1;0.3,0.4".parse().unwrap(),
        seed: 1,
        instance: "c7g.4xlarge".to_owned(),
        log_nodes: 3,
        requests_a_connection: 4.0,
        tally_ms: 50.0,
        watchers_a_node: 10_000.0,
        relays: false,
        lose: Lose::Zone,
        limits: Limits {
            ack_p99_ms_max: 50.0,
            end_to_end_p95_ms_max: 100.0,
            end_to_end_p99_ms_max: 200.0,
            share_max: 0.6,
        },
        show_hours: 3.0,
        busy_minutes: 20.0,
        shows_a_month: 4.0,
    }
}

fn inputs(sets: &[&str]) -> (Times, Prices) {
    let sets: Vec<Set> = sets.iter().map(|text| text.parse().unwrap()).collect();
    let times = Times::load(None).unwrap().with(&sets).unwrap();
    (times, Prices::load(None).unwrap())
}

/// Round numbers: 50 us a vote, ten for a push.
const ROUND: [&str; 3] = ["front_vote_us=40", "connection_us=40", "push_us=10"];

fn figures(plan: Plan, sets: &[&str], given: Option<Fleet>) -> FleetFigures {
    let (times, prices) = inputs(sets);
    run(plan, times, prices, given).unwrap()
}

fn share(state: &State, what: &str) -> f64 {
    let share = state.shares.iter().find(|share| share.what.contains(what));
    share.unwrap().share
}

#[test]
fn a_fleet_has_as_few_nodes_as_carry_it_when_a_zone_is_lost() {
    let plan = Plan {
        requests_per_s: 500_000.0,
        watchers: 100_000.0,
        ..plan()
    };
    let (times, prices) = inputs(&ROUND);
    let instance = &prices.instances["c7g.4xlarge"];
    let fleet = plan.sized(&times, instance).unwrap();
    // 25 cores by 9.6 a node are 2.6 nodes, so three of five... six, of which four are left.
    assert_eq!(fleet.front, 6);
    // Ten nodes' places have to be left, and two million tallies a second take 20 cores by 9.6: places decide.
    assert_eq!(fleet.feeders, 15);
    for lose in [Lose::Nothing, Lose::Node, Lose::Zone] {
        let plan = Plan { lose, ..plan.clone() };
        let fleet = plan.sized(&times, instance).unwrap();
        let left = fleet.left(lose);
        assert!(left.feeders >= 10, "{lose:?}: {fleet:?}");
        let fewer = Fleet {
            feeders: fleet.feeders - 3,
            ..fleet
        };
        assert!(fewer.left(lose).feeders < 10, "{lose:?}: {fewer:?} would do");
    }
    assert_eq!(Lose::Zone.left_of(7), 4);
    assert_eq!(Lose::Node.left_of(7), 6);
}

#[test]
fn a_fleet_that_is_sized_holds_and_one_with_fewer_nodes_does_not() {
    let sized = figures(plan(), &ROUND, None);
    let (verdict, sentence) = sized.verdict();
    assert_eq!(verdict, Verdict::Pass, "{sentence}");
    assert!(sentence.contains("nobody has measured"), "{sentence}");
    assert!(sized.headroom.holds_times >= 1.0);
    let fewer = Fleet {
        feeders: sized.fleet.feeders - 3,
        ..sized.fleet
    };
    let (verdict, sentence) = figures(plan(), &ROUND, Some(fewer)).verdict();
    assert_eq!(verdict, Verdict::Fail);
    assert!(sentence.contains("places for watchers"), "{sentence}");
}

#[test]
fn shares_are_what_is_used_by_what_there_is() {
    let fleet = Fleet {
        log: 3,
        front: 3,
        feeders: 9,
    };
    let found = figures(plan(), &ROUND, Some(fleet));
    let close = |found: f64, known: f64| (found / known - 1.0).abs() < 1e-9;
    // 50 us a vote on 48 cores, and on 32.
    assert!(close(
        share(&found.healthy, "take votes"),
        20_000.0 * 50e-6 / 48.0
    ));
    let lost = found.lost.as_ref().unwrap();
    assert!(close(share(lost, "take votes"), 20_000.0 * 50e-6 / 32.0));
    assert!(close(share(&found.healthy, "places"), 50_000.0 / 9.0 / 10_000.0));
    // Twenty tallies a second to each.
    let pushed = 50_000.0 / 9.0 * 20.0;
    assert!(close(
        share(&found.healthy, "cores of the watchers"),
        pushed * 10e-6 / 16.0
    ));
    // Fourteen others have the log.
    assert_eq!(found.replicas, 14);
    let relayed = figures(
        Plan {
            relays: true,
            ..plan()
        },
        &ROUND,
        Some(fleet),
    );
    assert_eq!(relayed.replicas, 5);
    assert!(share(&relayed.healthy, "leader's network") < share(&found.healthy, "leader's network"));
}

#[test]
fn what_is_slow_breaks_first_and_is_named() {
    for (set, named) in [
        ("replica_send_us=60", "the leader's one loop"),
        ("push_us=80", "cores of the watchers' nodes"),
        ("apply_vote_us=30", "the one core that applies"),
        ("barrier_us_mean=60000", "ack p99"),
    ] {
        let fleet = Fleet {
            log: 3,
            front: 6,
            feeders: 12,
        };
        let found = figures(plan(), &["connection_us=40", set], Some(fleet));
        let said = found.headroom.breaks.join("; ");
        assert!(said.contains(named), "{set}: {said}");
    }
}

#[test]
fn the_loss_of_the_leader_is_told_with_what_waits_and_who_comes_again() {
    let found = figures(
        Plan {
            shape: "0.2,0.3;3,1;0.3,0.4".parse().unwrap(),
            ..plan()
        },
        &["failover_us=800000"],
        None,
    );
    let outage = found.outage.as_ref().unwrap();
    assert_eq!(outage.without_leader_s, 0.8);
    // A third of the watchers.
    assert!(
        (15_000..18_000).contains(&outage.watchers_come_again),
        "{outage:?}"
    );
    assert!(outage.watchers_back_s >= 1.25);
    // Two nodes of three are left, each with half of 20,000 a second for 0.8 s.
    assert!((6_000..9_000).contains(&outage.waiting_votes_max), "{outage:?}");
    assert!(outage.ack_ms.max.is_some_and(|ms| (790.0..1_000.0).contains(&ms)));
    let calm = figures(
        Plan {
            lose: Lose::Nothing,
            ..plan()
        },
        &[],
        None,
    );
    assert!(calm.outage.is_none() && calm.lost.is_none());
}

#[test]
fn evidence_says_that_it_is_extrapolated_and_what_each_input_is_worth() {
    let found = figures(plan(), &["push_us=9"], None);
    let text = found.text();
    for said in [
        "EXTRAPOLATED",
        "measured",
        "assumed",
        "counted",
        "list prices",
        "headroom",
    ] {
        assert!(text.contains(said), "{said} is not in {text}");
    }
    let value = serde_json::to_value(&found).unwrap();
    assert_eq!(value["basis"], "extrapolated");
    assert_eq!(value["inputs"]["inputs"]["apply_vote_us"]["basis"], "measured");
    assert_eq!(value["inputs"]["inputs"]["push_us"]["basis"], "assumed");
    assert!(value["fleet"]["front"].is_u64() && value["cost"]["show"].is_f64());
}

#[test]
fn what_cannot_be_gets_a_sentence() {
    let (times, prices) = inputs(&[]);
    let nameless = Plan {
        instance: "c0.nano".to_owned(),
        ..plan()
    };
    let sentence = run(nameless, times, prices, None).unwrap_err();
    assert!(sentence.contains("c7g.4xlarge"), "{sentence}");
    let (times, prices) = inputs(&[]);
    let crowded = Plan {
        watchers: 1e9,
        ..plan()
    };
    let sentence = run(crowded, times, prices, None).unwrap_err();
    assert!(sentence.contains("nodes for watchers"), "{sentence}");
    let long = Plan {
        requests_per_s: 1e9,
        ..plan()
    };
    assert!(
        long.impossible()
            .is_some_and(|sentence| sentence.contains("too many"))
    );
    let alone = Plan {
        log_nodes: 1,
        ..plan()
    };
    assert!(
        alone
            .impossible()
            .is_some_and(|sentence| sentence.contains("of one member"))
    );
    assert_eq!(plan().impossible(), None);
}

/// The committed number is the size of what the service sends.
#[test]
fn a_tally_has_as_many_bytes_as_is_counted() {
    let entry = |place| format!(r#"{{"contestant_id":"e1-c{place}","total_votes":9999999}}"#);
    let entries: Vec<_> = (0..26).map(entry).collect();
    let data = format!(
        r#"{{"event_id":"e1","status":"open","version":123456,"previous_version":123455,"contestants":[{}],"traces":[],"traces_omitted":0}}"#,
        entries.join(",")
    );
    let payload: ostraka_api::TallyPayload = serde_json::from_str(&data).unwrap();
    let data = serde_json::to_string(&payload).unwrap();
    let mut block = Vec::new();
    ostraka_api::sse::write_event(
        &mut block,
        ostraka_api::sse::EventFrame {
            event: ostraka_api::StreamEvent::Tally,
            id: Some(ostraka_api::ResumeToken(ostraka_api::ids::LogIndex(123_456))),
            data: &data,
        },
    );
    let chunk = format!("{:x}\r\n\r\n", block.len()).len();
    let (times, _) = inputs(&[]);
    assert_eq!(times.get(Input::TallyBytes), (block.len() + chunk) as f64);
}
