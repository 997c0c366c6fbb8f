//! `sim-madsim`: the vote core, its replication and its batcher under madsim's random scheduling, from seeds, judged by
//! the same model as the simulator of the whole service.
//!
//! Exit codes: 0 held, 10 safety broken, 11 liveness broken, 12 vacuous, 13 not deterministic; 2 for arguments or files
//! that cannot be used.

#[cfg(madsim)]
mod command;
#[cfg(not(madsim))]
mod launcher;
#[cfg(madsim)]
mod simulation;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(madsim)]
    return command::main();
    #[cfg(not(madsim))]
    launcher::main()
}
