//! Three nodes: a token that was revoked at one is refused at all within five seconds, and the vote path goes on by what it
//! knows where identity's log has no quorum.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::cluster::Cluster;
use crate::support::http::Call;
use crate::support::process::{OPERATOR_PASSWORD, run_ostraka};
use crate::support::stage::{login, vote_call};

/// What is promised; measured it is one heartbeat.
const REACHES_ALL_WITHIN: Duration = Duration::from_secs(5);

/// Registers somebody; his number.
fn register(cluster: &Cluster, operator: &str, name: &str) -> u32 {
    let person = json!({"username": name, "email": format!("{name}@example.org"), "date_of_birth": "1990-05-17", "password": "a long enough word"});
    let answer = Call::post("/v1/auth/register", &person)
        .token(operator)
        .send(cluster.public(0));
    let user_id = answer.json()["user_id"].as_str().unwrap().to_owned();
    user_id[1..].parse().unwrap()
}

/// How a vote is answered, by the lane's way.
fn vote(cluster: &Cluster, place: usize, token: &str, voter: u32) -> u16 {
    vote_call(token, voter, &cluster.event, 0)
        .send(cluster.public(place))
        .status
}

/// Waits until every node refuses the token, and says after what time the last one did.
fn refused_everywhere(cluster: &Cluster, token: &str, voter: u32, since: Instant) -> Duration {
    for place in cluster.alive() {
        while vote(cluster, place, token, voter) != 401 {
            assert!(
                since.elapsed() < REACHES_ALL_WITHIN,
                "node {} still takes it",
                place + 1
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    since.elapsed()
}

#[test]
fn a_revoked_token_is_refused_at_every_node_within_five_seconds() {
    let mut cluster = Cluster::of_three(&[]);
    let operator = login(cluster.public(0), "operator", OPERATOR_PASSWORD);
    let [ann, bob] = ["ann", "bob"].map(|name| register(&cluster, &operator, name));
    let token_of = |name: &str, place: usize| login(cluster.public(place), name, "a long enough word");

    // Ann logs out at the second node, with a token of the first.
    let token = token_of("ann", 0);
    for place in 0..3 {
        assert_eq!(vote(&cluster, place, &token, ann), 200, "node {}", place + 1);
    }
    let since = Instant::now();
    let logout = Call::post("/v1/auth/logout", &json!({})).token(&token);
    assert_eq!(logout.send(cluster.public(1)).status, 204);
    let took = refused_everywhere(&cluster, &token, ann, since);
    println!("a logout reached three nodes after {took:?}");
    // Each refuses the old one, and all take a new one of any node.
    let anew = token_of("ann", 2);
    for place in 0..3 {
        assert_eq!(vote(&cluster, place, &anew, ann), 200, "node {}", place + 1);
    }

    // An operator revokes Bob's at the third.
    let token = token_of("bob", 1);
    let user = format!("u{bob}");
    let revoke = [
        "accounts",
        "--operator",
        &cluster.options[2].operator,
        "revoke",
        "--user",
        &user,
    ];
    let since = Instant::now();
    let (status, stdout, stderr) = run_ostraka(&revoke);
    assert!(status.success() && stdout.contains(&user), "{stdout}{stderr}");
    refused_everywhere(&cluster, &token, bob, since);
    let unknown = [&revoke[..5], &["u4000000"]].concat();
    let (status, _, stderr) = run_ostraka(&unknown);
    assert!(
        !status.success() && stderr.contains("There is no such user"),
        "{stderr}"
    );

    // A node that starts again remembers, from its disk and without the others.
    let survivor = token_of("ann", 0);
    for node in &mut cluster.nodes {
        assert!(node.take().expect("it is up").stop().1.success());
    }
    cluster.nodes[1] = Some(crate::support::process::NodeProcess::start(
        cluster.options[1].clone(),
    ));
    let look = |token: &str| {
        Call::get(&format!("/v1/contestants/{}", cluster.event))
            .token(token)
            .send(cluster.public(1))
            .status
    };
    assert_eq!(look(&token), 401, "revoked");
    assert_ne!(look(&survivor), 401, "not revoked");
}
