//! The engine alone: batches in, durable behind the real barrier, decoded and applied, without consensus, network or HTTP.
//!
//! `cargo bench -p ostraka-replication --bench engine -- [VOTES] [FOLDER]`: everybody votes once, in entries of 1,000, 16 of which
//! are under way. Told are votes a second, bytes on disk a vote (log and snapshot), and how long a restart from the snapshot
//! and the tenth of the log behind it takes.

#[path = "../../core/benches/support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::RaftLogReader;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use ostraka_core::{
    Batch, Command, EntryMeta, LogIndex, Outcome, State, UnixMs, VoteOutcome, VoteVerdict, snapshot,
};
use ostraka_replication::log_store::sled::SledLogStore;
use ostraka_replication::types::{Entry, EntryPayload, LogId, Proposal, Types};

use self::support::EVENT;

const VOTES_DEFAULT: u64 = 2_000_000;
const ENTRY_VOTES: u64 = 1_000;
const UNDER_WAY: usize = 16;
/// The snapshot is taken when all but one in so many votes are there.
const TAIL_ONE_IN: u64 = 10;
/// Entries of the tail that are read at once.
const READ_ENTRIES: u64 = 256;

type Failed = Box<dyn Error>;

fn votes(entry: u64, voters: u64) -> Batch {
    let vote = |number: u64| Command::CastVote(support::vote(number, support::scattered(number, voters)));
    let numbers = entry * ENTRY_VOTES..(entry + 1) * ENTRY_VOTES;
    Batch {
        commands: numbers.map(vote).collect(),
    }
}

/// Applies an entry's body, all of whose votes must count, and says how many there were.
fn apply(state: &mut State, index: u64, body: &[u8]) -> Result<u64, Failed> {
    let meta = EntryMeta {
        index: LogIndex(index),
        stamped_at: UnixMs(index),
    };
    let outcomes = state.apply(meta, &Batch::decode(body)?).outcomes;
    let is_counted = |outcome: &&Outcome| {
        let verdict = VoteVerdict::Processed;
        matches!(outcome, Outcome::Vote(VoteOutcome::Recorded { verdict: found, .. }) if *found == verdict)
    };
    Ok(outcomes.iter().filter(is_counted).count() as u64)
}

struct Engine {
    store: SledLogStore,
    state: State,
    counted: u64,
    next: u64,
}

impl Engine {
    /// Its log begins with an entry that is no batch, as every log's does.
    async fn open(folder: &Path) -> Result<Self, Failed> {
        let mut store = SledLogStore::open(folder)?;
        let (done, flushed) = Types::oneshot();
        let first = Entry {
            log_id: LogId::new_term_index(1, 0),
            payload: EntryPayload::Blank,
        };
        store.append([first], IOFlushed::signal(done)).await?;
        flushed.await??;
        Ok(Self {
            store,
            state: State::new(),
            counted: 0,
            next: 1,
        })
    }

    /// Takes all of them in, and returns when all are durable and applied.
    async fn take(&mut self, bodies: &[Bytes]) -> Result<(), Failed> {
        let mut under_way = VecDeque::new();
        let mut waiting = bodies.iter();
        loop {
            if under_way.len() < UNDER_WAY
                && let Some(body) = waiting.next()
            {
                let (done, flushed) = Types::oneshot();
                let proposal = Proposal {
                    stamped_at: UnixMs(self.next),
                    body: body.clone(),
                };
                let entry = Entry {
                    log_id: LogId::new_term_index(1, self.next),
                    payload: EntryPayload::Normal(proposal),
                };
                self.store.append([entry], IOFlushed::signal(done)).await?;
                under_way.push_back((self.next, body, flushed));
                self.next += 1;
                continue;
            }
            let Some((index, body, flushed)) = under_way.pop_front() else {
                return Ok(());
            };
            flushed.await??;
            self.counted += apply(&mut self.state, index, body)?;
        }
    }
}

fn write_snapshot(state: &State, path: &Path) -> Result<u64, Failed> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    snapshot::write(state, &mut out)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(out.get_ref().metadata()?.len())
}

/// Opens the log, reads the snapshot, applies the entries from `next` on; the state, and how long that took.
async fn restart(folder: &Path, image: &Path, next: u64, end: u64) -> Result<(State, Duration), Failed> {
    let begun = Instant::now();
    let mut store = SledLogStore::open(folder)?;
    let mut state = snapshot::read(&mut BufReader::with_capacity(1 << 20, File::open(image)?))?;
    let mut reader = store.get_log_reader().await;
    for from in (next..end).step_by(READ_ENTRIES as usize) {
        let entries = reader
            .try_get_log_entries(from..end.min(from + READ_ENTRIES))
            .await?;
        for entry in entries {
            if let EntryPayload::Normal(proposal) = entry.payload {
                apply(&mut state, entry.log_id.index, &proposal.body)?;
            }
        }
    }
    Ok((state, begun.elapsed()))
}

fn disk_bytes(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        bytes += match file.metadata()? {
            meta if meta.is_dir() => disk_bytes(&file.path())?,
            meta => meta.len(),
        };
    }
    Ok(bytes)
}

async fn measure(voters: u64, folder: &Path) -> Result<(), Failed> {
    let (log, image) = (folder.join("log"), folder.join("snapshot"));
    let entries = voters / ENTRY_VOTES;
    let before_tail = entries - entries / TAIL_ONE_IN;
    let bodies: Vec<Bytes> = (0..entries)
        .map(|entry| votes(entry, voters).encode().into())
        .collect();
    let body_bytes: usize = bodies.iter().map(Bytes::len).sum();
    let mut engine = Engine::open(&log).await?;
    engine.take(&[support::created().encode().into()]).await?;
    let (early, tail) = bodies.split_at(before_tail as usize);
    let begun = Instant::now();
    engine.take(early).await?;
    let mut took = begun.elapsed();
    let (written, image_bytes) = {
        let begun = Instant::now();
        let bytes = write_snapshot(&engine.state, &image)?;
        (begun.elapsed(), bytes)
    };
    let tail_from = engine.next;
    let begun = Instant::now();
    engine.take(tail).await?;
    took += begun.elapsed();
    let Engine {
        store,
        state,
        counted,
        next,
    } = engine;
    assert_eq!(counted, entries * ENTRY_VOTES, "every vote counts");
    drop(store);
    let log_bytes = disk_bytes(&log)?;
    let by_vote = |bytes: u64| bytes as f64 / counted as f64;
    println!(
        "{counted} votes in entries of {ENTRY_VOTES}: durable and applied in {:.2} s, {:.0} votes/s\n\
         on disk {:.1} bytes a vote: log {:.1} ({:.1} in bodies), snapshot {:.1}, written in {:.2} s",
        took.as_secs_f64(),
        counted as f64 / took.as_secs_f64(),
        by_vote(log_bytes + image_bytes),
        by_vote(log_bytes),
        by_vote(body_bytes as u64),
        by_vote(image_bytes),
        written.as_secs_f64(),
    );
    let (again, took) = restart(&log, &image, tail_from, next).await?;
    let totals = |state: &State| state.event(EVENT).map(|event| event.totals().to_vec());
    assert_eq!(totals(&again), totals(&state), "a restart has the same totals");
    println!(
        "restart from the snapshot and {} entries behind it (page cache warm): {:.2} s",
        next - tail_from,
        took.as_secs_f64()
    );
    Ok(())
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|text| text != "--bench")
        .collect();
    let asked = arguments.iter().find_map(|text| text.parse::<u64>().ok());
    let voters = asked.unwrap_or(VOTES_DEFAULT).max(ENTRY_VOTES * TAIL_ONE_IN) / ENTRY_VOTES * ENTRY_VOTES;
    let named = arguments.iter().find(|text| text.parse::<u64>().is_err());
    let base = named.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::fs::create_dir_all(&base)?;
    let folder = base.join(format!("engine-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let measured = runtime.block_on(measure(voters, &folder));
    std::fs::remove_dir_all(&folder)?;
    measured
}
