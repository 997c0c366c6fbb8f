//! What `.ci/chaos` makes of the harness's exit codes, with a harness that ends as it is told to; and the codes of the real one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// Tools that the script would install where they are missing.
const TOOLS: [&str; 4] = ["ip", "nft", "mkfs.xfs", "mkfs.ext4"];
/// What evidence of a planted service that was found out holds.
const LOST: &str = r#"{
  "verdict": "FAIL",
  "reasons": [
    "durability: submission 1 was acknowledged as e1-2 (Processed) and is lost"
  ]
}"#;

fn program(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The script's end, where power cuts end with one code, storms with the other, and the planted service's storm with the
/// third, which leaves this evidence.
fn script(powercut: i32, run: i32, planted: i32, evidence: Option<&str>) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/chaos");
    program(&at(".ci/chaos"), &std::fs::read_to_string(script).unwrap());
    for tool in TOOLS {
        program(&at("bin").join(tool), "#!/bin/sh\n");
    }
    std::fs::write(at("evidence.json"), evidence.unwrap_or_default()).unwrap();
    // Whoever gets a folder for its evidence is the planted service's storm.
    let leaves = if evidence.is_some() { "leave" } else { ":" };
    program(
        &at("target/release/chaos"),
        &format!(
            r#"#!/bin/sh
leave() {{ mkdir -p "$1" && cp "{folder}/evidence.json" "$1/chaos-run-1-1.json"; }}
before= planted=
for word; do
    [ "$before" = --evidence ] && planted=$word
    before=$word
done
if [ -n "$planted" ]; then {leaves} "$planted"; exit {planted}; fi
if [ "$1" = powercut ]; then exit {powercut}; fi
exit {run}
"#,
            folder = folder.path().display()
        ),
    );
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    let output = Command::new(at(".ci/chaos")).env("PATH", path).output().unwrap();
    (output.status.code(), text(&output))
}

fn text(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    both.concat()
}

#[test]
fn what_holds_is_green_and_what_cannot_be_tested_is_told() {
    let (code, said) = script(0, 0, 1, Some(LOST));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(script(2, 0, 1, Some(LOST)).0, Some(2));
    assert_eq!(script(0, 2, 2, None).0, Some(2));
    assert_eq!(script(1, 2, 2, None).0, Some(1));
    assert_eq!(script(2, 1, 1, Some(LOST)).0, Some(1));
}

/// 101 is a panic, 139 and 137 are signals, 64 is a word that the harness does not know, 126 and 127 are no program.
#[test]
fn a_harness_that_crashes_is_red_whatever_was_inconclusive_before() {
    for crash in [101, 139, 137, 64, 126, 127] {
        for (powercut, run, planted) in [(crash, 0, 1), (2, crash, 1), (crash, 2, 1), (2, 2, crash)] {
            let (code, said) = script(powercut, run, planted, Some(LOST));
            assert_eq!(code, Some(1), "{powercut}, {run}, {planted}: {said}");
            assert!(said.contains(&format!("ended with {crash}")), "{said}");
        }
    }
}

#[test]
fn a_planted_service_counts_as_found_out_only_for_its_lost_votes() {
    let other = LOST.replace("durability: submission", "liveness: submission");
    let held = LOST.replace("FAIL", "PASS");
    for evidence in [None, Some(other.as_str()), Some(held.as_str())] {
        let (code, said) = script(0, 0, 1, evidence);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("was not found out for that"), "{said}");
    }
    let (code, said) = script(0, 0, 0, Some(LOST));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("has passed"), "{said}");
}

#[test]
fn what_nobody_can_have_meant_ends_with_a_code_of_its_own() {
    let runs = tempfile::tempdir().unwrap();
    let ends = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
        let output = command
            .arg("--runs")
            .arg(runs.path())
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), text(&output))
    };
    let no_plan = runs.path().join("plan.json");
    std::fs::write(&no_plan, "{}").unwrap();
    for arguments in [
        &["nemesis", "plague"][..],
        &["run", "--nemesis", "plague"],
        &["run", "--count", "0"],
        &["run", "--plan", no_plan.to_str().unwrap()],
        &["failover", "--nemesis", "plague"],
        &["failover", "--nemesis", "blackout"],
        &["powercut", "--nodes", "2"],
        &["sing"],
    ] {
        let (code, said) = ends(arguments);
        assert_eq!(code, Some(64), "{arguments:?}: {said}");
        assert!(!said.is_empty() && !said.contains("INCONCLUSIVE"), "{said}");
    }
    assert_eq!(ends(&["nemesis"]).0, Some(0));
    assert_eq!(ends(&["--help"]).0, Some(0));
}
