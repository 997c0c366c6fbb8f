//! Three nodes: what was solved or spent at one is solved and spent at all, and stays so when a node starts again.

use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::http::Call;
use crate::support::process::NodeProcess;

fn account(name: &str) -> Value {
    json!({"username": name, "email": format!("{name}@example.org"), "date_of_birth": "1990-05-17"})
}

fn problem(call: &Call, addr: &str) -> String {
    call.send(addr).assert_problem()["type"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_replay_through_another_node_fails() {
    let mut cluster = Cluster::of_three(&[]);
    let answer = Call::post("/v1/auth/challenge", &json!({})).send(cluster.public(0));
    let challenge = serde_json::from_slice(&answer.body).unwrap();
    let solved = serde_json::to_value(ostraka_client::solve(challenge).unwrap()).unwrap();
    let solve = Call::post("/v1/auth/challenge/solve", &solved);
    // Given by one node, solved at another.
    let answer = solve.send(cluster.public(1));
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let register = |name: &str| Call::post("/v1/auth/register", &account(name)).token(&token);
    for place in 0..3 {
        assert_eq!(
            problem(&solve, cluster.public(place)),
            "urn:ostraka:problem:challenge-used",
            "node {place}"
        );
    }
    assert_eq!(register("ann").send(cluster.public(2)).status, 201);
    for place in 0..3 {
        assert_eq!(
            problem(&register("bob"), cluster.public(place)),
            "urn:ostraka:problem:registration-token-used",
            "node {place}"
        );
    }
    // A node that starts again remembers.
    let node = cluster.nodes[1].take().unwrap();
    assert!(node.stop().1.success());
    cluster.nodes[1] = Some(NodeProcess::start(cluster.options[1].clone()));
    cluster.wait_ready(1);
    assert_eq!(
        problem(&solve, cluster.public(1)),
        "urn:ostraka:problem:challenge-used"
    );
    assert_eq!(
        problem(&register("cid"), cluster.public(1)),
        "urn:ostraka:problem:registration-token-used"
    );
}
