//! The program without madsim in it: starts cargo again where its settings put madsim in.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

/// For what cannot be started.
const EXIT_UNUSABLE: u8 = 2;

pub(crate) fn main() -> ExitCode {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Run where its user stands, who names files from there; the settings are named because cargo looks for them there too.
    let started = without_outer_settings(Command::new(cargo))
        .arg("--config")
        .arg(package.join(".cargo/config.toml"))
        .args(["run", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .arg("--")
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

/// What an outer cargo has set would outdo the package's own settings.
fn without_outer_settings(mut cargo: Command) -> Command {
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
