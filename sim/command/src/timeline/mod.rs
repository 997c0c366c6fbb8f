//! One self-contained page of a run: nodes as lanes, faults as spans over them, leader changes, each vote's path, and what
//! was violated. For someone who has never seen the code.

mod faults;
mod lanes;
mod marks;
mod page;
mod paths;
mod picker;
mod rows;
mod story;
#[cfg(test)]
mod tests;
mod words;

use std::path::Path;

use ostraka_sim_model::checkers::{Checker, Violation};
use ostraka_sim_model::history::History;
use ostraka_sim_model::ids::SimMicros;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::verdict::Judgement;

use page::page;

use ostraka_sim_campaign::{self as campaign, Kept, beside, judged_anew, read, say};

/// Writes the page of a run's file beside it.
pub(crate) fn write(file: &Path) -> Result<u8, String> {
    let Kept::Failure(run) = read(file)? else {
        let sentence = "is a plan; a page shows a run: `sim run --seed N --keep` leaves one in a file";
        return Err(format!("{} {sentence}", file.display()));
    };
    // What a file says of itself is not what its history shows, once one of them was changed.
    let judgement = judged_anew(&run, file);
    let marks: Vec<Mark> = judgement
        .violations
        .iter()
        .map(|violation| Mark::of(violation, &run.history))
        .collect();
    let shown = Shown {
        plan: &run.plan,
        history: &run.history,
        marks: &marks,
        verdict: &verdict_of(&judgement),
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
    /// The record at which it showed, if at one of the history's.
    record: Option<usize>,
    /// When that was. What shows at no moment is shown at the run's end, for that is when it was found.
    at: Option<SimMicros>,
}

impl Mark {
    fn of(violation: &Violation, history: &History) -> Self {
        let found = violation
            .record
            .and_then(|record| Some((record, history.records.get(record)?.at)));
        Mark {
            checker: violation.checker.name().to_owned(),
            sentence: violation.sentence.clone(),
            record: found.map(|(record, _)| record),
            at: found.map(|(_, at)| at),
        }
    }
}

/// With how many violations there are, where not all were kept.
fn verdict_of(judgement: &Judgement) -> String {
    let mut verdict = judgement.verdict.name().to_owned();
    for checker in Checker::ALL {
        if let Some(kept) = judgement.cut_short(checker) {
            verdict.push_str(&format!("; {kept} violations of {} are told", checker.name()));
        }
    }
    verdict
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
    /// High enough for the labels of the fullest lane.
    lane_height: f64,
}

const PAGE_WIDTH: f64 = 1_600.0;
const LABEL_WIDTH: f64 = 120.0;
/// Of a lane with one row of labels, and what each further row adds.
const LANE_HEIGHT: f64 = 64.0;
const ROW_HEIGHT: f64 = 12.0;
/// From a lane's top to the middle of what is drawn in it.
const MIDDLE: f64 = 32.0;
const TOP: f64 = 52.0;

impl Scale {
    fn of(shown: &Shown<'_>) -> Self {
        let end = shown
            .history
            .records
            .last()
            .map_or(SimMicros(1), |record| record.at);
        let mut scale = Self {
            end: end.max(SimMicros(1)),
            lane_height: LANE_HEIGHT,
        };
        let more_rows = lanes::label_rows(shown, &scale).saturating_sub(1);
        scale.lane_height += more_rows as f64 * ROW_HEIGHT;
        scale
    }

    fn x(&self, at: SimMicros) -> f64 {
        let share = at.min(self.end).0 as f64 / self.end.0 as f64;
        LABEL_WIDTH + share * (PAGE_WIDTH - LABEL_WIDTH - 20.0)
    }

    /// Top of a lane. Lane 0 is the clients', then come the nodes, then the viewers.
    fn y(&self, lane: usize) -> f64 {
        TOP + lane as f64 * self.lane_height
    }

    /// The middle of what is drawn in a lane.
    fn middle(&self, lane: usize) -> f64 {
        self.y(lane) + MIDDLE
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
