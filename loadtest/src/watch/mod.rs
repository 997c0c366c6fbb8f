//! `loadtest watch`: a crowd of watchers on one event's stream while votes come at a stated rate, whether the service keeps up or
//! not. Few threads read all streams; how late they are themselves is measured, and part of the verdict.

mod crowd;
mod cutter;
mod figures;
mod shared;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ostraka_api::ids::EventId;
use ostraka_api::sse::SSE_MEDIA_TYPE;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use self::crowd::Part;
pub(crate) use self::figures::{Limits, WatchFigures};
use self::shared::Shared;
use crate::generator::{Counts, LoadError};
use crate::issuer::Issuer;
use crate::memory::resident_kib;
use crate::open_loop::{Flow, OpenLoad, OpenReport, Ready, Traced};
use crate::rate::too_many;
use crate::session::{self, SessionError, Subject};
use crate::wire::VoteTemplate;

/// Everything of this process that is no watcher's connection.
const OPEN_FILES_RESERVE: u64 = 256;
/// Watchers that connect at once have their first snapshot within this, or the service does not take them.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
/// Between the last snapshot and the first vote: what connecting cost is over, and the memory of resting watchers is seen.
const REST: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

/// What is asked for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Watch {
    pub(crate) watchers: usize,
    pub(crate) watcher_threads: usize,
    #[serde(flatten)]
    pub(crate) flow: Flow,
    pub(crate) traced_per_s: f64,
    /// Of votes without watchers, before they come: what votes alone need in memory is there then.
    pub(crate) votes_before_s: u64,
    pub(crate) limits: Limits,
}

impl Watch {
    /// Why such a run cannot be; none where it can.
    pub(crate) fn impossible(&self) -> Option<String> {
        if let Some(sentence) = too_many(&self.flow, self.votes_before_s) {
            return Some(sentence);
        }
        let needed = (self.watchers + self.flow.connections) as u64 + OPEN_FILES_RESERVE;
        let allowed = raise_open_files();
        allowed.filter(|allowed| *allowed < needed).map(|allowed| {
            format!(
                "{needed} files are to be open at once and {allowed} may be: raise the hard limit (`ulimit -Hn {needed}`, as root), \
                 or ask for fewer --watchers"
            )
        })
    }
}

/// Raises the soft limit of open files to the hard one, and says what it is then; none where there is no limit.
pub(crate) fn raise_open_files() -> Option<u64> {
    let given = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: given.maximum,
        maximum: given.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => given.maximum,
        Err(_) => given.current,
    }
}

/// Resident memory of the service's process; none where it is not this run's own, or not on Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ResidentKib {
    /// After votes without watchers.
    pub(crate) before: Option<u64>,
    /// With all watchers there, and no votes.
    pub(crate) watched: Option<u64>,
    /// When the last vote was answered, with all watchers there.
    pub(crate) voted: Option<u64>,
}

/// What a run saw.
struct Report {
    counts: Counts,
    open: OpenReport,
    traced: u64,
    crowd: Part,
    resident: ResidentKib,
}

impl AsRef<Counts> for Report {
    fn as_ref(&self) -> &Counts {
        &self.counts
    }
}

/// Creates an event, has it watched and voted in, and closes the books.
pub(crate) fn run(subject: &Subject<'_>, watch: &Watch) -> Result<WatchFigures, SessionError> {
    let (report, ledger) = session::run(subject, |issuer, template| {
        drive(subject, watch, &issuer, &template)
    })?;
    Ok(WatchFigures::of(*watch, &report, ledger))
}

fn drive(
    subject: &Subject<'_>,
    watch: &Watch,
    issuer: &Issuer,
    template: &VoteTemplate,
) -> Result<Report, LoadError> {
    let mut counts = Counts::default();
    let mut resident = ResidentKib::default();
    let mut first_voter = 1;
    if watch.votes_before_s > 0 {
        let before = Ready::of(OpenLoad {
            warmup: Duration::ZERO,
            window: Duration::from_secs(watch.votes_before_s),
            ..OpenLoad::plain(subject, template, issuer, watch.flow)
        })?;
        first_voter += before.votes();
        counts.add(before.go(Instant::now())?.counts);
    }
    let one_in = (watch.flow.votes_per_s / watch.traced_per_s).round().max(1.0) as usize;
    let chance = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) as u32;
    let traced = Traced::new(chance, one_in);
    let load = OpenLoad {
        first_voter,
        traced: Some(traced),
        ..OpenLoad::plain(subject, template, issuer, watch.flow)
    };
    let window = load.warmup..load.warmup + load.window;
    let event: EventId = template
        .aims_at()
        .1
        .parse()
        .map_err(|_| LoadError::Watchers("the service gave the event an id that is none".to_string()))?;
    let ready = Ready::of(load)?;
    let traced_votes = ready.traced();
    let shared = Arc::new(Shared::new(subject.addr, event, traced, window));
    resident.before = resident_kib(subject.pid);
    let threads = watchers(&shared, watch, issuer, template);
    if let Err(sentence) = opened(&shared, watch.watchers, &threads) {
        shared.give_up();
        return Err(LoadError::Watchers(first_error(threads).unwrap_or(sentence)));
    }
    std::thread::sleep(REST);
    resident.watched = resident_kib(subject.pid);
    let start = Instant::now();
    shared.start.get_or_init(|| start);
    let open = ready.go(start);
    resident.voted = resident_kib(subject.pid);
    let mut open = open.inspect_err(|_| shared.give_up())?;
    counts.add(std::mem::take(&mut open.counts));
    shared.acked.get_or_init(|| counts.acked);
    let mut crowd = Part::new();
    for thread in threads {
        let part = thread.join().expect("a thread of watchers does not panic");
        crowd.add(part.map_err(LoadError::Watchers)?);
    }
    Ok(Report {
        counts,
        open,
        traced: traced_votes,
        crowd,
        resident,
    })
}

type Thread = std::thread::JoinHandle<Result<Part, String>>;

fn watchers(shared: &Arc<Shared>, watch: &Watch, issuer: &Issuer, template: &VoteTemplate) -> Vec<Thread> {
    let (host, event) = template.aims_at();
    let request = |number: usize| {
        let mut request = format!(
            "GET /v1/event/{event}/stream HTTP/1.1\r\nhost: {host}\r\naccept: {SSE_MEDIA_TYPE}\r\nauthorization: Bearer "
        );
        // From the other end of the numbers than those who vote.
        issuer.sign_into(u32::MAX - 1 - number as u32, &mut request);
        request + "\r\n\r\n"
    };
    let begin = |thread: usize| {
        let numbers = (thread..watch.watchers).step_by(watch.watcher_threads);
        let requests: Vec<String> = numbers.map(request).collect();
        let shared = Arc::clone(shared);
        std::thread::spawn(move || crowd::run(&shared, &requests))
    };
    (0..watch.watcher_threads).map(begin).collect()
}

/// Waits until all watchers have their first snapshot.
fn opened(shared: &Shared, watchers: usize, threads: &[Thread]) -> Result<(), String> {
    let until = Instant::now() + OPEN_TIMEOUT;
    loop {
        let opened = shared.opened.load(Ordering::Relaxed);
        if opened == watchers as u64 {
            return Ok(());
        }
        if Instant::now() > until || threads.iter().any(Thread::is_finished) {
            return Err(format!(
                "{opened} of {watchers} had a first snapshot within {} s",
                OPEN_TIMEOUT.as_secs()
            ));
        }
        std::thread::sleep(LOOK);
    }
}

/// Why a thread of watchers ended, or what it was told when it connected.
fn first_error(threads: Vec<Thread>) -> Option<String> {
    let said = threads.into_iter().filter_map(|thread| {
        match thread.join().expect("a thread of watchers does not panic") {
            Err(sentence) => Some(sentence),
            Ok(part) => {
                let fault = part.fault_sentences.into_iter().next();
                fault.or_else(|| part.lost.into_keys().next())
            }
        }
    });
    said.min()
}

#[cfg(test)]
mod tests;
