//! The gate that commits pass, `.ci/simulate`, judges what it says it judges.

use std::path::Path;

#[test]
fn the_gate_builds_what_it_judges_and_bounds_the_seeds_that_prove_nothing() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/simulate");
    let script = std::fs::read_to_string(script).expect("the gate is there");
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    let first = |wanted: &dyn Fn(&str) -> bool| lines.iter().position(|line| wanted(line));
    let built = first(&|line| line.starts_with("cargo build --release --locked"));
    let run = first(&|line| line.starts_with("$sim "));
    assert!(
        built.expect("it builds") < run.expect("it runs"),
        "a stale program is judged"
    );
    let explored: Vec<&&str> = lines
        .iter()
        .filter(|line| line.contains(" explore ") && !line.starts_with('#'))
        .collect();
    assert_eq!(explored.len(), 4, "two for determinism, two with fresh seeds");
    for line in explored {
        assert!(
            line.contains("--vacuous-max"),
            "any number of seeds may prove nothing: {line}"
        );
        assert!(!line.contains("||"), "its exit code is swallowed: {line}");
    }
}
