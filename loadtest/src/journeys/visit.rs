//! One user's calls, by way of goose, so that its report has each of them under a name that says who made it.

use std::time::{Duration, Instant};

use goose::goose::{GooseMethod, GooseRequest, GooseResponse, GooseUser};
use goose::prelude::{TransactionError, TransactionResult};
use ostraka_api::ids::{ContestantId, EventId, TraceId};
use ostraka_api::trace::format_traceparent;
use ostraka_api::{IdempotencyKey, SpanId, SubmitVoteRequest, SubmitVoteResponse, TraceContext, VoteStatus};
use ostraka_client::{CallOptions, ClientError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::books::Told;
use super::findings::Broken;
use super::plan::Role;
use super::world::{Person, World};

/// A second more than the service takes at most for a submission, a change of leader included.
const CALL_TIMEOUT: Duration = Duration::from_secs(6);

/// One request before it is sent.
pub(crate) struct Call<'a> {
    /// What goose's report calls it, behind the method and the role.
    pub(crate) name: &'static str,
    pub(crate) method: GooseMethod,
    pub(crate) path: String,
    pub(crate) token: Option<&'a str>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<serde_json::Value>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(name: &'static str, path: String, token: &'a str) -> Self {
        Self {
            name,
            method: GooseMethod::Get,
            path,
            token: Some(token),
            headers: Vec::new(),
            body: None,
        }
    }

    pub(crate) fn post(name: &'static str, path: impl Into<String>, token: Option<&'a str>) -> Self {
        Self {
            name,
            method: GooseMethod::Post,
            path: path.into(),
            token,
            headers: Vec::new(),
            body: None,
        }
    }

    #[must_use]
    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_value(body).expect("the API's requests are JSON");
        Self {
            body: Some(body),
            ..self
        }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What a vote is sent with, so that it can be sent again, and be found on the stream.
#[derive(Clone, Debug)]
pub(crate) struct Ballot {
    pub(crate) name: &'static str,
    pub(crate) event: EventId,
    pub(crate) contestant: ContestantId,
    pub(crate) key: IdempotencyKey,
    pub(crate) trace: TraceId,
}

impl Ballot {
    /// With a key and a trace of its own.
    pub(crate) fn new(name: &'static str, event: EventId, contestant: ContestantId) -> Self {
        let key = format!("journey-{:032x}", rand::random::<u128>());
        Self {
            name,
            event,
            contestant,
            key: key.parse().expect("letters, digits and a dash"),
            // All zero would be no trace.
            trace: TraceId((rand::random::<u128>() | 1).to_be_bytes()),
        }
    }

    fn trace(&self) -> TraceContext {
        let span = (rand::random::<u64>() | 1).to_be_bytes();
        TraceContext {
            trace_id: self.trace,
            span_id: SpanId::new(span).expect("its last bit is set"),
            // Only sampled traces are listed on the stream.
            sampled: true,
        }
    }

    fn request(&self, person: &Person) -> SubmitVoteRequest {
        SubmitVoteRequest {
            user_id: person.user,
            event_id: self.event,
            contestant_id: self.contestant,
            client_timestamp: None,
            meta: None,
        }
    }
}

/// One user on one journey.
pub(crate) struct Visit<'u> {
    pub(crate) world: &'u World,
    role: Role,
    user: &'u mut GooseUser,
    /// The status of the last answer; none where the last request had none.
    last_status: Option<u16>,
}

impl<'u> Visit<'u> {
    pub(crate) fn new(user: &'u mut GooseUser, world: &'u World, role: Role) -> Self {
        Self {
            world,
            role,
            user,
            last_status: None,
        }
    }

    /// Sends it and gives the answer once its head is there, a success.
    pub(crate) async fn send(&mut self, call: &Call<'_>, timeout: Duration) -> Result<GooseResponse, Broken> {
        let name = format!("{}: {}", self.role.name(), call.name);
        let trouble = |error: Box<TransactionError>| Broken::Trouble(error.to_string());
        let draft = self.user.get_request_builder(&call.method, &call.path);
        let mut draft = draft.map_err(trouble)?.timeout(timeout);
        if let Some(token) = call.token {
            draft = draft.bearer_auth(token);
        }
        for (header, value) in &call.headers {
            draft = draft.header(*header, value);
        }
        if let Some(body) = &call.body {
            draft = draft.json(body);
        }
        let request = GooseRequest::builder()
            .name(name.as_str())
            .set_request_builder(draft)
            .build();
        self.last_status = None;
        let answer = self.user.request(request).await.map_err(trouble)?;
        match &answer.response {
            Ok(response) => {
                self.world.findings.heard();
                let status = response.status().as_u16();
                self.last_status = Some(status);
                if response.status().is_success() {
                    Ok(answer)
                } else {
                    Err(Broken::Trouble(format!("{name} was answered {status}")))
                }
            }
            Err(_) => Err(self.no_answer(call.name)),
        }
    }

    /// The same for every reason, so that they add up; goose's table of errors has the reasons.
    pub(crate) fn no_answer(&self, name: &str) -> Broken {
        if self.world.findings.unheard() {
            goose::trigger_killswitch("nobody has been answered for some seconds");
        }
        Broken::Trouble(format!("{}: {name} was not answered", self.role.name()))
    }

    /// A stream that is open and says nothing: a service that is late, or a machine that is too small.
    pub(crate) fn no_snapshot(&self, name: &str) -> Broken {
        Broken::Trouble(format!(
            "{}: {name} brought no snapshot in time",
            self.role.name()
        ))
    }

    /// A stream that ended although nobody closed the event: a node may send its watchers elsewhere.
    pub(crate) fn cut(&self, name: &str) -> Broken {
        Broken::Trouble(format!("{}: {name} was cut", self.role.name()))
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, call: Call<'_>) -> Result<T, Broken> {
        let answer = self.send(&call, CALL_TIMEOUT).await?;
        let Ok(response) = answer.response else {
            return Err(self.no_answer(call.name));
        };
        let body = response.bytes().await.map_err(|_| self.no_answer(call.name))?;
        serde_json::from_slice(&body).map_err(|error| {
            Broken::Fault(format!(
                "{} was answered something else than the API has: {error}",
                call.name
            ))
        })
    }

    /// Votes once. A refusal or a lost answer is no error here: the books have a place for it.
    pub(crate) async fn vote(&mut self, person: &Person, ballot: &Ballot) -> Voted {
        let call = Call::post(ballot.name, "/v1/vote/submit", Some(&person.token))
            .json(&ballot.request(person))
            .header(IdempotencyKey::HEADER, ballot.key.as_str())
            .header("traceparent", format_traceparent(ballot.trace()));
        let answer = self.ask::<SubmitVoteResponse>(call).await;
        let told = match &answer {
            Ok(answer) => Told::Status(answer.vote_status),
            Err(Broken::Trouble(_)) => without_answer(self.last_status),
            Err(Broken::Fault(_)) => Told::Nothing,
        };
        Voted { told, answer }
    }

    /// Votes with both hands: one ballot by goose, the other at the same moment by the API's own client on a connection of
    /// its own. (A second goose user made of this one would lose what it measured.)
    pub(crate) async fn vote_twice(&mut self, person: &Person, ballots: [&Ballot; 2]) -> [Voted; 2] {
        let (world, [left, right]) = (self.world, ballots);
        let rival = async {
            let started = Instant::now();
            let options = CallOptions::bearer(&person.token).traced(right.trace());
            let answer = world
                .rival
                .submit_vote(&right.request(person), &right.key, options)
                .await;
            (started.elapsed(), answer)
        };
        let (left, (took, answer)) = tokio::join!(self.vote(person, left), rival);
        let name = format!("{}: {}", self.role.name(), right.name);
        let status = answer.as_ref().map_or_else(status_of, |_| Some(200));
        let error = answer.as_ref().err().map(ToString::to_string);
        self.record("POST", &name, took, status, error.as_deref()).await;
        let told = match (&answer, status) {
            (Ok(answer), _) => Told::Status(answer.vote_status),
            (Err(_), status) => without_answer(status),
        };
        let trouble = |_| match status {
            Some(status) => Broken::Trouble(format!("{name} was answered {status}")),
            None => Broken::Trouble(format!("{name} was not answered")),
        };
        let answer = answer.map_err(trouble);
        [left, Voted { told, answer }]
    }

    /// Has goose's report list what goose did not ask itself. It fails only when the run is over and nobody gathers any more.
    async fn record(
        &mut self,
        kind: &str,
        name: &str,
        took: Duration,
        status: Option<u16>,
        error: Option<&str>,
    ) {
        let success = error.is_none();
        let user = &mut self.user;
        let _ = user
            .record_custom_request_duration(kind, name, took, success, status, error)
            .await;
    }

    /// Puts down how long it took from sending a vote to seeing it, for us and in goose's report.
    pub(crate) async fn own_vote_seen(&mut self, after: Duration) {
        self.world.findings.own_vote_seen(after);
        let name = format!("{}: own vote seen", self.role.name());
        self.record("SSE", &name, after, Some(200), None).await;
    }

    /// Puts down how the journey ended, for us and in goose's report.
    pub(crate) fn end(self, result: Result<(), Broken>) -> TransactionResult {
        self.world.findings.ended(self.role, &result);
        result.map_err(|broken| Box::new(TransactionError::Custom(broken.sentence().to_string())))
    }
}

/// What a vote amounts to that was answered with no success. Any 5xx may stand before a server that did it.
fn without_answer(status: Option<u16>) -> Told {
    match status {
        Some(400..=499) => Told::Refused,
        _ => Told::Nothing,
    }
}

fn status_of(error: &ClientError) -> Option<u16> {
    match error {
        ClientError::Problem { problem, .. } => Some(problem.status),
        ClientError::Protocol { status, .. } => Some(*status),
        ClientError::Unreachable { .. } | ClientError::Unknown { .. } | ClientError::Invalid { .. } => None,
    }
}

/// What came of one vote.
pub(crate) struct Voted {
    pub(crate) told: Told,
    pub(crate) answer: Result<SubmitVoteResponse, Broken>,
}

impl Voted {
    /// The answer, if it says that; a fault if it says something else.
    pub(crate) fn expect(self, what: &str, expected: VoteStatus) -> Result<SubmitVoteResponse, Broken> {
        let answer = self.answer?;
        if answer.vote_status == expected {
            return Ok(answer);
        }
        let told = answer.vote_status;
        Err(Broken::Fault(format!(
            "{what} was told {told:?} and not {expected:?}"
        )))
    }
}
