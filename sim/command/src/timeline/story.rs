//! What happened, told in order: one line for each moment that matters.

use std::fmt::Write;

use ostraka_sim_model::history::Happening;
use ostraka_sim_model::ids::SimMicros;

use super::{Shown, escape, seconds, words};

struct Line {
    at: SimMicros,
    class: &'static str,
    words: String,
}

pub(super) fn tell(shown: &Shown<'_>, out: &mut String) {
    let told = shown
        .history
        .records
        .iter()
        .filter_map(|record| line(shown, record.at, &record.what));
    let marks = shown.marks.iter().filter_map(|mark| {
        let words = format!("VIOLATION ({}): {}", mark.checker, mark.sentence);
        mark.at.map(|at| Line {
            at,
            class: "violation",
            words,
        })
    });
    let mut lines: Vec<Line> = told.chain(marks).collect();
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

fn line(shown: &Shown<'_>, at: SimMicros, what: &Happening) -> Option<Line> {
    let planned = |fault| {
        let planned = shown.plan.faults.iter().find(|planned| planned.id == fault);
        planned.map_or_else(|| "a fault".to_owned(), |planned| words::fault(&planned.kind))
    };
    let (class, words) = match what {
        Happening::Node { node, life } => ("node", format!("node {node} {}", words::life(life))),
        Happening::FaultBegan { fault, .. } => ("fault", format!("{} from now on", planned(*fault))),
        Happening::FaultEnded { fault, bites } => (
            "fault",
            format!("over: {} (did harm {bites} times)", planned(*fault)),
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
