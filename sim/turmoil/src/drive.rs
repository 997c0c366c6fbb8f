//! Builds the simulated world of a plan and drives it, a tick at a time, to the plan's end.

use std::cell::Cell;
use std::hash::Hasher;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ostraka_node::env::Entropy;
use ostraka_node::secrets::Secrets;
use ostraka_node::token::Tokens;
use ostraka_sim_model::errand::Errand;
use ostraka_sim_model::history::History;
use ostraka_sim_model::ids::{ClientIndex, NodeIndex};
use ostraka_sim_model::plan::{Knobs, Plan};
use parking_lot::Mutex;
use siphasher::sip::SipHasher13;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep};
use turmoil::{Builder, Sim};

use crate::chance::{Purpose, SeededEntropy, seed_of};
use crate::disks::{Disks, Terms};
use crate::known::{Known, SharedKnown};
use crate::machine::Machine;
use crate::nemesis::Nemesis;
use crate::operator::Operator;
use crate::stage::{Host, SharedStage, Stage};
use crate::{clients, errands, settle, viewers};

/// The machine that all clients and viewers, and the operator, sit at.
pub(crate) const CLIENTS: &str = "clients";

/// turmoil delivers messages at its ticks only; within one, each host's own timers keep their milliseconds. A tick of
/// every host costs about 3 µs whether anything happens or not, half of a run at 1 ms. So the tick is half of the longest
/// latency that the plan draws, within these bounds: each message still takes one of several ticks, and the order in which
/// two of them arrive stays a matter of chance.
const TICK_MS_MIN: u32 = 2;
const TICK_MS_MAX: u32 = 5;

/// Connections that may wait for a node at once; turmoil panics past it, where a kernel would make them wait.
const TCP_CAPACITY: usize = 16 * 1024;

/// A cluster of healthy nodes is formed well before, or something is wrong with the service.
const FORMED_WITHIN_MS: u64 = 60_000;

/// Between two looks for a new snapshot, at least.
const SNAPSHOT_LOOK_MS: u64 = 10;

/// An operator's patience while the cluster is formed.
const FORMING_TIMEOUT: Duration = Duration::from_secs(5);
const FORMING_PAUSE: Duration = Duration::from_millis(10);
/// A node that is ready says so at once.
const READY_TIMEOUT: Duration = Duration::from_millis(100);

/// What a plan led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub history: History,
    /// Of the history, and of every message that any host sent: two runs that differ in anything differ in it.
    pub trace_digest: u64,
    /// How long the run lasted in simulated milliseconds, the forming of the cluster included.
    pub sim_ms: u64,
    pub messages: u64,
}

/// Runs a plan. Once a process: see the crate's documentation.
///
/// # Panics
/// If no cluster can be formed before anything goes wrong, or a client breaks: then there is nothing to judge.
pub fn run(plan: &Plan) -> Run {
    let _still = ostraka_sim_clock::stop();
    let knobs = &plan.knobs;
    let mut sim = Builder::new()
        .rng_seed(seed_of(plan.seed, Purpose::Network))
        .tick_duration(tick(knobs))
        .simulation_duration(Duration::from_secs(24 * 3_600))
        .min_message_latency(Duration::from_millis(u64::from(knobs.link_latency_ms_min)))
        .max_message_latency(Duration::from_millis(u64::from(knobs.link_latency_ms_max)))
        .tcp_capacity(TCP_CAPACITY)
        .build();
    let names = (0..usize::from(knobs.nodes)).map(|node| Stage::host_name(Host(node)));
    let addresses = names
        .chain([CLIENTS.to_owned()])
        .map(|name| sim.lookup(name))
        .collect();
    let stage = Stage::new(plan, addresses);
    let secrets = secrets(plan);
    let terms: Terms = Arc::new(Mutex::new(vec![0; stage.nodes()]));
    let machines: Vec<Arc<Machine>> = (0..knobs.nodes)
        .map(|place| {
            let node = NodeIndex(place);
            let disks = Disks::new(&stage, node, secrets.clone(), terms.clone());
            Machine::new(stage.clone(), node, disks)
        })
        .collect();
    for machine in &machines {
        let machine = machine.clone();
        sim.host(Stage::host_name(machine.host()), move || {
            let machine = machine.clone();
            async move {
                machine.live().await;
                Ok(())
            }
        });
    }
    let known = Known::new(stage.clone(), machines.clone(), Tokens::new(&secrets));
    let (errands, errands_taken) = unbounded_channel();
    let settled = Rc::new(Cell::new(false));
    let done = settled.clone();
    sim.client(CLIENTS, async move {
        clients_machine(known, errands_taken).await;
        done.set(true);
        Ok(())
    });
    let nemesis = Nemesis::new(stage.clone(), machines.clone(), terms, errands);
    Drive {
        sim,
        stage,
        machines,
        nemesis,
        settled,
    }
    .run_out()
}

fn tick(knobs: &Knobs) -> Duration {
    let tick_ms = (knobs.link_latency_ms_max / 2).clamp(TICK_MS_MIN, TICK_MS_MAX);
    Duration::from_millis(u64::from(tick_ms))
}

fn secrets(plan: &Plan) -> Secrets {
    let mut master = [0; 32];
    SeededEntropy::new(plan.seed, Purpose::Secrets).fill(&mut master);
    Secrets::derive(&master, &["simulated".to_owned()])
}

struct Drive<'a> {
    sim: Sim<'a>,
    stage: SharedStage,
    machines: Vec<Arc<Machine>>,
    nemesis: Nemesis,
    settled: Rc<Cell<bool>>,
}

impl Drive<'_> {
    fn run_out(mut self) -> Run {
        let storm_ms = self.stage.plan.knobs.storm_ms.0;
        let mut storm_over = false;
        let mut look_ms = 0;
        while !self.settled.get() {
            self.step();
            let Some(now) = self.stage.now() else {
                let forming_ms = self.stage.elapsed_micros() / 1_000;
                assert!(forming_ms < FORMED_WITHIN_MS, "no cluster was formed");
                continue;
            };
            let now_ms = now.0 / 1_000;
            if now_ms < storm_ms {
                self.nemesis.act(&mut self.sim, now_ms);
            } else {
                if !storm_over {
                    self.nemesis.calm(&mut self.sim, now_ms);
                    storm_over = true;
                }
                self.nemesis.supervise(&mut self.sim, now_ms);
            }
            if now_ms >= look_ms {
                self.look_for_snapshots();
                look_ms = now_ms + SNAPSHOT_LOOK_MS;
            }
        }
        self.look_for_snapshots();
        let history = self.stage.take_history();
        let trace = self.stage.trace.lock();
        let mut hasher = SipHasher13::new();
        hasher.write_u64(trace.digest());
        hasher.write(&postcard::to_stdvec(&history).expect("plain data can be written"));
        Run {
            history,
            trace_digest: hasher.finish(),
            sim_ms: self.stage.elapsed_micros() / 1_000,
            messages: trace.messages,
        }
    }

    fn step(&mut self) {
        let stepped = self.stage.step(|| self.sim.step());
        let elapsed = self.sim.elapsed();
        self.stage
            .set_elapsed(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        if let Err(why) = stepped {
            let now_ms = self.stage.now().map_or(0, |now| now.0 / 1_000);
            assert!(
                self.sim.is_host_running(CLIENTS) || self.settled.get(),
                "the clients broke: {why}"
            );
            self.nemesis
                .bury_the_dead(&mut self.sim, &why.to_string(), now_ms);
        }
    }

    fn look_for_snapshots(&self) {
        for machine in &self.machines {
            machine.disks.look_for_snapshot(&self.stage, machine.node);
        }
    }
}

/// Forms the cluster, lets clients, viewers and errands loose, and settles at the end.
async fn clients_machine(known: SharedKnown, mut errands: UnboundedReceiver<Errand>) {
    form(&known).await;
    known.stage.begin();
    let formed = Instant::now();
    let plan = &known.stage.plan;
    let asking = (0..plan.knobs.clients)
        .map(|client| tokio::spawn(clients::live(known.clone(), ClientIndex(client), formed)))
        .collect();
    for viewer in &plan.viewers {
        tokio::spawn(viewers::live(known.clone(), viewer.clone(), formed));
    }
    let errand_boy = known.clone();
    tokio::spawn(async move {
        while let Some(errand) = errands.recv().await {
            tokio::spawn(errands::run(errand, errand_boy.clone()));
        }
    });
    tokio::spawn(watch_readiness(known.clone()));
    settle::settle(known.clone(), asking, formed).await;
}

/// As an operator would: the first node has made a cluster of itself, the others are added to it.
async fn form(known: &SharedKnown) {
    let operator = Operator::new(&known.stage);
    let first = Host(0);
    while !operator.is_ready(first, FORMING_TIMEOUT).await {
        sleep(FORMING_PAUSE).await;
    }
    for node in 1..known.stage.nodes() {
        while !operator.add(first, Host(node), FORMING_TIMEOUT).await {
            sleep(FORMING_PAUSE).await;
        }
    }
    for node in 0..known.stage.nodes() {
        while !operator.is_ready(Host(node), FORMING_TIMEOUT).await {
            sleep(FORMING_PAUSE).await;
        }
    }
}

/// Writes down when a node that was started is ready for traffic.
async fn watch_readiness(known: SharedKnown) {
    let operator = Operator::new(&known.stage);
    loop {
        for node in 0..known.stage.nodes() {
            let machine = &known.machines[node];
            if let Some(life) = machine.awaited_life()
                && operator.is_ready(Host(node), READY_TIMEOUT).await
            {
                machine.note_ready(life);
            }
        }
        sleep(FORMING_PAUSE).await;
    }
}
