//! The command line when things go wrong: whatever is asked, of whomever, ends with a sentence and an exit code, and what was
//! measured until then is kept.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod vanishing;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const NO_DATA: i32 = 3;
const INCONCLUSIVE: i32 = 2;
const WRONG_ARGUMENTS: i32 = 64;

/// What a run said, and what it left.
struct Ran {
    output: Output,
    out: String,
    errors: String,
    evidence: Option<Value>,
}

/// Runs `binary` with a folder of its own for evidence.
fn run_binary(binary: &Path, arguments: &[&str]) -> Ran {
    let folder = folder();
    let evidence = folder.path().join("evidence");
    let mut command = Command::new(binary);
    command.args(arguments).env_remove("OSTRAKA_OPERATOR_PASSWORD");
    if arguments.first().is_some_and(|first| *first != "empty-server") {
        command.arg("--evidence").arg(&evidence);
    }
    let output = command.output().unwrap();
    let files = std::fs::read_dir(&evidence).into_iter().flatten().flatten();
    let mut files = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "json"));
    let read = files
        .next()
        .map(|file| serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap());
    Ran {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        evidence: read,
        output,
    }
}

fn run(arguments: &[&str]) -> Ran {
    run_binary(Path::new(env!("CARGO_BIN_EXE_loadtest")), arguments)
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

impl Ran {
    #[track_caller]
    fn ends(&self, what: &str, code: i32, sentence: &str) {
        let Self { out, errors, .. } = self;
        assert_eq!(self.output.status.code(), Some(code), "{what}:\n{out}\n{errors}");
        assert!(!errors.contains("panicked"), "{what}: {errors}");
        let said = format!("{out}{errors}");
        assert!(
            said.contains(sentence),
            "{what} does not say {sentence:?}:\n{said}"
        );
    }

    #[track_caller]
    fn kept(&self, what: &str, verdict: &str) -> &Value {
        let kept = self.evidence.as_ref();
        let kept = kept.unwrap_or_else(|| panic!("{what} left no evidence:\n{}{}", self.out, self.errors));
        assert_eq!(kept["verdict"], verdict, "{what}");
        assert!(
            kept["sentence"].as_str().is_some_and(|said| !said.is_empty()),
            "{what}"
        );
        kept
    }
}

const PASSWORD: [&str; 2] = ["--operator-password", "x"];

/// What is asked, with what else, and what is said to it.
const BAD_ARGUMENTS: &[(&[&str], &[&str], &str)] = &[
    (&[], &[], "Usage"),
    (&["vote"], &[], "unrecognized subcommand"),
    (&["votes"], &[], "--operator-password"),
    (&["votes", "--seconds", "0"], &PASSWORD, "0 is not in"),
    (&["votes", "--connections", "many"], &PASSWORD, "invalid digit"),
    (&["rate"], &PASSWORD, "--votes-per-s"),
    (&["rate", "--votes-per-s", "-1"], &PASSWORD, "-1"),
    (&["rate", "--votes-per-s", "nan"], &PASSWORD, "above 0"),
    (
        &["rate", "--votes-per-s", "1e9"],
        &PASSWORD,
        "too many for one run",
    ),
    (
        &["rate", "--votes-per-s", "5", "--pace", "fast"],
        &PASSWORD,
        "fast",
    ),
    (&["journeys", "--mix", "nobody=1"], &PASSWORD, "nobody is called"),
    (&["journeys", "--mix", "voter=0"], &PASSWORD, "nobody comes"),
    (&["journeys", "--plan", "x"], &PASSWORD, "--plan"),
    (
        &["journeys", "--plan", "9,9", "--users", "3"],
        &PASSWORD,
        "cannot be used with",
    ),
    (&["watch"], &[], "--votes-per-s"),
    (
        &["watch", "--votes-per-s", "1", "--url", "http://127.0.0.1:1"],
        &[],
        "--operator-password",
    ),
    (&["watch", "--votes-per-s", "1e9"], &[], "too many for one run"),
    (&["overload", "--times", "0"], &[], "above 0"),
    (&["overload", "--seconds", "3"], &[], "3 is not in"),
    (&["compare", "--rounds", "0"], &[], "0 is not in"),
    (&["compare", "--pipeline", "65"], &[], "65 is not in"),
    (&["fleet", "--set", "speed=1"], &[], "nothing is called"),
    (&["fleet", "--shape", "1,0.5"], &[], "share 1"),
    (&["fleet", "--log-nodes", "2"], &[], "1, 3, 5 or 7"),
    (&["fleet", "--log-nodes", "1"], &[], "of one member"),
    (&["fleet", "--instance", "c0.nano"], &[], "no instance is called"),
    (
        &["fleet", "--times", "/nowhere/times.json"],
        &[],
        "cannot be read",
    ),
    (
        &["fleet", "--prices", "/dev/null"],
        &[],
        "is not what it should be",
    ),
    (
        &["fleet", "--requests-per-s", "1e12"],
        &[],
        "too many for one simulation",
    ),
    (&["fleet", "--front", "3"], &[], "--feeders"),
    (&["fleet", "--share-max", "2"], &[], "1 at most"),
];

#[test]
fn bad_arguments_get_a_sentence() {
    for (command, more, sentence) in BAD_ARGUMENTS {
        let ran = run(&[*command, *more].concat());
        ran.ends(&command.join(" "), WRONG_ARGUMENTS, sentence);
        assert!(
            ran.out.is_empty(),
            "{command:?} said on standard output: {}",
            ran.out
        );
    }
}

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// As a service has it.
fn secrets(folder: &Path) -> PathBuf {
    let path = folder.join("secrets.json");
    let master = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let text = format!(r#"{{"format": 1, "master": "{master}", "token_kids": ["k1"]}}"#);
    std::fs::write(&path, text).unwrap();
    path
}

/// The commands for a service that runs, short.
const AT_A_SERVICE: [&[&str]; 4] = [
    &[
        "votes",
        "--seconds",
        "1",
        "--warmup-seconds",
        "0",
        "--connections",
        "2",
    ],
    &[
        "rate",
        "--votes-per-s",
        "500",
        "--seconds",
        "2",
        "--warmup-seconds",
        "0",
        "--connections",
        "2",
    ],
    &[
        "watch",
        "--votes-per-s",
        "50",
        "--seconds",
        "1",
        "--watchers",
        "2",
    ],
    &[
        "journeys",
        "--mix",
        "voter=1",
        "--users",
        "2",
        "--ramp-seconds",
        "0",
        "--seconds",
        "1",
        "--accounts",
        "0",
    ],
];

fn at(command: &[&str], url: &str, secrets: &Path) -> Ran {
    let secrets = secrets.to_str().unwrap();
    let service = [
        "--url",
        url,
        "--secrets-file",
        secrets,
        "--operator-password",
        "x",
    ];
    run(&[command, &service].concat())
}

#[test]
fn a_service_that_is_not_there_gets_a_sentence_and_evidence() {
    let folder = folder();
    let secrets = secrets(folder.path());
    let url = format!("http://{}", nobody());
    for command in AT_A_SERVICE {
        let ran = at(command, &url, &secrets);
        ran.ends(command[0], NO_DATA, "NO-DATA");
        assert!(ran.kept(command[0], "NO-DATA")["figures"].is_null());
        let ran = at(command, "ftp://somewhere", &secrets);
        ran.ends(command[0], NO_DATA, "http://HOST:PORT");
        let ran = at(command, &url, Path::new("/nowhere/secrets.json"));
        ran.ends(command[0], NO_DATA, "secrets file");
    }
}

#[test]
fn a_service_that_vanishes_leaves_what_was_measured_until_then() {
    let folder = folder();
    let secrets = secrets(folder.path());
    std::thread::scope(|scope| {
        for command in &AT_A_SERVICE[..2] {
            let secrets = &secrets;
            scope.spawn(move || {
                let service = vanishing::start(200);
                let ran = at(command, &format!("http://{service}"), secrets);
                ran.ends(command[0], INCONCLUSIVE, "did not show its leaderboard");
                let kept = ran.kept(command[0], "INCONCLUSIVE");
                let ledger = &kept["figures"]["ledger"];
                // The last answers may have been lost with the connections.
                let of = |name: &str| ledger[name].as_u64().unwrap();
                assert!(
                    of("acked") > 100 && of("acked") + of("in_doubt") >= 200,
                    "{ledger}"
                );
                assert!(ledger["counted"].is_null(), "{ledger}");
                assert!(
                    kept["figures"]["broken"]
                        .as_object()
                        .is_some_and(|why| !why.is_empty())
                );
            });
        }
    });
}

/// This binary in a folder of its own, with that beside it under the service's name.
fn beside(service: Option<&str>) -> (TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let binary = folder.path().join("loadtest");
    std::fs::copy(env!("CARGO_BIN_EXE_loadtest"), &binary).unwrap();
    if let Some(script) = service {
        let path = folder.path().join("ostraka");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    (folder, binary)
}

/// The commands that start a service of their own, short.
const OF_ITS_OWN: [&[&str]; 3] = [
    &[
        "watch",
        "--votes-per-s",
        "50",
        "--seconds",
        "1",
        "--watchers",
        "2",
    ],
    &["overload", "--seconds", "4", "--probe-seconds", "1"],
    &["compare", "--rounds", "1", "--seconds", "1"],
];

#[test]
fn a_service_that_does_not_start_gets_a_sentence_and_its_words_are_kept() {
    let (_folder, alone) = beside(None);
    let script = "#!/bin/sh\necho 'cannot listen: the address is in use' >&2\nexit 1\n";
    let (_folder, with_script) = beside(Some(script));
    for command in OF_ITS_OWN {
        let ran = run_binary(&alone, command);
        ran.ends(command[0], NO_DATA, "cargo build --release");
        ran.kept(command[0], "NO-DATA");
        let ran = run_binary(&with_script, command);
        ran.ends(command[0], NO_DATA, "the address is in use");
        ran.kept(command[0], "NO-DATA");
    }
}

#[test]
fn a_port_in_use_gets_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let ran = run(&["empty-server", "--listen", &addr]);
    ran.ends("empty-server", NO_DATA, "stop what listens there");
    let ran = run(&["empty-server", "--listen", "nowhere"]);
    ran.ends("empty-server", NO_DATA, "cannot listen on nowhere");
}

#[test]
fn evidence_that_cannot_be_written_is_told() {
    let service = nobody().to_string();
    let folder = folder();
    let secrets = secrets(folder.path());
    let command = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args([
            "votes",
            "--operator-password",
            "x",
            "--url",
            &format!("http://{service}"),
        ])
        .arg("--secrets-file")
        .arg(&secrets)
        .args(["--evidence", "/dev/null/evidence"])
        .output()
        .unwrap();
    assert_eq!(command.status.code(), Some(NO_DATA));
    let out = String::from_utf8_lossy(&command.stdout);
    assert!(
        out.contains(r#""verdict": "NO-DATA""#),
        "it is on standard output: {out}"
    );
    let errors = String::from_utf8_lossy(&command.stderr);
    assert!(errors.contains("cannot be written"), "{errors}");
}
