//! Each vote's path: from the client to the disks that hold it, back to the client, and to the first viewer who saw a
//! total that includes it.

use std::collections::BTreeMap;
use std::fmt::Write;

use ostraka_core::{Batch, Command, EventId, LogIndex, VoterNumber};
use ostraka_sim_model::history::{Answer, Happening, History, Sight};
use ostraka_sim_model::ids::{OperationId, SimMicros};
use ostraka_sim_model::names;
use ostraka_sim_model::plan::{Action, Plan};

use super::{LANE_HEIGHT, Scale, Shown, escape, node_lane, seconds, words};

/// A moment of a vote's path: when, on which lane, and what happened.
struct Step {
    at: SimMicros,
    lane: usize,
    words: String,
}

/// One voter's path in one event, through all retries.
struct Path {
    label: String,
    steps: Vec<Step>,
    /// The last log position that holds the vote, to be found in what viewers saw.
    index: Option<(EventId, LogIndex)>,
}

/// Draws all paths, hidden, and gives the labels by which they are picked.
pub(super) fn draw(shown: &Shown<'_>, scale: &Scale, out: &mut String) -> Vec<String> {
    let viewers = node_lane(shown.plan.knobs.nodes);
    let paths = paths_of(shown, viewers);
    for (place, path) in paths.iter().enumerate() {
        writeln!(out, r#"<g class="path" id="path-{place}" hidden>"#).expect("to a string");
        let points = path
            .steps
            .iter()
            .map(|step| format!("{:.1},{:.1}", scale.x(step.at), middle(step.lane)));
        writeln!(
            out,
            r#"<polyline points="{}"/>"#,
            points.collect::<Vec<_>>().join(" ")
        )
        .expect("to a string");
        for step in &path.steps {
            writeln!(
                out,
                r#"<circle cx="{:.1}" cy="{:.1}" r="4"><title>{}: {}</title></circle>"#,
                scale.x(step.at),
                middle(step.lane),
                seconds(step.at),
                escape(&step.words)
            )
            .expect("to a string");
        }
        out.push_str("</g>\n");
    }
    paths.into_iter().map(|path| path.label).collect()
}

fn middle(lane: usize) -> f64 {
    Scale::y(lane) + LANE_HEIGHT / 2.0
}

fn paths_of(shown: &Shown<'_>, viewers: usize) -> Vec<Path> {
    let mut paths: BTreeMap<(u8, VoterNumber), Path> = BTreeMap::new();
    let submits = submissions(shown.plan);
    for record in &shown.history.records {
        let at = record.at;
        match &record.what {
            Happening::Invoked { operation } | Happening::Answered { operation, .. } => {
                let Some((slot, voter, action)) = submits.get(operation) else {
                    continue;
                };
                let path = paths.entry((*slot, *voter)).or_insert_with(|| Path {
                    label: format!("voter {voter}, event {slot}"),
                    steps: Vec::new(),
                    index: None,
                });
                let said = match &record.what {
                    Happening::Answered { answer, .. } => words::answer(answer),
                    _ => action.clone(),
                };
                path.steps.push(Step {
                    at,
                    lane: 0,
                    words: said,
                });
            }
            Happening::Durable { node, entry } => {
                let words = format!("durable on node {node} as entry {}", entry.index);
                for (operation, event) in operations_in(&entry.body) {
                    let Some((slot, voter, _)) = submits.get(&operation) else {
                        continue;
                    };
                    let Some(path) = paths.get_mut(&(*slot, *voter)) else {
                        continue;
                    };
                    path.index = Some((event, entry.index));
                    let (lane, words) = (node_lane(node.0), words.clone());
                    path.steps.push(Step { at, lane, words });
                }
            }
            _ => {}
        }
    }
    let mut paths: Vec<Path> = paths.into_values().collect();
    for path in &mut paths {
        path.steps.extend(first_seen(shown.history, path.index, viewers));
    }
    paths
}

/// The submissions of the plan: event, voter, and the action in words.
fn submissions(plan: &Plan) -> BTreeMap<OperationId, (u8, VoterNumber, String)> {
    let submission = |operation: &ostraka_sim_model::plan::Operation| match &operation.action {
        Action::Submit { slot, voter, .. } => {
            Some((operation.id, (slot.0, *voter, words::action(&operation.action))))
        }
        _ => None,
    };
    plan.operations.iter().filter_map(submission).collect()
}

/// The operations whose votes stand in an entry, by the trace that each request carried.
fn operations_in(body: &[u8]) -> Vec<(OperationId, EventId)> {
    let Ok(batch) = Batch::decode(body) else {
        return Vec::new();
    };
    let vote = |command: &Command| match command {
        Command::CastVote(vote) => Some((names::operation_of_trace(vote.trace?)?, vote.event)),
        _ => None,
    };
    batch.commands.iter().filter_map(vote).collect()
}

fn first_seen(history: &History, index: Option<(EventId, LogIndex)>, lane: usize) -> Option<Step> {
    let (event, index) = index?;
    history.records.iter().find_map(|record| {
        let Happening::Saw { viewer, sight } = &record.what else {
            return None;
        };
        let (seen, version) = match sight {
            Sight::Snapshot(standings) | Sight::Closed(standings) => (standings.event, standings.version),
            Sight::Tally { event, version, .. } => (*event, *version),
            Sight::Connected { .. } | Sight::Disconnected => return None,
        };
        (seen == event && version >= index.0).then(|| Step {
            at: record.at,
            lane,
            words: format!("viewer {} sees totals of entry {version}", viewer.0),
        })
    })
}

/// Ticks on the clients' lane: every answer, by how it ended.
pub(super) fn draw_answers(shown: &Shown<'_>, scale: &Scale, out: &mut String) {
    for record in &shown.history.records {
        let Happening::Answered { operation, answer } = &record.what else {
            continue;
        };
        let class = match answer {
            Answer::Unknown { .. } => "unknown",
            Answer::Refused { .. } | Answer::Skipped => "refused",
            _ => "answered",
        };
        let planned = shown
            .plan
            .operations
            .iter()
            .find(|planned| planned.id == *operation);
        let asked = planned.map_or_else(String::new, |planned| words::action(&planned.action));
        let (x, y) = (scale.x(record.at), Scale::y(0));
        writeln!(
            out,
            r#"<line class="{class}" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}"><title>{}: {}: {}</title></line>"#,
            y + 20.0,
            y + 44.0,
            seconds(record.at),
            escape(&asked),
            escape(&words::answer(answer))
        )
        .expect("to a string");
    }
}
