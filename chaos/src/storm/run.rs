//! One storm from its plan to its evidence.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ostraka_sim_model::checkers::{Checker, Class};
use ostraka_sim_model::history::{Happening, History, Life, Record};
use ostraka_sim_model::ids::{NodeIndex, SimMicros, SimMs};
use ostraka_sim_model::names::OWNER;
use ostraka_sim_model::verdict::{Judgement, judge_keeping};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::crowd::{self, Kept};
use super::evidence::{Evidence, Strays};
use super::progress::Progress;
use super::spans::{FaultSpan, Leading};
use super::stage::{SharedStage, Stage};
use super::watch::{Sample, Watchers};
use super::{StormPlan, audience, faults, journal, measures, settle, told, workload};
use crate::books::{Exported, read};
use crate::campaign::client_runtime;
use crate::limits::{
    END_TO_END_MS_P99_MAX, FINDINGS_KEPT_MAX, LOAD_LATE_PER_MILLE_MAX, STEADY_AGAIN_MS,
    STEADY_DONE_PER_MILLE_MIN, STEADY_EDGE_MS,
};
use crate::litter::Bag;
use crate::nemesis::StreamOf;
use crate::reckon::keep_folders;
use crate::rig::{Rig, RigOptions};
use crate::{Trouble, Verdict};

/// A plan, and the program to try it on.
pub struct Storm {
    pub plan: StormPlan,
    pub binary: PathBuf,
    /// Another build, for plans that upgrade.
    pub upgrade_to: Option<PathBuf>,
    /// The machine is too noisy to hold the cluster to its objectives.
    pub noisy: bool,
}

/// What a storm left.
pub struct Ran {
    pub evidence: Evidence,
    pub history: History,
    /// Of the crowd, as the checkers had it.
    pub crowd: ostraka_sim_model::plan::Plan,
}

struct Seen {
    /// What the service did not do when the storm was over.
    owed: Vec<String>,
    records: Vec<Record>,
    samples: Vec<Sample>,
    spans: Vec<FaultSpan>,
    kept: Kept,
    healed: Duration,
}

/// Snapshots of a storm that is about them, in entries.
const SNAPSHOT_EVERY: &str = "50";
/// The log is kept whole, so that it can be read to its beginning.
const KEEP_ALL: &str = "1000000000";

impl Storm {
    fn options(&self) -> RigOptions {
        let needs = self.plan.needs();
        let mut options = RigOptions::new(self.plan.nodes, self.plan.fs, self.binary.clone())
            .with_flags(&["--log-keep-entries", KEEP_ALL]);
        options.upgrade_to.clone_from(&self.upgrade_to);
        if needs.clocks {
            options = options.with_clocks();
        }
        if needs.snapshots {
            options = options.with_flags(&["--snapshot-every-entries", SNAPSHOT_EVERY]);
        }
        options
    }
}

/// Builds a cluster in `bag`, lets the storm loose on it, stops it, and judges. `say` gets a line now and then.
///
/// # Errors
/// Where the rig, or what is to be judged, cannot be had here.
pub fn run(storm: &Storm, bag: Bag, say: &dyn Fn(&str)) -> Result<Ran, Trouble> {
    storm.plan.check()?;
    storm.plan.check_possible(storm.upgrade_to.as_deref())?;
    say(&format!(
        "{} nodes on {}: building, then {} s of {} requests/s and {} viewers",
        storm.plan.nodes,
        storm.plan.fs,
        storm.plan.storm_ms.plus(storm.plan.after_ms).0 / 1_000,
        storm.plan.requests_per_s,
        storm.plan.viewers
    ));
    let rig = Rig::new(storm.options(), bag)?;
    let runtime = client_runtime(2)?;
    let stage = Stage::begin(workload::of(&storm.plan), &rig)?;
    let mut seen = weather(storm, &rig, &runtime, &stage, say).map_err(|trouble| rig.blamed_for(trouble))?;
    say("stopping the nodes and reading their logs");
    let logs = logs(&rig, &mut seen.owed).map_err(|trouble| rig.blamed_for(trouble))?;
    let leaders = measures::leaders(&seen.samples);
    seen.owed
        .extend(rig.owed(|departure| led(&leaders, departure.node(), stage.time_of(departure.at))));
    let led = leaders.iter().map(|leading| Record {
        at: leading.at,
        what: Happening::Node {
            node: leading.node,
            life: Life::Leads { term: leading.term },
        },
    });
    let records = seen.records.iter().cloned().chain(led).collect();
    let history = journal::history(records, &seen.samples, &logs, stage.formed_at);
    say("judging");
    let judgement = judge_keeping(&stage.plan, &history, FINDINGS_KEPT_MAX);
    let evidence = evidence(storm, &stage, seen, judgement);
    if evidence.verdict == Verdict::Broken {
        // What was found stays found where its folders cannot be kept.
        say(&match keep_folders(&rig, 0) {
            Ok(kept) => format!("folders kept in {}", kept.display()),
            Err(trouble) => format!("the folders are not kept: {trouble}"),
        });
    }
    Ok(Ran {
        evidence,
        history,
        crowd: stage.plan.clone(),
    })
}

/// Everything from the crowd's first request until it has gone home.
fn weather(
    storm: &Storm,
    rig: &Rig,
    runtime: &Runtime,
    stage: &SharedStage,
    say: &dyn Fn(&str),
) -> Result<Seen, Trouble> {
    let plan = &stage.plan;
    stage.record(Happening::Formed {
        true_time: stage.formed_at,
    });
    for node in rig.indexes() {
        for life in [Life::Started, Life::Ready] {
            stage.record(Happening::Node { node, life });
        }
    }
    let watchers = Watchers::begin(stage, rig);
    let (fresh, stormy): (Vec<_>, Vec<_>) = plan
        .operations
        .iter()
        .cloned()
        .partition(|operation| operation.at_ms >= plan.knobs.storm_ms);
    let viewers: Vec<_> = plan
        .viewers
        .iter()
        .map(|viewer| runtime.spawn(audience::live(Arc::clone(stage), viewer.clone())))
        .collect();
    let now = || stage.now();
    let mut progress = Progress::new(&now, say);
    let asking = runtime.spawn(crowd::live(
        Arc::clone(stage),
        progress.so_far(),
        stormy,
        SimMs(0),
        stage.moment(SimMs(0)),
    ));
    let stream = stream_of(runtime, stage)?;
    let spans = faults::run(&storm.plan, stage, rig, &stream, &mut progress);
    let mut kept = progress
        .wait(runtime, asking)
        .map_err(|error| Trouble::failed(error.to_string()))?;
    let passed = stage.now();
    let mut owed = Vec::new();
    is_owed(rig.all_up(), &mut owed)?;
    let over = stage.now().max(plan.knobs.storm_ms.micros());
    stage.record(Happening::StormOver);
    say(match owed.last() {
        None => "the storm is over; all nodes are up",
        Some(sentence) => sentence,
    });
    let (whole, so_far) = (Arc::clone(stage), progress.so_far());
    let after = crowd::live(whole, so_far, fresh, plan.knobs.storm_ms, Instant::now());
    kept = kept.plus(progress.wait(runtime, after));
    runtime.block_on(settle::settle(stage, rig));
    viewers.iter().for_each(tokio::task::JoinHandle::abort);
    let samples = watchers.end();
    Ok(Seen {
        owed,
        records: stage.take_records(),
        samples,
        spans,
        kept,
        healed: Duration::from_micros(over.0.saturating_sub(passed.0)),
    })
}

/// The stream that faults may watch: that of the first event, once it is there.
fn stream_of(runtime: &Runtime, stage: &SharedStage) -> Result<StreamOf, Trouble> {
    let calm = stage
        .plan
        .operations
        .iter()
        .map(|operation| operation.at_ms)
        .max();
    let until = stage.moment(calm.unwrap_or(SimMs(0)));
    let event = runtime.block_on(async {
        loop {
            match stage.known.event(ostraka_sim_model::ids::EventSlot(0)) {
                Some(event) => return Some(event),
                None if Instant::now() > until => return None,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    let event = event.ok_or_else(|| Trouble::failed("a fresh cluster does not create an event"))?;
    Ok(StreamOf {
        event,
        token: stage.token(OWNER),
    })
}

/// Stops every node and reads its log, which `ostraka verify` must find in order. A log that cannot be read is owed, and the others
/// are judged without it.
fn logs(rig: &Rig, owed: &mut Vec<String>) -> Result<Vec<(NodeIndex, Exported)>, Trouble> {
    for node in rig.indexes() {
        rig.stop(node)?;
    }
    let mut logs = Vec::new();
    for node in rig.indexes() {
        is_owed(rig.verify(node), owed)?;
        if let Some(text) = is_owed(rig.export(node), owed)? {
            let log = read(&text).map_err(|trouble| Trouble::service(trouble.to_string()));
            logs.extend(is_owed(log, owed)?.map(|log| (node, log)));
        }
    }
    Ok(logs)
}

/// What the service did, or nothing, and then a sentence more on what it owes.
///
/// # Errors
/// Trouble that is none of the service's.
fn is_owed<T>(done: Result<T, Trouble>, owed: &mut Vec<String>) -> Result<Option<T>, Trouble> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(Trouble::Service(sentence)) => {
            owed.push(sentence);
            Ok(None)
        }
        Err(trouble) => Err(trouble),
    }
}

/// Whether this node was the last that anybody had named as the leader.
fn led(leaders: &[Leading], node: NodeIndex, at: SimMicros) -> bool {
    let last = leaders.iter().rev().find(|leading| leading.at <= at);
    last.is_some_and(|leading| leading.node == node)
}

fn evidence(storm: &Storm, stage: &SharedStage, seen: Seen, judgement: Judgement) -> Evidence {
    let plan = &stage.plan;
    let storm_over = seen
        .records
        .iter()
        .find(|record| record.what == Happening::StormOver);
    let over = storm_over.map_or(plan.knobs.storm_ms.micros(), |record| record.at);
    let delay = SimMs(over.0.saturating_sub(plan.knobs.storm_ms.micros().0) / 1_000);
    let outcomes = measures::outcomes(plan, &seen.records, delay);
    let sights = measures::sights(plan, &seen.records, delay);
    let leaders = measures::leaders(&seen.samples);
    let mut spans = seen.spans;
    for span in &mut spans {
        measures::cost(span, &outcomes, &seen.samples, &leaders);
    }
    let (calm, storm_ms) = (storm.plan.calm_ms.micros(), plan.knobs.storm_ms.micros());
    let windows: BTreeMap<String, _> = [
        // What is asked just before the storm may be hit by it.
        (
            "before",
            SimMicros(STEADY_EDGE_MS * 1_000),
            SimMicros(calm.0.saturating_sub(STEADY_EDGE_MS * 1_000)),
        ),
        ("during", calm, storm_ms),
        ("after", over.plus_ms(STEADY_AGAIN_MS), SimMicros(u64::MAX)),
    ]
    .into_iter()
    .map(|(name, from, to)| (name.to_owned(), measures::window(&outcomes, &sights, from, to)))
    .collect();
    let mut evidence = Evidence {
        verdict: Verdict::Held,
        reasons: Vec::new(),
        owed: seen.owed,
        plan: storm.plan.clone(),
        faults: spans,
        kept: seen.kept,
        windows,
        buckets: measures::buckets(&outcomes),
        strays: strays(&judgement),
        judgement,
        healed_ms: u64::try_from(seen.healed.as_millis()).unwrap_or(u64::MAX),
        leaders,
    };
    decide(&mut evidence, storm.noisy);
    evidence
}

/// What the checkers said of single votes, sorted by what is wrong with them.
fn strays(judgement: &Judgement) -> Strays {
    let mut strays = Strays::default();
    for violation in &judgement.violations {
        let sentence = violation.sentence.clone();
        match violation.checker {
            Checker::Durability => strays.lost.push(sentence),
            Checker::Biographies | Checker::Conservation => strays.doubled.push(sentence),
            Checker::ClosingBell => strays.late.push(sentence),
            _ => {}
        }
    }
    strays
}

/// Broken where a checker found something or the cluster is not what it was; inconclusive where nothing was tested.
fn decide(evidence: &mut Evidence, noisy: bool) {
    let Kept { begun, late } = evidence.kept;
    // A machine that is too slow for the crowd may be too slow for the service; what is lost is lost all the same.
    let is_late = late * 1_000 > begun * LOAD_LATE_PER_MILLE_MAX;
    let (mut broken, mut empty) = (evidence.owed.clone(), evidence.judgement.vacuous.clone());
    for (class, sentence) in told::violations(&evidence.judgement) {
        let of = match class {
            Class::Liveness if is_late => &mut empty,
            _ => &mut broken,
        };
        of.push(sentence);
    }
    if evidence.faults.is_empty() {
        empty.push("no fault was planned, so none was tested".to_owned());
    }
    for span in &evidence.faults {
        match &span.trouble {
            Some(trouble) if span.is_service_trouble => broken.push(format!("{}: {trouble}", span.nemesis)),
            Some(trouble) => empty.push(format!("{} could not be had: {trouble}", span.nemesis)),
            None if span.bites == 0 => empty.push(format!("{} never bit", span.nemesis)),
            None => {}
        }
    }
    if let Some(sentence) = unsteady(evidence, "before") {
        empty.push(format!("not steady before the storm: {sentence}"));
    } else if let Some(sentence) = unsteady(evidence, "after") {
        let of = if noisy || is_late { &mut empty } else { &mut broken };
        of.push(format!("not steady after the storm: {sentence}"));
    }
    if is_late {
        empty.push(format!("the harness began {late} of {begun} requests too late"));
    }
    evidence.verdict = match (broken.is_empty(), empty.is_empty()) {
        (false, _) => Verdict::Broken,
        (true, false) => Verdict::Inconclusive,
        (true, true) => Verdict::Held,
    };
    evidence.reasons = broken.into_iter().chain(empty).collect();
}

/// The objectives of a cluster that nothing disturbs (shared with the API's contract): answers, and votes on the screen.
fn unsteady(evidence: &Evidence, window: &str) -> Option<String> {
    let window = evidence.windows.get(window)?;
    if window.requests == 0 {
        return Some("nothing was asked".to_owned());
    }
    if window.done * 1_000 < window.requests * STEADY_DONE_PER_MILLE_MIN {
        return Some(format!(
            "{} of {} requests were done",
            window.done, window.requests
        ));
    }
    if window.seen == 0 {
        return Some("no vote was seen by a viewer".to_owned());
    }
    (window.end_to_end_ms_p99 > END_TO_END_MS_P99_MAX).then(|| {
        format!(
            "p99 from vote to screen was {:.0} ms, more than {END_TO_END_MS_P99_MAX} ms",
            window.end_to_end_ms_p99
        )
    })
}

#[cfg(test)]
mod tests {
    use ostraka_sim_model::checkers::Violation;

    use super::*;
    use crate::storm::testing;

    fn decided(late: u64, class: Class) -> Evidence {
        let mut evidence = testing::empty();
        evidence.kept = Kept { begun: 1_000, late };
        evidence.judgement.violations.push(Violation {
            checker: Checker::Liveness,
            class,
            sentence: "nobody led".to_owned(),
            record: None,
        });
        decide(&mut evidence, false);
        evidence
    }

    #[test]
    fn a_plan_without_a_fault_tests_nothing() {
        let mut evidence = testing::empty();
        decide(&mut evidence, false);
        assert_eq!(evidence.verdict, Verdict::Inconclusive);
        assert!(
            evidence
                .reasons
                .iter()
                .any(|why| why.contains("no fault was planned")),
            "{:?}",
            evidence.reasons
        );
    }

    #[test]
    fn a_node_that_does_not_come_back_breaks_a_promise_however_slow_the_machine() {
        let mut evidence = testing::empty();
        evidence.kept = Kept {
            begun: 1_000,
            late: 900,
        };
        let gone = is_owed::<()>(Err(Trouble::service("node 2 ended")), &mut evidence.owed);
        assert!(matches!(gone, Ok(None)));
        decide(&mut evidence, true);
        assert_eq!(evidence.verdict, Verdict::Broken);
        assert!(
            evidence.reasons[0].contains("node 2 ended"),
            "{:?}",
            evidence.reasons
        );
        let missing = is_owed::<()>(Err(Trouble::missing("no nft")), &mut Vec::new());
        assert!(missing.is_err(), "the harness's own trouble is no finding");
    }

    #[test]
    fn the_services_own_failure_within_a_fault_is_a_finding_and_the_harness_s_is_not() {
        let within = |trouble: Trouble| {
            let mut evidence = testing::empty();
            let mut span = testing::fault(0, "rolling-restart", 1, (6, 9), None);
            span.went_wrong(&trouble, "at its end: ");
            evidence.faults.push(span);
            decide(&mut evidence, false);
            (evidence.verdict, evidence.reasons)
        };
        let (verdict, reasons) = within(Trouble::service("node 2 does not get ready"));
        assert_eq!(verdict, Verdict::Broken);
        assert_eq!(
            reasons[0],
            "rolling-restart: at its end: node 2 does not get ready"
        );
        assert_eq!(within(Trouble::failed("no strace")).0, Verdict::Inconclusive);
    }

    #[test]
    fn who_led_is_who_was_named_last() {
        let leaders = [testing::leading(0, 0, 1), testing::leading(640, 1, 2)];
        let at = |ms: u64| SimMicros(ms * 1_000);
        assert!(led(&leaders, NodeIndex(0), at(600)));
        assert!(!led(&leaders, NodeIndex(0), at(700)));
        assert!(led(&leaders, NodeIndex(1), at(640)));
        assert!(!led(&[], NodeIndex(0), at(1)));
    }

    #[test]
    fn a_machine_too_slow_for_the_crowd_excuses_slowness_and_no_loss() {
        assert_eq!(decided(0, Class::Liveness).verdict, Verdict::Broken);
        assert_eq!(decided(900, Class::Liveness).verdict, Verdict::Inconclusive);
        assert_eq!(decided(900, Class::Safety).verdict, Verdict::Broken);
    }
}
