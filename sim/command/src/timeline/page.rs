//! The page as a whole: one file, no address in it that would have to be fetched.

use std::fmt::Write;

use super::{LANE_HEIGHT, PAGE_WIDTH, Scale, Shown, escape, lanes, node_lane, paths, seconds, story};

const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;margin:24px;color:#1b1f24;background:#fff;max-width:1640px}
h1{font-size:22px;margin:0 0 4px} .verdict{font-weight:600} .bad{color:#b00020} .good{color:#156c2f}
svg{width:100%;border:1px solid #d5d9de;border-radius:6px;background:#fbfcfd} text.lane{font:600 14px system-ui;fill:#333}
rect.runs{fill:#b9d6f2} rect.leads{fill:#1f6fb5} rect.fault{fill:#e0862b;fill-opacity:.22;stroke:#e0862b;stroke-opacity:.6}
line.answered{stroke:#2c8a45} line.refused{stroke:#8a6d2c} line.unknown{stroke:#b00020;stroke-dasharray:2 2}
line.mark{stroke:#b00020;stroke-width:2} line.axis{stroke:#d5d9de} text.axis{font:12px system-ui;fill:#667}
.path[hidden]{display:none} text.fault{font:11px system-ui;fill:#a0590f}
.path polyline{fill:none;stroke:#6a1b9a;stroke-width:2} .path circle{fill:#6a1b9a}
table{border-collapse:collapse;margin-top:8px} td{padding:2px 12px 2px 0;vertical-align:top;border-bottom:1px solid #eef0f2}
tr.violation td{color:#b00020;font-weight:600} tr.fault td{color:#a0590f} .legend span{margin-right:18px}
.key{display:inline-block;width:14px;height:12px;margin-right:5px;vertical-align:-1px}
";

const SCRIPT: &str = "
const pick=document.getElementById('pick');
pick.addEventListener('change',()=>{
  document.querySelectorAll('.path').forEach(path=>path.setAttribute('hidden',''));
  const path=document.getElementById('path-'+pick.value);
  if(path)path.removeAttribute('hidden');
  const list=document.getElementById('steps');
  list.replaceChildren(...(path?[...path.querySelectorAll('title')].map(title=>{
    const item=document.createElement('li');item.textContent=title.textContent;return item;}):[]));
});
";

/// The page, as HTML.
pub(super) fn page(shown: &Shown<'_>) -> String {
    let scale = Scale::of(shown.history);
    let mut out = String::new();
    head(shown, &mut out);
    out.push_str("<h2>What happened when</h2>\n");
    legend(&mut out);
    let labels = drawing(shown, &scale, &mut out);
    picker(&labels, &mut out);
    out.push_str("<h2>The story</h2>\n<table>\n");
    story::tell(shown, &mut out);
    writeln!(out, "</table>\n<script>{SCRIPT}</script>\n</body></html>").expect("to a string");
    out
}

fn head(shown: &Shown<'_>, out: &mut String) {
    let (seed, nodes) = (shown.plan.seed.0, shown.plan.knobs.nodes);
    let class = if shown.marks.is_empty() { "good" } else { "bad" };
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
    for mark in shown.marks {
        let at = mark
            .at
            .map_or_else(String::new, |at| format!(" at {}", seconds(at)));
        writeln!(
            out,
            "<li class=\"bad\"><b>{}</b>{at}: {}</li>",
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

/// The labels of the paths that can be picked.
fn drawing(shown: &Shown<'_>, scale: &Scale, out: &mut String) -> Vec<String> {
    let lanes = node_lane(shown.plan.knobs.nodes) + 1;
    let height = Scale::y(lanes) + 10.0;
    writeln!(out, "<svg viewBox=\"0 0 {PAGE_WIDTH} {height}\" role=\"img\">").expect("to a string");
    axis(scale, height, out);
    for (lane, label) in [(0, "clients"), (lanes - 1, "viewers")] {
        let y = Scale::y(lane) + LANE_HEIGHT / 2.0;
        writeln!(out, r#"<text class="lane" x="8" y="{y}">{label}</text>"#).expect("to a string");
    }
    lanes::draw(shown, scale, out);
    paths::draw_answers(shown, scale, out);
    for mark in shown.marks {
        let Some(at) = mark.at else { continue };
        let x = scale.x(at);
        writeln!(
            out,
            r#"<line class="mark" x1="{x:.1}" x2="{x:.1}" y1="20" y2="{height}"><title>{}</title></line>"#,
            escape(&mark.sentence)
        )
        .expect("to a string");
    }
    let labels = paths::draw(shown, scale, out);
    out.push_str("</svg>\n");
    labels
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

fn picker(labels: &[String], out: &mut String) {
    out.push_str("<p><label>Follow one vote: <select id=\"pick\"><option value=\"\">none</option>\n");
    for (place, label) in labels.iter().enumerate() {
        writeln!(out, "<option value=\"{place}\">{}</option>", escape(label)).expect("to a string");
    }
    out.push_str("</select></label></p>\n<ol id=\"steps\"></ol>\n");
}
