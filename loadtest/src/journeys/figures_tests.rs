//! What a run of journeys concludes from given findings.

use super::*;

fn walked(finished: u64) -> findings::Journeys {
    findings::Journeys {
        begun: finished,
        finished,
        broken_off: 0,
    }
}

/// Of a run in which all went well.
fn figures() -> Figures {
    let mix = Mix::default();
    Figures {
        the_loop: Loop::Closed,
        goose: GOOSE,
        report: "report.html".to_string(),
        plan: Plan::ramp(20, 5, 20),
        plan_s: 25,
        mix,
        users: 20,
        registration: Registration::default(),
        logins: 3,
        journeys: mix.roles().into_iter().map(|role| (role, walked(9))).collect(),
        faults: 0,
        fault_sentences: Vec::new(),
        troubles: BTreeMap::new(),
        acked: 18,
        in_doubt: 0,
        ledger: Some(ledger(18)),
        books_not_closed: None,
        own_vote_seen_ms: LatencyMs::of(&crate::statistics::latencies()),
        own_votes_not_listed: 0,
        requests: Vec::new(),
        gone_s: None,
        stopped: false,
    }
}

fn ledger(counted: u64) -> Ledger {
    Ledger {
        acked: 18,
        counted: Some(counted),
        in_doubt: 0,
    }
}

/// Of a run whose service was killed 7 s into it.
fn gone() -> Figures {
    Figures {
        ledger: None,
        books_not_closed: Some("it cannot be reached".to_string()),
        gone_s: Some(7.0),
        stopped: true,
        troubles: BTreeMap::from([("voter: vote was not answered".to_string(), 3)]),
        in_doubt: 2,
        ..figures()
    }
}

#[track_caller]
fn assert_verdict(figures: &Figures, expected: Verdict, words: &str) {
    let (verdict, sentence) = figures.verdict();
    assert_eq!(verdict, expected, "{sentence}");
    assert!(sentence.contains(words), "{sentence}");
}

#[test]
fn a_run_without_faults_passes() {
    assert_verdict(&figures(), Verdict::Pass, "counted once");
}

#[test]
fn a_fault_fails_whatever_else() {
    let faulty = Figures {
        faults: 2,
        fault_sentences: vec!["attacker: told twice".to_string(), "other".to_string()],
        ..gone()
    };
    assert_verdict(
        &faulty,
        Verdict::Fail,
        "2 faults; the first: attacker: told twice",
    );
}

#[test]
fn books_that_are_off_by_one_fail() {
    for counted in [17, 19] {
        let off = Figures {
            ledger: Some(ledger(counted)),
            ..figures()
        };
        assert_verdict(
            &off,
            Verdict::Fail,
            "the books do not balance: 18 votes acknowledged",
        );
    }
}

#[test]
fn a_service_that_goes_away_leaves_it_open_and_the_evidence_kept() {
    assert_verdict(
        &gone(),
        Verdict::Inconclusive,
        "stopped answering 7.0 s after the users began to come; 18 acknowledged votes are not compared",
    );
    let back = Figures {
        ledger: Some(ledger(18)),
        books_not_closed: None,
        ..gone()
    };
    assert_verdict(&back, Verdict::Inconclusive, "it is back, and its books balance");
    let never_there = Figures { acked: 0, ..gone() };
    assert_verdict(
        &never_there,
        Verdict::NoData,
        "no vote was acknowledged: the service stopped",
    );
}

#[test]
fn whatever_did_not_happen_is_no_pass() {
    let troubled = Figures {
        troubles: BTreeMap::from([("voter: login was answered 429".to_string(), 4)]),
        ..figures()
    };
    assert_verdict(
        &troubled,
        Verdict::Inconclusive,
        "4 times: voter: login was answered 429",
    );
    let mut idle = figures();
    idle.journeys.remove(&Role::Attacker);
    assert_verdict(&idle, Verdict::Inconclusive, "no attacker came to the end");
    let mut cut = figures();
    cut.journeys.insert(
        Role::Watcher,
        findings::Journeys {
            begun: 10,
            ..walked(9)
        },
    );
    assert_verdict(&cut, Verdict::Inconclusive, "journeys of a watcher never ended");
    let stopped = Figures {
        stopped: true,
        ..figures()
    };
    assert_verdict(&stopped, Verdict::Inconclusive, "ended before its plan");
    let unread = Figures {
        ledger: None,
        books_not_closed: Some("503".to_string()),
        ..figures()
    };
    assert_verdict(&unread, Verdict::Inconclusive, "could not be closed: 503");
}

#[test]
fn watchers_alone_need_no_vote() {
    let mix: Mix = "watcher=1".parse().unwrap();
    let quiet = Figures {
        mix,
        acked: 0,
        ledger: Some(Ledger {
            acked: 0,
            counted: Some(0),
            in_doubt: 0,
        }),
        ..figures()
    };
    assert_verdict(&quiet, Verdict::Pass, "");
    let silent = Figures {
        acked: 0,
        ledger: None,
        ..figures()
    };
    assert_verdict(&silent, Verdict::NoData, "no vote was acknowledged");
}

#[test]
fn the_evidence_says_that_the_loop_is_closed() {
    let value = serde_json::to_value(gone()).unwrap();
    assert_eq!(value["loop"], "closed");
    assert_eq!(value["journeys"]["voter"]["finished"], 9);
    assert_eq!(value["plan"][0]["users"], 20);
}

#[test]
fn the_summary_has_a_line_for_each_role_and_each_fault() {
    let faulty = Figures {
        fault_sentences: vec!["attacker: told twice".to_string()],
        ..gone()
    };
    let text = faulty.text();
    for words in [
        "voter      9 journeys finished, 0 broken off, 0 never ended",
        "FAULT  attacker: told twice",
        "3 times  voter: vote was not answered",
        "nobody knows how many counted, 2 in doubt",
        "closed loop",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
}

/// What the evidence names is what was linked.
#[test]
fn goose_is_pinned_to_the_version_that_the_evidence_names() {
    let manifest = include_str!("../../../Cargo.toml");
    let line = format!("goose = {{ version = \"={GOOSE}\", default-features = false }}");
    assert!(
        manifest.lines().any(|manifest| manifest == line),
        "no line {line}"
    );
}
