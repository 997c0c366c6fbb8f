//! The audit trail of a real node: what was done stands in it, who was refused does not fill it, and what was tampered with
//! is found by `ostraka audit verify`.

use std::path::Path;
use std::process::ExitStatus;

use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::process::{NodeOptions, NodeProcess, run_ostraka};
use crate::support::stage::Stage;

fn verify(data_dir: &Path, flags: &[&str]) -> (ExitStatus, Value, String) {
    let data_dir = data_dir.to_str().unwrap();
    let args = [&["audit", "verify", "--json", "--data-dir", data_dir], flags].concat();
    let (status, stdout, stderr) = run_ostraka(&args);
    let report = serde_json::from_str(&stdout).unwrap_or(Value::Null);
    (status, report, stderr)
}

fn lines(data_dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(data_dir.join("audit.log")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Who did what to what, line by line.
fn said(data_dir: &Path) -> Vec<String> {
    let word = |line: &Value, field: &str| line[field].as_str().unwrap_or("-").to_owned();
    let sentence = |line: &Value| {
        ["who", "action", "what", "certainty"]
            .map(|field| word(line, field))
            .join(" ")
    };
    lines(data_dir).iter().map(sentence).collect()
}

#[test]
fn what_was_done_is_noted_and_what_was_tampered_with_is_found() {
    let stage = Stage::new();
    let data_dir = stage.dir.path().join("data");
    let voter = json!({"username": "ada", "email": "ada@example.org", "date_of_birth": "1990-05-17"});
    stage.send(&Call::post("/v1/auth/register", &voter).token(&stage.operator_token));
    let event = stage.event(&["A", "B"]);
    let close = Call::post(&format!("/v1/event/{event}/close"), &json!({}));
    assert_eq!(
        stage.send(&close.clone().token(&stage.issuer.voter(2))).status,
        403
    );
    assert_eq!(stage.send(&close).status, 401);
    assert_eq!(stage.send(&close.token(&stage.operator_token)).status, 200);
    let operator = &stage.node.options.operator;
    let revoke = ["accounts", "--operator", operator, "revoke", "--user", "u2"];
    assert!(run_ostraka(&revoke).0.success());
    let unknown = ["accounts", "--operator", operator, "revoke", "--user", "u9"];
    assert!(!run_ostraka(&unknown).0.success());
    let expected = [
        format!("u1 event_created {event} done"),
        format!("u1 event_closed {event} done"),
        "operator_port tokens_revoked u2 done".to_owned(),
    ];
    assert_eq!(said(&data_dir), expected);
    assert_eq!(lines(&data_dir)[1]["trace_id"].as_str().map(str::len), Some(32));
    // While the node runs.
    let (status, report, stderr) = verify(&data_dir, &[]);
    assert!(status.success(), "{report} {stderr}");
    assert_eq!(report["lines"], 3);
    let head = format!("3:{}", report["head"]["mac"].as_str().unwrap());

    // It goes on after a restart.
    let Stage { node, dir, .. } = stage;
    assert!(node.stop().1.success());
    let node = NodeProcess::start(NodeOptions::new(1, &data_dir));
    let operator = &node.options.operator;
    let backup = dir.path().join("backup");
    let args = [
        "backup",
        "--operator",
        operator,
        "--out",
        backup.to_str().unwrap(),
    ];
    assert!(run_ostraka(&args).0.success());
    assert!(node.stop().1.success());
    assert_eq!(
        said(&data_dir).last().unwrap(),
        "operator_port backup_taken - done"
    );
    let (status, report, stderr) = verify(&data_dir, &["--head", &head]);
    assert!(status.success() && report["lines"] == 4, "{report} {stderr}");

    let path = data_dir.join("audit.log");
    let text = std::fs::read_to_string(&path).unwrap();
    let whole: Vec<&str> = text.split_inclusive('\n').collect();
    let planted = [
        ("removed", [whole[0], whole[2], whole[3]].concat(), "line 2"),
        (
            "moved",
            [whole[1], whole[0], whole[2], whole[3]].concat(),
            "line 1",
        ),
        ("changed", text.replace("event_closed", "event_opened"), "line 2"),
    ];
    for (what, text, place) in planted {
        std::fs::write(&path, text).unwrap();
        let (status, _, stderr) = verify(&data_dir, &[]);
        assert!(!status.success() && stderr.contains(place), "{what}: {stderr}");
    }
    // Cut off at its end: the chain holds, and the head that was noted is not there.
    std::fs::write(&path, whole[..2].concat()).unwrap();
    assert!(verify(&data_dir, &[]).0.success());
    let (status, _, stderr) = verify(&data_dir, &["--head", &head]);
    assert!(!status.success() && stderr.contains("noted earlier"), "{stderr}");
}
