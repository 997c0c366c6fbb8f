//! What the checkers compared and found, and what became of single votes.

use ostraka_sim_model::checkers::{Checker, Class};

use super::html::Html;
use super::numbers::counted;
use super::words;
use crate::limits::SENTENCES_SHOWN_MAX;
use crate::storm::Evidence;

/// One way in which a vote can go astray, and who would have found it.
struct Kind<'a> {
    name: &'static str,
    sentences: &'a [String],
    checkers: &'static [Checker],
}

pub(super) fn write_strays(html: &mut Html, evidence: &Evidence) {
    let amounts = &evidence.judgement.amounts;
    html.leaf(
        "p",
        &[],
        format_args!(
            "{} in the nodes' logs, of which {} in the result. The others are duplicates, or came before the opening or \
             after the close, and were told so.",
            counted(amounts.votes_recorded, "vote stands", "votes stand"),
            counted(amounts.votes_counted, "is counted", "are counted")
        ),
    );
    let strays = &evidence.strays;
    let kinds = [
        Kind {
            name: "Lost",
            sentences: &strays.lost,
            checkers: &[Checker::Durability],
        },
        Kind {
            name: "Doubled, or counted for another",
            sentences: &strays.doubled,
            checkers: &[Checker::Biographies, Checker::Conservation],
        },
        Kind {
            name: "Late",
            sentences: &strays.late,
            checkers: &[Checker::ClosingBell],
        },
    ];
    html.element("dl", &[("class", &"strays")], |html| {
        for kind in kinds {
            html.leaf("dt", &[], kind.name);
            html.element("dd", &[], |html| stray(html, evidence, &kind));
        }
    });
}

fn stray(html: &mut Html, evidence: &Evidence, kind: &Kind<'_>) {
    let facts_of = |checker| evidence.judgement.compared.get(checker).copied().unwrap_or(0);
    let blind: Vec<&str> = kind
        .checkers
        .iter()
        .filter(|checker| facts_of(checker) == 0)
        .map(|checker| checker.name())
        .collect();
    if !kind.sentences.is_empty() {
        let found_of = |checker| evidence.judgement.found.get(checker).copied().unwrap_or(0);
        let found: u64 = kind.checkers.iter().map(found_of).sum();
        let found = counted(found.max(kind.sentences.len() as u64), "finding", "findings");
        html.leaf(
            "p",
            &[("class", &"bad")],
            format_args!("✗ {found}{}", first_shown(kind.sentences)),
        );
        html.sentences("", shown(kind.sentences));
    } else if evidence.judgement.amounts.votes_recorded == 0 {
        html.leaf("p", &[("class", &"open")], "? not known: there was no vote");
    } else if blind.is_empty() {
        let votes = counted(evidence.judgement.amounts.votes_recorded, "vote", "votes");
        html.leaf("p", &[("class", &"good")], format_args!("✓ none of {votes}"));
    } else {
        let who = blind.join(", ");
        html.leaf(
            "p",
            &[("class", &"open")],
            format_args!("? not known: the checker {who} compared nothing"),
        );
    }
}

/// As many as anybody reads; a browser does not show a hundred thousand. The evidence holds the others.
fn shown<T>(all: &[T]) -> &[T] {
    &all[..all.len().min(SENTENCES_SHOWN_MAX)]
}

/// Says so where not all are shown.
fn first_shown<T>(all: &[T]) -> String {
    if all.len() > SENTENCES_SHOWN_MAX {
        format!(", the first {SENTENCES_SHOWN_MAX} shown; the JSON file beside this page has them by id")
    } else {
        String::new()
    }
}

pub(super) fn write(html: &mut Html, evidence: &Evidence) {
    html.leaf(
        "p",
        &[],
        "Every answer that a client got and every count that a viewer saw is held against the logs that the stopped nodes \
         left. The programs that do so share nothing with the service but the format of its messages.",
    );
    html.element("ul", &[("class", &"checkers")], |html| {
        for checker in Checker::ALL {
            let violations = evidence.judgement.violations.iter();
            // Sentences want room.
            let class = match violations
                .filter(|violation| violation.checker == checker)
                .count()
            {
                0 => "",
                _ => "wide",
            };
            html.element("li", &[("class", &class)], |html| {
                verdict_of(html, evidence, checker)
            });
        }
    });
    if !evidence.judgement.missed.is_empty() {
        html.leaf("p", &[], "Faults that did nothing, and could not help it:");
        html.sentences("", &evidence.judgement.missed);
    }
}

fn verdict_of(html: &mut Html, evidence: &Evidence, checker: Checker) {
    let judgement = &evidence.judgement;
    let facts = judgement.compared.get(&checker).copied().unwrap_or(0);
    let violations: Vec<_> = judgement
        .violations
        .iter()
        .filter(|violation| violation.checker == checker)
        .collect();
    html.leaf("b", &[], checker.name());
    html.leaf("p", &[], words::question(checker));
    let compared = counted(facts, "fact", "facts");
    if violations.is_empty() {
        let (class, found) = match facts {
            0 => ("open", "? compared nothing, so nothing is known".to_owned()),
            _ => ("good", format!("✓ {compared} compared, no violation")),
        };
        html.leaf("p", &[("class", &class)], found);
        return;
    }
    let found = judgement.found.get(&checker).copied().unwrap_or(0);
    let found = counted(found.max(violations.len() as u64), "violation", "violations");
    html.leaf(
        "p",
        &[("class", &"bad")],
        format_args!("✗ {compared} compared, {found}{}", first_shown(&violations)),
    );
    let told: Vec<String> = shown(&violations)
        .iter()
        .map(|violation| {
            let class = match violation.class {
                Class::Safety => "never may happen",
                Class::Liveness => "should have happened",
            };
            match violation.record {
                Some(record) => format!("{} ({class}; record {record} of the history)", violation.sentence),
                None => format!("{} ({class})", violation.sentence),
            }
        })
        .collect();
    html.sentences("", &told);
}
