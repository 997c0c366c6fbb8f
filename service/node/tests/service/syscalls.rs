//! A ratchet: what a vote costs in calls to the kernel, counted by strace on the real binary. Counts, not times. Batches, and with
//! them the calls a vote, depend on how a machine schedules, so the limits leave room; docs/performance.md has the figures.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::stage::Stage;

const CONNECTIONS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(60);

struct Case {
    name: &'static str,
    /// Votes in one write.
    pipeline: u32,
    /// A write on each connection.
    rounds: usize,
    calls_a_vote_max: f64,
}

const CASES: [Case; 2] = [
    Case {
        name: "plain, one vote under way on each connection",
        pipeline: 1,
        rounds: 40,
        calls_a_vote_max: 5.0,
    },
    Case {
        name: "pipelined, 32 votes in one write",
        pipeline: 32,
        rounds: 6,
        calls_a_vote_max: 0.8,
    },
];

#[test]
fn a_vote_calls_the_kernel_no_more_often_than_agreed() {
    let stage = Stage::new();
    let event = stage.event(&["Ada", "Bo"]);
    let folder = tempfile::tempdir().unwrap();
    let mut voters = 1..;
    for case in &CASES {
        let mut connections: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(stage.public())).collect();
        let mut round = |rounds: usize| {
            for _ in 0..rounds {
                for connection in &mut connections {
                    let votes = voters.by_ref().take(case.pipeline as usize);
                    let write: String = votes.map(|voter| vote(&stage, &event, voter)).collect();
                    connection.write_all(write.as_bytes()).unwrap();
                }
                for connection in &mut connections {
                    read_answers(connection, case.pipeline as usize);
                }
            }
        };
        round(2);
        let summary = folder.path().join("summary");
        let tracer = match Tracer::attach(stage.node.pid(), &summary) {
            Ok(tracer) => tracer,
            Err(why) => {
                // Past what the test harness captures: nobody may take this for a measurement.
                writeln!(
                    std::io::stderr(),
                    "INCONCLUSIVE: system calls a vote were not counted: {why}"
                )
                .unwrap();
                return;
            }
        };
        round(case.rounds);
        let calls = tracer.calls();
        let votes = (case.rounds * CONNECTIONS) as f64 * f64::from(case.pipeline);
        let by_vote = calls.total as f64 / votes;
        let found = format!("{}: {by_vote:.2} system calls a vote", case.name);
        println!("{found}\n{}", calls.table);
        assert!(calls.total > 0, "strace counted nothing:\n{}", calls.table);
        let agreed = case.calls_a_vote_max;
        assert!(by_vote <= agreed, "{found}; {agreed} are agreed\n{}", calls.table);
    }
}

#[test]
fn a_summary_of_straces_is_read_and_what_is_none_counts_nothing() {
    let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                 ------ ----------- ----------- --------- --------- ----------------\n\
                 \x2060.00    0.006000           2      3000         5 futex\n\
                 \x2040.00    0.004000           1      4000           sendto\n\
                 ------ ----------- ----------- --------- --------- ----------------\n\
                 100.00    0.010000           1      7000         5 total\n";
    assert_eq!(total(table), 7_000);
    assert_eq!(total("strace: attach: Operation not permitted\n"), 0);
}

struct Calls {
    total: u64,
    table: String,
}

/// strace, attached to a process.
struct Tracer<'a> {
    strace: Child,
    summary: &'a Path,
}

impl<'a> Tracer<'a> {
    fn attach(pid: u32, summary: &'a Path) -> Result<Self, String> {
        let mut strace = Command::new("strace")
            .args(["-c", "-f", "-o"])
            .arg(summary)
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("strace cannot be run: {error}"))?;
        let deadline = Instant::now() + PATIENCE;
        while !is_traced(pid) {
            if strace.try_wait().unwrap().is_some() || Instant::now() > deadline {
                let _ = strace.kill();
                let mut words = String::new();
                strace.stderr.take().unwrap().read_to_string(&mut words).unwrap();
                strace.wait().unwrap();
                return Err(format!("strace did not attach: {}", words.trim()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { strace, summary })
    }

    /// Detaches, and gives what was counted.
    fn calls(mut self) -> Calls {
        let asked = Command::new("kill")
            .args(["-INT", &self.strace.id().to_string()])
            .status();
        assert!(asked.unwrap().success());
        self.strace.wait().unwrap();
        let table = std::fs::read_to_string(self.summary).unwrap();
        Calls {
            total: total(&table),
            table,
        }
    }
}

/// Whether every thread has a tracer: strace takes them one after the other.
fn is_traced(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.filter_map(Result::ok).all(|thread| {
        // One that has just ended has none, and needs none.
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    })
}

/// The calls of the line `total` of `strace -c`.
fn total(table: &str) -> u64 {
    let line = table.lines().find(|line| line.ends_with(" total"));
    let calls = line.and_then(|line| line.split_whitespace().nth(3));
    calls.and_then(|calls| calls.parse().ok()).unwrap_or(0)
}

fn connect(addr: &str) -> TcpStream {
    let connection = TcpStream::connect(addr).unwrap();
    connection.set_nodelay(true).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection
}

/// A voter's request, whole.
fn vote(stage: &Stage, event: &str, voter: u32) -> String {
    let body = format!(r#"{{"user_id":"u{voter}","event_id":"{event}","contestant_id":"{event}-c0"}}"#);
    let token = stage.issuer.voter(voter);
    format!(
        "POST /v1/vote/submit HTTP/1.1\r\nhost: ostraka\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn read_answers(connection: &mut TcpStream, wanted: usize) {
    const COUNTED: &str = r#""vote_status":"processed""#;
    let mut answers = Vec::new();
    loop {
        let mut bytes = [0; 16 * 1024];
        let read = connection.read(&mut bytes).unwrap();
        assert!(read > 0, "the node closed a connection");
        answers.extend_from_slice(&bytes[..read]);
        let text = String::from_utf8_lossy(&answers);
        assert_eq!(
            text.matches("HTTP/1.1 ").count(),
            text.matches("HTTP/1.1 200 ").count(),
            "{text}"
        );
        if text.matches(COUNTED).count() == wanted && text.ends_with('}') {
            return;
        }
    }
}
