//! Whoever pipes a node's output into a program gets lines that the program can read.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::http::Call;
use crate::support::process::ostraka;

/// A node with JSON logs, what it writes going to two files of `dir`.
fn serve(dir: &Path, listen: &str) -> Child {
    let data_dir = dir.join("data");
    ostraka()
        .args(["serve", "--log-format", "json", "--listen", listen])
        .args(["--operator-listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"])
        .args(["--data-dir", data_dir.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(File::create(dir.join("stdout")).unwrap())
        .stderr(File::create(dir.join("stderr")).unwrap())
        .spawn()
        .unwrap()
}

/// The lines so far, each an object; a text that is none fails the test.
fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    // The last line may still be on its way.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parsed = whole.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["message"].is_string(), "{line}");
        value
    });
    parsed.collect()
}

fn wait_for(file: &Path, message: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let found = lines(file)
            .into_iter()
            .find(|line| line["message"].as_str().unwrap().contains(message));
        if let Some(found) = found {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "no line says {message:?}: {:?}",
            lines(file)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn with_json_logs_every_line_of_both_streams_is_json() {
    let dir = tempfile::tempdir().unwrap();
    let (stdout, stderr) = (dir.path().join("stdout"), dir.path().join("stderr"));
    let mut node = serve(dir.path(), "127.0.0.1:0");
    let listens = wait_for(&stderr, "this node listens");
    let public = listens["public"].as_str().unwrap();
    assert!(
        wait_for(&stdout, public)["message"]
            .as_str()
            .unwrap()
            .contains("operator http://")
    );
    // The first password is for the person who started the node, and stands in no log.
    let password = wait_for(&stdout, "was made with the password")["message"].to_string();
    let password = password
        .split("the password ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    assert!(!std::fs::read_to_string(&stderr).unwrap().contains(&password));

    // A second node at the same port ends with a sentence.
    let other = tempfile::tempdir().unwrap();
    assert_eq!(serve(other.path(), public).wait().unwrap().code(), Some(1));
    let said = wait_for(&other.path().join("stderr"), "cannot listen on");
    assert_eq!(said["level"], "ERROR");

    assert_eq!(Call::get("/nowhere").send(public).status, 404);
    wait_for(&stderr, "a request was refused");
    let ended = std::process::Command::new("kill")
        .args(["-TERM", &node.id().to_string()])
        .status();
    assert!(ended.unwrap().success());
    assert!(node.wait().unwrap().success());
    wait_for(&stderr, "stopped");
    lines(&stdout);
}

/// As after `ostraka serve 2>&1 | head`.
#[test]
fn a_node_whose_log_nobody_reads_answers_and_stops_as_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut node = ostraka()
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--operator-listen",
            "127.0.0.1:0",
        ])
        .args(["--peer-listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path().join("data"))
        .stdin(Stdio::null())
        .stdout(File::create(dir.path().join("stdout")).unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    drop(reader);
    let deadline = Instant::now() + Duration::from_secs(60);
    let public = loop {
        let said = std::fs::read_to_string(dir.path().join("stdout")).unwrap();
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix("public   http://"));
        match line {
            Some(public) if said.contains("stop with") => break public.to_owned(),
            _ => assert!(Instant::now() < deadline, "it does not start: {said}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    for _ in 0..3 {
        assert_eq!(Call::get("/nowhere").send(&public).status, 404);
        assert_eq!(Call::get("/v1/event/e1/leaderboard").send(&public).status, 401);
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&node),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert_eq!(node.wait().unwrap().code(), Some(0));
}
