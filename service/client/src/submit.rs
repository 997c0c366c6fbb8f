//! Submitting a vote until its outcome is known.

use std::time::Duration;

use ostraka_api::{ErrorClass, IdempotencyKey, SubmitVoteRequest, SubmitVoteResponse};
use tokio::time::{sleep, timeout};

use crate::calls::{CallOptions, Client};
use crate::error::ClientError;
use crate::rests::Rests;

/// What became of a submission, over all its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitReport {
    /// The service's answer, or the last attempt's error.
    pub result: Result<SubmitVoteResponse, ClientError>,
    /// Attempts begun, the last one included.
    pub attempts: u32,
    /// Attempts that may have been carried out although no answer says so.
    pub unknown_attempts: u32,
    /// Attempts that were told 503 and not when to come again, which the contract owes (RFC 9110, 10.2.3).
    pub unhinted_503s: u32,
}

impl SubmitReport {
    /// What the caller knows: `None` if the vote has its outcome, else whether it was certainly not taken. One attempt
    /// whose fate is unknown makes the whole unknown, whatever a later attempt was told.
    pub fn error_class(&self) -> Option<ErrorClass> {
        match &self.result {
            Ok(_) => None,
            Err(_) if self.unknown_attempts > 0 => Some(ErrorClass::Unknown),
            Err(error) => Some(error.class()),
        }
    }
}

/// How far the attempts have come; outlives the loop when time runs out in the middle of it.
#[derive(Default)]
struct Progress {
    attempts: u32,
    unknown_attempts: u32,
    unhinted_503s: u32,
    under_way: bool,
    last_error: Option<ClientError>,
}

impl Client {
    /// Submits a vote, again and again with the same key, at one endpoint after the other, until there is an answer or a
    /// terminal error or `within` is over. The service gives a retry the first outcome, so this counts one vote at most.
    pub async fn submit_vote_until(
        &self,
        vote: &SubmitVoteRequest,
        key: &IdempotencyKey,
        options: CallOptions<'_>,
        within: Duration,
    ) -> SubmitReport {
        let mut progress = Progress::default();
        let finished = timeout(
            within,
            self.attempt_until_known(vote, key, options, &mut progress),
        )
        .await;
        let result = match finished {
            Ok(result) => result,
            Err(_) if progress.under_way => {
                progress.unknown_attempts += 1;
                let endpoint = self.shared.preferred();
                Err(self
                    .shared
                    .transport
                    .unknown(endpoint, "the time for all attempts ran out"))
            }
            Err(_) => Err(progress
                .last_error
                .expect("between attempts there was an error, else it would be over")),
        };
        SubmitReport {
            result,
            attempts: progress.attempts,
            unknown_attempts: progress.unknown_attempts,
            unhinted_503s: progress.unhinted_503s,
        }
    }

    async fn attempt_until_known(
        &self,
        vote: &SubmitVoteRequest,
        key: &IdempotencyKey,
        options: CallOptions<'_>,
        progress: &mut Progress,
    ) -> Result<SubmitVoteResponse, ClientError> {
        let draft = Self::vote_draft(vote, Some(key), options)?;
        let mut rests = Rests::new(self.shared.transport.endpoint_count());
        loop {
            progress.attempts += 1;
            progress.under_way = true;
            let endpoint = self.shared.preferred();
            let result = self.shared.ask(endpoint, &draft).await;
            progress.under_way = false;
            let error = match result {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match error.class() {
                ErrorClass::Terminal => return Err(error),
                ErrorClass::Unknown => progress.unknown_attempts += 1,
                ErrorClass::Retryable => {}
            }
            progress.unhinted_503s += u32::from(error.is_unhinted_503());
            let pause = self.shared.transport.pause(progress.attempts);
            rests.note(endpoint, &error);
            let pause = rests.pause(self.shared.preferred(), pause);
            progress.last_error = Some(error);
            sleep(pause).await;
        }
    }
}
