//! One place that is probed from: a stream that stays open, and a vote whenever one is due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ostraka_client::api::ids::{ContestantId, EventId, TraceId};
use ostraka_client::api::{
    ErrorClass, IdempotencyKey, LeaderboardEntry, SpanId, SubmitVoteRequest, TraceContext, VoteId,
};
use ostraka_client::{CallOptions, Client, ClientConfig, ClientError, Connect, Update, Watch};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::books::{Answer, Books, Checked, Finding, Finished, Outcome, Sight};
use crate::limits::{LOGIN_PAUSE, STREAM_SILENCE};
use crate::schedule::{Micros, Schedule, Slot};
use crate::session::{self, Canary, Credentials, Session};

/// How it is probed.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) endpoints: Vec<String>,
    pub(crate) canary: Canary,
}

/// What a place tells whoever keeps the figures.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Probe(Finished),
    Finding(Finding),
    LeftOut(u64),
    /// For a person.
    Sentence(String),
}

/// What all places of a run share.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) credentials: Credentials,
    pub(crate) schedule: Schedule,
    pub(crate) patience: Duration,
    /// So many probes and no more.
    pub(crate) probes_max: Option<u64>,
    pub(crate) began: Instant,
}

/// What came back from a call.
enum Back {
    Opened(Result<Session, session::SessionError>),
    Answered {
        trace: TraceId,
        answer: Answer,
        vote: Option<VoteId>,
        /// The old one had expired.
        token: Option<Arc<str>>,
    },
    Checked {
        trace: TraceId,
        checked: Checked,
    },
}

struct Prober {
    place: Place,
    terms: Terms,
    client: Client,
    tell: mpsc::UnboundedSender<(usize, Told)>,
    number: usize,
    books: Books,
    session: Option<Session>,
    stream: Option<Watch>,
    calls: JoinSet<Back>,
    /// Acknowledged votes by their trace, for the question about their status.
    votes: BTreeMap<TraceId, VoteId>,
    /// When the schedule began: with the first session, or when it had been waited for long enough.
    started: Option<Micros>,
    done: Option<Slot>,
    sent: u64,
}

struct Next {
    slot: Slot,
    due_at: Micros,
    left_out: u64,
}

/// Probes from `place` until `stop` says so, or until all probes were sent and closed.
pub(crate) async fn probe(
    number: usize,
    place: Place,
    terms: Terms,
    tell: mpsc::UnboundedSender<(usize, Told)>,
    mut stop: watch::Receiver<bool>,
) {
    let mut config = ClientConfig::new(Arc::new(rand::random::<u64>));
    config.stream_silence_max = STREAM_SILENCE;
    let client = Client::new(Arc::clone(&terms.connect), place.endpoints.clone(), config);
    let mut prober = Prober {
        place,
        terms,
        client,
        tell,
        number,
        books: Books::default(),
        session: None,
        stream: None,
        calls: JoinSet::new(),
        votes: BTreeMap::new(),
        started: None,
        done: None,
        sent: 0,
    };
    prober.begin_session(Duration::ZERO);
    loop {
        let next = prober.next();
        let due = prober.terms.began + Duration::from_micros(next.due_at.0);
        let is_over = prober.is_over();
        if is_over && prober.books.are_closed() {
            return;
        }
        tokio::select! {
            // What has come is looked at before anything is called late.
            biased;
            _ = stop.changed() => return,
            Some(Ok(back)) = prober.calls.join_next() => prober.take(back),
            update = next_of(&mut prober.stream) => prober.see(update),
            () = sleep_until(due), if !is_over && prober.started.is_some() => {
                if next.left_out > 0 {
                    prober.say(Told::LeftOut(next.left_out));
                }
                prober.send(&next);
            }
            // Whoever is overdue is found within this.
            () = sleep(Duration::from_millis(100)) => {}
        }
        prober.close();
    }
}

/// Never ends without a stream.
async fn next_of(stream: &mut Option<Watch>) -> Option<Result<Update, ClientError>> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

impl Prober {
    fn now(&self) -> Micros {
        Micros(u64::try_from(self.terms.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The probe that is due next, counted from when the schedule began; it begins now, where nobody got in for so long that
    /// waiting would hide it.
    fn next(&mut self) -> Next {
        let now = self.now();
        if now.0 >= self.patience_micros() {
            self.started.get_or_insert(now);
        }
        let started = self.started.unwrap_or(now);
        let (slot, left_out) = self.terms.schedule.next(self.done, Micros(now.since(started)));
        Next {
            slot,
            due_at: started.plus(self.terms.schedule.due(slot).0),
            left_out,
        }
    }

    fn is_over(&self) -> bool {
        self.terms.probes_max.is_some_and(|most| self.sent >= most)
    }

    fn say(&self, told: Told) {
        // Nobody listens any more where the run is over.
        let _ = self.tell.send((self.number, told));
    }

    fn begin_session(&mut self, after: Duration) {
        let (client, credentials) = (self.client.clone(), self.terms.credentials.clone());
        let canary = self.place.canary.clone();
        self.calls.spawn(async move {
            sleep(after).await;
            Back::Opened(session::open(&client, &credentials, &canary).await)
        });
    }

    /// A probe that cannot even be sent is one that was refused: a gap in the figures would look like health.
    fn send(&mut self, next: &Next) {
        let (slot, due_at, now) = (next.slot, next.due_at, self.now());
        self.done = Some(slot);
        self.sent += 1;
        // All zero would be no trace.
        let trace = TraceId((rand::random::<u128>() | 1).to_be_bytes());
        let Some(session) = self.session.clone() else {
            let why = "there is no session: nobody could log in or find the canary".to_owned();
            self.say(Told::Probe(Finished {
                trace,
                outcome: Outcome::Refused(why),
                due_at,
                sent_at: now,
                acked_at: None,
                seen_at: None,
                status_unanswered: true,
            }));
            return;
        };
        let contestant = session.contestants[(slot.0 % session.contestants.len() as u64) as usize];
        self.books.sent(trace, contestant, due_at, now);
        let (client, credentials) = (self.client.clone(), self.terms.credentials.clone());
        let patience = self.terms.patience;
        self.calls
            .spawn(async move { submit(&client, &credentials, &session, contestant, trace, patience).await });
    }

    fn patience_micros(&self) -> u64 {
        u64::try_from(self.terms.patience.as_micros()).unwrap_or(u64::MAX)
    }

    fn take(&mut self, back: Back) {
        match back {
            Back::Opened(Ok(session)) => {
                let now = self.now();
                self.started.get_or_insert(now);
                self.watch(&session);
                self.session = Some(session);
            }
            Back::Opened(Err(error)) => {
                self.say(Told::Sentence(error.to_string()));
                self.begin_session(LOGIN_PAUSE);
            }
            Back::Answered {
                trace,
                answer,
                vote,
                token,
            } => {
                self.books.answered(trace, answer, self.now());
                if let (Some(session), Some(token)) = (&mut self.session, token) {
                    session.token = token;
                }
                if let Some(vote) = vote {
                    self.votes.insert(trace, vote);
                }
                self.check();
            }
            Back::Checked { trace, checked } => self.books.checked(trace, checked),
        }
    }

    fn watch(&mut self, session: &Session) {
        let options = CallOptions::bearer(&session.token);
        self.stream = Some(self.client.watch(session.event, None, options));
    }

    fn see(&mut self, update: Option<Result<Update, ClientError>>) {
        let Some(Ok(update)) = update else {
            let why = match update {
                Some(Err(error)) => error.to_string(),
                _ => "the canary is closed, or there is nothing to watch".to_owned(),
            };
            self.say(Told::Sentence(format!("the stream has ended: {why}")));
            (self.stream, self.session) = (None, None);
            self.begin_session(LOGIN_PAUSE);
            return;
        };
        let Some(sight) = sight_of(update) else { return };
        let now = self.now();
        for finding in self.books.saw(&sight, now) {
            self.say(Told::Finding(finding));
        }
        self.check();
    }

    /// Asks for the status of what is acknowledged and seen.
    fn check(&mut self) {
        let Some(session) = &self.session else { return };
        for trace in self.books.to_check() {
            let Some(vote) = self.votes.remove(&trace) else {
                continue;
            };
            let (client, token) = (self.client.clone(), Arc::clone(&session.token));
            self.calls.spawn(async move {
                let told = client.vote_status(&vote, CallOptions::bearer(&token)).await;
                let checked = match told {
                    Ok(told) => Checked::Is(told.vote_status),
                    Err(ClientError::Problem { problem, .. }) if problem.status == 404 => Checked::Gone,
                    Err(_) => Checked::Unanswered,
                };
                Back::Checked { trace, checked }
            });
        }
    }

    fn close(&mut self) {
        let patience_micros = self.patience_micros();
        for finished in self.books.close(self.now(), patience_micros) {
            self.votes.remove(&finished.trace);
            self.say(Told::Probe(finished));
        }
    }
}

/// Votes until the outcome is known or time is up. A token that has expired is no fault of the service: there is another.
async fn submit(
    client: &Client,
    credentials: &Credentials,
    session: &Session,
    contestant: ContestantId,
    trace: TraceId,
    patience: Duration,
) -> Back {
    let key: IdempotencyKey = format!("probe-{:032x}", u128::from_be_bytes(trace.0))
        .parse()
        .expect("letters, digits and a dash");
    let vote = vote_of(session.event, contestant, session);
    let until = Instant::now() + patience;
    let mut token = Arc::clone(&session.token);
    let mut renewed = None;
    loop {
        let context = TraceContext {
            trace_id: trace,
            span_id: SpanId::new((rand::random::<u64>() | 1).to_be_bytes()).expect("its last bit is set"),
            // Only sampled traces are listed on the stream.
            sampled: true,
        };
        let options = CallOptions::bearer(&token).traced(context);
        let left = until.saturating_duration_since(Instant::now());
        let report = client.submit_vote_until(&vote, &key, options, left).await;
        let is_expired =
            matches!(&report.result, Err(ClientError::Problem { problem, .. }) if problem.status == 401);
        if is_expired
            && renewed.is_none()
            && let Ok((fresh, _)) = session::login(client, credentials).await
        {
            token = Arc::clone(&fresh);
            renewed = Some(fresh);
            continue;
        }
        let answer = match (&report.result, report.error_class()) {
            (Ok(told), _) => Answer::Acknowledged(told.vote_status),
            (Err(error), Some(ErrorClass::Unknown)) => Answer::Unknown(error.to_string()),
            (Err(error), _) => Answer::Refused(error.to_string()),
        };
        return Back::Answered {
            trace,
            answer,
            vote: report.result.ok().map(|told| told.vote_id),
            token: renewed,
        };
    }
}

fn vote_of(event: EventId, contestant: ContestantId, session: &Session) -> SubmitVoteRequest {
    SubmitVoteRequest {
        user_id: session.user,
        event_id: event,
        contestant_id: contestant,
        client_timestamp: None,
        meta: None,
    }
}

/// What an update shows of the totals, if it does.
fn sight_of(update: Update) -> Option<Sight> {
    let of_all = |contestants: Vec<LeaderboardEntry>| {
        let total = |entry: LeaderboardEntry| Some((entry.contestant_id, entry.total_votes?));
        Sight {
            totals: contestants.into_iter().filter_map(total).collect(),
            traces: Vec::new(),
            traces_missing: true,
        }
    };
    match update {
        Update::Snapshot(standings) | Update::Closed(standings) => Some(of_all(standings.contestants)),
        Update::Tally(tally) => Some(Sight {
            totals: tally
                .contestants
                .iter()
                .map(|entry| (entry.contestant_id, entry.total_votes))
                .collect(),
            traces: tally.traces,
            traces_missing: tally.traces_omitted > 0 || tally.previous_version == 0,
        }),
        Update::Connected { .. } | Update::Heartbeat | Update::Disconnected { .. } => None,
    }
}
