//! Backups through the operator port. Whoever reaches it may read every account and vote, as may whoever can add a node.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use ostraka_api::ErrorCode;
use ostraka_core::limits::STORAGE_RETRY_AFTER_S;
use ostraka_replication::group::CopyError;

use super::Operator;
use crate::audit::{Action, Certainty};
use crate::backup::take::TakeError;
use crate::http::{Problem, RequestContext};

pub(super) async fn backup(
    State(operator): State<Arc<Operator>>,
    Extension(context): Extension<RequestContext>,
) -> Result<Response, Problem> {
    if operator.health.storage_full().load(Ordering::Relaxed) {
        let sentence = "the disk of this node's data folder is nearly full, and a backup needs room for snapshots on it: \
                        free space there, or ask another node";
        return Err(Problem::new(ErrorCode::StorageFull, sentence).retry_after_s(STORAGE_RETRY_AFTER_S));
    }
    let taken = operator.backups.take(&operator.groups).await.map_err(refused);
    let certainty = Certainty::of(&taken);
    operator.note(Action::BackupTaken, certainty).await;
    let taken = taken?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, taken.size_bytes.to_string()),
    ];
    // The connection is busy until the last byte.
    let open = context.progress.keep_busy();
    let pieces = taken.into_stream().inspect(move |_| {
        let _busy = &open;
    });
    Ok((headers, Body::from_stream(pieces)).into_response())
}

fn refused(error: TakeError) -> Problem {
    let code = match &error {
        TakeError::Busy => ErrorCode::ClusterActionRefused,
        TakeError::Copy { source, .. } => match source {
            CopyError::NoQuorum | CopyError::Behind(_) => ErrorCode::NoLeader,
            CopyError::Snapshot(_) | CopyError::Unreadable(_) | CopyError::Stopped(_) => ErrorCode::Internal,
        },
        TakeError::Header(_) => ErrorCode::Internal,
    };
    Problem::new(code, error.to_string())
}
