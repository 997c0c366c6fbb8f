//! Evidence as a storm might leave it, for tests of whatever reads it.

use std::collections::BTreeMap;

use ostraka_sim_model::checkers::{Checker, Class, Violation};
use ostraka_sim_model::ids::{FaultId, NodeIndex, Seed, SimMicros, SimMs};
use ostraka_sim_model::plan::Target;
use ostraka_sim_model::verdict::{Amounts, Judgement, Verdict as Judged};

use super::crowd::Kept;
use super::evidence::{Evidence, Strays};
use super::measures::{Bucket, Window};
use super::spans::{FaultSpan, Leading};
use super::{StormFault, StormPlan, composition};
use crate::Verdict;
use crate::limits::MEASURE_BUCKET_MS;
use crate::rig::Fs;

/// A storm that held: two faults, of which the first cost a leader. All its figures are made up.
pub(crate) fn sample() -> Evidence {
    let faults = vec![
        fault(0, "isolate", 0, (10, 15), Some(640)),
        fault(1, "slow-disk", 2, (30, 36), None),
    ];
    let plan = StormPlan {
        faults: faults.iter().map(planned).collect(),
        ..composition(Seed(7), 3, Fs::Xfs)
    };
    let calm = window(1_500, 0, 0);
    let windows = [
        ("before", calm),
        ("during", window(14_400, 310, 95)),
        ("after", calm),
    ];
    Evidence {
        verdict: Verdict::Held,
        reasons: Vec::new(),
        owed: Vec::new(),
        faults,
        kept: Kept {
            begun: 17_800,
            late: 12,
        },
        windows: windows
            .into_iter()
            .map(|(name, window)| (name.to_owned(), window))
            .collect(),
        buckets: (2..120).map(bucket).collect(),
        strays: Strays::default(),
        judgement: judgement(),
        healed_ms: 420,
        leaders: vec![leading(0, 0, 1), leading(10_640, 1, 2)],
        plan,
    }
}

/// What holds nothing at all.
pub(crate) fn empty() -> Evidence {
    Evidence {
        verdict: Verdict::Inconclusive,
        reasons: Vec::new(),
        owed: Vec::new(),
        plan: StormPlan::new(Seed(0), 0, Fs::Host),
        faults: Vec::new(),
        kept: Kept::default(),
        windows: BTreeMap::new(),
        buckets: Vec::new(),
        strays: Strays::default(),
        judgement: Judgement {
            verdict: Judged::Vacuous,
            violations: Vec::new(),
            found: BTreeMap::new(),
            vacuous: Vec::new(),
            missed: Vec::new(),
            compared: BTreeMap::new(),
            amounts: Amounts::default(),
        },
        healed_ms: 0,
        leaders: Vec::new(),
    }
}

pub(crate) fn leading(at_ms: u64, node: u8, term: u64) -> Leading {
    Leading {
        at: SimMicros(at_ms * 1_000),
        node: NodeIndex(node),
        term,
    }
}

pub(crate) fn fault(
    id: u16,
    nemesis: &str,
    node: u8,
    (from_s, to_s): (u64, u64),
    failed_over_ms: Option<u64>,
) -> FaultSpan {
    FaultSpan {
        fault: FaultId(id),
        nemesis: nemesis.to_owned(),
        node: Some(NodeIndex(node)),
        began: SimMicros(from_s * 1_000_000),
        ended: SimMicros(to_s * 1_000_000),
        bites: 1_234,
        felt: "1234 packets dropped".to_owned(),
        trouble: None,
        is_service_trouble: false,
        detected_ms: Some(35),
        failed_over_ms,
        silence_ms: 2_110,
        recovered_ms: Some(380),
    }
}

fn planned(span: &FaultSpan) -> StormFault {
    StormFault {
        id: span.fault,
        at_ms: SimMs(span.began.0 / 1_000),
        for_ms: SimMs((span.ended.0 - span.began.0) / 1_000),
        nemesis: span.nemesis.clone(),
        target: span.node.map_or(Target::Leader, Target::Node),
    }
}

fn window(requests: u64, shed: u64, unknown: u64) -> Window {
    Window {
        requests,
        done: requests - shed - unknown,
        shed,
        refused: 0,
        unknown,
        ack_ms_p50: 4.2,
        ack_ms_p95: 8.0,
        ack_ms_p99: 12.5,
        seen: requests * 10,
        end_to_end_ms_p50: 31.0,
        end_to_end_ms_p95: 62.0,
        end_to_end_ms_p99: 80.0,
    }
}

/// Around second 10 nothing is acknowledged, then some are shed; around second 30 all is slow.
fn bucket(place: u64) -> Bucket {
    let calm = Bucket {
        at_ms: place * MEASURE_BUCKET_MS,
        done: 145 + place * 7 % 10,
        ack_ms_p50: 4.0 + (place % 3) as f64 * 0.4,
        ack_ms_p99: 11.0 + (place * 5 % 7) as f64,
        ..Bucket::default()
    };
    match place {
        20..22 => Bucket {
            at_ms: calm.at_ms,
            unknown: 95,
            refused: 20,
            shed: 35,
            ..Bucket::default()
        },
        22..26 => Bucket {
            done: 80,
            shed: 70,
            ack_ms_p50: 90.0,
            ack_ms_p99: 1_400.0,
            ..calm
        },
        60..72 => Bucket {
            ack_ms_p50: 61.0,
            ack_ms_p99: 140.0,
            ..calm
        },
        _ => calm,
    }
}

fn judgement() -> Judgement {
    Judgement {
        verdict: Judged::Held,
        violations: Vec::new(),
        found: BTreeMap::new(),
        vacuous: Vec::new(),
        missed: Vec::new(),
        compared: Checker::ALL.into_iter().map(|checker| (checker, 9_000)).collect(),
        amounts: Amounts {
            operations: 17_800,
            answered: 17_800,
            unknown: 95,
            refused: 310,
            entries: 8_100,
            votes_recorded: 12_800,
            votes_counted: 12_345,
        },
    }
}

/// One that did not hold, with more faults and leaders than there is room for, and one fault that never was.
pub(crate) fn crowded() -> Evidence {
    let names = [
        "kill",
        "disk-error-on-write",
        "flap",
        "slow-readers",
        "clock-jump",
        "reset",
    ];
    let mut faults: Vec<FaultSpan> = (0..12_u16)
        .map(|place| {
            let from_s = 8 + u64::from(place) * 4;
            let name = names[usize::from(place) % names.len()];
            fault(
                place,
                name,
                (place % 3) as u8,
                (from_s, from_s + 2 + u64::from(place) % 9),
                Some(900),
            )
        })
        .collect();
    faults[11] = FaultSpan {
        node: None,
        bites: 0,
        felt: String::new(),
        trouble: Some("this machine has no group of processes that can be throttled".to_owned()),
        recovered_ms: None,
        ..fault(11, "cpu-quota", 0, (52, 52), None)
    };
    faults[2].recovered_ms = None;
    let plan = StormPlan {
        faults: faults.iter().map(planned).collect(),
        ..composition(Seed(7), 3, Fs::Xfs)
    };
    let lost = |vote: u16| format!("vote e1-{vote} was acknowledged and is not in the log at the end");
    let sentences: Vec<String> = (0..14).map(lost).collect();
    let mut evidence = Evidence {
        verdict: Verdict::Broken,
        reasons: sentences
            .iter()
            .map(|sentence| format!("durability: {sentence}"))
            .collect(),
        plan,
        faults,
        leaders: (0..30)
            .map(|place| leading(place * place * 60, (place % 3) as u8, place + 1))
            .collect(),
        strays: Strays {
            lost: sentences.clone(),
            ..Strays::default()
        },
        ..sample()
    };
    evidence.judgement.verdict = Judged::SafetyBroken;
    evidence.judgement.violations = sentences
        .into_iter()
        .map(|sentence| Violation {
            checker: Checker::Durability,
            class: Class::Safety,
            sentence,
            record: None,
        })
        .collect();
    if let Some(after) = evidence.windows.get_mut("after") {
        (after.end_to_end_ms_p99, after.seen) = (1_800.0, 58);
    }
    evidence
}
