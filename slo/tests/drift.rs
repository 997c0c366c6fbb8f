//! What is generated, and what other rooms and documents say of the objectives, keeps in step with `objectives.yaml`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use slo::generate::{METRICS, all, metric, named_in, queries};
use slo::objectives::{Kind, built_in};

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("the room lies in the repository")
        .to_path_buf()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn generated_files_are_in_step_with_the_objectives() {
    for (name, expected) in all(&built_in()).unwrap() {
        let path = format!("slo/generated/{name}");
        assert!(
            text(&path) == expected,
            "{path} differs: run `cargo run -p slo -- generate`"
        );
    }
}

#[test]
fn a_changed_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let run = |check: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slo"));
        let output = command
            .arg("generate")
            .args(check)
            .arg("--out")
            .arg(folder.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run(&["--check"]).0, Some(1));
    assert_eq!(run(&[]).0, Some(0));
    assert_eq!(run(&["--check"]).0, Some(0));
    std::fs::write(folder.path().join("rules.yml"), "groups: []\n").unwrap();
    let (code, said) = run(&["--check"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("rules.yml") && !said.contains("dashboard.json"),
        "{said}"
    );
}

#[test]
fn every_metric_that_is_asked_for_has_its_one_place() {
    let mut asked: BTreeSet<String> = queries(&built_in())
        .iter()
        .flat_map(|(_, query)| named_in(query))
        .map(str::to_owned)
        .collect();
    let rules = text("slo/generated/rules.yml");
    asked.extend(named_in(&rules).into_iter().map(str::to_owned));
    assert!(asked.len() > 15, "{asked:?}");
    for name in asked {
        assert!(
            metric(&name).is_some(),
            "{name} is not in slo/src/generate/metrics.rs"
        );
    }
}

/// The alert's name stands on its page, so that who is paged finds it by either.
#[test]
fn every_alert_has_a_page() {
    let rules = text("slo/generated/rules.yml");
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let pages: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: "))
        .collect();
    assert!(
        alerts.len() > 20 && alerts.len() == pages.len(),
        "{alerts:?} {pages:?}"
    );
    for (alert, page) in alerts.iter().zip(pages) {
        let page = page.trim_matches('"');
        assert!(
            text(page).contains(&format!("`{alert}`")),
            "{page} does not name {alert}"
        );
    }
}

/// A metric is exported where the service registers its name: the list is wrong the day it begins to, or ceases.
#[test]
fn metrics_are_exported_where_it_is_said_and_nowhere_else() {
    let sources =
        ["vote", "http", "operator"].map(|room| text(&format!("service/node/src/{room}/metrics.rs")));
    for metric in METRICS {
        let short = metric.name.strip_prefix("ostraka_").unwrap();
        let short = short.strip_suffix("_total").unwrap_or(short);
        let is_registered = sources
            .iter()
            .any(|source| source.contains(&format!("\"{short}\"")));
        assert_eq!(metric.is_exported, is_registered, "{}", metric.name);
    }
}

/// The harness has limits of its own, in Rust; they are the same.
#[test]
fn chaos_holds_the_cluster_to_the_same_limits() {
    let objectives = built_in();
    let limit_ms = |name: &str| {
        let objective = objectives
            .iter()
            .find(|objective| objective.name == name)
            .unwrap();
        match objective.kind {
            Kind::Latency { limit_us } => limit_us / 1_000,
            other => panic!("{other:?}"),
        }
    };
    let pages = text("chaos/src/report/objectives.rs").replace('_', "");
    let limits = text("chaos/src/limits.rs").replace('_', "");
    let value = |source: &str, name: &str| {
        let name = name.replace('_', "");
        let line = source
            .lines()
            .find(|line| line.contains(&format!("const {name}:")));
        let value = line.and_then(|line| {
            line.split('=')
                .nth(1)?
                .trim()
                .trim_end_matches(';')
                .parse::<f64>()
                .ok()
        });
        value.unwrap_or_else(|| panic!("{name} is not where it was"))
    };
    assert_eq!(value(&pages, "ACK_MS_P99_MAX"), limit_ms("ingest-ack") as f64);
    assert_eq!(
        value(&pages, "END_TO_END_MS_P95_MAX"),
        limit_ms("end-to-end-p95") as f64
    );
    assert_eq!(
        value(&limits, "END_TO_END_MS_P99_MAX"),
        limit_ms("end-to-end-p99") as f64
    );
}

/// None where it is not installed: the rules are checked where it is.
fn promtool(arguments: &[&str], folder: &Path) -> Option<(bool, String)> {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .output()
        .ok()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said))
}

#[test]
fn prometheus_takes_the_rules_and_their_tests_hold() {
    let folder = root().join("slo/generated");
    for arguments in [
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules.test.yml"],
    ] {
        match promtool(&arguments, &folder) {
            Some((holds, said)) => assert!(holds, "{said}"),
            None => eprintln!("not checked: promtool is not installed"),
        }
    }
}

/// The rules' tests can fail: with another threshold they do.
#[test]
fn a_rule_that_fires_too_late_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let rules = text("slo/generated/rules.yml");
    let late = rules.replace("> 0.1344", "> 0.9");
    assert_ne!(rules, late);
    std::fs::write(folder.path().join("rules.yml"), late).unwrap();
    std::fs::write(
        folder.path().join("rules.test.yml"),
        text("slo/generated/rules.test.yml"),
    )
    .unwrap();
    match promtool(&["test", "rules", "rules.test.yml"], folder.path()) {
        Some((holds, said)) => assert!(!holds && said.contains("OstrakaIngestAckBurnsFast"), "{said}"),
        None => eprintln!("not checked: promtool is not installed"),
    }
}

#[test]
fn every_query_of_the_dashboard_is_promql() {
    let folder = tempfile::tempdir().unwrap();
    let mut rules = String::from("groups:\n  - name: panels\n    rules:\n");
    for (number, (_, query)) in queries(&built_in()).iter().enumerate() {
        let query = serde_json::to_string(query).unwrap();
        rules += &format!("      - record: panel:{number}\n        expr: {query}\n");
    }
    let check = |rules: &str| {
        std::fs::write(folder.path().join("panels.yml"), rules).unwrap();
        promtool(&["check", "rules", "panels.yml"], folder.path())
    };
    match check(&rules) {
        Some((holds, said)) => assert!(holds, "{said}"),
        None => eprintln!("not checked: promtool is not installed"),
    }
    if let Some((holds, _)) = check(&rules.replace("sum", "sum((")) {
        assert!(!holds, "a query that is none was taken");
    }
}
