//! Every row of the API contract, each success and each failure code, over real HTTP against the real binary.

mod events;
mod identity;
mod votes;

use crate::support::http::{Answer, Call};
use crate::support::stage::Stage;

/// One row: what is sent, what must come back.
struct Row {
    name: &'static str,
    call: Call,
    status: u16,
    /// The end of the problem's `type`; empty for a success.
    problem: &'static str,
}

fn row(name: &'static str, call: Call, status: u16, problem: &'static str) -> Row {
    Row {
        name,
        call,
        status,
        problem,
    }
}

/// Says what is wrong with an answer, if anything.
fn judge(row: &Row, answer: &Answer) -> Result<(), String> {
    if answer.status != row.status {
        return Err(format!("{}: {} expected, got {answer:?}", row.name, row.status));
    }
    let is_traced = answer
        .header("traceparent")
        .is_some_and(|trace| trace.len() == 55);
    if !is_traced {
        return Err(format!("{}: no traceparent in {answer:?}", row.name));
    }
    if !row.problem.is_empty() {
        let problem = answer.assert_problem();
        let expected = format!("urn:ostraka:problem:{}", row.problem);
        if problem["type"] != expected.as_str() {
            return Err(format!("{}: {expected} expected, got {problem}", row.name));
        }
    }
    Ok(())
}

fn run(stage: &Stage, rows: &[Row]) {
    let failed: Vec<String> = rows
        .iter()
        .filter_map(|row| judge(row, &stage.send(&row.call)).err())
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} rows:\n{}",
        failed.len(),
        rows.len(),
        failed.join("\n")
    );
}

#[test]
fn the_judge_of_rows_can_fail() {
    let stage = Stage::new();
    let wrong = row("a lie", Call::get("/v1/contestants/e1"), 200, "");
    assert!(judge(&wrong, &stage.send(&wrong.call)).is_err());
    let wrong_type = row("another", Call::get("/v1/contestants/e1"), 401, "event-not-found");
    assert!(judge(&wrong_type, &stage.send(&wrong_type.call)).is_err());
}

#[test]
fn the_clients_trace_is_answered_back() {
    let stage = Stage::new();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let call =
        Call::get("/v1/contestants/e1").header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = stage.send(&call);
    assert_eq!(answer.assert_problem()["trace_id"], trace);
    assert!(answer.header("traceparent").unwrap().contains(trace));

    let amazon = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1";
    let answer = stage.send(&Call::get("/v1/contestants/e1").header("x-amzn-trace-id", amazon));
    assert_eq!(
        answer.assert_problem()["trace_id"],
        "67891233abcdef012345678912345678"
    );
}

#[test]
fn operator_port_and_openapi() {
    let stage = Stage::new();
    let operator = stage.node.options.operator.clone();
    assert_eq!(Call::get("/healthz").send(&operator).status, 200);
    assert_eq!(Call::get("/readyz").send(&operator).json()["status"], "ready");
    let metrics = Call::get("/metrics").send(&operator);
    assert!(
        String::from_utf8_lossy(&metrics.body).ends_with("# EOF\n"),
        "OpenMetrics text ends so"
    );
    assert_eq!(
        Call::get("/healthz").send(stage.public()).status,
        404,
        "not on the public port"
    );

    let document = stage.send(&Call::get("/openapi.json")).json();
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/v1/auth/challenge",
        "/v1/auth/challenge/solve",
        "/v1/auth/login",
        "/v1/auth/logout",
        "/v1/auth/register",
        "/v1/event/create",
        "/v1/event/{event_id}/leaderboard",
        "/v1/event/{event_id}/open",
        "/v1/event/{event_id}/close",
        "/v1/event/{event_id}/stream",
        "/v1/contestants/{event_id}",
        "/v1/vote/submit",
        "/v1/vote/{vote_id}/status",
    ] {
        assert!(paths.contains_key(path), "{path} is missing from the document");
    }
}
