//! The peer port against strangers, mix-ups, and peers that are silent.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ostraka_core::limits::{APPEND_BYTES_MAX, PEER_MESSAGE_BYTES_MAX, PROPOSAL_BYTES_MAX};
use ostraka_replication::{NodeNumber, SubmitError};
use support::{CLUSTER_KEY, Cluster, Node, WAIT, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Asked<'a> {
    path: &'a str,
    key: [u8; 32],
    to: u64,
    cluster: Option<&'a str>,
    body: Vec<u8>,
}

impl<'a> Asked<'a> {
    fn well(path: &'a str, body: Vec<u8>) -> Self {
        Self {
            path,
            key: CLUSTER_KEY,
            to: 1,
            cluster: None,
            body,
        }
    }
}

/// What the node's peer port answers.
async fn ask(node: &Node, asked: Asked<'_>) -> (StatusCode, String) {
    let stream = TcpStream::connect(&node.addr.0).await.expect("the port is open");
    let (mut sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("it speaks HTTP/2");
    tokio::spawn(driver);
    let key: String = asked.key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut request = Request::post(format!("http://{}{}", node.addr, asked.path));
    if let Some(cluster) = asked.cluster {
        request = request.header("x-ostraka-cluster", cluster);
    }
    let request = request
        .header("x-ostraka-cluster-key", key)
        // A member: a leader refuses the candidate that is none before it reads on.
        .header("x-ostraka-from", 1)
        .header("x-ostraka-to", asked.to)
        .body(Full::new(Bytes::from(asked.body)))
        .expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_mixed_up_peers_are_told_what_is_wrong() {
    let cluster = Cluster::of(1, |_| {}).await;
    let node = &cluster.nodes[0];
    let read_index = "/peer/v1/vote/read-index";
    let version = vec![1];
    assert_eq!(
        ask(node, Asked::well(read_index, version.clone())).await.0,
        StatusCode::OK
    );

    let (status, sentence) = ask(
        node,
        Asked {
            key: [8; 32],
            ..Asked::well(read_index, version.clone())
        },
    )
    .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(sentence.contains("cluster key"), "{sentence}");
    let (status, sentence) = ask(
        node,
        Asked {
            to: 2,
            ..Asked::well(read_index, version.clone())
        },
    )
    .await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    assert!(
        sentence.contains("node 1") && sentence.contains("node 2"),
        "{sentence}"
    );
    for path in ["/", "/peer/v1/vote/nonsense", "/peer/v1/elsewhere/vote"] {
        assert_eq!(
            ask(node, Asked::well(path, vec![])).await.0,
            StatusCode::NOT_FOUND
        );
    }
    let absent = ask(node, Asked::well("/peer/v1/identity/read-index", version.clone())).await;
    assert_eq!(absent.0, StatusCode::SERVICE_UNAVAILABLE, "{}", absent.1);
    let own = node.cluster.known().expect("it was formed").id.to_string();
    for (cluster, expected) in [
        (own.as_str(), StatusCode::OK),
        ("0123456789abcdef", StatusCode::CONFLICT),
        ("mine", StatusCode::BAD_REQUEST),
    ] {
        let asked = Asked {
            cluster: Some(cluster),
            ..Asked::well(read_index, version.clone())
        };
        let (status, sentence) = ask(node, asked).await;
        assert_eq!(status, expected, "{sentence}");
        let names_the_number = sentence.contains(cluster);
        assert!(expected != StatusCode::CONFLICT || names_the_number, "{sentence}");
    }
    let (status, sentence) = ask(node, Asked::well(read_index, vec![2])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(sentence.contains("version 2"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_messages_and_nonsense_are_refused_and_harm_nobody() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Another test poisons its machine on purpose.
        PANICS.fetch_add(
            usize::from(!panic.to_string().contains("poisoned")),
            Ordering::SeqCst,
        );
        default_hook(panic);
    }));
    let cluster = Cluster::of(1, |_| {}).await;
    let node = &cluster.nodes[0];
    for (route, bytes_max) in [
        ("vote", PEER_MESSAGE_BYTES_MAX),
        ("propose", PROPOSAL_BYTES_MAX),
        ("append-one", APPEND_BYTES_MAX),
    ] {
        let path = format!("/peer/v1/vote/{route}");
        let long = ask(node, Asked::well(&path, vec![1; bytes_max + 1])).await;
        assert_eq!(long.0, StatusCode::PAYLOAD_TOO_LARGE, "{route}: {}", long.1);
    }
    for route in ["vote", "pre-vote", "append-one", "transfer-leader", "read-index"] {
        let path = format!("/peer/v1/vote/{route}");
        let nonsense = ask(node, Asked::well(&path, vec![0xa5; 500])).await;
        assert_eq!(nonsense.0, StatusCode::BAD_REQUEST, "{route}: {}", nonsense.1);
    }
    let unreadable = ask(node, Asked::well("/peer/v1/vote/propose", vec![1; 5])).await;
    assert_eq!(unreadable.0, StatusCode::BAD_REQUEST, "{}", unreadable.1);
    let nonsense = ask(
        node,
        Asked::well("/peer/v1/vote/snapshot", vec![0, 0, 0, 3, 1, 9, 9, 9]),
    )
    .await;
    assert_eq!(nonsense.0, StatusCode::BAD_REQUEST, "{}", nonsense.1);
    // The stream answers at once; nonsense in it ends it.
    let stream = ask(
        node,
        Asked::well("/peer/v1/vote/append", vec![0, 0, 0, 3, 9, 9, 9]),
    )
    .await;
    assert_eq!((stream.0, stream.1.len()), (StatusCode::OK, 0));

    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 4_096],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff",
    ] {
        let mut stream = TcpStream::connect(&node.addr.0).await.expect("the port is open");
        // The other side may close while this is still being written.
        let _ = stream.write_all(garbage).await;
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(WAIT, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the connection is closed");
    }
    node.submit(1, WAIT).await.expect("the node goes on");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_that_is_too_long_is_refused_before_it_is_sent() {
    let cluster = Cluster::of(1, |_| {}).await;
    let group = cluster.nodes[0].group();
    let refused = group
        .submit(Bytes::from(vec![0; PROPOSAL_BYTES_MAX + 1]), WAIT)
        .await;
    assert!(matches!(refused, Err(SubmitError::Refused(_))), "{refused:?}");
    group
        .submit(Bytes::from(vec![0; PROPOSAL_BYTES_MAX]), WAIT)
        .await
        .expect("the longest one passes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_cluster_key_does_not_join() {
    let cluster = Cluster::of(1, |_| {}).await;
    let mut stranger = Node::new(2, |_| {}).await;
    stranger.key = [8; 32];
    stranger.start().await;
    let group = cluster.nodes[0].group();
    let joined = group
        .add(
            stranger.number,
            stranger.addr.clone(),
            group.membership(),
            Duration::from_secs(2),
        )
        .await;
    assert!(joined.is_err(), "{joined:?}");
    assert_eq!(
        stranger.group().status().last_log_index.0,
        0,
        "nothing reached it"
    );
    assert_eq!(
        group.status().voters.len(),
        1,
        "a learner that was never heard of is no voter"
    );
    cluster.nodes[0]
        .submit(1, WAIT)
        .await
        .expect("the cluster goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_does_not_stall_the_others() {
    let mut cluster = Cluster::of(3, |_| {}).await;
    let (leader, silent) = (cluster.leader().await, cluster.follower().await);
    cluster.nodes[silent].kill();
    // Something that accepts and never says a word, as a stopped process does.
    let listener = TcpListener::bind(&cluster.nodes[silent].addr.0)
        .await
        .expect("its port is free");
    let held = Arc::new(AtomicUsize::new(0));
    let holding = {
        let held = held.clone();
        tokio::spawn(async move {
            let mut connections = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.push(stream);
                held.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    wait_until("the leader to try", || held.load(Ordering::SeqCst) > 0).await;
    let other = (0..3)
        .find(|place| *place != leader && *place != silent)
        .expect("three nodes");
    let mut slowest = Duration::ZERO;
    for key in 0..200 {
        let begun = Instant::now();
        cluster.nodes[if key % 2 == 0 { leader } else { other }]
            .submit(key, WAIT)
            .await
            .expect("applied");
        slowest = slowest.max(begun.elapsed());
    }
    println!("slowest of 200 beside a silent peer: {slowest:?}");
    assert!(
        slowest < Duration::from_secs(1),
        "a submission waited {slowest:?}"
    );

    holding.abort();
    let _ = holding.await;
    cluster.nodes[silent].start().await;
    assert_eq!(cluster.settled().await.counted.len(), 200, "it catches up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_shows_no_key_is_closed() {
    let cluster = Cluster::of(1, |_| {}).await;
    let mut stream = TcpStream::connect(&cluster.nodes[0].addr.0)
        .await
        .expect("the port is open");
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(WAIT, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "still open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_finds_its_state_impossible_stops_the_group() {
    let cluster = Cluster::of(1, |_| {}).await;
    let group = cluster.nodes[0].group();
    let submitted = group
        .submit(Bytes::from_static(support::POISON), Duration::from_secs(3))
        .await;
    assert!(submitted.is_err(), "{submitted:?}");
    let sentence = tokio::time::timeout(WAIT, group.failed())
        .await
        .expect("it says so");
    assert!(sentence.contains("poisoned"), "{sentence}");
    let next = group.submit(support::body_of(1), Duration::from_secs(3)).await;
    assert!(matches!(next, Err(SubmitError::Stopped(_))), "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_barrier_stops_the_group_without_an_acknowledgement() {
    let cluster = Cluster::of(1, |_| {}).await;
    cluster.nodes[0].submit(1, WAIT).await.expect("applied");
    cluster.nodes[0].disk.fail_barriers(true);
    let group = cluster.nodes[0].group();
    let submitted = cluster.nodes[0].submit(2, Duration::from_secs(3)).await;
    assert!(submitted.is_err(), "{submitted:?}");
    let sentence = tokio::time::timeout(WAIT, group.failed())
        .await
        .expect("it says so");
    assert!(sentence.contains("restart"), "it says what to do: {sentence}");
    assert!(!cluster.nodes[0].counter().counted.contains_key(&2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_number_at_an_address_is_not_talked_to() {
    let cluster = Cluster::of(1, |_| {}).await;
    let mut node = Node::new(3, |_| {}).await;
    node.start().await;
    let group = cluster.nodes[0].group();
    let joined = group
        .add(
            NodeNumber(2),
            node.addr.clone(),
            group.membership(),
            Duration::from_secs(2),
        )
        .await;
    assert!(joined.is_err(), "{joined:?}");
    assert_eq!(node.group().status().last_log_index.0, 0);
}
