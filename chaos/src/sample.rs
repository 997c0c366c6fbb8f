//! A handful of voters: enough for faults to have something to bite on, and to see whether a cluster answers again. No
//! load, and no judge.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use loadtest::issuer::Issuer;
use ostraka_api::{
    ContestantDraft, CreateEventRequest, LoginRequest, RegisterRequest, SubmitVoteRequest, SubmitVoteResponse,
};
use ostraka_client::{CallOptions, Client, ClientConfig, ClientError, TokioConnect};
use ostraka_core::ids::{ContestantId, ContestantIndex, EventId, UnixMs, VoterNumber};
use tokio::runtime::Runtime;

use crate::Trouble;
use crate::campaign::client_runtime;
use crate::limits::{
    ANSWERS_AGAIN_WAIT, POLL_PAUSE, SAMPLE_CONTESTANTS, SAMPLE_PAUSE, SAMPLE_REQUEST_WAIT, SAMPLE_VOTERS,
};
use crate::nemesis::StreamOf;
use crate::rig::{OPERATOR_PASSWORD, Rig};

/// The first voter of the trickle through the first node, and of that through each further one so many later: those who are
/// registered here have small numbers.
const TRICKLE_VOTER_FIRST: u32 = 1_000_000;

/// A user with a token.
#[derive(Clone)]
pub(crate) struct User {
    number: VoterNumber,
    token: String,
}

/// The voters, and the event that they vote in.
pub struct Sample {
    runtime: Runtime,
    operator: User,
    voters: Vec<User>,
    event: EventId,
    issuer: Arc<Issuer>,
}

/// What became of the votes of a trickle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// With a status, whichever.
    pub answered: u64,
    /// Refused, or without an answer in time; attempts to create the event among these.
    pub not: u64,
    /// How the last of these failed.
    pub last_error: Option<String>,
}

/// Votes that are sent one after another through each node, until it is dropped or finished.
pub struct Trickle {
    counts: Arc<Mutex<Answered>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Spreads retries; it need not be good chance.
pub(crate) fn jitter() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| {
        u64::from(since.subsec_nanos()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

pub(crate) fn client(endpoints: Vec<String>, request_wait: Duration) -> Client {
    client_of(endpoints, request_wait, |_| ())
}

/// One that keeps so many unused connections to each endpoint open.
pub(crate) fn client_keeping(endpoints: Vec<String>, request_wait: Duration, connections: usize) -> Client {
    client_of(endpoints, request_wait, |config| {
        config.idle_connections_per_endpoint_max = connections;
    })
}

fn client_of(endpoints: Vec<String>, request_wait: Duration, set: impl FnOnce(&mut ClientConfig)) -> Client {
    let mut config = ClientConfig::new(Arc::new(jitter));
    config.request_timeout = request_wait;
    set(&mut config);
    Client::new(Arc::new(TokioConnect), endpoints, config)
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) async fn login(client: &Client, username: &str, password: &str) -> Result<User, ClientError> {
    let login = LoginRequest {
        username: username.to_string(),
        password: password.to_string(),
    };
    let answer = client.login(&login, CallOptions::default()).await?;
    Ok(User {
        number: answer.user_id,
        token: answer.token,
    })
}

pub(crate) async fn create_event(
    client: &Client,
    operator: &User,
    contestants: usize,
) -> Result<EventId, ClientError> {
    let contestant = |number| ContestantDraft {
        contestant_name: format!("Contestant {number}"),
        contestant_description: String::new(),
        contestant_image_url: String::new(),
    };
    let event = CreateEventRequest {
        user_id: operator.number,
        event_name: "Sample".to_string(),
        contestants: (0..contestants).map(contestant).collect(),
        opens_at: None,
        closes_at: None,
        results: None,
        canary: false,
    };
    let answer = client
        .create_event(&event, None, CallOptions::bearer(&operator.token))
        .await?;
    Ok(answer.event_id)
}

async fn register(client: &Client, operator: &User, name: &str) -> Result<User, ClientError> {
    let date_of_birth = time::macros::date!(1990 - 12 - 31);
    let account = RegisterRequest {
        username: name.to_string(),
        email: format!("{name}@example.org"),
        date_of_birth,
        password: Some(OPERATOR_PASSWORD.to_string()),
    };
    // One that is there already was registered by an attempt whose answer was lost.
    let registered = client
        .register(&account, CallOptions::bearer(&operator.token))
        .await;
    let user = login(client, name, OPERATOR_PASSWORD).await;
    registered.map_or_else(|error| user.clone().map_err(|_| error), |_| user.clone())
}

async fn vote(client: &Client, voter: &User, event: EventId) -> Result<SubmitVoteResponse, ClientError> {
    let vote = SubmitVoteRequest {
        user_id: voter.number,
        event_id: event,
        contestant_id: ContestantId {
            event,
            contestant: ContestantIndex(0),
        },
        client_timestamp: Some(now()),
        meta: None,
    };
    client
        .submit_vote(&vote, None, CallOptions::bearer(&voter.token))
        .await
}

/// Tries until it succeeds; the last error where it does not in time.
pub(crate) async fn insist<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let deadline = Instant::now() + ANSWERS_AGAIN_WAIT;
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(POLL_PAUSE).await,
        }
    }
}

impl Sample {
    /// Logs the operator in, registers a few voters, creates an event, and has each of them vote once.
    ///
    /// # Errors
    /// Where the cluster does not do that within a minute a step.
    pub fn begin(rig: &Rig) -> Result<Self, Trouble> {
        let runtime = client_runtime(1)?;
        let client = client(rig.public_endpoints(), SAMPLE_REQUEST_WAIT);
        let issuer = Issuer::from_file(&rig.secrets_path(), now().0 / 1_000)
            .map_err(|error| Trouble::failed(error.to_string()))?;
        let begun = runtime.block_on(async {
            let operator = insist(|| login(&client, "operator", OPERATOR_PASSWORD)).await?;
            let mut voters = Vec::new();
            for number in 0..SAMPLE_VOTERS {
                let name = format!("sample-{number}");
                voters.push(insist(|| register(&client, &operator, &name)).await?);
            }
            let event = insist(|| create_event(&client, &operator, SAMPLE_CONTESTANTS)).await?;
            for voter in &voters {
                insist(|| vote(&client, voter, event)).await?;
            }
            Ok((operator, voters, event))
        });
        let (operator, voters, event) = begun.map_err(|error: ClientError| {
            Trouble::failed(format!("a fresh cluster does not take votes: {error}"))
        })?;
        Ok(Self {
            runtime,
            operator,
            voters,
            event,
            issuer: Arc::new(issuer),
        })
    }

    pub fn stream(&self) -> StreamOf {
        StreamOf {
            event: self.event,
            token: self.operator.token.clone(),
        }
    }

    /// Goes on voting, through each node by itself, in an event that is created through it. Each vote is another voter's, so that
    /// each is counted; an owner has not enough events for that.
    pub fn trickle(&self, rig: &Rig) -> Trickle {
        let mut trickle = Trickle {
            counts: Arc::default(),
            tasks: Vec::new(),
        };
        for (endpoint, place) in rig.public_endpoints().into_iter().zip(1..) {
            let issuer = self.issuer.clone();
            let voters = (place * TRICKLE_VOTER_FIRST..).map(move |number| issued(&issuer, number));
            trickle.tasks.push(self.runtime.spawn(go_on(
                client(vec![endpoint], SAMPLE_REQUEST_WAIT),
                self.operator.clone(),
                voters,
                trickle.counts.clone(),
            )));
        }
        trickle
    }

    /// Whether every node does something new: an event is made and a vote taken through each. How long it took, or what the
    /// last one that failed said.
    pub fn answers_again(&self, rig: &Rig) -> Result<Duration, String> {
        let begun = Instant::now();
        for endpoint in rig.public_endpoints() {
            let client = client(vec![endpoint.clone()], SAMPLE_REQUEST_WAIT);
            let fresh = self.runtime.block_on(insist(|| async {
                let event = create_event(&client, &self.operator, 2).await?;
                vote(&client, &self.voters[0], event).await
            }));
            fresh.map_err(|error| format!("{endpoint}: {error}"))?;
        }
        Ok(begun.elapsed())
    }
}

fn issued(issuer: &Issuer, number: u32) -> User {
    let mut token = String::new();
    issuer.sign_into(number, &mut token);
    User {
        number: VoterNumber(number),
        token,
    }
}

async fn go_on(
    client: Client,
    operator: User,
    voters: impl Iterator<Item = User>,
    counts: Arc<Mutex<Answered>>,
) {
    let count = |outcome: Result<(), ClientError>| {
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => counts.answered += 1,
            Err(error) => {
                counts.not += 1;
                counts.last_error = Some(error.to_string());
            }
        }
    };
    let event = loop {
        match create_event(&client, &operator, 2).await {
            Ok(event) => break event,
            Err(error) => count(Err(error)),
        }
        tokio::time::sleep(SAMPLE_PAUSE).await;
    };
    for voter in voters {
        count(vote(&client, &voter, event).await.map(drop));
        tokio::time::sleep(SAMPLE_PAUSE).await;
    }
}

impl Trickle {
    /// Stops, and says what became of the votes.
    pub fn finish(self) -> Answered {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Trickle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
