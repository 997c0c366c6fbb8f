//! `ostraka accounts …`, through the operator port.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use ostraka_core::limits::CLUSTER_CALL_MS_MAX;
use serde_json::json;

use super::operator_port::{open, unreachable};
use super::{AccountsAction, AccountsArgs, runtime, say};

const CALL_TIMEOUT: Duration = Duration::from_millis(CLUSTER_CALL_MS_MAX);

pub(super) fn accounts(args: &AccountsArgs) -> Result<(), String> {
    let AccountsAction::Revoke { user } = args.action;
    let operator = &args.operator;
    let asked = async {
        let body = json!({"user_id": user.to_string()});
        let answer = open(operator, Method::POST, "/v1/accounts/revoke", body).await;
        let answer = answer.map_err(|failure| failure.sentence)?.collect().await;
        answer.map_err(|error| unreachable(operator, &error.to_string()))
    };
    let late = |_| format!("{operator} did not answer within {CALL_TIMEOUT:?}");
    let answer = runtime()?
        .block_on(async { tokio::time::timeout(CALL_TIMEOUT, asked).await })
        .map_err(late)??;
    say(String::from_utf8_lossy(&answer.to_bytes()));
    Ok(())
}
