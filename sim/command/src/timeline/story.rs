//! What happened, told in order: one line for each moment that matters.

use std::fmt::Write;

use ostraka_sim_model::history::Happening;
use ostraka_sim_model::ids::SimMicros;

use super::faults::Faults;
use super::{Scale, Shown, escape, seconds, words};

/// Behind the checker's name, where a violation shows in no record.
pub(super) const NO_MOMENT: &str = ", of the run as a whole";

struct Line {
    at: SimMicros,
    class: &'static str,
    words: String,
}

pub(super) fn tell(shown: &Shown<'_>, scale: &Scale, out: &mut String) {
    let faults = Faults::of(shown.plan, shown.history);
    let told = shown
        .history
        .records
        .iter()
        .filter_map(|record| line(&faults, record.at, &record.what));
    let marks = shown.marks.iter().map(|mark| {
        let moment = if mark.at.is_none() { NO_MOMENT } else { "" };
        Line {
            at: mark.at.unwrap_or(scale.end),
            class: "violation",
            words: format!("VIOLATION ({}{moment}): {}", mark.checker, mark.sentence),
        }
    });
    let mut lines: Vec<Line> = told.chain(marks).collect();
    // Stable: of one moment, what was violated comes last.
    lines.sort_by_key(|line| line.at);
    for line in lines {
        writeln!(
            out,
            r#"<tr class="{}"><td>{}</td><td>{}</td></tr>"#,
            line.class,
            seconds(line.at),
            escape(&line.words)
        )
        .expect("to a string");
    }
}

fn line(faults: &Faults<'_>, at: SimMicros, what: &Happening) -> Option<Line> {
    let (class, words) = match what {
        Happening::Node { node, life } => ("node", format!("node {node} {}", words::life(life))),
        Happening::FaultBegan { fault, .. } => ("fault", format!("{} from now on", faults.words(*fault))),
        Happening::FaultEnded { fault, bites } => (
            "fault",
            format!("over: {} (did harm {bites} times)", faults.words(*fault)),
        ),
        Happening::Truncated { node, from } => {
            let words = format!(
                "node {} drops its entries from {from} on: its leader knows better",
                node
            );
            ("node", words)
        }
        Happening::StormOver => ("node", "no more faults: the cluster must heal".to_owned()),
        Happening::Settled { node, applied, .. } => (
            "node",
            format!("node {node} has applied {applied} entries at the end"),
        ),
        _ => return None,
    };
    Some(Line { at, class, words })
}
