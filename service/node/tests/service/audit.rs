//! `ostraka verify` on real folders: whole ones agree, and a planted difference is found.

use std::path::Path;
use std::process::Stdio;

use ostraka_core::{LogIndex, VoterNumber};
use ostraka_node::identity::account::{Account, Email, Username};
use ostraka_node::identity::store::Head;
use ostraka_node::identity::{AccountStore, Effects, SledAccounts};
use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::process::{NodeOptions, NodeProcess, ostraka, run_ostraka};
use crate::support::stage::Stage;

/// A stopped node's folder with an operator and four voters in it; snapshots were taken on the way.
fn stopped_with_accounts() -> tempfile::TempDir {
    let stage = Stage::with(&["--snapshot-every-entries", "3"]);
    for number in 0..4 {
        let person = json!({
            "username": format!("voter{number}"),
            "email": format!("voter{number}@example.org"),
            "date_of_birth": "1990-01-02",
        });
        // The second time the name is taken: in the log, and no account.
        for status in [201, 409] {
            let call = Call::post("/v1/auth/register", &person).token(&stage.operator_token);
            assert_eq!(stage.send(&call).status, status);
        }
    }
    let logout = Call::post("/v1/auth/logout", &json!({})).token(&stage.issuer.voter(3));
    assert_eq!(stage.send(&logout).status, 204);
    let (node, dir) = (stage.node, stage.dir);
    assert!(node.stop().1.success());
    dir
}

fn verify(data_dir: &Path) -> (bool, Value) {
    let (status, stdout, stderr) =
        run_ostraka(&["verify", "--json", "--data-dir", data_dir.to_str().unwrap()]);
    let report = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    (status.success(), report)
}

/// Opens the stored accounts, as the service does, and lets `plant` change them.
fn plant(data_dir: &Path, plant: impl FnOnce(&mut SledAccounts)) {
    let mut accounts = SledAccounts::open(&data_dir.join("identity/accounts")).unwrap();
    plant(&mut accounts);
    // An image is only of what is on disk.
    drop(accounts.image());
}

#[test]
fn accounts_are_recounted_and_agree() {
    let dir = stopped_with_accounts();
    let data_dir = dir.path().join("data");
    let (agrees, report) = verify(&data_dir);
    assert!(agrees, "{report}");
    let identity = &report["identity"];
    assert_eq!(identity["accounts"], 5, "{report}");
    assert!(identity["accounts_compared_at"].as_u64().unwrap() > 0, "{report}");
    assert!(
        !identity["snapshots_compared"].as_array().unwrap().is_empty(),
        "{report}"
    );

    // Moved away, they are made again from the log, and agree again.
    std::fs::remove_dir_all(data_dir.join("identity/accounts")).unwrap();
    let (agrees, report) = verify(&data_dir);
    assert!(
        agrees && report["identity"]["accounts_compared_at"].is_null(),
        "{report}"
    );
    let node = NodeProcess::start(NodeOptions::new(1, &data_dir));
    assert!(node.stop().1.success());
    let (agrees, report) = verify(&data_dir);
    assert!(
        agrees && report["identity"]["accounts_compared_at"].as_u64().is_some(),
        "{report}"
    );
}

#[test]
fn accounts_that_the_log_does_not_make_are_found() {
    let dir = stopped_with_accounts();
    let data_dir = dir.path().join("data");
    // The last voter with another address, as someone with access to the folder would write it.
    plant(&data_dir, |accounts| {
        let head = accounts.head();
        let mut all: Vec<Account> = (1..head.next_voter.0)
            .map(|number| accounts.account(VoterNumber(number)).unwrap())
            .collect();
        all.last_mut().unwrap().email = Some(Email::new("mallory@example.org"));
        accounts
            .replace(head, accounts.remembered().clone(), &mut all.into_iter().map(Ok))
            .unwrap();
    });
    let (agrees, report) = verify(&data_dir);
    assert!(!agrees);
    assert!(
        report["disagreements"]
            .to_string()
            .contains("account 5 is not the one"),
        "{report}"
    );
}

#[test]
fn accounts_ahead_of_the_log_are_found() {
    let dir = stopped_with_accounts();
    let data_dir = dir.path().join("data");
    plant(&data_dir, |accounts| {
        let head = accounts.head();
        let ghost = Account {
            voter: head.next_voter,
            username: Username::new("ghost"),
            email: None,
            ..accounts.account(VoterNumber(2)).unwrap()
        };
        // Not by one: the last entries may have come too late to be in the accounts of a node that was stopping.
        let head = Head {
            next_voter: VoterNumber(head.next_voter.0 + 1),
            applied: LogIndex(head.applied.0 + 100),
            ..head
        };
        accounts.commit(head, &Effects::created(ghost));
    });
    let (agrees, report) = verify(&data_dir);
    assert!(!agrees);
    assert!(
        report["disagreements"]
            .to_string()
            .contains("identity's log ends at"),
        "{report}"
    );
}

/// `ostraka verify | head -1`.
#[test]
fn who_has_read_enough_may_go() {
    let dir = stopped_with_accounts();
    let data_dir = dir.path().join("data");
    let mut child = ostraka()
        .args(["verify", "--data-dir", data_dir.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
}

/// A script that keeps the report must not be told that it has it.
#[test]
fn a_report_that_cannot_be_written_is_no_success() {
    let dir = stopped_with_accounts();
    let data_dir = dir.path().join("data");
    for form in [&["--json"][..], &[]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = ostraka()
            .args(["verify", "--data-dir", data_dir.to_str().unwrap()])
            .args(form)
            .stdout(full)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{form:?}: {stderr}");
        assert!(stderr.contains("cannot be written"), "{form:?}: {stderr}");
    }
}
