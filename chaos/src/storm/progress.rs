//! What whoever watches a storm is told while it lasts.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ostraka_sim_model::history::{Answer, VoteStatus};
use ostraka_sim_model::ids::SimMicros;
use tokio::runtime::Runtime;

use crate::limits::PROGRESS_EVERY;

/// How the crowd has fared so far.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    answers: AtomicU64,
    acked: AtomicU64,
}

impl SoFar {
    pub(super) fn note(&self, answer: &Answer) {
        let is_acked = matches!(
            answer,
            Answer::Vote {
                status: VoteStatus::Acked | VoteStatus::Processed,
                ..
            }
        );
        let is_answer = !matches!(answer, Answer::Skipped | Answer::Unknown { .. });
        self.answers.fetch_add(u64::from(is_answer), Ordering::Relaxed);
        self.acked.fetch_add(u64::from(is_acked), Ordering::Relaxed);
    }
}

/// Lines as things happen, and one from time to time where nothing does.
pub(super) struct Progress<'a> {
    now: &'a dyn Fn() -> SimMicros,
    say: &'a dyn Fn(&str),
    every: Duration,
    next: Instant,
    so_far: Arc<SoFar>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(now: &'a dyn Fn() -> SimMicros, say: &'a dyn Fn(&str)) -> Self {
        Self {
            now,
            say,
            every: PROGRESS_EVERY,
            next: Instant::now() + PROGRESS_EVERY,
            so_far: Arc::default(),
        }
    }

    pub(super) fn so_far(&self) -> Arc<SoFar> {
        self.so_far.clone()
    }

    /// Says each line as it comes, until nobody is left who could say one.
    pub(super) fn listen(&mut self, lines: &Receiver<String>) {
        loop {
            match lines.recv_timeout(self.tick()) {
                Ok(line) => (self.say)(&line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    pub(super) fn wait<T>(&mut self, runtime: &Runtime, waited_for: impl Future<Output = T>) -> T {
        runtime.block_on(async {
            let mut waited_for = pin!(waited_for);
            loop {
                let pause = self.tick();
                if let Ok(done) = tokio::time::timeout(pause, &mut waited_for).await {
                    return done;
                }
            }
        })
    }

    /// Says how it goes where that is due, and how long it is until it is due again.
    fn tick(&mut self) -> Duration {
        let now = Instant::now();
        if now >= self.next {
            self.next = now + self.every;
            let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
            let (answers, acked) = (count(&self.so_far.answers), count(&self.so_far.acked));
            (self.say)(&stamped(
                (self.now)(),
                format_args!("{answers} requests answered, {acked} votes acknowledged so far"),
            ));
        }
        self.next - now
    }
}

/// A line with the plan's time.
pub(super) fn stamped(at: SimMicros, line: impl std::fmt::Display) -> String {
    format!("{:.1} s: {line}", at.0 as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc;

    use super::*;

    fn quick<'a>(say: &'a dyn Fn(&str)) -> Progress<'a> {
        Progress {
            every: Duration::from_millis(20),
            next: Instant::now() + Duration::from_millis(20),
            ..Progress::new(&|| SimMicros(12_000_000), say)
        }
    }

    /// Whoever says the first line waits until it was told before saying the second one.
    #[test]
    fn lines_are_told_when_they_come_and_not_at_the_end() {
        let (told_tx, told_rx) = mpsc::channel();
        let say = |line: &str| told_tx.send(line.to_owned()).expect("somebody listens");
        let (lines_tx, lines_rx) = mpsc::channel();
        let talker = std::thread::spawn(move || {
            lines_tx.send("kill begins".to_owned()).expect("somebody listens");
            let told = told_rx.recv_timeout(Duration::from_secs(10));
            lines_tx
                .send("kill is over".to_owned())
                .expect("somebody listens");
            (told, told_rx)
        });
        Progress::new(&|| SimMicros(0), &say).listen(&lines_rx);
        let (told, rest) = talker.join().expect("it ends");
        assert_eq!(told.as_deref(), Ok("kill begins"));
        assert_eq!(rest.try_iter().collect::<Vec<_>>(), ["kill is over"]);
    }

    #[test]
    fn where_nothing_happens_it_is_said_how_it_goes() {
        let told = RefCell::new(Vec::new());
        let say = |line: &str| told.borrow_mut().push(line.to_owned());
        let mut progress = quick(&say);
        for status in [VoteStatus::Processed, VoteStatus::Duplicate] {
            let vote_id = String::new();
            progress.so_far().note(&Answer::Vote { vote_id, status });
        }
        progress.so_far().note(&Answer::Skipped);
        let runtime = crate::campaign::client_runtime(1).expect("threads");
        progress.wait(&runtime, async {
            tokio::time::sleep(Duration::from_millis(200)).await;
        });
        let told = told.into_inner();
        assert!(told.len() >= 2, "{told:?}");
        assert_eq!(
            told[0],
            "12.0 s: 2 requests answered, 1 votes acknowledged so far"
        );
    }
}
