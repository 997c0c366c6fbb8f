//! One cluster of a campaign: built, voted at, cut again and again, and recounted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loadtest::arrivals::Pace;
use ostraka_client::{Client, ClientError};
use ostraka_core::ids::VoterNumber;
use ostraka_sim_model::ids::NodeIndex;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::plan::{Plan, Round, Stage};
use crate::Trouble;
use crate::books::{Finding, Findings};
use crate::limits::{
    CUT_CLUSTER_VOTES_MAX, CUT_IN_FLIGHT_MAX, CUT_REQUEST_WAIT, CUT_SNAPSHOT_EVERY_ENTRIES,
    CUT_VOTE_PATIENCE, LOAD_CONTESTANTS, LOAD_FIRST_VOTER, POLL_PAUSE, STATUS_ASKED_AT_ONCE,
    STATUS_KNOWN_WAIT,
};
use crate::litter::Bag;
use crate::load::{Load, LoadOptions, Polls, PollsOptions, SharedLedger, Tallied, Told};
use crate::nemesis::{Cut, First};
use crate::reckon::{self, Reckoned};
use crate::rig::{Fs, Rig, RigOptions};

/// What a campaign wants of each of its clusters.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) fs: Fs,
    pub(super) binary: PathBuf,
    pub(super) votes_per_s: f64,
}

/// What one cut came to.
#[derive(Debug)]
pub(super) struct AfterCut {
    pub(super) nodes: Vec<NodeIndex>,
    pub(super) first: First,
    /// From the cut until the disks were mounted again.
    pub(super) dark: Duration,
    /// Blocks that the file systems dropped; 0 where the disks went first and nobody can tell.
    pub(super) blocks_lost: usize,
    /// Of these, those of vote logs.
    pub(super) log_blocks_lost: usize,
    /// From the start of the nodes that were cut until all of them were ready; none where one never was.
    pub(super) serving: Option<Duration>,
    /// Acknowledged votes that one of them was asked for.
    pub(super) asked: usize,
    pub(super) findings: Findings,
}

pub(super) struct Cluster<'a> {
    runtime: &'a Runtime,
    rig: Rig,
    stage: Stage,
    polls: Arc<Polls>,
    load: Load,
    ledger: SharedLedger,
    /// Acknowledgements that were checked after a cut already.
    checked: usize,
}

impl<'a> Cluster<'a> {
    /// Builds it in `bag` and begins to vote. Every other cluster of a stage writes snapshots all the time.
    pub(super) fn begin(
        runtime: &'a Runtime,
        bag: &Bag,
        wanted: &Wanted,
        (number, stage): (u32, Stage),
        plan: &mut Plan,
    ) -> Result<Self, Trouble> {
        let mut options = RigOptions::new(stage.nodes(), wanted.fs, wanted.binary.clone());
        if number % 2 == 1 {
            options = options.with_flags(&["--snapshot-every-entries", CUT_SNAPSHOT_EVERY_ENTRIES]);
        }
        let rig = Rig::new(options, bag.clone())?;
        let options = PollsOptions::of(&rig, LOAD_CONTESTANTS, CUT_REQUEST_WAIT, CUT_VOTE_PATIENCE);
        let polls = Arc::new(runtime.block_on(Polls::open(options))?);
        let load = LoadOptions {
            votes_per_s: wanted.votes_per_s,
            pace: Pace::Poisson,
            seed: plan.load_seed(),
            in_flight_max: CUT_IN_FLIGHT_MAX,
            votes_max: CUT_CLUSTER_VOTES_MAX,
            first_voter: LOAD_FIRST_VOTER,
        };
        let load = Load::begin(runtime.handle(), polls.clone(), load);
        Ok(Self {
            runtime,
            rig,
            stage,
            polls,
            ledger: load.ledger(),
            load,
            checked: 0,
        })
    }

    pub(super) fn acked(&self) -> usize {
        self.ledger.lock().acked()
    }

    fn nodes_of(&self, round: Round) -> Result<Vec<NodeIndex>, Trouble> {
        match self.stage {
            Stage::Alone | Stage::AllOfThree => Ok(self.rig.indexes()),
            Stage::OneOfThree => Ok(vec![self.rig.resolve(round.target)?]),
        }
    }

    /// Cuts, brings the power back, starts what was cut, and asks for every vote that was acknowledged since the last time.
    pub(super) fn cut(&mut self, round: Round) -> Result<AfterCut, Trouble> {
        std::thread::sleep(round.after);
        let nodes = self.nodes_of(round)?;
        let begun = Instant::now();
        let cut = Cut::make(&self.rig, &nodes, round.first)?;
        std::thread::sleep(round.dark);
        let losses = cut.power_back(&self.rig)?;
        let dark = begun.elapsed();
        let mut log_blocks_lost = 0;
        for (index, lost) in &losses {
            log_blocks_lost += lost.blocks_in(&self.rig.data(*index)?.vote_log_file());
        }
        let mut after = AfterCut {
            dark,
            blocks_lost: losses.iter().map(|(_, lost)| lost.blocks).sum(),
            log_blocks_lost,
            first: round.first,
            serving: None,
            asked: 0,
            findings: Findings::default(),
            nodes,
        };
        let launched = Instant::now();
        for index in &after.nodes {
            self.rig.launch(*index)?;
        }
        for index in &after.nodes {
            if let Err(trouble) = self.rig.wait_ready(*index) {
                after.findings.add(Finding::NotReopened, trouble);
            }
        }
        if after.findings.is_empty() {
            after.serving = Some(launched.elapsed());
            self.polls.spread();
            let witness = after.nodes[usize::from(round.witness) % after.nodes.len()];
            after.asked = self.ask_for_fresh(witness, &mut after.findings)?;
        }
        Ok(after)
    }

    fn ask_for_fresh(&mut self, witness: NodeIndex, findings: &mut Findings) -> Result<usize, Trouble> {
        let fresh = self.ledger.lock().acked_since(self.checked);
        let asked = fresh.len();
        self.checked += asked;
        let endpoint = self.rig.place(witness)?.public();
        let client = self.polls.client_at(&endpoint);
        let found = self
            .runtime
            .block_on(ask_for_all(self.polls.clone(), client, fresh));
        for (finding, sentence) in found {
            findings.add(finding, format!("{sentence}, says node {witness}"));
        }
        Ok(asked)
    }

    /// Ends the load and compares everything with everything; the nodes are down afterwards.
    pub(super) fn reckon(self) -> Result<(Reckoned, Rig), Trouble> {
        let reckoned = reckon::reckon(self.runtime, &self.rig, &self.polls, self.load)?;
        Ok((reckoned, self.rig))
    }

    /// Gives up on it: something was found that a recount would not add to.
    pub(super) fn give_up(self) -> (Tallied, Rig) {
        let tallied = self.ledger.lock().tallied();
        (tallied, self.rig)
    }
}

/// Asks one node for these votes, and says what it should not have said.
async fn ask_for_all(
    polls: Arc<Polls>,
    client: Client,
    votes: Vec<(VoterNumber, Told)>,
) -> Vec<(Finding, String)> {
    let deadline = Instant::now() + STATUS_KNOWN_WAIT;
    let permits = Arc::new(Semaphore::new(STATUS_ASKED_AT_ONCE));
    let mut asking = JoinSet::new();
    for (voter, told) in votes {
        let (polls, client, permits) = (polls.clone(), client.clone(), permits.clone());
        asking.spawn(async move {
            let _permit = permits.acquire_owned().await;
            ask_for_one(&polls, &client, (voter, &told), deadline).await
        });
    }
    asking.join_all().await.into_iter().flatten().collect()
}

async fn ask_for_one(
    polls: &Polls,
    client: &Client,
    (voter, told): (VoterNumber, &Told),
    deadline: Instant,
) -> Option<(Finding, String)> {
    let (voter_number, id) = (voter.0, &told.id);
    loop {
        match polls.status(client, voter, id).await {
            Ok(answer) if answer.vote_status == told.status => return None,
            Ok(answer) => {
                let (was, is) = (told.status, answer.vote_status);
                let sentence = format!("vote {id} of voter {voter_number} was told {was:?} and is {is:?}");
                return Some((Finding::ToldOtherwise, sentence));
            }
            Err(ClientError::Problem { problem, .. }) if problem.status == 404 => {
                let sentence =
                    format!("there is no vote {id} of voter {voter_number}, which was acknowledged");
                return Some((Finding::Lost, sentence));
            }
            Err(error) if Instant::now() >= deadline => {
                let sentence = format!("vote {id} of voter {voter_number} is not told ({error})");
                return Some((Finding::Unresolved, sentence));
            }
            Err(_) => tokio::time::sleep(POLL_PAUSE).await,
        }
    }
}
