//! The simulator under madsim is a workspace of its own; its tests belong to `cargo test` all the same.

use std::path::Path;
use std::process::Command;

#[test]
fn the_tests_of_the_simulator_under_madsim_pass() {
    // In its folder, where its `.cargo/config.toml` is read and says where it is built: the lock on this workspace's
    // target folder is not asked for. What an outer cargo has set would outdo that file.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../madsim");
    let done = Command::new(env!("CARGO"))
        .args(["test", "--release", "--locked"])
        .current_dir(folder)
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
