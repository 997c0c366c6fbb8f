//! The page as a whole: one file, no address in it that would have to be fetched.

use std::fmt::Write;

use ostraka_sim_model::verdict::Verdict;

use super::paths::Path;
use super::story::NO_MOMENT;
use super::{PAGE_WIDTH, Scale, Shown, escape, lanes, marks, node_lane, paths, picker, seconds, story};

const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;margin:24px;color:#1b1f24;background:#fff;max-width:1640px}
h1{font-size:22px;margin:0 0 4px} .verdict{font-weight:600} .bad{color:#b00020} .good{color:#156c2f}
svg{width:100%;border:1px solid #d5d9de;border-radius:6px;background:#fbfcfd} text.lane{font:600 14px system-ui;fill:#333}
rect.runs{fill:#b9d6f2} rect.leads{fill:#1f6fb5} rect.fault{fill:#e0862b;fill-opacity:.22;stroke:#e0862b;stroke-opacity:.6}
line.answered{stroke:#2c8a45} line.refused{stroke:#8a6d2c} line.unknown{stroke:#b00020;stroke-dasharray:2 2}
line.mark{stroke:#b00020;stroke-width:5;stroke-opacity:.6} line.whole{stroke-dasharray:8 4} text.mark{font:600 11px system-ui;fill:#b00020}
line.axis{stroke:#d5d9de} text.axis{font:12px system-ui;fill:#667}
.path[hidden]{display:none} text.fault{font:11px system-ui;fill:#a0590f}
.path polyline{fill:none;stroke:#6a1b9a;stroke-width:2} .path circle{fill:#6a1b9a}
table{border-collapse:collapse;margin-top:8px} td{padding:2px 12px 2px 0;vertical-align:top;border-bottom:1px solid #eef0f2}
tr.violation td{color:#b00020;font-weight:600} tr.fault td{color:#a0590f} .legend span{margin-right:18px}
.key{display:inline-block;width:14px;height:12px;margin-right:5px;vertical-align:-1px}
";

/// The page, as HTML.
pub(super) fn page(shown: &Shown<'_>) -> String {
    let scale = Scale::of(shown);
    let paths = paths::of(shown);
    let about = picker::paths_of_marks(shown, &paths);
    let picked = about.iter().copied().flatten().next();
    let mut out = String::new();
    head(shown, &paths, &about, &mut out);
    out.push_str("<h2>What happened when</h2>\n");
    legend(&mut out);
    drawing(shown, &scale, &paths, picked, &mut out);
    picker::draw(&paths, picked, &mut out);
    out.push_str("<h2>The story</h2>\n<table>\n");
    story::tell(shown, &scale, &mut out);
    writeln!(
        out,
        "</table>\n<script>{}</script>\n</body></html>",
        picker::SCRIPT
    )
    .expect("to a string");
    out
}

/// `about`: for each violation, the place of the path that it is about.
fn head(shown: &Shown<'_>, paths: &[Path], about: &[Option<usize>], out: &mut String) {
    let (seed, nodes) = (shown.plan.seed.0, shown.plan.knobs.nodes);
    let class = if shown.verdict == Verdict::Held.name() {
        "good"
    } else {
        "bad"
    };
    write!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Ostraka, seed {seed}</title>\
         <style>{STYLE}</style></head><body>\n<h1>Ostraka, seed {seed}</h1>\n\
         <p>{nodes} nodes count votes together, while {} things go wrong on purpose and {} requests and {} viewers \
         come and go. Every vote that was acknowledged must be counted, once, whatever happens.</p>\n\
         <p class=\"verdict {class}\">Verdict: {}</p>\n",
        shown.plan.faults.len(),
        shown.plan.operations.len(),
        shown.plan.viewers.len(),
        escape(shown.verdict)
    )
    .expect("to a string");
    if shown.marks.is_empty() {
        return;
    }
    out.push_str("<ul>\n");
    for (mark, about) in shown.marks.iter().zip(about) {
        let at = mark
            .at
            .map_or_else(|| NO_MOMENT.to_owned(), |at| format!(" at {}", seconds(at)));
        let follow = about.map_or_else(String::new, |path| {
            let submissions = escape(&paths[path].submissions());
            format!(" (<a class=\"follow\" href=\"#pick\" data-path=\"{path}\">follow {submissions}</a>)")
        });
        writeln!(
            out,
            "<li class=\"bad\"><b>{}</b>{at}: {}{follow}</li>",
            escape(&mark.checker),
            escape(&mark.sentence)
        )
        .expect("to a string");
    }
    out.push_str("</ul>\n");
}

fn legend(out: &mut String) {
    out.push_str("<p class=\"legend\">");
    for (colour, words) in [
        ("#b9d6f2", "a node runs"),
        ("#1f6fb5", "it leads: it gives the votes their order"),
        ("#f6ddc4", "something is wrong here"),
        ("#2c8a45", "a client has its answer"),
        ("#8a6d2c", "a client was refused"),
        ("#b00020", "a client does not know, or a rule was broken"),
        ("#6a1b9a", "the path of the vote picked below"),
    ] {
        write!(
            out,
            "<span><i class=\"key\" style=\"background:{colour}\"></i>{words}</span>"
        )
        .expect("to a string");
    }
    out.push_str("</p>\n");
}

fn drawing(shown: &Shown<'_>, scale: &Scale, paths: &[Path], picked: Option<usize>, out: &mut String) {
    let lanes = node_lane(shown.plan.knobs.nodes) + 1;
    let height = scale.y(lanes) + 10.0;
    writeln!(out, "<svg viewBox=\"0 0 {PAGE_WIDTH} {height}\" role=\"img\">").expect("to a string");
    axis(scale, height, out);
    for (lane, label) in [(0, "clients"), (lanes - 1, "viewers")] {
        let y = scale.middle(lane);
        writeln!(out, r#"<text class="lane" x="8" y="{y}">{label}</text>"#).expect("to a string");
    }
    lanes::draw(shown, scale, out);
    paths::draw_answers(shown, scale, out);
    marks::draw(shown.marks, scale, height, out);
    paths::draw(paths, picked, scale, out);
    out.push_str("</svg>\n");
}

fn axis(scale: &Scale, height: f64, out: &mut String) {
    let every = (scale.end.0 / 16).max(1).next_multiple_of(500_000);
    for micros in (0..=scale.end.0).step_by(usize::try_from(every).unwrap_or(usize::MAX)) {
        let at = ostraka_sim_model::ids::SimMicros(micros);
        let x = scale.x(at);
        writeln!(
            out,
            r#"<line class="axis" x1="{x:.1}" x2="{x:.1}" y1="24" y2="{height}"/><text class="axis" x="{x:.1}" y="18">{:.1} s</text>"#,
            micros as f64 / 1e6
        )
        .expect("to a string");
    }
}
