//! The closed-loop generator: so many connections, each of which sends votes, waits for their answers and sends the
//! next. It finds the highest throughput. It is no judge of latency: when the server stalls, it stalls too, and the
//! requests that users would have sent meanwhile are missing from its histogram (coordinated omission).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cpu;
use crate::issuer::Issuer;
use crate::statistics::{CpuCores, latencies};
use crate::wire::{VoteTemplate, WireError, find_answer, says_processed};

/// A loopback or data-centre connection is there at once or not at all.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the service's own patience with a submission, so that its answer is heard.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// What to do.
pub(crate) struct Load {
    pub(crate) addr: SocketAddr,
    pub(crate) template: VoteTemplate,
    pub(crate) issuer: Issuer,
    /// Who votes, once each; where they are all through, the load is over.
    pub(crate) voters: Range<u32>,
    pub(crate) connections: usize,
    /// Requests sent together on a connection before their answers are awaited.
    pub(crate) pipeline: usize,
    pub(crate) threads: usize,
    /// Votes before this are cast and counted, but not measured.
    pub(crate) warmup: Duration,
    pub(crate) window: Duration,
    /// The server's process where it is this run's own, to see its CPU time.
    pub(crate) server_pid: Option<u32>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("{addr} cannot be reached: {reason}")]
    Unreachable { addr: SocketAddr, reason: String },
    #[error("the generator's own runtime does not start: {0}")]
    Runtime(std::io::Error),
    #[error("{0}")]
    TooMany(String),
    #[error("the watchers are not there: {0}")]
    Watchers(String),
}

/// What came of it. Votes are counted from the first to the last, measurements are of the window.
#[derive(Debug)]
pub(crate) struct LoadReport {
    pub(crate) counts: Counts,
    pub(crate) window: Duration,
    pub(crate) acked_in_window: u64,
    pub(crate) latencies_micros: Histogram<u64>,
    pub(crate) cpu: CpuCores,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// 200 with `processed`: the service says that it is durable and counted.
    pub(crate) acked: u64,
    /// Any other 200: every vote is of a new voter in a new event, so there should be none.
    pub(crate) not_counted: u64,
    /// Other statuses.
    pub(crate) refused: BTreeMap<u16, u64>,
    /// Sent, and no answer heard.
    pub(crate) unanswered: u64,
    /// Why connections ended before their time.
    pub(crate) broken: BTreeMap<String, u64>,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.acked += other.acked;
        self.not_counted += other.not_counted;
        self.unanswered += other.unanswered;
        other
            .refused
            .into_iter()
            .for_each(|(status, count)| *self.refused.entry(status).or_default() += count);
        other
            .broken
            .into_iter()
            .for_each(|(why, count)| *self.broken.entry(why).or_default() += count);
    }

    /// Votes that the service may have counted although nobody was told so: the unanswered, and those answered with
    /// an error of the server's (5xx).
    pub(crate) fn in_doubt(&self) -> u64 {
        self.unanswered + self.refused.range(500..).map(|(_, count)| count).sum::<u64>()
    }
}

impl AsRef<Counts> for LoadReport {
    fn as_ref(&self) -> &Counts {
        &self.counts
    }
}

impl LoadReport {
    pub(crate) fn votes_per_s(&self) -> f64 {
        self.acked_in_window as f64 / self.window.as_secs_f64()
    }
}

/// Runs the load to its end on its own threads. Blocks.
pub(crate) fn run(load: Load) -> Result<LoadReport, LoadError> {
    let threads = load.threads;
    let (warmup, window, server_pid) = (load.warmup, load.window, load.server_pid);
    let shared = Shared::begin(load)?;
    let workers = workers(&shared, threads);
    std::thread::sleep((shared.start + warmup).saturating_duration_since(Instant::now()));
    let before = cpu::Reading::take(server_pid);
    std::thread::sleep((shared.start + warmup + window).saturating_duration_since(Instant::now()));
    let cpu = cpu::Reading::take(server_pid).since(&before);
    let whole = join(workers)?;
    Ok(LoadReport {
        counts: whole.counts,
        window,
        acked_in_window: whole.acked_in_window,
        latencies_micros: whole.latencies_micros,
        cpu,
    })
}

/// Has all voters vote, without measuring. Blocks; ends before its time (warm-up and window) only where all are through or
/// all connections are broken.
pub(crate) fn cast(load: Load) -> Result<Counts, LoadError> {
    let threads = load.threads;
    let shared = Shared::begin(load)?;
    Ok(join(workers(&shared, threads))?.counts)
}

type Worker = std::thread::JoinHandle<std::io::Result<Part>>;

fn workers(shared: &Arc<Shared>, threads: usize) -> Vec<Worker> {
    let begin = |thread| {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || work(&shared, thread))
    };
    (0..threads).map(begin).collect()
}

fn join(workers: Vec<Worker>) -> Result<Part, LoadError> {
    let mut whole = Part::new();
    for worker in workers {
        let part = worker.join().expect("a worker does not panic");
        whole.add(part.map_err(LoadError::Runtime)?);
    }
    Ok(whole)
}

/// One connection ahead of all others: a server that is not there is one sentence, not 64.
pub(crate) fn probe(addr: SocketAddr) -> Result<(), LoadError> {
    let tried = std::net::TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT);
    tried.map(drop).map_err(|error| LoadError::Unreachable {
        addr,
        reason: error.to_string(),
    })
}

struct Shared {
    load: Load,
    next_voter: AtomicU32,
    start: Instant,
}

impl Shared {
    fn begin(load: Load) -> Result<Arc<Self>, LoadError> {
        probe(load.addr)?;
        Ok(Arc::new(Self {
            next_voter: AtomicU32::new(load.voters.start),
            start: Instant::now(),
            load,
        }))
    }

    /// The next voters, as many as a connection sends at once; none where all have voted.
    fn next_voters(&self) -> Range<u32> {
        let end = self.load.voters.end;
        let many = u32::try_from(self.load.pipeline).expect("a pipeline is short");
        let claim = |next: u32| (next < end).then(|| next.saturating_add(many).min(end));
        let claimed = self
            .next_voter
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim);
        claimed.map_or(end..end, |next| next..next.saturating_add(many).min(end))
    }

    fn end(&self) -> Instant {
        self.start + self.load.warmup + self.load.window
    }
}

/// What one worker saw.
struct Part {
    counts: Counts,
    acked_in_window: u64,
    latencies_micros: Histogram<u64>,
}

impl Part {
    fn new() -> Self {
        Self {
            counts: Counts::default(),
            acked_in_window: 0,
            latencies_micros: latencies(),
        }
    }

    fn add(&mut self, other: Self) {
        self.counts.add(other.counts);
        self.acked_in_window += other.acked_in_window;
        self.latencies_micros
            .add(&other.latencies_micros)
            .expect("all histograms have the same bounds");
    }
}

fn work(shared: &Arc<Shared>, thread: usize) -> std::io::Result<Part> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(async {
        let mut connections = JoinSet::new();
        for _ in (thread..shared.load.connections).step_by(shared.load.threads) {
            connections.spawn(connection(Arc::clone(shared)));
        }
        let mut whole = Part::new();
        while let Some(part) = connections.join_next().await {
            whole.add(part.expect("a connection does not panic"));
        }
        whole
    }))
}

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("connecting failed: {0}")]
    Connect(std::io::Error),
    #[error("sending failed: {0}")]
    Send(std::io::Error),
    #[error("reading failed: {0}")]
    Read(std::io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("no answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Late,
    #[error("an answer came that nothing had asked for")]
    Unasked,
    #[error(transparent)]
    Wire(#[from] WireError),
}

async fn connection(shared: Arc<Shared>) -> Part {
    let mut part = Part::new();
    let mut awaited = 0;
    if let Err(broken) = converse(&shared, &mut part, &mut awaited).await {
        part.counts.unanswered += awaited;
        part.counts.broken.insert(broken.to_string(), 1);
    }
    part
}

/// Sends and reads until the time is over. `awaited` is how many requests are under way, also when it fails.
async fn converse(shared: &Shared, part: &mut Part, awaited: &mut u64) -> Result<(), Broken> {
    let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(shared.load.addr)).await;
    let mut stream = connecting.map_err(|_| Broken::Late)?.map_err(Broken::Connect)?;
    stream.set_nodelay(true).map_err(Broken::Connect)?;
    let mut request = String::new();
    let mut buffer = Vec::with_capacity(READ_BYTES);
    while Instant::now() < shared.end() {
        request.clear();
        let voters = shared.next_voters();
        if voters.is_empty() {
            break;
        }
        *awaited = voters.len() as u64;
        for voter in voters {
            shared
                .load
                .template
                .render_into(&shared.load.issuer, voter, &mut request);
        }
        let sent = Instant::now();
        let sending = timeout(ANSWER_TIMEOUT, stream.write_all(request.as_bytes())).await;
        sending.map_err(|_| Broken::Late)?.map_err(Broken::Send)?;
        while *awaited > 0 {
            let reading = timeout(ANSWER_TIMEOUT, stream.read_buf(&mut buffer)).await;
            if reading.map_err(|_| Broken::Late)?.map_err(Broken::Read)? == 0 {
                return Err(Broken::Closed);
            }
            take_answers(shared, part, &mut buffer, sent, awaited)?;
        }
    }
    Ok(())
}

/// Takes the whole answers off the buffer's start and counts them.
fn take_answers(
    shared: &Shared,
    part: &mut Part,
    buffer: &mut Vec<u8>,
    sent: Instant,
    awaited: &mut u64,
) -> Result<(), Broken> {
    let now = Instant::now();
    let measured = now >= shared.start + shared.load.warmup && now < shared.end();
    let mut taken = 0;
    while *awaited > 0
        && taken < buffer.len()
        && let Some(answer) = find_answer(&buffer[taken..])?
    {
        let body = answer.body(&buffer[taken..]);
        match answer.status {
            200 if says_processed(body) => {
                part.counts.acked += 1;
                if measured {
                    part.acked_in_window += 1;
                    let micros = now.duration_since(sent).as_micros();
                    part.latencies_micros
                        .saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
                }
            }
            200 => part.counts.not_counted += 1,
            status => *part.counts.refused.entry(status).or_default() += 1,
        }
        *awaited -= 1;
        taken += answer.bytes();
    }
    buffer.drain(..taken);
    Ok(())
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
