//! Watching an event's stream, across cuts.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use ostraka_api::ids::EventId;
use ostraka_api::limits::CLIENT_ANSWER_BYTES_MAX;
use ostraka_api::sse::{Decoded, Decoder, SSE_MEDIA_TYPE};
use ostraka_api::{ErrorClass, ResumeToken, StandingsPayload, StreamEvent, TallyPayload, TraceContext};
use serde::de::DeserializeOwned;
use tokio::time::{Sleep, sleep, timeout};

use crate::calls::{CallOptions, Client, Draft, Shared, problem};
use crate::config::SERVER_PAUSE_MAX;
use crate::connect::BoxFuture;
use crate::error::ClientError;
use crate::rests::{Rests, in_time};
use crate::transport::Connection;

/// What a watcher sees, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// A stream is there, the first one or another after a cut.
    Connected {
        endpoint: String,
        resumed_from: Option<ResumeToken>,
    },
    /// All contestants.
    Snapshot(StandingsPayload),
    /// What changed, as absolute totals.
    Tally(TallyPayload),
    /// The final result; nothing comes after it.
    Closed(StandingsPayload),
    /// The stream lives, though nothing changed.
    Heartbeat,
    /// The stream was cut, or could not be had; another attempt follows after `pause`.
    Disconnected { cause: ClientError, pause: Duration },
}

/// A stream of [`Update`]s. Does nothing unless [`Watch::next`] is awaited, so it never runs ahead of its reader.
pub struct Watch {
    shared: Arc<Shared>,
    event: EventId,
    token: Option<String>,
    trace: Option<TraceContext>,
    endpoint: usize,
    resume: Option<ResumeToken>,
    /// The server's `retry:`, the shortest pause before connecting again.
    server_pause: Duration,
    rests: Rests,
    /// Attempts in a row that brought no event.
    failures: u32,
    state: State,
}

enum State {
    Pausing(Pin<Box<Sleep>>),
    Connecting(BoxFuture<'static, Result<Option<Stream>, ClientError>>),
    Streaming(Box<Stream>),
    Over,
}

struct Stream {
    body: Incoming,
    decoder: Decoder,
    /// Decoded and not yet given out; bounded by what one chunk can hold.
    decoded: VecDeque<Decoded>,
    silence_max: Duration,
    silence: Pin<Box<Sleep>>,
    // Held because dropping it closes the connection that the body comes over.
    _connection: Connection,
}

impl Client {
    /// Watches `event`, from `resume` on if given: the stream then begins with what changed since.
    pub fn watch(&self, event: EventId, resume: Option<ResumeToken>, options: CallOptions<'_>) -> Watch {
        let mut watch = Watch {
            shared: Arc::clone(&self.shared),
            event,
            token: options.token.map(str::to_owned),
            trace: options.trace,
            endpoint: self.shared.preferred(),
            resume,
            server_pause: Duration::ZERO,
            rests: Rests::new(self.shared.transport.endpoint_count()),
            failures: 0,
            state: State::Over,
        };
        watch.state = watch.connecting();
        watch
    }
}

impl Watch {
    /// The next update. `None` after [`Update::Closed`], after an error, or if the server says that there is nothing
    /// to wait for (204). An error is terminal: asking again would give it again. May be cancelled without loss.
    pub async fn next(&mut self) -> Option<Result<Update, ClientError>> {
        loop {
            match &mut self.state {
                State::Over => return None,
                State::Pausing(pause) => {
                    pause.await;
                    self.state = self.connecting();
                }
                State::Connecting(connecting) => match connecting.await {
                    Ok(None) => self.state = State::Over,
                    Ok(Some(stream)) => {
                        self.state = State::Streaming(Box::new(stream));
                        let endpoint = self.shared.transport.authority(self.endpoint).to_owned();
                        return Some(Ok(Update::Connected {
                            endpoint,
                            resumed_from: self.resume,
                        }));
                    }
                    Err(error) if error.class() == ErrorClass::Terminal => {
                        self.state = State::Over;
                        return Some(Err(error));
                    }
                    Err(error) => return Some(Ok(self.lost(error))),
                },
                State::Streaming(stream) => {
                    let decoded = stream.next().await;
                    let update = match decoded {
                        Ok(decoded) => self.read(decoded),
                        Err(reason) => Err(self.shared.transport.unknown(self.endpoint, reason)),
                    };
                    match update {
                        Ok(Some(update)) => return Some(Ok(update)),
                        // An event or field of a later release.
                        Ok(None) => {}
                        Err(cause) => return Some(Ok(self.lost(cause))),
                    }
                }
            }
        }
    }

    /// Takes what the stream says.
    fn read(&mut self, decoded: Decoded) -> Result<Option<Update>, ClientError> {
        let (event, data, last_event_id) = match decoded {
            Decoded::Comment(_) => return Ok(Some(Update::Heartbeat)),
            Decoded::Retry(pause_ms) => {
                self.server_pause = Duration::from_millis(pause_ms).min(SERVER_PAUSE_MAX);
                return Ok(None);
            }
            Decoded::Event {
                event,
                data,
                last_event_id,
            } => (event, data, last_event_id),
        };
        let update = match StreamEvent::from_name(&event) {
            Some(StreamEvent::Snapshot) => Update::Snapshot(self.payload(&data)?),
            Some(StreamEvent::Tally) => Update::Tally(self.payload(&data)?),
            Some(StreamEvent::Closed) => Update::Closed(self.payload(&data)?),
            None => return Ok(None),
        };
        if matches!(update, Update::Closed(_)) {
            self.state = State::Over;
        }
        // Only now: an event that could not be read must come again.
        self.resume = ResumeToken::parse(&last_event_id).or(self.resume);
        self.failures = 0;
        Ok(Some(update))
    }

    fn payload<T: DeserializeOwned>(&self, data: &str) -> Result<T, ClientError> {
        serde_json::from_str(data).map_err(|error| ClientError::Protocol {
            endpoint: self.shared.transport.authority(self.endpoint).to_owned(),
            status: StatusCode::OK.as_u16(),
            reason: error.to_string(),
        })
    }

    /// Turns to the next endpoint, after a pause.
    fn lost(&mut self, cause: ClientError) -> Update {
        self.failures = self.failures.saturating_add(1);
        self.rests.note(self.endpoint, &cause);
        self.endpoint = (self.endpoint + 1) % self.shared.transport.endpoint_count();
        let pause = self.shared.transport.pause(self.failures).max(self.server_pause);
        let pause = self.rests.pause(self.endpoint, pause);
        self.state = State::Pausing(Box::pin(sleep(pause)));
        Update::Disconnected { cause, pause }
    }

    fn connecting(&self) -> State {
        let (shared, endpoint) = (Arc::clone(&self.shared), self.endpoint);
        let draft = self.draft();
        State::Connecting(Box::pin(async move { connect(&shared, endpoint, &draft?).await }))
    }

    fn draft(&self) -> Result<Draft, ClientError> {
        let options = CallOptions {
            token: self.token.as_deref(),
            trace: self.trace,
        };
        let path = format!("/v1/event/{}/stream", self.event);
        let draft = Draft::new(Method::GET, path, options)?.header(ACCEPT, SSE_MEDIA_TYPE)?;
        match self.resume {
            Some(resume) => draft.header(HeaderName::from_static("last-event-id"), &resume.to_string()),
            None => Ok(draft),
        }
    }
}

/// Asks for the stream. `None` if the server says that there is nothing to come (204, WHATWG HTML section 9.2.2).
async fn connect(shared: &Shared, endpoint: usize, draft: &Draft) -> Result<Option<Stream>, ClientError> {
    let transport = &shared.transport;
    let authority = transport.authority(endpoint);
    let started = transport.start(endpoint, draft.request(authority)?).await?;
    let (head, body) = started.response.into_parts();
    if head.status == StatusCode::NO_CONTENT {
        return Ok(None);
    }
    let media_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if head.status == StatusCode::OK && media_type.starts_with(SSE_MEDIA_TYPE) {
        let silence_max = transport.config().stream_silence_max;
        return Ok(Some(Stream {
            body,
            decoder: Decoder::default(),
            decoded: VecDeque::new(),
            silence_max,
            silence: Box::pin(sleep(silence_max)),
            _connection: started.connection,
        }));
    }
    if head.status == StatusCode::OK {
        let reason = format!("its media type is {media_type:?}");
        let (endpoint, status) = (authority.to_owned(), head.status.as_u16());
        return Err(ClientError::Protocol {
            endpoint,
            status,
            reason,
        });
    }
    let reading = Limited::new(body, CLIENT_ANSWER_BYTES_MAX).collect();
    match timeout(transport.config().request_timeout, reading).await {
        Ok(Ok(body)) => Err(problem(head.status, &head.headers, &body.to_bytes(), authority)),
        Ok(Err(error)) => Err(transport.unknown(endpoint, error)),
        Err(_) => Err(transport.unknown(endpoint, "the answer stopped half way")),
    }
}

impl Stream {
    /// The next thing the stream says, or why there is none.
    async fn next(&mut self) -> Result<Decoded, String> {
        loop {
            if let Some(decoded) = self.decoded.pop_front() {
                return Ok(decoded);
            }
            let frame = tokio::select! {
                biased;
                frame = self.body.frame() => frame,
                () = &mut self.silence => return Err(format!("silent for {:?}", self.silence_max)),
            };
            let frame = frame
                .ok_or("the stream ended")?
                .map_err(|error| error.to_string())?;
            self.silence.as_mut().reset(in_time(self.silence_max));
            if let Some(data) = frame.data_ref() {
                self.decoded
                    .extend(self.decoder.feed(data).map_err(|error| error.to_string())?);
            }
        }
    }
}
