//! A ratchet: what a vote costs in allocations, with the whole node and a client that allocates nothing in one process. Counts, not
//! times, so that a crowded machine measures the same. Whoever makes it better sets the limits lower; docs/performance.md has the figures.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ostraka_api::{ContestantDraft, CreateEventRequest, LoginRequest};
use ostraka_client::{CallOptions, Client, ClientConfig, TokioConnect};
use ostraka_core::{UnixMs, VoterNumber};
use ostraka_node::env::{Env, OsEntropy, SystemClock};
use ostraka_node::secrets::Secrets;
use ostraka_node::token::{Role, Tokens};
use ostraka_node::{Config, run};
use ostraka_replication::env::TokioNet;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PASSWORD: &str = "correct horse battery";
const CONNECTIONS: usize = 64;
/// Of the rounds measured, so many go before: then connections, threads and tables have their size.
const WARM_UP_DIVISOR: usize = 5;

/// How votes come, and what one may cost.
struct Case {
    name: &'static str,
    /// Votes in one write.
    pipeline: usize,
    /// A write on each connection.
    rounds: usize,
    allocations_a_vote_max: f64,
    bytes_a_vote_max: f64,
}

const CASES: [Case; 2] = [
    Case {
        name: "plain, one vote under way on each connection",
        pipeline: 1,
        rounds: 200,
        allocations_a_vote_max: 10.5,
        bytes_a_vote_max: 1_900.0,
    },
    Case {
        name: "pipelined, 32 votes in one write",
        pipeline: 32,
        rounds: 20,
        allocations_a_vote_max: 6.8,
        bytes_a_vote_max: 950.0,
    },
];

#[test]
fn a_vote_allocates_no_more_than_agreed() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path());
    let ballot = node.ballot();
    let secrets = Secrets::load_or_create(&folder.path().join("secrets.json"), &OsEntropy).unwrap();
    let tokens = Tokens::new(&secrets);
    let mut voters = 1..;
    for case in &CASES {
        let mut crowd = Crowd::new(node.addr, case.pipeline);
        let mut writes = |rounds: usize| -> Vec<String> {
            let one = |_| {
                let votes = voters.by_ref().take(case.pipeline);
                votes.map(|voter| ballot.of(voter, &tokens)).collect()
            };
            (0..rounds * CONNECTIONS).map(one).collect()
        };
        let (warm_up, measured) = (writes(case.rounds / WARM_UP_DIVISOR), writes(case.rounds));
        crowd.vote(&warm_up);
        let region = Region::new(ALLOCATOR);
        crowd.vote(&measured);
        let change = region.change();
        let votes = (measured.len() * case.pipeline) as f64;
        let allocations = (change.allocations + change.reallocations) as f64 / votes;
        let bytes = change.bytes_allocated as f64 / votes;
        let found = format!(
            "{}: {allocations:.2} allocations, {bytes:.0} bytes a vote",
            case.name
        );
        println!("{found}");
        let agreed = (case.allocations_a_vote_max, case.bytes_a_vote_max);
        assert!(
            allocations <= agreed.0 && bytes <= agreed.1,
            "{found}; {} and {} are agreed",
            agreed.0,
            agreed.1
        );
    }
    node.stop();
}

/// A node in this process, on a thread of its own.
struct Node {
    addr: SocketAddr,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Node {
    fn start(folder: &Path) -> Self {
        let any = || "127.0.0.1:0".to_owned();
        let config = Config {
            data_dir: folder.to_owned(),
            listen: any(),
            operator_listen: any(),
            peer_listen: any(),
            operator_password: Some(PASSWORD.to_owned()),
            ..Config::default()
        };
        let (said, listening) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut env = Env::new(Arc::new(TokioNet), Arc::new(SystemClock), Arc::new(OsEntropy));
            env.console = Arc::new(move |sentence: &str| {
                let public = sentence
                    .lines()
                    .find_map(|line| line.strip_prefix("public   http://"));
                if let Some(addr) = public {
                    said.send(addr.parse().unwrap()).unwrap();
                }
            });
            let stopped = async { stopped.await.unwrap_or_default() };
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(run(env, config, stopped)).unwrap();
        });
        let addr = listening
            .recv_timeout(Duration::from_secs(60))
            .expect("the node listens");
        Self { addr, stop, thread }
    }

    /// Of an event that is open.
    fn ballot(&self) -> Ballot {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let config = ClientConfig::new(Arc::new(|| 0));
        let client = Client::new(Arc::new(TokioConnect), vec![self.addr.to_string()], config);
        runtime.block_on(async {
            let login = LoginRequest {
                username: "operator".to_owned(),
                password: PASSWORD.to_owned(),
            };
            let operator = loop {
                match client.login(&login, CallOptions::default()).await {
                    Ok(operator) => break operator,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            };
            let contestants = ["Ada", "Bo"].map(|name| ContestantDraft {
                contestant_name: name.to_owned(),
                contestant_description: String::new(),
                contestant_image_url: String::new(),
            });
            let wanted = CreateEventRequest {
                user_id: operator.user_id,
                event_name: "Ratchet".to_owned(),
                contestants: contestants.to_vec(),
                opens_at: None,
                closes_at: None,
                results: None,
                canary: false,
            };
            let as_operator = CallOptions::bearer(&operator.token);
            let created = client.create_event(&wanted, None, as_operator).await.unwrap();
            Ballot {
                event: created.event_id.to_string(),
                contestant: created.contestants[0].contestant_id.to_string(),
            }
        })
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

struct Ballot {
    event: String,
    contestant: String,
}

impl Ballot {
    /// A voter's request, whole.
    fn of(&self, voter: u32, tokens: &Tokens) -> String {
        let Ballot { event, contestant } = self;
        let body = format!(
            r#"{{"user_id":"u{voter}","event_id":"{event}","contestant_id":"{contestant}","client_timestamp":"2026-01-01T00:00:00.000Z","meta":{{"device_id":"d{voter}","app_version":"1.0.0"}}}}"#
        );
        let token = tokens.sign(VoterNumber(voter), Role::Voter, now(), Duration::from_secs(3_600));
        format!(
            "POST /v1/vote/submit HTTP/1.1\r\nhost: ostraka\r\ncontent-type: application/json\r\ncontent-length: {}\r\nauthorization: Bearer {token}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Connections, and room for the answers of one.
struct Crowd {
    connections: Vec<TcpStream>,
    pipeline: usize,
    answers: Vec<u8>,
}

impl Crowd {
    fn new(addr: SocketAddr, pipeline: usize) -> Self {
        let connect = |_| {
            let connection = TcpStream::connect(addr).unwrap();
            connection.set_nodelay(true).unwrap();
            let patience = Some(Duration::from_secs(60));
            connection.set_read_timeout(patience).unwrap();
            connection
        };
        Self {
            connections: (0..CONNECTIONS).map(connect).collect(),
            pipeline,
            answers: vec![0; 4_096 * pipeline],
        }
    }

    /// Sends to each connection in turn what is next, then reads from each; every vote must be counted.
    fn vote(&mut self, writes: &[String]) {
        for round in writes.chunks(CONNECTIONS) {
            for (connection, write) in self.connections.iter_mut().zip(round) {
                connection.write_all(write.as_bytes()).unwrap();
            }
            for connection in &mut self.connections[..round.len()] {
                read_answers(connection, self.pipeline, &mut self.answers);
            }
        }
    }
}

fn read_answers(connection: &mut TcpStream, wanted: usize, buffer: &mut [u8]) {
    let mut filled = 0;
    loop {
        let read = connection.read(&mut buffer[filled..]).unwrap();
        assert!(read > 0, "the node closed a connection");
        filled += read;
        let answers = &buffer[..filled];
        let refused = count(answers, b"HTTP/1.1 ") > count(answers, b"HTTP/1.1 200 ");
        assert!(!refused, "{}", String::from_utf8_lossy(answers));
        if count(answers, br#""vote_status":"processed""#) == wanted && answers.ends_with(b"}") {
            return;
        }
    }
}

fn count(text: &[u8], words: &[u8]) -> usize {
    text.windows(words.len())
        .filter(|window| *window == words)
        .count()
}

fn now() -> UnixMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMs(since_epoch.as_millis() as u64)
}
