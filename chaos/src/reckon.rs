//! The reckoning at the end of a cluster that was voted at: what voters were told, what nodes show, and what their logs hold
//! must be the same. For every campaign with a load.

use std::path::PathBuf;
use std::sync::Arc;

use ostraka_client::ClientError;
use ostraka_core::ids::{EventId, LogIndex};
use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::oracle::Oracle;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::books::{self, Board, Finding, Findings, Truth};
use crate::limits::{SETTLED_WAIT, STATUS_ASKED_AT_ONCE};
use crate::load::{Ballot, Fate, Load, Polls, Sent, SharedLedger, Tallied};
use crate::proc::wait_until;
use crate::rig::{Departure, Rig};
use crate::{Trouble, tools};

/// What the recount came to.
#[derive(Debug, Default)]
pub(crate) struct Reckoned {
    pub(crate) sent: Sent,
    pub(crate) tallied: Tallied,
    /// Votes that took more than one try with their key.
    pub(crate) retried: u64,
    /// Votes of which nobody knew when the load was over, and that were asked for again.
    pub(crate) asked_again: u64,
    pub(crate) counted: u64,
    pub(crate) entries: u64,
    pub(crate) folders_verified: u64,
    pub(crate) findings: Findings,
}

/// Ends the load, sends what nobody knows of once more, stops the nodes, and compares ledger, totals and logs with each other.
///
/// # Errors
/// Where there is nothing to compare with: a node shows no totals, or no log reaches back to its beginning.
pub(crate) fn reckon(
    runtime: &Runtime,
    rig: &Rig,
    polls: &Arc<Polls>,
    load: Load,
) -> Result<Reckoned, Trouble> {
    let mut reckoned = compared(runtime, rig, polls, load).map_err(|trouble| rig.blamed_for(trouble))?;
    for sentence in rig.owed(Departure::led_when_filled) {
        reckoned.findings.add(Finding::NodeStopped, sentence);
    }
    Ok(reckoned)
}

fn compared(runtime: &Runtime, rig: &Rig, polls: &Arc<Polls>, load: Load) -> Result<Reckoned, Trouble> {
    let shared = load.ledger();
    let mut reckoned = Reckoned {
        sent: runtime.block_on(load.end()),
        ..Reckoned::default()
    };
    reckoned.asked_again = runtime.block_on(ask_again(polls.clone(), shared.clone()));
    let ledger = shared.lock();
    reckoned.tallied = ledger.tallied();
    let retried = ledger.ballots().iter().filter(|ballot| ballot.attempts > 1);
    reckoned.retried = retried.count() as u64;
    let Some(tip) = settled(rig) else {
        let sentence = "nobody votes, and the nodes do not come to have applied the same entry";
        reckoned.findings.add(Finding::LogsDiffer, sentence);
        return Ok(reckoned);
    };
    let mut boards = Vec::new();
    for endpoint in rig.public_endpoints() {
        let client = polls.client_at(&endpoint);
        let shown = runtime.block_on(polls.leaderboard(&client));
        boards.push(board(endpoint, shown)?);
    }
    let logs = folders(rig, &mut reckoned)?;
    if reckoned.findings.is_empty() {
        recount(
            &mut reckoned,
            (polls.event(), ledger.ballots()),
            (&logs, tip),
            &boards,
        )?;
    }
    Ok(reckoned)
}

/// The logs against each other, and what they amount to against what voters were told.
fn recount(
    reckoned: &mut Reckoned,
    (event, ballots): (EventId, &[Ballot]),
    (logs, tip): (&[(NodeIndex, books::Exported)], LogIndex),
    boards: &[Board],
) -> Result<(), Trouble> {
    let (log, quarrels) = books::agreed(logs, tip);
    for quarrel in quarrels {
        reckoned.findings.add(Finding::LogsDiffer, quarrel);
    }
    if let Some(purged) = logs
        .iter()
        .map(|(_, log)| log.first_index)
        .min()
        .filter(|first| *first > 1)
    {
        return Err(Trouble::failed(format!(
            "every log begins with entry {purged}, so it cannot be recounted"
        )));
    }
    let oracle = Oracle::of(&log);
    for index in log.missing.iter().chain(&oracle.unreadable) {
        let sentence = format!("entry {} is missing or no batch", index.0);
        reckoned.findings.add(Finding::AuditFailed, sentence);
    }
    let truth = Truth::of(&oracle, event);
    reckoned.counted = truth.counted();
    reckoned.entries = log.entries.len() as u64;
    reckoned
        .findings
        .take_in(books::audit(ballots, &truth, event, boards));
    Ok(())
}

/// Copies the data folders of a rig to where they stay, for whoever looks into what was found.
pub(crate) fn keep_folders(rig: &Rig, number: u32) -> Result<PathBuf, Trouble> {
    let kept = rig.folder().join(format!("kept-{number}"));
    std::fs::create_dir_all(&kept).map_err(Trouble::with_file(&kept))?;
    for index in rig.indexes() {
        rig.kill(index)?;
        let (from, to) = (rig.data(index)?, kept.join(format!("node{index}")));
        tools::run("cp", [std::path::Path::new("-a"), from.path(), &to])?;
    }
    Ok(kept)
}

/// Sends every vote of which nobody knows once more with its key. How many these were.
pub(crate) async fn ask_again(polls: Arc<Polls>, ledger: SharedLedger) -> u64 {
    let unknown = ledger.lock().unknown();
    let permits = Arc::new(Semaphore::new(STATUS_ASKED_AT_ONCE));
    let mut asking = JoinSet::new();
    for slot in &unknown {
        let Some(ballot) = ledger.lock().ballot(*slot).cloned() else {
            continue;
        };
        let (polls, ledger, permits, slot) = (polls.clone(), ledger.clone(), permits.clone(), *slot);
        asking.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let report = polls.submit(ballot.voter, ballot.contestant).await;
            // When it was answered the first time is not known any more.
            let answered = ballot.answered.unwrap_or(ballot.intended);
            let fate = match Fate::of(&report) {
                // What was unknown before stays so, whatever a later try could not do.
                Fate::NotTaken { last_error } => Fate::Unknown { last_error },
                fate => fate,
            };
            ledger.lock().close(slot, answered, report.attempts, fate);
        });
    }
    asking.join_all().await;
    unknown.len() as u64
}

/// The entry that all nodes have applied and that is the last of each. None where they do not come to that in time.
pub(crate) fn settled(rig: &Rig) -> Option<LogIndex> {
    let mut tip = None;
    wait_until(SETTLED_WAIT, || {
        let said: Vec<_> = rig
            .indexes()
            .into_iter()
            .map(|index| {
                let status = rig.status(index).ok()?;
                let vote = status.vote()?;
                (vote.applied_index == vote.last_log_index).then_some(vote.applied_index)
            })
            .collect();
        tip = said[0].filter(|first| said.iter().all(|one| *one == Some(*first)));
        tip.is_some()
    });
    tip.map(LogIndex)
}

pub(crate) fn board(
    endpoint: String,
    shown: Result<ostraka_api::LeaderboardResponse, ClientError>,
) -> Result<Board, Trouble> {
    let shown = shown
        .map_err(|error| Trouble::failed(format!("{endpoint} does not show the leaderboard: {error}")))?;
    let mut contestants = shown.contestants;
    contestants.sort_by_key(|entry| entry.contestant_id.contestant);
    Ok(Board {
        of: endpoint,
        totals: contestants
            .iter()
            .map(|entry| entry.total_votes.unwrap_or_default())
            .collect(),
    })
}

/// Stops all nodes, has each folder audited, and reads each log.
fn folders(rig: &Rig, reckoned: &mut Reckoned) -> Result<Vec<(NodeIndex, books::Exported)>, Trouble> {
    let mut logs = Vec::new();
    for index in rig.indexes() {
        rig.stop(index)?;
    }
    for index in rig.indexes() {
        match rig.verify(index) {
            Ok(_) => reckoned.folders_verified += 1,
            Err(trouble) => reckoned.findings.add(Finding::AuditFailed, trouble),
        }
        match rig.export(index).and_then(|text| books::read(&text)) {
            Ok(log) => {
                for problem in &log.problems {
                    reckoned.findings.add(Finding::AuditFailed, problem);
                }
                logs.push((index, log));
            }
            Err(trouble) => reckoned.findings.add(Finding::AuditFailed, trouble),
        }
    }
    Ok(logs)
}
