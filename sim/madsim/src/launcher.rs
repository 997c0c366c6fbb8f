//! The program without madsim in it: starts cargo again where its settings put madsim in.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

/// For what cannot be started.
const EXIT_UNUSABLE: u8 = 2;

pub(crate) fn main() -> ExitCode {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let started = cargo_here(Command::new(cargo))
        .args(["run", "--quiet", "--release", "--locked", "--"])
        .args(arguments)
        .status();
    match started {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            ExitCode::from(code.unwrap_or(EXIT_UNUSABLE))
        }
        Err(error) => {
            eprintln!("sim-madsim: cargo could not be started: {error}");
            ExitCode::from(EXIT_UNUSABLE)
        }
    }
}

/// In this package's folder, where `.cargo/config.toml` is read; what an outer cargo has set would outdo it.
fn cargo_here(mut cargo: Command) -> Command {
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    for set_outside in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET_DIR",
    ] {
        cargo.env_remove(set_outside);
    }
    cargo
}
