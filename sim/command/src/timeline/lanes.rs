//! The lanes: when each node ran, who led, which faults lay over it.

use std::collections::BTreeMap;
use std::fmt::Write;

use ostraka_sim_model::history::{Happening, History, Life};
use ostraka_sim_model::ids::{FaultId, NodeIndex, SimMicros};

use super::{LANE_HEIGHT, Scale, Shown, escape, node_lane, seconds, words};

/// A stretch of time on one node's lane, or on all.
struct Span {
    node: Option<NodeIndex>,
    from: SimMicros,
    to: SimMicros,
    class: &'static str,
    title: String,
    /// Stands in the drawing, where there is something to say.
    label: &'static str,
}

pub(super) fn draw(shown: &Shown<'_>, scale: &Scale, out: &mut String) {
    for node in 0..shown.plan.knobs.nodes {
        let y = Scale::y(node_lane(node)) + LANE_HEIGHT / 2.0;
        writeln!(
            out,
            r#"<text class="lane" x="8" y="{y}">node {}</text>"#,
            node + 1
        )
        .expect("to a string");
    }
    let end = scale.end;
    let spans = lives(shown.history, end)
        .into_iter()
        .chain(leaders(shown.history, end))
        .chain(faults(shown, end));
    for span in spans {
        draw_span(&span, shown.plan.knobs.nodes, scale, out);
    }
}

fn draw_span(span: &Span, nodes: u8, scale: &Scale, out: &mut String) {
    let (x, width) = (
        scale.x(span.from),
        (scale.x(span.to) - scale.x(span.from)).max(2.0),
    );
    let (y, height) = match span.node {
        Some(node) => (Scale::y(node_lane(node.0)), LANE_HEIGHT),
        None => (Scale::y(node_lane(0)), LANE_HEIGHT * f64::from(nodes)),
    };
    let (inset, height) = match span.class {
        "runs" => (22.0, 20.0),
        "leads" => (26.0, 12.0),
        _ => (4.0, height - 8.0),
    };
    writeln!(
        out,
        r#"<rect class="{}" x="{x:.1}" y="{:.1}" width="{width:.1}" height="{height:.1}"><title>{}, {} to {}</title></rect>"#,
        span.class,
        y + inset,
        escape(&span.title),
        seconds(span.from),
        seconds(span.to)
    )
    .expect("to a string");
    if !span.label.is_empty() {
        let baseline = y + LANE_HEIGHT - 7.0;
        writeln!(
            out,
            r#"<text class="fault" x="{:.1}" y="{baseline:.1}">{}</text>"#,
            x + 3.0,
            span.label
        )
        .expect("to a string");
    }
}

/// When each node's process ran.
fn lives(history: &History, end: SimMicros) -> Vec<Span> {
    let runs = |life: &Life| match life {
        Life::Started => Some(true),
        Life::LostPower { .. } | Life::Killed | Life::StoppedGracefully | Life::Failed(_) => Some(false),
        Life::Ready | Life::Leads { .. } | Life::Replaced => None,
    };
    let mut since: BTreeMap<NodeIndex, SimMicros> = BTreeMap::new();
    let mut spans = Vec::new();
    let span = |node, from, to| Span {
        node: Some(node),
        from,
        to,
        class: "runs",
        title: "running".to_owned(),
        label: "",
    };
    for record in &history.records {
        let Happening::Node { node, life } = &record.what else {
            continue;
        };
        match runs(life) {
            Some(true) => drop(since.entry(*node).or_insert(record.at)),
            Some(false) => spans.extend(since.remove(node).map(|from| span(*node, from, record.at))),
            None => {}
        }
    }
    spans.extend(since.into_iter().map(|(node, from)| span(node, from, end)));
    spans
}

/// Who led, as far as the history knows: until another leads, or until its process ended.
fn leaders(history: &History, end: SimMicros) -> Vec<Span> {
    let mut current: Option<(NodeIndex, u64, SimMicros)> = None;
    let mut spans = Vec::new();
    let mut over = |leader: Option<(NodeIndex, u64, SimMicros)>, to| {
        spans.extend(leader.map(|(node, term, from)| Span {
            node: Some(node),
            from,
            to,
            class: "leads",
            title: format!("leader of term {term}"),
            label: "",
        }));
    };
    for record in &history.records {
        let Happening::Node { node, life } = &record.what else {
            continue;
        };
        match life {
            Life::Leads { term } => over(current.replace((*node, *term, record.at)), record.at),
            Life::LostPower { .. } | Life::Killed | Life::StoppedGracefully | Life::Failed(_)
                if current.is_some_and(|(leader, ..)| leader == *node) =>
            {
                over(current.take(), record.at);
            }
            _ => {}
        }
    }
    over(current, end);
    spans
}

fn faults(shown: &Shown<'_>, end: SimMicros) -> Vec<Span> {
    let mut begun: BTreeMap<FaultId, (Option<NodeIndex>, SimMicros)> = BTreeMap::new();
    let mut spans = Vec::new();
    let planned = |fault: FaultId| shown.plan.faults.iter().find(|planned| planned.id == fault);
    let title = |fault: FaultId| {
        planned(fault).map_or_else(|| "a fault".to_owned(), |planned| words::fault(&planned.kind))
    };
    let span = |fault, (node, from), to, bites: Option<u64>| Span {
        node,
        from,
        to,
        class: "fault",
        title: match bites {
            Some(bites) => format!("{} (did harm {bites} times)", title(fault)),
            None => title(fault),
        },
        label: planned(fault).map_or("a fault", |planned| planned.kind.name()),
    };
    for record in &shown.history.records {
        match &record.what {
            Happening::FaultBegan { fault, node } => drop(begun.insert(*fault, (*node, record.at))),
            Happening::FaultEnded { fault, bites } => {
                spans.extend(
                    begun
                        .remove(fault)
                        .map(|began| span(*fault, began, record.at, Some(*bites))),
                );
            }
            _ => {}
        }
    }
    spans.extend(
        begun
            .into_iter()
            .map(|(fault, began)| span(fault, began, end, None)),
    );
    spans
}
