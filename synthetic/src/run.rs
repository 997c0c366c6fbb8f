//! A run: all places at once, figures of each, evidence while it lasts, a verdict at its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ostraka_client::Connect;
use ostraka_client::api::trace::format_trace_id;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep_until};

use crate::books::Outcome;
use crate::evidence::{self, Evidence, PlaceFigures, RunFigures, now_s};
use crate::figures::{Figures, Objectives, Verdict};
use crate::limits::TELL_INTERVAL;
use crate::metrics::{self, Metrics};
use crate::place::{self, Place, Terms, Told};
use crate::schedule::Schedule;
use crate::session::Credentials;

/// What is asked for.
pub(crate) struct Run {
    pub(crate) places: Vec<Place>,
    /// How all of them reach the service.
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) credentials: Credentials,
    pub(crate) per_hour: u32,
    pub(crate) patience: Duration,
    /// One probe from each place and no more.
    pub(crate) once: bool,
    /// Until it is told to stop, where this is `None`.
    pub(crate) lasts: Option<Duration>,
    pub(crate) objectives: Objectives,
    pub(crate) folder: PathBuf,
    pub(crate) listener: Option<TcpListener>,
}

#[derive(Debug, thiserror::Error)]
#[error("evidence cannot be written to {}: {source}", .folder.display())]
pub(crate) struct NotWritten {
    folder: PathBuf,
    source: std::io::Error,
}

/// What is known so far.
struct State {
    run: Run,
    began_at_s: u64,
    not_running_before_s: Option<u64>,
    figures: Vec<Figures>,
    metrics: Arc<Metrics>,
}

impl Run {
    /// Runs to the end that was asked for, and says what came of it.
    ///
    /// # Errors
    /// If the last evidence could not be written.
    pub(crate) async fn go(mut self) -> Result<(Verdict, String), NotWritten> {
        let metrics = Arc::new(Metrics::new());
        let mut background = JoinSet::new();
        if let Some(listener) = self.listener.take() {
            background.spawn(metrics::serve(listener, Arc::clone(&metrics)));
        }
        let began_at_s = now_s();
        let last = evidence::last_at_s(&self.folder);
        let mut state = State {
            began_at_s,
            not_running_before_s: last.map(|last| began_at_s.saturating_sub(last)),
            figures: self.places.iter().map(|_| Figures::new()).collect(),
            metrics,
            run: self,
        };
        state.write()?;
        state.probe().await;
        let (verdict, sentence) = state.decide();
        let path = state.write()?;
        println!("evidence: {}", path.display());
        Ok((verdict, sentence))
    }
}

impl State {
    async fn probe(&mut self) {
        let (tell, mut told) = mpsc::unbounded_channel();
        let (stop_tx, stop) = watch::channel(false);
        let began = Instant::now();
        let mut places = JoinSet::new();
        for (number, place) in self.run.places.iter().cloned().enumerate() {
            let terms = Terms {
                connect: Arc::clone(&self.run.connect),
                credentials: self.run.credentials.clone(),
                schedule: Schedule::new(self.run.per_hour, rand::random()),
                patience: self.run.patience,
                probes_max: self.run.once.then_some(1),
                began,
            };
            places.spawn(place::probe(number, place, terms, tell.clone(), stop.clone()));
        }
        drop((tell, stop));
        let mut looks = interval_at(began + TELL_INTERVAL, TELL_INTERVAL);
        let lasts = self.run.lasts;
        let mut signals = Signals::new();
        loop {
            tokio::select! {
                // What was told is written down before the end.
                biased;
                word = told.recv() => match word {
                    Some((number, word)) => self.take(number, word),
                    // All places are through.
                    None => break,
                },
                _ = looks.tick() => self.look(),
                () = signals.next() => {
                    println!("told to stop");
                    stop_tx.send_replace(true);
                }
                () = end_of(began, lasts) => {
                    stop_tx.send_replace(true);
                    while let Some((number, word)) = told.recv().await {
                        self.take(number, word);
                    }
                    break;
                }
            }
        }
        while places.join_next().await.is_some() {}
    }

    fn take(&mut self, number: usize, told: Told) {
        let name = self.run.places[number].name.clone();
        let figures = &mut self.figures[number];
        let sentence = match told {
            Told::Probe(probe) => {
                figures.add(&probe);
                self.metrics.add(&name, &probe);
                let why = match &probe.outcome {
                    Outcome::Complete => None,
                    Outcome::Missing => Some("was acknowledged and not seen in time".to_owned()),
                    Outcome::Unanswered(why) => Some(format!("may have been taken: {why}")),
                    Outcome::Refused(why) => Some(format!("was refused: {why}")),
                    Outcome::Wrong(status) => Some(format!("has status {status:?}")),
                };
                why.map(|why| {
                    format!(
                        "probe {} at {} {why}",
                        format_trace_id(probe.trace),
                        probe.sent_at
                    )
                })
            }
            Told::Finding(finding) => {
                figures.find();
                self.metrics.find(&name);
                Some(finding.to_string())
            }
            Told::LeftOut(probes) => {
                figures.leave_out(probes);
                self.metrics.leave_out(&name, probes);
                Some(format!(
                    "{probes} probes were left out: this machine had no time for them"
                ))
            }
            Told::Sentence(sentence) => Some(sentence),
        };
        if let Some(sentence) = sentence {
            eprintln!("{name}: {sentence}");
            figures.tell(sentence);
        }
    }

    /// How it goes, for a person, and evidence so far, for whoever comes after a crash of this program.
    fn look(&self) {
        for (place, figures) in self.run.places.iter().zip(&self.figures) {
            println!("{}: {}", place.name, figures.line());
        }
        if let Err(error) = self.write() {
            eprintln!("{error}");
        }
    }

    fn all(&self) -> Figures {
        let mut all = Figures::new();
        self.figures.iter().for_each(|figures| all.merge(figures));
        all
    }

    fn decide(&self) -> (Verdict, String) {
        self.all().decide(&self.run.objectives, self.run.once)
    }

    fn write(&self) -> Result<PathBuf, NotWritten> {
        let (verdict, sentence) = self.decide();
        let places = self.run.places.iter().zip(&self.figures);
        let evidence = Evidence {
            command: if self.run.once { "once" } else { "run" },
            at_s: now_s(),
            verdict,
            sentence: &sentence,
            figures: RunFigures {
                kind: "open",
                began_at_s: self.began_at_s,
                ended_at_s: now_s(),
                per_hour_and_place: self.run.per_hour,
                not_running_before_s: self.not_running_before_s,
                cpu_seconds: evidence::cpu_seconds(),
                objectives: self.run.objectives,
                all: self.all().told(),
                places: places
                    .map(|(place, figures)| PlaceFigures {
                        name: place.name.clone(),
                        endpoints: place.endpoints.clone(),
                        told: figures.told(),
                    })
                    .collect(),
            },
        };
        evidence::write(&self.run.folder, self.began_at_s, &evidence).map_err(|source| NotWritten {
            folder: self.run.folder.clone(),
            source,
        })
    }
}

/// Never, where no end was asked for.
async fn end_of(began: Instant, lasts: Option<Duration>) {
    match lasts {
        Some(lasts) => sleep_until(began + lasts).await,
        None => std::future::pending().await,
    }
}

/// SIGINT and SIGTERM: whoever ends it still gets what was found.
struct Signals(Option<tokio::signal::unix::Signal>);

impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(signal(SignalKind::terminate()).ok())
    }

    async fn next(&mut self) {
        let terminated = async {
            match &mut self.0 {
                Some(signal) => {
                    signal.recv().await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {}
            () = terminated => {}
        }
    }
}
