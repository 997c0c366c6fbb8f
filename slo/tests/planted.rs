//! The gate on planted evidence, through the program itself: what comes out, and with which exit code.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

const COMMIT: &str = "0700ae9e65d3a7c1d6b0c3e2f5a4b3c2d1e0f9a8";

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn evidence(program: &str, command: &str, figures: Value) -> Value {
    json!({
        "format": 2, "program": program, "command": command, "at_s": now_s(), "commit": COMMIT,
        "machine": {"cores": 2, "cpu": null}, "verdict": "PASS", "sentence": "as planted", "figures": figures,
    })
}

fn ledger(acked: u64, counted: u64) -> Value {
    json!({"acked": acked, "counted": counted, "in_doubt": 0})
}

/// Votes in an open loop: so many within each of these times.
fn rate(votes_per_s: f64, buckets_us: &[(u64, u64)]) -> Value {
    let votes: u64 = buckets_us.iter().map(|(_, count)| count).sum();
    let figures = json!({
        "loop": "open", "asked": {"votes_per_s": votes_per_s},
        "ack_ms": {"samples": votes, "never": 0}, "ack_buckets_us": buckets_us,
        "ledger": ledger(votes, votes),
    });
    evidence("loadtest", "rate", figures)
}

fn findings() -> Value {
    json!({"counts": {}, "all": [], "left_out": 0})
}

fn spread(samples: u64, us: u64) -> Value {
    json!({"samples": samples, "never": 0, "p99_ms": us as f64 / 1e3, "buckets_us": [[us, samples]]})
}

/// All that it takes for a pass, by file name.
fn all_well() -> Vec<(&'static str, Value)> {
    let steady = json!({
        "votes": {"sent": 10_000, "acked": 10_000}, "load_late": spread(10_000, 300),
        "ack": spread(10_000, 9_000), "to_screen": spread(80_000, 120_000),
    });
    let failover = json!({
        "votes_per_s": 1_000,
        "figures": {"rounds": [{"steady": steady}], "counted": 10_000, "findings": findings()},
    });
    let storm = json!({"storm": {
        "strays": {"lost": [], "doubled": []}, "owed": [],
        "judgement": {"found": {"durability": 0}, "violations": [], "amounts": {"votes_counted": 500}},
    }});
    let powercut = json!({"planted": null, "figures": {"counted": 9_000, "findings": findings()}});
    let scale = json!({"figures": {"books": {"acked": 5_000, "findings": findings()}}});
    let check = json!({"holds": true, "sentence": "seen"});
    let measures = json!({
        "shares": {"consumer-lag": {"good": 10_000, "total": 10_000}},
        "checks": {"trace": check, "dashboard": check, "probe": check, "alerts": check},
    });
    let simulated = json!({
        "format": 2, "program": "sim", "command": "explore", "at_s": now_s(),
        "made_by": {"simulator": "sim", "program": "00", "commit": COMMIT},
        "seeds": 300, "not_deterministic": [], "did_not_end": [], "crashed": [], "failures": [],
        "compared": {"durability": 9}, "coverage": {"verdicts": {"held": 300}}, "amounts": {"votes_counted": 30_000},
    });
    vec![
        ("rate.json", rate(250_000.0, &[(9_000, 1_000_000)])),
        ("failover.json", evidence("chaos", "failover", failover)),
        ("run.json", evidence("chaos", "run", storm)),
        ("powercut.json", evidence("chaos", "powercut", powercut)),
        ("scale.json", evidence("chaos", "scale", scale)),
        ("measures.json", evidence("monitoring", "hour", measures)),
        ("sim.json", simulated),
    ]
}

struct Decision {
    code: i32,
    said: String,
    report: Value,
    page: String,
    junit: String,
}

impl Decision {
    fn objective(&self, name: &str) -> &Value {
        let all = self.report["objectives"].as_array().unwrap();
        all.iter().find(|decided| decided["name"] == name).unwrap()
    }

    fn line(&self, id: &str) -> &Value {
        let all = self.report["checklist"].as_array().unwrap();
        all.iter().find(|line| line["id"] == id).unwrap()
    }
}

/// Runs the gate on files of that content.
fn gate(files: &[(&str, String)], arguments: &[&str]) -> Decision {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().join("evidence");
    std::fs::create_dir(&evidence).unwrap();
    for (name, text) in files {
        std::fs::write(evidence.join(name), text).unwrap();
    }
    let out = |name: &str| folder.path().join(name);
    let output = Command::new(env!("CARGO_BIN_EXE_slo"))
        .args(["gate", "--evidence"])
        .arg(&evidence)
        .args(["--commit", COMMIT, "--json"])
        .arg(out("report.json"))
        .arg("--html")
        .arg(out("report.html"))
        .arg("--junit")
        .arg(out("report.xml"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    Decision {
        code: output.status.code().unwrap(),
        said: String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        report: serde_json::from_str(&text(out("report.json"))).unwrap_or_default(),
        page: text(out("report.html")),
        junit: text(out("report.xml")),
    }
}

fn texts(files: Vec<(&'static str, Value)>) -> Vec<(&'static str, String)> {
    files
        .into_iter()
        .map(|(name, value)| (name, value.to_string()))
        .collect()
}

/// All well but for one file, which is changed.
fn but(name: &str, change: impl FnOnce(&mut Value)) -> Decision {
    let mut files = all_well();
    let file = files.iter_mut().find(|(of, _)| *of == name).unwrap();
    change(&mut file.1);
    gate(&texts(files), &[])
}

#[test]
fn all_well_passes() {
    let decision = gate(&texts(all_well()), &[]);
    assert_eq!(decision.code, 0, "{}", decision.said);
    assert_eq!(decision.report["verdict"], "PASS");
    // Two stages have no measurement of their own here, and are bounded by the whole way.
    assert_eq!(decision.objective("fan-out")["basis"], "contained");
    assert_eq!(decision.objective("ingest-ack")["basis"], "measured");
    assert!(decision.page.contains("✓ PASS") && decision.page.contains("<svg"));
    assert!(
        decision
            .junit
            .contains("failures=\"0\" errors=\"0\" skipped=\"0\"")
    );
}

/// 1,000 votes a second for 60 s, of which those of two seconds waited until the server moved again.
#[test]
fn a_server_that_is_frozen_for_two_seconds_of_sixty_fails() {
    let mut buckets = vec![(9_000, 58_000)];
    buckets.extend((1..=20).map(|tenth| (tenth * 100_000, 100)));
    let decision = but("rate.json", |it| *it = rate(1_000.0, &buckets));
    assert_eq!(decision.code, 1, "{}", decision.said);
    assert_eq!(decision.objective("ingest-ack")["verdict"], "FAIL");
    assert!(decision.page.contains("✗ FAIL"));
    assert!(decision.junit.contains("<failure message="));
}

#[test]
fn a_hundred_samples_are_inconclusive_for_a_p99() {
    let mut files = all_well();
    files.retain(|(name, _)| *name == "rate.json");
    files[0].1 = rate(10.0, &[(9_000, 100)]);
    let decision = gate(&texts(files), &[]);
    let ack = decision.objective("ingest-ack");
    assert_eq!(ack["verdict"], "INCONCLUSIVE", "{}", decision.said);
    assert!(ack["sentence"].as_str().unwrap().contains("too few"));
    assert_eq!(ack["percentiles"][2][1]["high_ms"], Value::Null);
    assert_eq!(ack["percentiles"][2][1]["ms"], 9.0);
}

#[test]
fn too_few_samples_alone_have_their_own_exit_code() {
    let mut files = texts(all_well());
    for (name, text) in &mut files {
        let mut value: Value = serde_json::from_str(text).unwrap();
        match *name {
            "rate.json" => value = rate(250_000.0, &[(9_000, 100)]),
            "failover.json" => value["figures"]["figures"]["rounds"] = json!([]),
            "measures.json" => {
                let sample =
                    json!({"loop": "open", "samples": 100, "never": 0, "buckets_us": [[9_000, 100]]});
                value["figures"]["latencies"] =
                    json!({"end-to-end": sample, "processing": sample, "fan-out": sample});
            }
            _ => {}
        }
        *text = value.to_string();
    }
    let decision = gate(&files, &[]);
    assert_eq!(decision.code, 2, "{}", decision.said);
}

#[test]
fn a_missing_file_is_no_data() {
    for (missing, line) in [
        ("powercut.json", "chaos"),
        ("measures.json", "probe"),
        ("rate.json", "load"),
    ] {
        let mut files = all_well();
        files.retain(|(name, _)| *name != missing);
        let decision = gate(&texts(files), &[]);
        assert_eq!(decision.code, 3, "{missing}: {}", decision.said);
        assert_eq!(decision.line(line)["verdict"], "NO-DATA");
    }
    assert_eq!(gate(&[], &[]).code, 3);
    let nowhere = Command::new(env!("CARGO_BIN_EXE_slo"))
        .args(["gate", "--evidence", "/nowhere/at/all", "--commit", COMMIT])
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(3));
    assert!(
        String::from_utf8(nowhere.stderr)
            .unwrap()
            .contains("cannot be read")
    );
}

#[test]
fn evidence_of_another_commit_is_refused() {
    let decision = but("powercut.json", |it| {
        it["commit"] = json!("1234567e65d3a7c1d6b0c3e2f5a4b3c2d1e0f9a8")
    });
    assert_eq!(decision.code, 3, "{}", decision.said);
    assert!(
        decision
            .said
            .contains("refused powercut.json: it is of another commit")
    );
    let simulated = but("sim.json", |it| {
        it["made_by"]["commit"] = json!(format!("{COMMIT}-dirty"))
    });
    assert_eq!(simulated.code, 3);
    assert!(simulated.said.contains("files that differ"), "{}", simulated.said);
}

#[test]
fn stale_evidence_is_refused() {
    let decision = but("powercut.json", |it| it["at_s"] = json!(now_s() - 8 * 24 * 3_600));
    assert_eq!(decision.code, 3, "{}", decision.said);
    assert!(decision.said.contains("refused powercut.json: it is stale"));
    let future = but("powercut.json", |it| it["at_s"] = json!(now_s() + 3_600));
    assert!(future.said.contains("later than now"), "{}", future.said);
}

#[test]
fn evidence_with_a_planted_fault_is_refused() {
    let decision = but("powercut.json", |it| {
        it["figures"]["planted"] = json!("acknowledge-early")
    });
    assert_eq!(decision.code, 3);
    assert!(
        decision.said.contains("planted fault acknowledge-early"),
        "{}",
        decision.said
    );
}

#[test]
fn one_lost_vote_fails_whatever_the_rest_says() {
    let decision = but("rate.json", |it| {
        it["figures"]["ledger"] = ledger(1_000_000, 999_999)
    });
    assert_eq!(decision.code, 1, "{}", decision.said);
    assert_eq!(decision.objective("votes-lost")["verdict"], "FAIL");
    assert_eq!(decision.line("chaos")["verdict"], "FAIL");
    let in_chaos = but("powercut.json", |it| {
        it["figures"]["figures"]["findings"] = json!({"counts": {"lost": 1}, "all": ["lost: vote 7"]});
    });
    assert_eq!(in_chaos.code, 1);
    assert!(in_chaos.said.contains("lost: vote 7"), "{}", in_chaos.said);
    let in_simulation = but("sim.json", |it| {
        it["failures"] = json!([[4, "durability: vote 9 is gone"]]);
        it["coverage"]["verdicts"] = json!({"held": 299, "safety-broken": 1});
    });
    assert_eq!(in_simulation.objective("votes-lost")["verdict"], "FAIL");
    assert_eq!(in_simulation.objective("violations")["verdict"], "PASS");
    // In a run that is refused for latency, and that is all there is.
    let closed = json!({"loop": "closed", "ledger": ledger(10, 9)});
    let alone = gate(
        &[("votes.json", evidence("loadtest", "votes", closed).to_string())],
        &[],
    );
    assert_eq!(alone.code, 1, "{}", alone.said);
}

#[test]
fn a_vote_too_many_fails() {
    let decision = but("rate.json", |it| {
        it["figures"]["ledger"] = ledger(999_999, 1_000_000)
    });
    assert_eq!(decision.code, 1);
    assert_eq!(decision.objective("votes-doubled")["verdict"], "FAIL");
}

#[test]
fn a_closed_loop_is_refused_for_latency() {
    let mut files = all_well();
    files.retain(|(name, _)| *name == "rate.json");
    files[0].1["figures"]["loop"] = json!("closed");
    let decision = gate(&texts(files), &[]);
    let ack = decision.objective("ingest-ack");
    assert_eq!(ack["verdict"], "NO-DATA");
    assert!(ack["sentence"].as_str().unwrap().contains("closed loop"), "{ack}");
    assert_eq!(decision.objective("votes-lost")["verdict"], "PASS");
}

#[test]
fn malformed_evidence_gets_a_sentence_and_no_pass() {
    let whole = all_well().remove(0).1;
    let mut lying = whole.clone();
    lying["figures"]["ack_ms"]["samples"] = json!(5);
    let mut older = whole.clone();
    older["format"] = json!(1);
    let broken = [
        ("{\"format\": 2,".to_owned(), "it is not JSON"),
        (json!([1]).to_string(), "format none"),
        (older.to_string(), "format 1"),
        (
            evidence("loadtest", "rate", json!({})).to_string(),
            "missing field",
        ),
        (
            evidence("loadtest", "dance", json!({})).to_string(),
            "no command dance",
        ),
        (lying.to_string(), "do not hold as many"),
    ];
    for (text, sentence) in broken {
        let mut files = texts(all_well());
        files.push(("broken.json", text));
        let decision = gate(&files, &[]);
        assert_eq!(decision.code, 3, "{sentence}: {}", decision.said);
        assert!(
            decision.said.contains("unreadable broken.json"),
            "{}",
            decision.said
        );
        assert!(decision.said.contains(sentence), "{sentence}: {}", decision.said);
    }
}

#[test]
fn lower_loads_are_told_as_an_extrapolation_that_decides_nothing() {
    let decision = but("rate.json", |it| *it = rate(25_000.0, &[(9_000, 250_000)]));
    assert_eq!(decision.code, 3, "{}", decision.said);
    let load = decision.objective("load");
    assert_eq!(
        (&load["verdict"], &load["basis"]),
        (&json!("NO-DATA"), &json!("extrapolated"))
    );
    assert!(
        load["sentence"].as_str().unwrap().contains("by 10 times"),
        "{load}"
    );
}

fn with_waivers(name: &str, change: impl FnOnce(&mut Value), waivers: &str) -> Decision {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("waivers.yaml");
    std::fs::write(&path, waivers).unwrap();
    let mut files = all_well();
    change(&mut files.iter_mut().find(|(of, _)| *of == name).unwrap().1);
    gate(&texts(files), &["--waivers", path.to_str().unwrap()])
}

fn waiver(item: &str, expires: &str) -> String {
    format!("waivers:\n  - {{item: {item}, owner: Ada, reason: no such machine, expires: {expires}}}\n")
}

#[test]
fn a_waiver_stands_until_its_day_and_for_what_it_names() {
    let slow = |it: &mut Value| *it = rate(25_000.0, &[(9_000, 250_000)]);
    let waived = with_waivers("rate.json", slow, &waiver("load", "2999-12-31"));
    assert_eq!(waived.code, 0, "{}", waived.said);
    assert!(waived.said.contains("waived by Ada") && waived.page.contains("no such machine"));
    assert!(waived.junit.contains("<skipped"));
    let expired = with_waivers("rate.json", slow, &waiver("load", "2020-01-01"));
    assert_eq!(expired.code, 3);
    assert!(expired.said.contains("has expired"), "{}", expired.said);
    let other = with_waivers("rate.json", slow, &waiver("processing", "2999-12-31"));
    assert_eq!(other.code, 3);
    assert!(other.said.contains("is not needed"), "{}", other.said);
}

#[test]
fn no_waiver_covers_a_lost_vote_or_is_anonymous() {
    let wrong = [
        (waiver("votes-lost", "2999-12-31"), "no waiver covers this"),
        (waiver("nothing", "2999-12-31"), "no such objective"),
        (waiver("load", "soon"), "no day"),
        (
            waiver("load", "2999-12-31").replace("Ada", "\"\""),
            "somebody must answer",
        ),
        ("waivers: 7".to_owned(), "no waivers"),
    ];
    for (text, sentence) in wrong {
        let decision = with_waivers("rate.json", |_| (), &text);
        assert_eq!(decision.code, 64, "{text}: {}", decision.said);
        assert!(decision.said.contains(sentence), "{}", decision.said);
    }
}

#[test]
fn a_baseline_tells_what_became_worse() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("baseline.json");
    let before = gate(&texts(all_well()), &[]);
    std::fs::write(&path, before.report.to_string()).unwrap();
    let baseline = ["--baseline", path.to_str().unwrap()];
    let same = gate(&texts(all_well()), &baseline);
    assert_eq!(
        same.objective("ingest-ack")["change"]["tendency"],
        "same",
        "{}",
        same.said
    );
    let mut files = all_well();
    files[0].1 = rate(250_000.0, &[(9_000, 500_000), (20_000, 500_000)]);
    let slower = gate(&texts(files), &baseline);
    assert_eq!(slower.objective("ingest-ack")["change"]["tendency"], "worse");
    assert_eq!(
        slower.code, 0,
        "an objective that is kept is kept: {}",
        slower.said
    );
    assert!(slower.page.contains(">worse<"));
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(gate(&texts(all_well()), &baseline).code, 64);
}

#[test]
fn nothing_of_the_evidence_becomes_markup() {
    let nasty = "<script>alert('x')</script>&\u{1b}[2J";
    let decision = but("powercut.json", |it| {
        it["sentence"] = json!(nasty);
        it["figures"]["figures"]["findings"] =
            json!({"counts": {"lost": 1}, "all": [format!("lost: {nasty}")]});
    });
    for text in [&decision.page, &decision.junit] {
        assert!(text.contains("&lt;script&gt;") && !text.contains("<script>") && !text.contains('\u{1b}'));
    }
    assert!(!decision.said.contains('\u{1b}'));
    assert!(
        !decision.page.contains("http"),
        "the page needs nothing from elsewhere"
    );
}

#[test]
fn wrong_arguments_are_told_from_verdicts() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_slo"))
            .args(arguments)
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(run(&["gate"]), Some(64));
    assert_eq!(run(&["dance"]), Some(64));
    assert_eq!(run(&["--help"]), Some(0));
}
