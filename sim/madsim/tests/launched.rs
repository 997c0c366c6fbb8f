//! Whoever runs the tests of this package without madsim gets those under madsim all the same.
#![cfg(not(madsim))]

use std::path::Path;
use std::process::Command;

#[test]
fn the_tests_under_madsim_pass() {
    // In this package's folder, where `.cargo/config.toml` is read; what an outer cargo has set would outdo it.
    let done = Command::new(env!("CARGO"))
        .args(["test", "--release", "--locked"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .output()
        .expect("cargo can be started");
    let said = String::from_utf8_lossy(&done.stdout);
    let words = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}\n{words}");
    assert!(
        said.contains("a_read_that_asks_no_quorum_is_found ... ok"),
        "not all was run:\n{said}\n{words}"
    );
}
