//! The lanes: when each node ran, who led, which faults lay over it.

use std::collections::BTreeMap;
use std::fmt::Write;

use ostraka_sim_model::history::{Happening, History, Life};
use ostraka_sim_model::ids::{FaultId, NodeIndex, SimMicros};

use super::faults::Faults;
use super::rows::{Place, Rows};
use super::{LANE_HEIGHT, MIDDLE, ROW_HEIGHT, Scale, Shown, escape, node_lane, seconds};

/// A stretch of time on one node's lane, or on all.
#[derive(Clone)]
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
        let y = scale.middle(node_lane(node));
        writeln!(
            out,
            r#"<text class="lane" x="8" y="{y}">node {}</text>"#,
            node + 1
        )
        .expect("to a string");
    }
    let end = scale.end;
    let faults = faults(shown, end);
    let spans = lives(shown.history, end)
        .into_iter()
        .chain(leaders(shown.history, end));
    for span in spans.chain(faults.iter().cloned()) {
        draw_span(&span, shown.plan.knobs.nodes, scale, out);
    }
    // Above all spans: a label is to be read wherever another fault begins.
    for (span, place) in labels(&faults, scale).0 {
        let baseline = scale.y(top_lane(span)) + LANE_HEIGHT - 7.0 + place.row as f64 * ROW_HEIGHT;
        writeln!(
            out,
            r#"<text class="fault" x="{:.1}" y="{baseline:.1}">{}<title>{}</title></text>"#,
            place.x,
            span.label,
            escape(&span.title)
        )
        .expect("to a string");
    }
}

/// How many rows of labels the fullest lane has.
pub(super) fn label_rows(shown: &Shown<'_>, scale: &Scale) -> usize {
    labels(&faults(shown, scale.end), scale).1
}

/// Where each fault's label stands, in the rows of its lane, and how many rows the fullest lane has.
fn labels<'a>(faults: &'a [Span], scale: &Scale) -> (Vec<(&'a Span, Place)>, usize) {
    let mut lanes: BTreeMap<usize, Rows> = BTreeMap::new();
    let mut in_order: Vec<&Span> = faults.iter().collect();
    in_order.sort_by_key(|span| span.from);
    let placed = in_order
        .into_iter()
        .map(|span| {
            let rows = lanes.entry(top_lane(span)).or_default();
            (span, rows.place(scale.x(span.from) + 3.0, span.label))
        })
        .collect();
    (placed, lanes.values().map(Rows::count).max().unwrap_or(0))
}

fn top_lane(span: &Span) -> usize {
    node_lane(span.node.map_or(0, |node| node.0))
}

fn draw_span(span: &Span, nodes: u8, scale: &Scale, out: &mut String) {
    let (x, width) = (
        scale.x(span.from),
        (scale.x(span.to) - scale.x(span.from)).max(2.0),
    );
    let lanes = if span.node.is_some() { 1 } else { nodes };
    let (inset, height) = match span.class {
        "runs" => (MIDDLE - 10.0, 20.0),
        "leads" => (MIDDLE - 6.0, 12.0),
        _ => (4.0, scale.lane_height * f64::from(lanes) - 8.0),
    };
    writeln!(
        out,
        r#"<rect class="{}" x="{x:.1}" y="{:.1}" width="{width:.1}" height="{height:.1}"><title>{}, {} to {}</title></rect>"#,
        span.class,
        scale.y(top_lane(span)) + inset,
        escape(&span.title),
        seconds(span.from),
        seconds(span.to)
    )
    .expect("to a string");
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
    let told = Faults::of(shown.plan, shown.history);
    let span = |fault, (node, from), to, bites: Option<u64>| Span {
        node,
        from,
        to,
        class: "fault",
        title: match bites {
            Some(bites) => format!("{} (did harm {bites} times)", told.words(fault)),
            None => told.words(fault),
        },
        label: told.name(fault),
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
