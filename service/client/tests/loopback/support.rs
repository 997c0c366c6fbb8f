//! Small servers on loopback that do as they are told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ostraka_client::{BoxFuture, BoxIo, Client, ClientConfig, Connect, TokioConnect};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as the server got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Which connection it came over, counted from 0.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) enum Reply {
    /// Status, headers, body.
    Full(u16, Vec<(&'static str, &'static str)>, String),
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Cut,
}

pub(crate) fn json(status: u16, body: impl Into<String>) -> Reply {
    Reply::Full(status, vec![("content-type", "application/json")], body.into())
}

pub(crate) struct Server {
    pub(crate) authority: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// An HTTP server that gives each request what `handler` says; the number is the request's, counted from 0.
    pub(crate) async fn http(handler: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (handler, requests) = (Arc::new(handler), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (handler, requests) = (Arc::clone(&handler), Arc::clone(&requests));
                let service = service_fn(move |request| {
                    let (handler, requests) = (Arc::clone(&handler), Arc::clone(&requests));
                    async move {
                        let seen = read_request(request, connection).await;
                        let number = {
                            let mut requests = requests.lock().unwrap();
                            requests.push(seen.clone());
                            requests.len() - 1
                        };
                        respond(handler(number, &seen)).await
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            authority,
            seen,
            task,
        }
    }

    /// A server that reads the head of one request on each connection and then writes that connection's script, raw.
    /// After the last script it accepts no more.
    pub(crate) async fn raw(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            for (connection, script) in scripts.into_iter().enumerate() {
                let (mut stream, _) = listener.accept().await.unwrap();
                let head = read_head(&mut stream, connection).await;
                requests.lock().unwrap().push(head);
                for bytes in &script.writes {
                    stream.write_all(bytes).await.unwrap();
                }
                if script.hold {
                    held.push(stream);
                }
            }
            drop(listener);
            std::future::pending::<()>().await;
        });
        Self {
            authority,
            seen,
            task,
        }
    }
}

/// What a raw server writes on one connection, and whether it keeps it open afterwards.
pub(crate) struct Script {
    pub(crate) writes: Vec<Vec<u8>>,
    pub(crate) hold: bool,
}

/// An event stream's head and `body`, each byte a chunk of its own, so that the reader gets it cut everywhere. With
/// `hold` the connection stays open after it.
pub(crate) fn stream(body: &str, hold: bool) -> Script {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for byte in body.bytes() {
        bytes.extend_from_slice(b"1\r\n");
        bytes.push(byte);
        bytes.extend_from_slice(b"\r\n");
    }
    Script {
        writes: vec![bytes],
        hold,
    }
}

async fn read_request(request: Request<Incoming>, connection: usize) -> Seen {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let path = head.uri.to_string();
    Seen {
        method: head.method.to_string(),
        path,
        headers: head.headers,
        body,
        connection,
    }
}

async fn respond(reply: Reply) -> Result<Response<Full<Bytes>>, io::Error> {
    match reply {
        Reply::Full(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::from(body)).unwrap())
        }
        Reply::Hang => std::future::pending::<Result<_, Infallible>>()
            .await
            .map_err(|never| match never {}),
        Reply::Cut => Err(io::Error::other("told to")),
    }
}

pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin), connection: usize) -> Seen {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    let text = String::from_utf8(bytes).unwrap();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
    let (method, path) = (first.next().unwrap(), first.next().unwrap());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    Seen {
        method,
        path,
        headers,
        body: Vec::new(),
        connection,
    }
}

/// An address where nobody listens.
pub(crate) async fn dead_authority() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Times that a loaded machine keeps, and a counter for chance.
pub(crate) fn config() -> ClientConfig {
    let counter = AtomicU64::new(0);
    let random = Arc::new(move || counter.fetch_add(12_345, Ordering::Relaxed));
    ClientConfig {
        retry_pause_min: Duration::from_millis(5),
        ..ClientConfig::new(random)
    }
}

pub(crate) fn client(endpoints: &[&str], config: ClientConfig) -> Client {
    let endpoints = endpoints.iter().map(|&endpoint| endpoint.to_owned()).collect();
    Client::new(Arc::new(TokioConnect), endpoints, config)
}

/// Counts the connections asked for.
#[derive(Default)]
pub(crate) struct CountingConnect(pub(crate) AtomicUsize);

impl Connect for CountingConnect {
    fn connect<'a>(&'a self, authority: &'a str) -> BoxFuture<'a, io::Result<BoxIo>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        TokioConnect.connect(authority)
    }
}

/// Never gets anywhere, like packets into a partition.
pub(crate) struct HangingConnect;

impl Connect for HangingConnect {
    fn connect<'a>(&'a self, _authority: &'a str) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(std::future::pending())
    }
}

/// Gives out pipes in memory, whose other ends the test holds: what one end does, the other knows at once.
#[derive(Default)]
pub(crate) struct PipeConnect(Mutex<VecDeque<DuplexStream>>);

impl PipeConnect {
    /// Adds a connection to be given out, and returns the server's end of it.
    pub(crate) fn add(&self) -> DuplexStream {
        let (theirs, ours) = tokio::io::duplex(64 * 1024);
        self.0.lock().unwrap().push_back(theirs);
        ours
    }
}

impl Connect for PipeConnect {
    fn connect<'a>(&'a self, _authority: &'a str) -> BoxFuture<'a, io::Result<BoxIo>> {
        let pipe = self
            .0
            .lock()
            .unwrap()
            .pop_front()
            .expect("as many connections as the test added");
        Box::pin(async move { Ok(Box::new(pipe) as BoxIo) })
    }
}

/// Reads one request from `pipe` and writes `answer`, raw.
pub(crate) async fn serve_once(pipe: &mut DuplexStream, answer: &[u8]) {
    read_head(pipe, 0).await;
    pipe.write_all(answer).await.unwrap();
}
