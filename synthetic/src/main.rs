//! `synthetic`: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    synthetic::command::run()
}
