//! What the nodes log during a run, with the run's own time. It takes no part in the run: the bytes stay the same.

use std::fmt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Seconds since the run began.
struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        match turmoil::sim_elapsed() {
            Some(elapsed) => write!(out, "{:>9.3}", elapsed.as_secs_f64()),
            None => write!(out, "        -"),
        }
    }
}

/// From now on this process writes what nodes log to stderr, as far as `filter` lets it, which is written as for
/// `RUST_LOG`: `warn,openraft=debug`. Once a process. Error: the filter is none.
pub fn show_logs(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("{filter:?} filters no log: {error}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SimulatedTime)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| error.to_string())
}
