//! The lane: requests that a service answers without hyper and the router.
//!
//! hyper begins to answer a request of a connection when it has answered the one before, so votes that a proxy sends one
//! behind the other would each wait for a commit of their own. Here they are begun as they come, and answered in order. Only
//! what is plain goes this way; everything else, and every request that would be refused at once, is hyper's, byte for byte:
//! there is one place that words an error.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ostraka_api::trace::IncomingTrace;
use ostraka_core::limits::{EXPRESS_UNDER_WAY_MAX, HEAD_RELOOK_BYTES_MAX};

use super::auth::bearer_of;
use super::edge::Served;
use super::head::{self, Front};
use super::json::is_json_type;
use super::problem::Problem;
use super::progress::{OpenRequest, Progress};
use super::wire::{Filled, Wire};

/// What a service makes of one path's POSTs, beside the router.
pub trait Express: Send + Sync + 'static {
    /// The path.
    fn target(&self) -> &'static str;

    /// Begins to answer. `None` where the router must: it refuses, and says why.
    fn begin(self: Arc<Self>, request: &ExpressRequest<'_>) -> Option<ExpressAnswer>;
}

/// A request in JSON whose head held no surprise.
pub struct ExpressRequest<'a> {
    pub bearer: &'a str,
    pub idempotency_key: Option<&'a str>,
    pub trace: IncomingTrace,
    pub body: &'a [u8],
}

/// A JSON body for a 200, or a problem.
pub type ExpressAnswer = Pin<Box<dyn Future<Output = Result<Vec<u8>, Problem>> + Send>>;

/// Whose turn it is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Lane,
    /// hyper's, for one request.
    Hyper,
    /// hyper's, whatever comes.
    HyperForGood,
}

/// One connection's.
pub(super) struct Lane {
    served: Arc<Served>,
    wire: Wire,
    progress: Arc<Progress>,
    turn: Turn,
    /// In the order in which they came.
    under_way: VecDeque<UnderWay>,
    /// Bytes of a head that was looked at and is not whole.
    looked_at: usize,
}

struct UnderWay {
    answer: ExpressAnswer,
    trace: IncomingTrace,
    _open: OpenRequest,
}

/// What a look at the inbox led to.
enum Look {
    Begun {
        bytes: usize,
        under_way: UnderWay,
    },
    /// hyper's request, whose bytes need not all be there.
    Ordinary {
        bytes: usize,
    },
    /// The lane's request, of whose body a part has come.
    Short {
        bytes: usize,
    },
    Partial,
    Odd,
}

impl Lane {
    pub(super) fn new(served: Arc<Served>, wire: Wire, progress: Arc<Progress>) -> Self {
        let mut lane = Self {
            served,
            wire,
            progress,
            turn: Turn::Lane,
            under_way: VecDeque::new(),
            looked_at: 0,
        };
        if lane.served.express().is_none() {
            lane.hand_over();
        }
        lane
    }

    /// Whether hyper has something to do.
    pub(super) fn is_hypers_turn(&self) -> bool {
        self.turn != Turn::Lane
    }

    /// Nothing is being answered here.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// All that comes is hyper's from now on. What is under way is answered before.
    pub(super) fn hand_over(&mut self) {
        self.turn = Turn::HyperForGood;
        self.wire.grant_everything();
    }

    /// Sends the answers that are there, in order. Whether there was one.
    pub(super) fn answer(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.under_way.len();
        while let Some(front) = self.under_way.front_mut() {
            let Poll::Ready(answered) = front.answer.as_mut().poll(cx) else {
                break;
            };
            let trace = front.trace;
            self.wire
                .answer(|answers| self.served.write_express(answers, answered, trace));
            self.under_way.pop_front();
        }
        self.under_way.len() < before
    }

    /// Once hyper can do no more: takes the connection back, if that one request is answered.
    pub(super) fn take_back(&mut self) -> bool {
        if self.turn == Turn::Hyper && self.wire.is_at_rest() && !self.progress.is_answering() {
            self.turn = Turn::Lane;
        }
        self.turn == Turn::Lane
    }

    /// Begins what came, as far as there is room. Ready when the turn has passed to hyper.
    ///
    /// # Errors
    /// If the socket cannot be read any more.
    pub(super) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.under_way.len() < EXPRESS_UNDER_WAY_MAX && !self.wire.is_crowded() {
            let look = self.wire.clone().with_inbox(|inbox| self.look(inbox));
            let (grant, waits_for_more) = match look {
                Look::Begun { bytes, under_way } => {
                    self.wire.take_from_inbox(bytes);
                    self.under_way.push_back(under_way);
                    continue;
                }
                Look::Ordinary { bytes } => (Some(bytes), false),
                Look::Short { bytes } => (Some(bytes), true),
                Look::Partial => (None, true),
                Look::Odd => (None, false),
            };
            if waits_for_more {
                match self.wire.poll_fill(cx)? {
                    Poll::Ready(Filled::Some) => continue,
                    // hyper has the patience that a body is given.
                    Poll::Pending if grant.is_none() => return Poll::Pending,
                    Poll::Pending | Poll::Ready(Filled::Full | Filled::Over) => {}
                }
            }
            if !self.under_way.is_empty() {
                return Poll::Pending;
            }
            match grant {
                Some(bytes) => {
                    self.turn = Turn::Hyper;
                    self.wire.grant(bytes);
                }
                None => self.hand_over(),
            }
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn look(&mut self, inbox: &[u8]) -> Look {
        let news = &inbox[self.looked_at.min(inbox.len())..];
        // A long head that comes in small pieces is not read from its beginning at each of them: it ends with a line.
        if inbox.is_empty()
            || inbox.len() > HEAD_RELOOK_BYTES_MAX && self.looked_at > 0 && !news.contains(&b'\n')
        {
            self.looked_at = inbox.len();
            return Look::Partial;
        }
        self.looked_at = 0;
        let express = self
            .served
            .express()
            .expect("a lane without a service is handed over");
        match head::front(inbox, express.target(), is_json_type) {
            Front::Partial => {
                self.looked_at = inbox.len();
                Look::Partial
            }
            Front::Odd => Look::Odd,
            Front::Whole {
                head_bytes,
                body_bytes,
                express: fields,
            } => {
                let bytes = head_bytes + body_bytes;
                let Some(fields) = fields else {
                    return Look::Ordinary { bytes };
                };
                let Some(body) = inbox.get(head_bytes..bytes) else {
                    return Look::Short { bytes };
                };
                let Some(bearer) = bearer_of(fields.authorization) else {
                    return Look::Ordinary { bytes };
                };
                let trace = self.served.trace(fields.traceparent, fields.amzn_trace);
                let idempotency_key = fields.idempotency_key;
                let request = ExpressRequest {
                    bearer,
                    idempotency_key,
                    trace,
                    body,
                };
                match Arc::clone(express).begin(&request) {
                    None => Look::Ordinary { bytes },
                    Some(answer) => {
                        let _open = self.progress.begin_request();
                        let answer = Served::in_span(answer, trace);
                        let under_way = UnderWay { answer, trace, _open };
                        Look::Begun { bytes, under_way }
                    }
                }
            }
        }
    }
}
