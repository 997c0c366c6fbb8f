//! What was violated, over all lanes: a line where each violation shows, and one at the run's end for those that show at no
//! moment, so that no broken run looks whole.

use std::collections::BTreeMap;
use std::fmt::Write;

use ostraka_sim_model::ids::SimMicros;

use super::rows::{Rows, width};
use super::story::NO_MOMENT;
use super::{Mark, PAGE_WIDTH, Scale, escape};

/// Rows of names between the axis and the lanes. Who finds no room in them is named by the line's title only.
const ROWS: usize = 2;

pub(super) fn draw(marks: &[Mark], scale: &Scale, height: f64, out: &mut String) {
    // One line for all that share a moment.
    let mut lines: BTreeMap<(SimMicros, bool), Vec<&Mark>> = BTreeMap::new();
    for mark in marks {
        let moment = (mark.at.unwrap_or(scale.end), mark.at.is_none());
        lines.entry(moment).or_default().push(mark);
    }
    let mut rows = Rows::default();
    for ((at, is_of_no_moment), marks) in lines {
        let x = scale.x(at);
        let (class, moment) = if is_of_no_moment {
            ("mark whole", NO_MOMENT)
        } else {
            ("mark", "")
        };
        let titles: Vec<String> = marks
            .iter()
            .map(|mark| format!("{}{moment}: {}", mark.checker, mark.sentence))
            .collect();
        let title = escape(&titles.join("\n"));
        writeln!(
            out,
            r#"<line class="{class}" x1="{x:.1}" x2="{x:.1}" y1="20" y2="{height}"><title>{title}</title></line>"#
        )
        .expect("to a string");
        let mut names: Vec<&str> = marks.iter().map(|mark| mark.checker.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let label = names.join(", ");
        // Beside its line: behind it, or before it where the page ends.
        let behind = x + 4.0;
        let has_room = behind + width(&label) <= PAGE_WIDTH;
        let place = rows.place(if has_room { behind } else { x - width(&label) }, &label);
        if place.row < ROWS {
            let baseline = 31.0 + place.row as f64 * 13.0;
            writeln!(
                out,
                r#"<text class="mark" x="{:.1}" y="{baseline}">{}<title>{title}</title></text>"#,
                place.x,
                escape(&label)
            )
            .expect("to a string");
        }
    }
}
