//! How many durable appends a second the log on disk takes.
//!
//! `cargo run --release -p ostraka-replication --example log_store_bench -- [FOLDER] [SECONDS]`: one writer, bodies of
//! 3, 32 and 160 KB, 1, 4 and 16 appends under way. Prints commits and 64-byte votes a second, latency from append to
//! acknowledgement, time inside `append`, bytes on disk per byte of body, and how fast a start looks through the file
//! (from the page cache: a disk may be slower).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use ostraka_core::UnixMs;
use ostraka_replication::log_store::sled::{CheckedLog, SledLogStore};
use ostraka_replication::types::{Entry, EntryPayload, LogId, Proposal, Types};

const VOTE_BYTES: usize = 64;

struct Run {
    commits: u64,
    seconds: f64,
    latencies: Vec<Duration>,
    in_append: Duration,
    disk_bytes: u64,
    look: Duration,
}

fn entry(index: u64, body: &bytes::Bytes) -> Entry {
    let proposal = Proposal {
        stamped_at: UnixMs(index),
        body: body.clone(),
    };
    Entry {
        log_id: LogId::new_term_index(1, index),
        payload: EntryPayload::Normal(proposal),
    }
}

async fn measure(folder: &Path, body_bytes: usize, under_way: usize, within: Duration) -> io::Result<Run> {
    let mut store = SledLogStore::open(folder).map_err(io::Error::other)?;
    // Not compressible, not all alike.
    let body: Vec<u8> = (0..body_bytes as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8)
        .collect();
    let body = bytes::Bytes::from(body);
    let mut waiting = VecDeque::new();
    let mut latencies = Vec::new();
    let mut in_append = Duration::ZERO;
    let (begin, mut index) = (Instant::now(), 0);
    while begin.elapsed() < within || !waiting.is_empty() {
        if begin.elapsed() < within && waiting.len() < under_way {
            let (done, flushed) = Types::oneshot();
            let asked = Instant::now();
            store
                .append([entry(index, &body)], IOFlushed::signal(done))
                .await?;
            in_append += asked.elapsed();
            waiting.push_back((asked, flushed));
            index += 1;
            continue;
        }
        let Some((asked, flushed)) = waiting.pop_front() else {
            continue;
        };
        flushed.await.map_err(io::Error::other)??;
        latencies.push(asked.elapsed());
    }
    let seconds = begin.elapsed().as_secs_f64();
    let disk_bytes = std::fs::metadata(folder.join("db"))?.len();
    latencies.sort_unstable();
    drop(store);
    let looked = Instant::now();
    drop(CheckedLog::look(folder).map_err(io::Error::other)?);
    let look = looked.elapsed();
    Ok(Run {
        commits: index,
        seconds,
        latencies,
        in_append,
        disk_bytes,
        look,
    })
}

fn quantile_ms(sorted: &[Duration], of: f64) -> f64 {
    let at = ((sorted.len() as f64 * of) as usize).min(sorted.len() - 1);
    sorted[at].as_secs_f64() * 1e3
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args
        .next()
        .map_or_else(|| PathBuf::from("target/log_store_bench"), PathBuf::from);
    let seconds: f64 = args.next().and_then(|text| text.parse().ok()).unwrap_or(3.0);
    println!(
        "| body bytes | under way | commits/s | votes/s | p50 ms | p99 ms | in append us | disk/body | look MB/s |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for body_bytes in [3_000, 32_000, 160_000] {
        for under_way in [1, 4, 16] {
            let run_folder = folder.join(format!("{body_bytes}-{under_way}"));
            let run = measure(
                &run_folder,
                body_bytes,
                under_way,
                Duration::from_secs_f64(seconds),
            )
            .await?;
            std::fs::remove_dir_all(&run_folder)?;
            let commits_a_second = run.commits as f64 / run.seconds;
            println!(
                "| {body_bytes} | {under_way} | {commits_a_second:.0} | {:.0} | {:.2} | {:.2} | {:.1} | {:.2} | {:.0} |",
                commits_a_second * (body_bytes / VOTE_BYTES) as f64,
                quantile_ms(&run.latencies, 0.5),
                quantile_ms(&run.latencies, 0.99),
                run.in_append.as_secs_f64() * 1e6 / run.commits as f64,
                run.disk_bytes as f64 / (run.commits * body_bytes as u64) as f64,
                run.disk_bytes as f64 / 1e6 / run.look.as_secs_f64(),
            );
        }
    }
    Ok(())
}
