//! Names the commit in the program, so that its evidence can.

use std::path::Path;

#[path = "../campaign/build/commit.rs"]
mod commit;

fn main() {
    println!("cargo::rerun-if-changed=../campaign/build/commit.rs");
    commit::tell_cargo(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
}
