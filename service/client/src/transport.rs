//! Requests over kept-alive HTTP/1.1 connections, one at a time on each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use ostraka_api::limits::CLIENT_ANSWER_BYTES_MAX;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::ClientConfig;
use crate::connect::Connect;
use crate::error::ClientError;
use crate::rests::in_time;

pub(crate) type Body = Full<Bytes>;

/// An answer that is read to its end.
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    pub(crate) body: Bytes,
}

/// An open connection. Dropping it closes it, whatever is under way on it.
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The connections to all endpoints.
pub(crate) struct Transport {
    connector: Arc<dyn Connect>,
    endpoints: Vec<Endpoint>,
    config: ClientConfig,
}

struct Endpoint {
    authority: String,
    /// The one used last is on top: it is the least likely to have been closed meanwhile.
    idle: Mutex<Vec<Connection>>,
}

impl Endpoint {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // The list is whole at every moment, so another thread's panic leaves nothing half done.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport {
    /// # Panics
    /// If `endpoints` is empty.
    pub(crate) fn new(connector: Arc<dyn Connect>, endpoints: Vec<String>, config: ClientConfig) -> Self {
        assert!(!endpoints.is_empty(), "a client needs at least one endpoint");
        let endpoint = |authority| Endpoint {
            authority,
            idle: Mutex::default(),
        };
        Self {
            connector,
            endpoints: endpoints.into_iter().map(endpoint).collect(),
            config,
        }
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.config
    }

    pub(crate) fn endpoint_count(&self) -> usize {
        self.endpoints.len()
    }

    /// The endpoint's `host:port`. `endpoint` counts on past the last one, back to the first.
    pub(crate) fn authority(&self, endpoint: usize) -> &str {
        &self.endpoint(endpoint).authority
    }

    fn endpoint(&self, endpoint: usize) -> &Endpoint {
        &self.endpoints[endpoint % self.endpoints.len()]
    }

    /// Sends `request` and reads the whole answer within the request timeout.
    pub(crate) async fn exchange(
        &self,
        endpoint: usize,
        request: Request<Body>,
    ) -> Result<Answer, ClientError> {
        let started = self.start(endpoint, request).await?;
        let reading = async {
            let (head, body) = started.response.into_parts();
            let collected = Limited::new(body, CLIENT_ANSWER_BYTES_MAX).collect().await;
            collected.map(|body| Answer {
                head,
                body: body.to_bytes(),
            })
        };
        let answer = match timeout_at(started.answer_due, reading).await {
            Err(_) => return Err(self.unknown(endpoint, "the answer stopped half way")),
            Ok(Err(error)) => return Err(self.unknown(endpoint, error)),
            Ok(Ok(answer)) => answer,
        };
        self.keep(endpoint, started.connection);
        Ok(answer)
    }

    /// Sends `request` and waits for the head of the answer, within the request timeout.
    pub(crate) async fn start(
        &self,
        endpoint: usize,
        request: Request<Body>,
    ) -> Result<Started, ClientError> {
        let mut request = request;
        loop {
            let (mut connection, reused) = self.connection(endpoint).await?;
            // A safe request may be sent again though it may have arrived (RFC 9110, section 9.2.2): on a kept connection whose
            // other end has died without a word, it has not.
            let again = (reused && request.method().is_safe()).then(|| request.clone());
            let answer_due = in_time(self.config.request_timeout);
            let sending = connection.sender.try_send_request(request);
            let mut error = match timeout_at(answer_due, sending).await {
                Err(_) => return Err(self.unknown(endpoint, "no answer in time")),
                Ok(Ok(response)) => {
                    return Ok(Started {
                        response,
                        connection,
                        answer_due,
                    });
                }
                Ok(Err(error)) => error,
            };
            match error.take_message() {
                // It is handed back only if not a byte of it was written, so sending it again cannot do it twice.
                // A kept connection may have been closed meanwhile; a new one that fails at once blames the endpoint.
                Some(unsent) if reused => request = unsent,
                Some(_) => return Err(self.unreachable(endpoint, error.into_error())),
                None => match again {
                    Some(safe) => request = safe,
                    None => return Err(self.unknown(endpoint, error.into_error())),
                },
            }
        }
    }

    /// A connection that can take a request, and whether it was used before.
    async fn connection(&self, endpoint: usize) -> Result<(Connection, bool), ClientError> {
        let opening = async {
            loop {
                // A statement of its own: the lock must not be held while waiting.
                let kept = self.endpoint(endpoint).idle().pop();
                let Some(mut kept) = kept else { break };
                if kept.sender.ready().await.is_ok() {
                    return Ok((kept, true));
                }
            }
            self.open(endpoint).await.map(|connection| (connection, false))
        };
        match timeout(self.config.connect_timeout, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(self.unreachable(endpoint, "no connection in time")),
        }
    }

    async fn open(&self, endpoint: usize) -> Result<Connection, ClientError> {
        let connecting = self.connector.connect(self.authority(endpoint));
        let io = connecting
            .await
            .map_err(|error| self.unreachable(endpoint, error))?;
        let handshake = http1::handshake(TokioIo::new(io)).await;
        let (sender, connection) = handshake.map_err(|error| self.unreachable(endpoint, error))?;
        let driver = tokio::spawn(async move {
            // How the connection ended is told to whoever waits for an answer on it.
            let _ = connection.await;
        });
        Ok(Connection {
            sender,
            driver: driver.abort_handle(),
        })
    }

    fn keep(&self, endpoint: usize, connection: Connection) {
        let mut idle = self.endpoint(endpoint).idle();
        if !connection.sender.is_closed() && idle.len() < self.config.idle_connections_per_endpoint_max {
            idle.push(connection);
        }
    }

    pub(crate) fn unreachable(&self, endpoint: usize, reason: impl ToString) -> ClientError {
        ClientError::Unreachable {
            endpoint: self.authority(endpoint).to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn unknown(&self, endpoint: usize, reason: impl ToString) -> ClientError {
        ClientError::Unknown {
            endpoint: self.authority(endpoint).to_owned(),
            reason: reason.to_string(),
        }
    }

    /// A pause before another attempt, after `failures` in a row.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let bounds = (self.config.retry_pause_min, self.config.retry_pause_max);
        crate::backoff::pause(failures, bounds, (self.config.random)())
    }
}

/// An answer whose head is there, and the connection its body comes over.
pub(crate) struct Started {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: Connection,
    /// When the request timeout runs out.
    answer_due: Instant,
}
