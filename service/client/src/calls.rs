//! The calls of the API, one method each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, StatusCode};
use ostraka_api::ids::EventId;
use ostraka_api::trace::format_traceparent;
use ostraka_api::{
    Challenge, ChallengeRequest, ContestantsResponse, CreateEventRequest, CreateEventResponse,
    EventStatusResponse, IdempotencyKey, LeaderboardResponse, LoginRequest, LoginResponse, ProblemBody,
    RegisterRequest, RegisterResponse, SolveRequest, SolveResponse, SubmitVoteRequest, SubmitVoteResponse,
    TraceContext, VoteId, VoteStatusResponse, Work,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::{ClientConfig, SERVER_PAUSE_MAX};
use crate::connect::Connect;
use crate::error::ClientError;
use crate::transport::{Answer, Body, Transport};

/// What goes with one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallOptions<'a> {
    /// What login gave; sent as `Authorization: Bearer`.
    pub token: Option<&'a str>,
    /// Sent as `traceparent`.
    pub trace: Option<TraceContext>,
}

impl<'a> CallOptions<'a> {
    pub const fn bearer(token: &'a str) -> Self {
        Self {
            token: Some(token),
            trace: None,
        }
    }

    #[must_use]
    pub const fn traced(self, trace: TraceContext) -> Self {
        Self {
            trace: Some(trace),
            ..self
        }
    }
}

/// A client of one group of endpoints. Cheap to clone; clones share connections.
///
/// A call goes to the endpoint that answered last. If that cannot be reached the others are tried in turn, which is
/// safe for any call since nothing was sent. Every other error is the caller's to judge; [`Client::submit_vote_until`]
/// judges for votes.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) transport: Transport,
    /// Index of the endpoint to ask first.
    preferred: AtomicUsize,
}

/// A request before it is bound to an endpoint.
pub(crate) struct Draft {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(
        method: Method,
        path: impl Into<String>,
        options: CallOptions<'_>,
    ) -> Result<Self, ClientError> {
        let mut draft = Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        };
        draft.headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, application/problem+json"),
        );
        if let Some(token) = options.token {
            let mut value = header_value(&format!("Bearer {token}"))?;
            value.set_sensitive(true);
            draft.headers.insert(AUTHORIZATION, value);
        }
        if let Some(trace) = options.trace {
            draft.headers.insert(
                HeaderName::from_static("traceparent"),
                header_value(&format_traceparent(trace))?,
            );
        }
        Ok(draft)
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, ClientError> {
        self.headers.insert(name, header_value(value)?);
        Ok(self)
    }

    fn idempotent(self, key: Option<&IdempotencyKey>) -> Result<Self, ClientError> {
        match key {
            Some(key) => self.header(HeaderName::from_static(IdempotencyKey::HEADER), key.as_str()),
            None => Ok(self),
        }
    }

    fn json(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        self.body = serde_json::to_vec(body).map_err(|error| ClientError::Invalid {
            reason: error.to_string(),
        })?;
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    pub(crate) fn request(&self, authority: &str) -> Result<Request<Body>, ClientError> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        let path = self.path.parse::<http::Uri>();
        *request.uri_mut() = path.map_err(|error| ClientError::Invalid {
            reason: error.to_string(),
        })?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(HOST, header_value(authority)?);
        Ok(request)
    }
}

/// Does the work of `challenge`. Takes seconds of one core: not for a thread that others wait for.
///
/// # Errors
/// What this client does not know how to work on, or does not want to: more than a reasonable amount.
pub fn solve(challenge: Challenge) -> Result<SolveRequest, ClientError> {
    let work = Work::new(&challenge.parameters).map_err(|error| invalid(&error))?;
    let solution = work.solve().map_err(|error| invalid(&error))?;
    Ok(SolveRequest { challenge, solution })
}

fn invalid(error: &dyn std::error::Error) -> ClientError {
    ClientError::Invalid {
        reason: error.to_string(),
    }
}

fn header_value(text: &str) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_str(text).map_err(|error| ClientError::Invalid {
        reason: error.to_string(),
    })
}

impl Client {
    /// `endpoints` are `host:port`, the one to prefer first. Plain HTTP: encryption is the connector's or a proxy's.
    ///
    /// # Panics
    /// If `endpoints` is empty.
    pub fn new(connector: Arc<dyn Connect>, endpoints: Vec<String>, config: ClientConfig) -> Self {
        let transport = Transport::new(connector, endpoints, config);
        Self {
            shared: Arc::new(Shared {
                transport,
                preferred: AtomicUsize::new(0),
            }),
        }
    }

    /// `POST /v1/auth/login`
    pub async fn login(
        &self,
        login: &LoginRequest,
        options: CallOptions<'_>,
    ) -> Result<LoginResponse, ClientError> {
        self.call(Draft::new(Method::POST, "/v1/auth/login", options)?.json(login)?)
            .await
    }

    /// `POST /v1/auth/challenge`
    pub async fn challenge(
        &self,
        request: ChallengeRequest,
        options: CallOptions<'_>,
    ) -> Result<Challenge, ClientError> {
        self.call(Draft::new(Method::POST, "/v1/auth/challenge", options)?.json(&request)?)
            .await
    }

    /// `POST /v1/auth/challenge/solve`; the answer's token is what [`register`](Self::register) takes, once.
    pub async fn solve(
        &self,
        solved: &SolveRequest,
        options: CallOptions<'_>,
    ) -> Result<SolveResponse, ClientError> {
        self.call(Draft::new(Method::POST, "/v1/auth/challenge/solve", options)?.json(solved)?)
            .await
    }

    /// Registers without anybody's token: asks for a challenge, does its work on a thread of its own, and registers with
    /// the token that it gives. Takes a second or a few of one core.
    pub async fn register_by_work(
        &self,
        account: &RegisterRequest,
        options: CallOptions<'_>,
    ) -> Result<RegisterResponse, ClientError> {
        let challenge = self.challenge(ChallengeRequest::default(), options).await?;
        let solved = tokio::task::spawn_blocking(move || solve(challenge))
            .await
            .map_err(|error| invalid(&error))??;
        let answer = self.solve(&solved, options).await?;
        let options = CallOptions {
            token: Some(&answer.token),
            ..options
        };
        self.register(account, options).await
    }

    /// `POST /v1/auth/register`; the token is an operator's or what a challenge gave.
    pub async fn register(
        &self,
        account: &RegisterRequest,
        options: CallOptions<'_>,
    ) -> Result<RegisterResponse, ClientError> {
        self.call(Draft::new(Method::POST, "/v1/auth/register", options)?.json(account)?)
            .await
    }

    /// `POST /v1/event/create`. A repeated creation with the same `key` gets the first event; without a key, each
    /// creates another one.
    pub async fn create_event(
        &self,
        event: &CreateEventRequest,
        key: Option<&IdempotencyKey>,
        options: CallOptions<'_>,
    ) -> Result<CreateEventResponse, ClientError> {
        let draft = Draft::new(Method::POST, "/v1/event/create", options)?;
        self.call(draft.idempotent(key)?.json(event)?).await
    }

    /// `POST /v1/event/{event_id}/open`
    pub async fn open(
        &self,
        event: EventId,
        options: CallOptions<'_>,
    ) -> Result<EventStatusResponse, ClientError> {
        self.call(Draft::new(
            Method::POST,
            format!("/v1/event/{event}/open"),
            options,
        )?)
        .await
    }

    /// `POST /v1/event/{event_id}/close`
    pub async fn close(
        &self,
        event: EventId,
        options: CallOptions<'_>,
    ) -> Result<EventStatusResponse, ClientError> {
        self.call(Draft::new(
            Method::POST,
            format!("/v1/event/{event}/close"),
            options,
        )?)
        .await
    }

    /// `GET /v1/contestants/{event_id}`
    pub async fn contestants(
        &self,
        event: EventId,
        options: CallOptions<'_>,
    ) -> Result<ContestantsResponse, ClientError> {
        self.call(Draft::new(
            Method::GET,
            format!("/v1/contestants/{event}"),
            options,
        )?)
        .await
    }

    /// `GET /v1/event/{event_id}/leaderboard`
    pub async fn leaderboard(
        &self,
        event: EventId,
        options: CallOptions<'_>,
    ) -> Result<LeaderboardResponse, ClientError> {
        self.call(Draft::new(
            Method::GET,
            format!("/v1/event/{event}/leaderboard"),
            options,
        )?)
        .await
    }

    /// `POST /v1/vote/submit`, once. After an error of class unknown, ask again with the same `key`; without a key, a
    /// submission is known by its contestant and `client_timestamp`.
    pub async fn submit_vote<'k>(
        &self,
        vote: &SubmitVoteRequest,
        key: impl Into<Option<&'k IdempotencyKey>>,
        options: CallOptions<'_>,
    ) -> Result<SubmitVoteResponse, ClientError> {
        self.call(Self::vote_draft(vote, key.into(), options)?).await
    }

    /// `GET /v1/vote/{vote_id}/status`
    pub async fn vote_status(
        &self,
        vote: &VoteId,
        options: CallOptions<'_>,
    ) -> Result<VoteStatusResponse, ClientError> {
        self.call(Draft::new(
            Method::GET,
            format!("/v1/vote/{vote}/status"),
            options,
        )?)
        .await
    }

    pub(crate) fn vote_draft(
        vote: &SubmitVoteRequest,
        key: Option<&IdempotencyKey>,
        options: CallOptions<'_>,
    ) -> Result<Draft, ClientError> {
        Draft::new(Method::POST, "/v1/vote/submit", options)?
            .idempotent(key)?
            .json(vote)
    }

    async fn call<T: DeserializeOwned>(&self, draft: Draft) -> Result<T, ClientError> {
        let mut error = None;
        for _ in 0..self.shared.transport.endpoint_count() {
            match self.shared.ask(self.shared.preferred(), &draft).await {
                Err(unreachable @ ClientError::Unreachable { .. }) => error = Some(unreachable),
                answered => return answered,
            }
        }
        Err(error.expect("a client has at least one endpoint"))
    }
}

impl Shared {
    /// Asks `endpoint` once. If the error may be that endpoint's alone, the next call asks the next one.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        endpoint: usize,
        draft: &Draft,
    ) -> Result<T, ClientError> {
        let request = draft.request(self.transport.authority(endpoint))?;
        let answer = self.transport.exchange(endpoint, request).await;
        let result = answer.and_then(|answer| read_answer(answer, self.transport.authority(endpoint)));
        if result.as_ref().is_err_and(ClientError::blames_endpoint) {
            self.leave(endpoint);
        }
        result
    }

    /// Prefers the endpoint after `endpoint`, unless another call has moved on already.
    fn leave(&self, endpoint: usize) {
        let next = (endpoint + 1) % self.transport.endpoint_count();
        let _ = self
            .preferred
            .compare_exchange(endpoint, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }
}

fn read_answer<T: DeserializeOwned>(answer: Answer, authority: &str) -> Result<T, ClientError> {
    let status = answer.head.status;
    if !status.is_success() {
        return Err(problem(status, &answer.head.headers, &answer.body, authority));
    }
    serde_json::from_slice(&answer.body).map_err(|error| ClientError::Protocol {
        endpoint: authority.to_owned(),
        status: status.as_u16(),
        reason: error.to_string(),
    })
}

/// The error that an answer other than a success means.
pub(crate) fn problem(status: StatusCode, headers: &HeaderMap, body: &[u8], authority: &str) -> ClientError {
    let status = status.as_u16();
    match serde_json::from_slice::<ProblemBody>(body) {
        // The status line is what proxies act on; a body that says otherwise was not made for this answer.
        Ok(problem) if problem.status == status => ClientError::Problem {
            problem: Box::new(problem),
            retry_after: retry_after(headers),
        },
        Ok(problem) => ClientError::Protocol {
            endpoint: authority.to_owned(),
            status,
            reason: format!("its body says {}", problem.status),
        },
        Err(error) => ClientError::Protocol {
            endpoint: authority.to_owned(),
            status,
            reason: error.to_string(),
        },
    }
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3). Its other form, a date, would need a clock and is passed over.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(SERVER_PAUSE_MAX))
}
