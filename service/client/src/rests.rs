//! Which endpoints asked to be left alone, and until when.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::ClientError;

/// `Retry-After` speaks for the endpoint that said it: a node that is cut off or going away says nothing about the others.
/// So the next endpoint is asked after the caller's own pause, and the one that asked for peace when that is over.
pub(crate) struct Rests {
    /// By endpoint.
    until: Vec<Option<Instant>>,
}

impl Rests {
    pub(crate) fn new(endpoint_count: usize) -> Self {
        Self {
            until: vec![None; endpoint_count],
        }
    }

    /// Keeps what `endpoint` asked for with `error`, if it asked for anything.
    pub(crate) fn note(&mut self, endpoint: usize, error: &ClientError) {
        if let Some(asked) = error.retry_after() {
            let count = self.until.len();
            self.until[endpoint % count] = Some(in_time(asked));
        }
    }

    /// The pause before `endpoint` is asked: `pause`, or longer if it wants to rest for longer.
    pub(crate) fn pause(&self, endpoint: usize, pause: Duration) -> Duration {
        let rest = self.until[endpoint % self.until.len()];
        let left = rest.map(|until| until.saturating_duration_since(in_time(Duration::ZERO)));
        left.unwrap_or_default().max(pause)
    }
}

/// The moment that lies `ahead`. A timer knows its end, so there is no need to ask a clock.
pub(crate) fn in_time(ahead: Duration) -> Instant {
    sleep(ahead).deadline()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostraka_api::{ErrorCode, ProblemBody};

    fn asks_for(retry_after: Option<Duration>) -> ClientError {
        let problem = Box::new(ProblemBody::new(ErrorCode::NoLeader, "d", "t"));
        ClientError::Problem { problem, retry_after }
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_asked_rests_and_only_for_so_long() {
        let (own, asked) = (Duration::from_millis(20), Duration::from_secs(1));
        let mut rests = Rests::new(2);
        rests.note(0, &asks_for(Some(asked)));
        rests.note(1, &asks_for(None));
        assert_eq!(rests.pause(1, own), own);
        assert_eq!(rests.pause(0, own), asked);
        assert_eq!(rests.pause(2, own), asked, "counted on past the last one");
        sleep(Duration::from_millis(600)).await;
        assert_eq!(rests.pause(0, own), Duration::from_millis(400));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(rests.pause(0, own), own);
    }
}
