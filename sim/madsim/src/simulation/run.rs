//! Builds the simulated world of a plan, lives through it, and does so twice, the second time against the first.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use madsim::runtime::{Handle, Runtime};
use madsim::time::{Instant, sleep};
use ostraka_sim_model::errand::Errand;
use ostraka_sim_model::history::History;
use ostraka_sim_model::ids::{ClientIndex, NodeIndex};
use ostraka_sim_model::plan::Plan;
use siphasher::sip::SipHasher13;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use super::chance::{Purpose, seed_of};
use super::disks::{Disks, Terms};
use super::known::{Known, SharedKnown};
use super::machine::Machine;
use super::nemesis::Nemesis;
use super::plants::Plant;
use super::stage::Stage;
use super::wire::Wires;
use super::{clients, errands, settle};

/// Between two looks of the nemesis at the time.
const TICK: Duration = Duration::from_millis(2);

/// What a plan led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) history: History,
    /// Of the history, and of every message that any host sent: two runs that differ in anything differ in it.
    pub(crate) trace_digest: u64,
    /// How long the run lasted in simulated milliseconds, the forming of the cluster included.
    pub(crate) sim_ms: u64,
    pub(crate) messages: u64,
}

/// What of a plan can be run here, and a sentence for each thing that cannot and is left out.
pub(crate) fn playable(plan: &Plan) -> (Plan, Vec<String>) {
    let mut left_out = Vec::new();
    if !plan.viewers.is_empty() {
        left_out.push(format!(
            "{} viewers are left out: streams are made by the service's HTTP, which does not run here",
            plan.viewers.len()
        ));
    }
    let playable = Plan {
        viewers: Vec::new(),
        ..plan.clone()
    };
    (playable, left_out)
}

/// What every pass runs.
static TASK: OnceLock<(Plan, Option<Plant>)> = OnceLock::new();
/// Digests of the passes so far.
static DIGESTS: Mutex<Vec<u64>> = Mutex::new(Vec::new());
/// Passes begun.
static PASSES: AtomicU64 = AtomicU64::new(0);

/// The pass under way, counted from 1.
pub(crate) fn pass() -> u64 {
    PASSES.load(Ordering::Relaxed)
}

/// Runs a plan, once in this process.
///
/// # Panics
/// If a node breaks, or no cluster can be formed.
pub(crate) fn once(plan: Plan, plant: Option<Plant>) -> Run {
    let seed = seed_of(plan.seed, Purpose::Scheduling);
    TASK.set((plan, plant)).expect("a process runs one plan");
    // On a thread of its own, as the check does it: `HashMap`s draw their keys once a thread.
    std::thread::spawn(move || {
        Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(world())
    })
    .join()
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs a plan under madsim's determinism check: once to log every draw of chance and its moment, and once more, to
/// panic at the first that differs. Once a process, because madsim's check takes no argument but the seed.
///
/// # Errors
/// If the two passes differ in what they led to, though in no draw.
///
/// # Panics
/// If they differ in a draw; if a node breaks, or no cluster can be formed.
pub(crate) fn check(plan: Plan, plant: Option<Plant>) -> Result<Run, String> {
    let seed = seed_of(plan.seed, Purpose::Scheduling);
    TASK.set((plan, plant)).expect("a process runs one plan");
    let run = Runtime::check_determinism(seed, madsim::Config::default(), world);
    let digests = DIGESTS.lock().map_err(|_| "a pass has panicked")?;
    match digests[..] {
        [first, second] if first == second => Ok(run),
        _ => Err(format!("two passes of one plan gave two runs: {digests:016x?}")),
    }
}

async fn world() -> Run {
    PASSES.fetch_add(1, Ordering::Relaxed);
    let (plan, plant) = TASK.get().expect("set before any pass");
    let run = live(plan, *plant).await;
    DIGESTS
        .lock()
        .expect("no pass panics with it")
        .push(run.trace_digest);
    run
}

async fn live(plan: &Plan, plant: Option<Plant>) -> Run {
    let stage = Stage::new(plan, plant);
    let carriers = Handle::current().create_node().name("network").build();
    let wires = Wires::new(stage.clone(), carriers);
    let terms: Terms = Arc::new(parking_lot::Mutex::new(vec![0; stage.nodes()]));
    let machines: Vec<Arc<Machine>> = (0..plan.knobs.nodes)
        .map(|place| {
            let node = NodeIndex(place);
            let disks = Disks::new(&stage, node, terms.clone());
            Machine::new(stage.clone(), wires.clone(), node, disks)
        })
        .collect();
    let known = Known::new(stage.clone(), wires, machines.clone());
    let (errands, errands_taken) = unbounded_channel();
    let mut nemesis = Nemesis::new(stage.clone(), machines, terms, errands);
    nemesis.processes.supervise(0);
    settle::form(&known).await;
    stage.begin();
    let formed = Instant::now();
    tokio::spawn(run_errands(known.clone(), errands_taken));
    let asking = (0..plan.knobs.clients)
        .map(|client| tokio::spawn(clients::live(known.clone(), ClientIndex(client), formed)))
        .collect();
    let (over, storm_over) = oneshot::channel();
    let settling = settle::settle(&known, asking, formed, storm_over);
    tokio::select! {
        biased;
        () = settling => {}
        () = misfortune(&known, nemesis, over) => {}
    }
    look_for_snapshots(&known);
    let history = stage.take_history();
    let (messages, traffic) = stage.traced();
    let mut hasher = SipHasher13::new();
    hasher.write_u64(traffic);
    hasher.write(&serde_json::to_vec(&history).expect("a history is made of what JSON can write"));
    Run {
        trace_digest: hasher.finish(),
        history,
        sim_ms: stage.elapsed_micros() / 1_000,
        messages,
    }
}

/// Never ends. Says when the storm has.
async fn misfortune(known: &Known, mut nemesis: Nemesis, over: oneshot::Sender<()>) {
    let storm_ms = known.stage.plan.knobs.storm_ms.0;
    let mut over = Some(over);
    loop {
        let now_ms = known.stage.now_ms();
        if now_ms < storm_ms {
            nemesis.act(now_ms);
        } else {
            if let Some(over) = over.take() {
                nemesis.calm(now_ms);
                // Whoever waits for it does so to the end of the run.
                let _ = over.send(());
            }
            nemesis.processes.supervise(now_ms);
        }
        look_for_snapshots(known);
        sleep(TICK).await;
    }
}

fn look_for_snapshots(known: &Known) {
    for machine in &known.machines {
        machine.disks.look_for_snapshot(&known.stage, machine.node);
    }
}

async fn run_errands(known: SharedKnown, mut taken: UnboundedReceiver<Errand>) {
    while let Some(errand) = taken.recv().await {
        tokio::spawn(errands::run(errand, known.clone()));
    }
}
