//! One self-contained page of a run: nodes as lanes, faults as spans over them, leader changes, each vote's path, and what
//! was violated. For someone who has never seen the code.

mod lanes;
mod page;
mod paths;
mod story;
mod words;

use std::path::Path;

use ostraka_sim_model::history::History;
use ostraka_sim_model::ids::SimMicros;
use ostraka_sim_model::plan::Plan;

use page::page;

use ostraka_sim_campaign::{self as campaign, Kept, beside, read, say};

/// Writes the page of a run's file beside it.
pub(crate) fn write(file: &Path) -> Result<u8, String> {
    let Kept::Failure(run) = read(file)? else {
        let sentence = "is a plan; a page shows a run: `sim run --seed N --keep` leaves one in a file";
        return Err(format!("{} {sentence}", file.display()));
    };
    let marks: Vec<Mark> = run
        .judgement
        .violations
        .iter()
        .map(|violation| Mark {
            checker: violation.checker.name().to_owned(),
            sentence: violation.sentence.clone(),
            at: violation
                .record
                .and_then(|record| run.history.records.get(record))
                .map(|record| record.at),
        })
        .collect();
    let shown = Shown {
        plan: &run.plan,
        history: &run.history,
        marks: &marks,
        verdict: run.judgement.verdict.name(),
    };
    let target = beside(file, "html");
    campaign::write(&target, &page(&shown))?;
    say(target.display());
    Ok(0)
}

/// What a checker found, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    checker: String,
    sentence: String,
    /// Where in the run it showed, if at one moment.
    at: Option<SimMicros>,
}

/// What a page is made of.
struct Shown<'a> {
    plan: &'a Plan,
    history: &'a History,
    marks: &'a [Mark],
    /// `held`, or what was broken.
    verdict: &'a str,
}

/// Where simulated time and nodes lie on the page.
struct Scale {
    end: SimMicros,
}

const PAGE_WIDTH: f64 = 1_600.0;
const LABEL_WIDTH: f64 = 120.0;
const LANE_HEIGHT: f64 = 64.0;
const TOP: f64 = 40.0;

impl Scale {
    fn of(history: &History) -> Self {
        let end = history.records.last().map_or(SimMicros(1), |record| record.at);
        Self {
            end: end.max(SimMicros(1)),
        }
    }

    fn x(&self, at: SimMicros) -> f64 {
        let share = at.min(self.end).0 as f64 / self.end.0 as f64;
        LABEL_WIDTH + share * (PAGE_WIDTH - LABEL_WIDTH - 20.0)
    }

    /// Top of a lane. Lane 0 is the clients', then come the nodes, then the viewers.
    fn y(lane: usize) -> f64 {
        TOP + lane as f64 * LANE_HEIGHT
    }
}

fn node_lane(node: u8) -> usize {
    1 + usize::from(node)
}

/// Seconds with three decimals, as the page writes moments.
fn seconds(at: SimMicros) -> String {
    format!("{:.3} s", at.0 as f64 / 1e6)
}

/// Text that may hold anything, made fit for HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
