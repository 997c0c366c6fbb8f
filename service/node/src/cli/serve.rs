//! `ostraka serve`: the machine's clock, sockets and randomness, and signals.

use std::sync::Arc;

use ostraka_replication::env::TokioNet;

use super::ServeArgs;
use crate::config::{Config, Settings};
use crate::env::{Env, OsEntropy, SystemClock};
use crate::telemetry;

pub(super) fn serve(args: ServeArgs) -> Result<(), String> {
    let config = configure(args).map_err(|error| error.to_string())?;
    telemetry::start(config.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime does not start: {error}"))?;
    let env = Env::new(Arc::new(TokioNet), Arc::new(SystemClock), Arc::new(OsEntropy));
    runtime
        .block_on(crate::run(env, config, stop_signal()))
        .map_err(|error| error.to_string())
}

fn configure(args: ServeArgs) -> Result<Config, crate::config::ConfigError> {
    let file = match &args.config {
        Some(path) => Settings::from_file(path)?,
        None => Settings::default(),
    };
    args.settings.or(file).checked(args.only)
}

/// Completes on Ctrl-C or SIGTERM.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be caught; only Ctrl-C stops this node gracefully");
            let _ = tokio::signal::ctrl_c().await;
            return;
        }
    };
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
