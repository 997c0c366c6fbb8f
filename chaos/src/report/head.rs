//! The top of the page: verdict, reasons, and what was run.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::html::Html;
use super::numbers::{count, counted, duration, percent};
use super::outcome::Outcome;
use super::{About, again};
use crate::limits::LOAD_LATE_START;
use crate::rig::Fs;
use crate::storm::{Evidence, StormPlan};

pub(super) fn write(html: &mut Html, evidence: &Evidence, about: &About, outcome: &Outcome) {
    html.element("header", &[], |html| {
        html.leaf("p", &[("class", &"kicker")], "Ostraka under faults");
        html.element("h1", &[("class", &outcome.class())], |html| {
            html.leaf(
                "span",
                &[("class", &"sign"), ("aria-hidden", &"true")],
                outcome.sign(),
            );
            html.text(outcome.word());
        });
        html.leaf("p", &[("class", &"lead")], outcome.sentence());
        let reasons = if outcome.is_pass() {
            proofs(evidence)
        } else {
            outcome.reasons.clone()
        };
        html.sentences("reasons", &reasons);
    });
    html.section("What was run", |html| {
        html.element("dl", &[("class", &"facts")], |html| {
            what_was_run(html, evidence, about)
        });
    });
}

/// What a pass rests on.
fn proofs(evidence: &Evidence) -> Vec<String> {
    let judgement = &evidence.judgement;
    let facts = judgement.compared.values().sum::<u64>();
    let mut proofs = vec![
        format!(
            "{}; none lost, doubled or late",
            counted(
                judgement.amounts.votes_counted,
                "vote was counted",
                "votes were counted"
            )
        ),
        format!(
            "{}; {} compared with what clients were told, and no rule broken",
            counted(
                evidence.faults.len() as u64,
                "fault, which did harm",
                "faults, each of which did harm"
            ),
            counted(facts, "fact", "facts")
        ),
    ];
    for window in ["before", "after"] {
        if let Some(window_of) = evidence.windows.get(window) {
            proofs.push(format!(
                "{window} the storm {} of the requests were done",
                percent(window_of.done, window_of.requests)
            ));
        }
    }
    proofs
}

fn what_was_run(html: &mut Html, evidence: &Evidence, about: &About) {
    let plan = &evidence.plan;
    let kept = &evidence.kept;
    let mut facts = vec![
        ("Cluster", cluster(plan)),
        (
            "Load",
            format!(
                "{} requests a second, sent by the clock; {}",
                count(u64::from(plan.requests_per_s)),
                counted(u64::from(plan.viewers), "viewer", "viewers")
            ),
        ),
        ("Course", course(evidence)),
        (
            "Load generator",
            format!(
                "{} begun; {} of them more than {} ms late for reasons of its own ({})",
                counted(kept.begun, "request", "requests"),
                count(kept.late),
                LOAD_LATE_START.as_millis(),
                percent(kept.late, kept.begun)
            ),
        ),
        ("Seed", plan.seed.0.to_string()),
    ];
    let known = [
        ("When", about.at_s.map(when)),
        ("Commit", about.commit.clone()),
        ("Machine", about.machine.clone()),
        ("Program (SHA-256)", about.binary_sha256.clone()),
    ];
    facts.extend(known.into_iter().filter_map(|(name, value)| Some((name, value?))));
    for (name, value) in facts {
        html.element("div", &[], |html| {
            html.leaf("dt", &[], name);
            html.leaf("dd", &[], value);
        });
    }
    html.element("div", &[("class", &"wide")], |html| {
        html.leaf("dt", &[], "Run it again");
        html.element("dd", &[], |html| {
            html.element("code", &[], |html| {
                flags(html, &again::command(plan, about.plan_file.as_deref()));
            });
        });
    });
}

fn cluster(plan: &StormPlan) -> String {
    let disks = match plan.fs {
        Fs::Xfs | Fs::Ext4 => format!("{}, a file system of its own for each", plan.fs),
        Fs::Host => "folders of the machine's own disk".to_owned(),
    };
    let nodes = counted(u64::from(plan.nodes), "node", "nodes");
    format!("{nodes} on {disks}; real processes, real network")
}

fn course(evidence: &Evidence) -> String {
    let plan = &evidence.plan;
    let healed = match evidence.kept.begun {
        0 => "nothing was run".to_owned(),
        _ => format!(
            "all nodes were up {} after the storm",
            duration(evidence.healed_ms)
        ),
    };
    format!(
        "{} of calm, {} in the storm up to {}, {} of calm afterwards; {healed}",
        duration(plan.calm_ms.0),
        counted(plan.faults.len() as u64, "fault", "faults"),
        duration(plan.storm_ms.0),
        duration(plan.after_ms.0)
    )
}

/// A command that is only broken between its flags.
fn flags(html: &mut Html, command: &str) {
    for (place, part) in command.split(" --").enumerate() {
        let dashes = if place == 0 { "" } else { "--" };
        html.leaf("span", &[], format_args!("{dashes}{part}"));
    }
}

fn when(at_s: u64) -> String {
    let moment = i64::try_from(at_s)
        .ok()
        .and_then(|at_s| OffsetDateTime::from_unix_timestamp(at_s).ok())
        .and_then(|moment| moment.format(&Rfc3339).ok());
    moment.unwrap_or_else(|| format!("{at_s} s after the Unix epoch"))
}
