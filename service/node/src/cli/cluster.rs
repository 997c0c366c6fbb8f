//! `ostraka cluster …`: membership, through the operator port.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use ostraka_api::ErrorCode;
use ostraka_core::limits::{CLUSTER_CALL_MS_MAX, JOINING_NODE_LOOK_MS, MEMBERSHIP_CHANGE_MS_MAX};
use tokio::time::Instant;

use super::operator_port::{Failure, open, unreachable};
use super::{ClusterAction, ClusterArgs, runtime, say};
use crate::config::LogFormat;
use crate::operator::{ClusterStatus, Memberships};
use crate::telemetry::complain;

const LOOK_PAUSE: Duration = Duration::from_millis(JOINING_NODE_LOOK_MS);
/// A node that does not know the newest members by then does not belong to them any more.
const LOOK_TIMEOUT: Duration = Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX);
const CLUSTER_CALL_TIMEOUT: Duration = Duration::from_millis(CLUSTER_CALL_MS_MAX);

pub(super) fn cluster(args: ClusterArgs) -> Result<(), String> {
    let body = runtime()?.block_on(async {
        match &args.action {
            ClusterAction::Add { node, peer, wait_s } => {
                add(&args, *node, peer, Duration::from_secs(*wait_s)).await
            }
            action => call(&args.operator, action)
                .await
                .map_err(|failure| failure.sentence),
        }
    })?;
    match args.action {
        ClusterAction::Status { json: false } => {
            say(status_in(&body, &args.operator)?.to_string().trim_end());
        }
        _ => say(String::from_utf8_lossy(&body)),
    }
    Ok(())
}

/// Asks again while the node that is to be added does not answer: it may just be starting.
async fn add(args: &ClusterArgs, node: u64, peer: &str, wait: Duration) -> Result<Bytes, String> {
    let deadline = Instant::now() + wait;
    let mut is_told = false;
    loop {
        let failure = match call(&args.operator, &args.action).await {
            Ok(body) => return Ok(body),
            Err(failure) => failure,
        };
        let is_starting = failure.code == Some(ErrorCode::NodeUnreachable);
        if !is_starting || Instant::now() >= deadline {
            return Err(failure.sentence);
        }
        if !is_told {
            let patience_s = wait.as_secs();
            let sentence = format!("node {node} does not answer at {peer} yet; waiting up to {patience_s} s");
            complain(LogFormat::Pretty, &sentence);
            is_told = true;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

async fn call(operator: &str, action: &ClusterAction) -> Result<Bytes, Failure> {
    let late = |_| format!("{operator} did not answer within {CLUSTER_CALL_TIMEOUT:?}");
    tokio::time::timeout(CLUSTER_CALL_TIMEOUT, look_and_ask(operator, action))
        .await
        .map_err(late)?
}

/// A change of members is asked for over those that the node knows, and again if they are not the newest: the node may be
/// a moment behind.
async fn look_and_ask(operator: &str, action: &ClusterAction) -> Result<Bytes, Failure> {
    if !action.changes_members() {
        return ask(operator, action.request(&Memberships::new())).await;
    }
    let deadline = Instant::now() + LOOK_TIMEOUT;
    loop {
        let look = ClusterAction::Status { json: true };
        let status = ask(operator, look.request(&Memberships::new())).await?;
        let over = status_in(&status, operator)?.memberships();
        match ask(operator, action.request(&over)).await {
            Err(failure) if failure.code == Some(ErrorCode::MembersChanged) && Instant::now() < deadline => {}
            done => return done,
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

fn status_in(body: &[u8], operator: &str) -> Result<ClusterStatus, String> {
    serde_json::from_slice(body).map_err(|error| format!("{operator} answered something else: {error}"))
}

async fn ask(
    operator: &str,
    (method, path, body): (Method, &str, serde_json::Value),
) -> Result<Bytes, Failure> {
    let answer = open(operator, method, path, body).await?;
    let body = answer.collect().await;
    Ok(body
        .map_err(|error| unreachable(operator, &error.to_string()))?
        .to_bytes())
}
