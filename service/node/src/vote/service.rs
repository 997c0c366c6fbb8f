//! The vote service: what its routes work with, and its beginning and end.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use ostraka_api::{Consistency, Durability, ErrorCode};
use ostraka_core::limits::{READ_BARRIER_MS_MAX, STORAGE_RETRY_AFTER_S};
use ostraka_core::{Command, LogIndex, Outcome};
use ostraka_replication::runtime::watch;
use ostraka_replication::{Refusal, SharedMachine, SubmitError};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::creation_limits::CreationLimits;
use super::feed;
use super::ingest::{Ingest, IngestError};
use super::machine::VoteMachine;
use super::metrics::VoteMetrics;
use super::schedule;
use super::submission::SubmissionKeys;
use super::vote_id::VoteIds;
use crate::audit::Trail;
use crate::env::{Env, SharedEntropy};
use crate::http::{Authenticator, Problem};
use crate::log::Log;
use crate::secrets::Secrets;

const READ_BARRIER: Duration = Duration::from_millis(READ_BARRIER_MS_MAX);

/// What a vote service is started with.
pub struct VoteParts<'a> {
    pub log: Arc<dyn Log>,
    pub machine: SharedMachine<VoteMachine>,
    pub secrets: &'a Secrets,
    pub authenticator: Authenticator,
    pub env: &'a Env,
    pub audit: Trail,
    /// What an acknowledgement promises, which the log's store decides.
    pub durability: Durability,
    pub registry: &'a mut Registry,
}

/// A running vote service.
pub struct VoteService {
    pub(super) log: Arc<dyn Log>,
    pub(super) machine: SharedMachine<VoteMachine>,
    pub(super) ingest: Ingest,
    pub(super) vote_ids: VoteIds,
    pub(super) submission_keys: SubmissionKeys,
    pub(super) creation_limits: CreationLimits,
    pub(super) entropy: SharedEntropy,
    pub(super) durability: Durability,
    pub(super) metrics: VoteMetrics,
    pub(super) audit: Trail,
    leaving: CancellationToken,
    /// Cancelled, and replaced, when this node is cut off: there is more to see elsewhere.
    moving: Arc<Mutex<CancellationToken>>,
    authenticator: Authenticator,
    tasks: Vec<JoinHandle<()>>,
}

impl FromRef<Arc<VoteService>> for Authenticator {
    fn from_ref(service: &Arc<VoteService>) -> Self {
        service.authenticator.clone()
    }
}

impl VoteService {
    /// Starts the service over a log that has been started with the same machine.
    pub fn start(parts: VoteParts<'_>) -> Arc<Self> {
        let VoteParts {
            log,
            machine,
            secrets,
            authenticator,
            env,
            audit,
            durability,
            registry,
        } = parts;
        let metrics = VoteMetrics::register(registry);
        let ingest = Ingest::start(Arc::clone(&log), metrics.clone());
        let hub = Arc::clone(machine.read().feed());
        let publisher = feed::publish(hub, Arc::clone(&machine), metrics.clone());
        let scheduler = schedule::tick_when_due(
            Arc::clone(&log),
            Arc::clone(&machine),
            ingest.clone(),
            Arc::clone(&env.clock),
        );
        let leaving = CancellationToken::new();
        let moving = Arc::new(Mutex::new(leaving.child_token()));
        let mover = move_when_cut_off(log.cut_off(), leaving.clone(), Arc::clone(&moving));
        Arc::new(Self {
            log,
            machine,
            ingest,
            vote_ids: VoteIds::new(&secrets.vote_id_key),
            submission_keys: SubmissionKeys::new(&secrets.submission_key),
            creation_limits: CreationLimits::new(env),
            entropy: Arc::clone(&env.entropy),
            durability,
            metrics,
            audit,
            leaving,
            moving,
            authenticator,
            tasks: vec![
                tokio::spawn(publisher),
                tokio::spawn(scheduler),
                tokio::spawn(mover),
            ],
        })
    }

    /// Tells all streams to end, now and from now on. Call it before the HTTP server is shut down: streams hold their
    /// connections open.
    pub fn end_streams(&self) {
        self.leaving.cancel();
    }

    /// Whether no stream should be begun here.
    pub(super) fn ends_streams(&self) -> bool {
        self.leaving.is_cancelled() || self.log.is_expelled()
    }

    /// Cancelled when a stream that is begun now should end: the node goes away, or is cut off later than now. A node that
    /// is cut off already shows what it has to whoever insists; perhaps the others are no better off.
    pub(super) fn streams_end(&self) -> CancellationToken {
        self.moving.lock().child_token()
    }

    /// Takes nothing more in, answers what was taken in, and stops. Call it when the HTTP server has been shut down and
    /// before the log is. `false` if something was left without an answer at the end of `patience`.
    pub async fn shutdown(&self, patience: impl Future<Output = ()>) -> bool {
        self.end_streams();
        let flushed = self.ingest.shutdown(patience).await;
        self.tasks.iter().for_each(JoinHandle::abort);
        flushed
    }

    /// Makes this replica at least as new as everything that was acknowledged before the call, where a quorum answers
    /// in time; else says that it may be older.
    pub(super) async fn catch_up(&self) -> Consistency {
        let reached = async {
            let index = self.log.read_index(READ_BARRIER).await.ok()?;
            self.log.wait_applied(index, READ_BARRIER).await.then_some(())
        };
        match tokio::time::timeout(READ_BARRIER, reached).await {
            Ok(Some(())) => Consistency::Linearizable,
            Ok(None) | Err(_) => Consistency::Stale,
        }
    }

    /// Waits a moment for this replica to have applied `index`.
    pub(super) async fn has_applied(&self, index: LogIndex) -> bool {
        self.log.applied_index() >= index || self.log.wait_applied(index, READ_BARRIER).await
    }

    /// Submits a command and waits for its outcome.
    pub(super) async fn submit(&self, command: Command) -> Result<Outcome, Problem> {
        self.ingest.submit(command).await.map_err(problem_of)
    }

    /// Submits a command at once; its outcome is the future.
    pub(super) fn enqueue(
        &self,
        command: Command,
    ) -> Result<impl Future<Output = Result<Outcome, Problem>> + use<>, Problem> {
        let ticket = self.ingest.enqueue(command).map_err(problem_of)?;
        Ok(async { ticket.await.map_err(problem_of) })
    }

    pub(super) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }
}

/// What a client is told of a command without an outcome.
fn problem_of(error: IngestError) -> Problem {
    match error {
        IngestError::Submit(SubmitError::Refused(Refusal::StorageFull)) => Problem::new(
            ErrorCode::StorageFull,
            "The leader's disk is nearly full, so nothing more is recorded until space is freed; reads go on.",
        )
        .retry_after_s(STORAGE_RETRY_AFTER_S),
        IngestError::Overloaded
        | IngestError::Submit(SubmitError::Refused(Refusal::Overloaded | Refusal::TooLarge)) => {
            Problem::new(ErrorCode::Overloaded, "The service has more to do than it can take in; nothing was recorded.")
        }
        IngestError::Stopping | IngestError::Submit(SubmitError::Stopped(_)) => {
            Problem::new(ErrorCode::Draining, "This node is going away; nothing was recorded. Another one will take it.")
        }
        IngestError::TooLarge(error) => Problem::new(ErrorCode::BodyTooLarge, format!("This is too large: {error}.")),
        IngestError::Submit(SubmitError::NoLeader) => {
            Problem::new(ErrorCode::NoLeader, "No quorum could be reached in time; nothing was recorded.")
        }
        IngestError::Submit(SubmitError::Unknown) => Problem::new(
            ErrorCode::OutcomeUnknown,
            "It may have been recorded or not. Send the same request again to find out; it will not count twice.",
        ),
    }
}

/// Ends the streams of a node each time that it is cut off.
async fn move_when_cut_off(
    mut cut_off: watch::Receiver<bool>,
    leaving: CancellationToken,
    moving: Arc<Mutex<CancellationToken>>,
) {
    while cut_off.changed().await.is_ok() {
        if *cut_off.borrow_and_update() {
            tracing::warn!("this node is cut off from the cluster: its streams are sent elsewhere");
            let ended = std::mem::replace(&mut *moving.lock(), leaving.child_token());
            ended.cancel();
        }
    }
}
