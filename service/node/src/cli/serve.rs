//! `ostraka serve`: the machine's clock, sockets and randomness, and signals.

use std::sync::Arc;

use ostraka_replication::env::TokioNet;

use super::{ServeArgs, open_files};
use crate::config::{Config, LogFormat, Settings};
use crate::env::{Env, OsEntropy, SystemClock};
use crate::telemetry;

/// An error is a sentence, and the form in which to say it.
pub(super) fn serve(args: ServeArgs) -> Result<(), (LogFormat, String)> {
    let asked = args.settings.log_format.unwrap_or(LogFormat::Pretty);
    let config = configure(args).map_err(|error| (asked, error.to_string()))?;
    let format = config.log_format;
    run(config).map_err(|sentence| (format, sentence))
}

fn run(config: Config) -> Result<(), String> {
    telemetry::start(config.log_format);
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime does not start: {error}"))?;
    let mut env = Env::new(Arc::new(TokioNet), Arc::new(SystemClock), Arc::new(OsEntropy));
    env.console = telemetry::console(config.log_format);
    let running = async {
        // A task like any other. What this thread polls itself would wake it, by way of the kernel, at every batch.
        let node = tokio::spawn(crate::run(env, config, stop_signal()));
        node.await.expect("the node does not panic")
    };
    runtime.block_on(running).map_err(|error| error.to_string())
}

fn configure(args: ServeArgs) -> Result<Config, crate::config::ConfigError> {
    let file = match &args.config {
        Some(path) => Settings::from_file(path)?,
        None => Settings::default(),
    };
    args.settings.or(file).checked(args.only)
}

/// Completes on Ctrl-C or SIGTERM. Both are caught from the call on, and not first when the future is polled: whoever has
/// read that the node listens may stop it.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let caught = |kind, name| {
        signal(kind)
            .inspect_err(|error| tracing::warn!(%error, "{name} cannot be caught: it kills this node"))
            .ok()
    };
    let terminate = caught(SignalKind::terminate(), "SIGTERM");
    let interrupt = caught(SignalKind::interrupt(), "Ctrl-C");
    let comes = |signal: Option<tokio::signal::unix::Signal>| async {
        match signal {
            Some(mut signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    };
    async move {
        tokio::select! {
            biased;
            () = comes(terminate) => {}
            () = comes(interrupt) => {}
        }
    }
}
