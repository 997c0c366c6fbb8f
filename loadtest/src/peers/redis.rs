//! Redis: one script a vote, every append synced before it is answered.

use std::path::Path;
use std::process::Command;

use super::tool::{Running, find, free_port, output};
use super::{PeerError, PeerFigures};
use crate::session::Pressure;

/// One vote a user, a tally, and a log of votes. Second votes are counted, for the driver draws a voter twice now and then: of
/// 200,000 below the bound about ten.
const VOTE: &str = "if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then redis.call('INCR', KEYS[4]) return 0 end \
                    redis.call('HINCRBY', KEYS[2], ARGV[2], 1) \
                    redis.call('XADD', KEYS[3], '*', 'voter', ARGV[1], 'contestant', ARGV[2]) \
                    return 1";

/// The first votes of a round: how many a second there will be about.
const VOTES_TO_LOOK: u64 = 10_000;

/// redis-benchmark draws voters below this; its own bound is that of an `int`.
const VOTERS: &str = "2000000000";

pub(super) fn round(pressure: Pressure, folder: &Path) -> Result<PeerFigures, PeerError> {
    let [server, benchmark, cli] =
        ["redis-server", "redis-benchmark", "redis-cli"].map(|name| find(name, &[]));
    let (server, benchmark, cli) = (server?, benchmark?, cli?);
    let port = free_port()?.to_string();
    let ask = |words: &[&str]| {
        output(
            Command::new(&cli)
                .args(["-h", "127.0.0.1", "-p", &port])
                .args(words),
        )
    };
    let data = folder.join("redis");
    std::fs::create_dir_all(&data).map_err(|error| PeerError::Failed(error.to_string()))?;
    let mut command = Command::new(&server);
    command
        .args(["--bind", "127.0.0.1", "--port", &port, "--dir"])
        .arg(&data);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
    let ready = || ask(&["PING"]).is_ok_and(|answer| answer.trim() == "PONG");
    let _running = Running::start(&mut command, &folder.join("redis.log"), ready)?;
    let sha = ask(&["SCRIPT", "LOAD", VOTE])?.trim().to_string();
    let vote = |votes: u64| {
        let mut command = Command::new(&benchmark);
        command.args(["-h", "127.0.0.1", "-p", &port, "--csv", "-r", VOTERS]);
        command.args(["-c", &pressure.connections.to_string()]);
        command.args(["-P", &pressure.pipeline.to_string(), "-n", &votes.to_string()]);
        command.args([
            "EVALSHA",
            &sha,
            "4",
            "voters",
            "tally",
            "log",
            "seconds",
            "__rand_int__",
            "c0",
        ]);
        output(&mut command).and_then(|text| read_csv(&text))
    };
    let looked = vote(VOTES_TO_LOOK)?;
    let votes = ((looked.votes_per_s * pressure.window_s as f64) as u64).max(VOTES_TO_LOOK);
    let measured = vote(votes)?;
    let count = |words: &[&str]| match ask(words)?.trim() {
        // A key that is not there.
        "" => Ok(0),
        text => text
            .parse::<u64>()
            .map_err(|error| PeerError::Failed(format!("redis-cli {}: {error}", words[0]))),
    };
    let counted = [
        count(&["SCARD", "voters"])?,
        count(&["HGET", "tally", "c0"])?,
        count(&["XLEN", "log"])?,
    ];
    if counted != [counted[0]; 3] {
        return Err(PeerError::Failed(format!(
            "its voters, tally and log differ: {counted:?}"
        )));
    }
    Ok(PeerFigures {
        votes_per_s: measured.votes_per_s,
        ack_ms_mean: measured.mean_ms,
        ack_ms_p99: Some(measured.p99_ms),
        answered: VOTES_TO_LOOK + votes,
        counted: counted[0] + count(&["GET", "seconds"])?,
    })
}

#[derive(Debug, PartialEq)]
struct Row {
    votes_per_s: f64,
    mean_ms: f64,
    p99_ms: f64,
}

/// The row of figures under redis-benchmark's head.
fn read_csv(text: &str) -> Result<Row, PeerError> {
    let rows = |line: &str| -> Vec<String> {
        let fields = line.split("\",\"");
        fields.map(|field| field.trim_matches('"').to_string()).collect()
    };
    let mut lines = text.lines().filter(|line| line.starts_with('"'));
    let (head, row) = (lines.next().map(rows), lines.next().map(rows));
    let (head, row) = (head.unwrap_or_default(), row.unwrap_or_default());
    let of = |name: &str| -> Option<f64> {
        let place = head.iter().position(|column| column == name)?;
        row.get(place)?.parse().ok()
    };
    let read = || {
        Some(Row {
            votes_per_s: of("rps")?,
            mean_ms: of("avg_latency_ms")?,
            p99_ms: of("p99_latency_ms")?,
        })
    };
    read()
        .ok_or_else(|| PeerError::Failed(format!("redis-benchmark said nothing that can be read: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_is_read_by_the_names_in_its_head() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
            \"EVALSHA abc 3 voters\",\"34722.22\",\"1.772\",\"0.640\",\"1.671\",\"2.615\",\"3.143\",\"4.871\"\n";
        let row = Row {
            votes_per_s: 34_722.22,
            mean_ms: 1.772,
            p99_ms: 3.143,
        };
        assert_eq!(read_csv(text), Ok(row));
        assert!(read_csv("ERR unknown command").is_err());
    }
}
