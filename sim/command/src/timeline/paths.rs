//! Each vote's path: from the client to the disks that hold it, back to the client, and to the first viewer who saw a
//! total that includes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use ostraka_core::{Batch, Command, EventId, LogIndex, VoterNumber};
use ostraka_sim_model::history::{Answer, Happening, History, Sight};
use ostraka_sim_model::ids::{OperationId, SimMicros, SubmissionTag};
use ostraka_sim_model::names;
use ostraka_sim_model::plan::{Action, Operation, Plan};

use super::{Mark, Scale, Shown, escape, node_lane, seconds, words};

/// A moment of a vote's path: when, on which lane, and what happened.
struct Step {
    at: SimMicros,
    lane: usize,
    words: String,
}

/// One voter's path in one event, through all submissions and retries.
pub(super) struct Path {
    slot: u8,
    voter: VoterNumber,
    tags: BTreeSet<SubmissionTag>,
    operations: BTreeSet<OperationId>,
    /// As clients were told them.
    vote_ids: BTreeSet<String>,
    steps: Vec<Step>,
    /// The last log position that holds the vote, to be found in what viewers saw.
    index: Option<(EventId, LogIndex)>,
}

impl Path {
    /// `submission 45`, as violations call it; there are several if the voter tried again with another vote.
    pub(super) fn submissions(&self) -> String {
        let tags: Vec<String> = self.tags.iter().map(|tag| tag.0.to_string()).collect();
        let plural = if tags.len() == 1 { "" } else { "s" };
        format!("submission{plural} {}", tags.join(", "))
    }

    pub(super) fn label(&self) -> String {
        let event = self
            .index
            .map_or_else(String::new, |(event, _)| format!(" ({event})"));
        let (submissions, voter, slot) = (self.submissions(), self.voter, self.slot);
        format!("{submissions}: voter {voter}, event {slot}{event}")
    }

    /// All that sentences call it by, and by which it can be found.
    pub(super) fn names(&self) -> Vec<String> {
        let tags = self.tags.iter().map(|tag| tag.0.to_string());
        let ids = self.vote_ids.iter().cloned();
        tags.chain(ids).chain([self.voter.to_string()]).collect()
    }
}

/// Draws all paths, hidden but for the one that is picked.
pub(super) fn draw(paths: &[Path], picked: Option<usize>, scale: &Scale, out: &mut String) {
    for (place, path) in paths.iter().enumerate() {
        let hidden = if picked == Some(place) { "" } else { " hidden" };
        writeln!(out, r#"<g class="path" id="path-{place}"{hidden}>"#).expect("to a string");
        let points = path
            .steps
            .iter()
            .map(|step| format!("{:.1},{:.1}", scale.x(step.at), scale.middle(step.lane)));
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
                scale.middle(step.lane),
                seconds(step.at),
                escape(&step.words)
            )
            .expect("to a string");
        }
        out.push_str("</g>\n");
    }
}

/// The paths of all submissions that were sent, by the number of the first of each.
pub(super) fn of(shown: &Shown<'_>) -> Vec<Path> {
    let mut paths: BTreeMap<(u8, VoterNumber), Path> = BTreeMap::new();
    let submits = submissions(shown.plan);
    for record in &shown.history.records {
        match &record.what {
            Happening::Invoked { operation } | Happening::Answered { operation, .. } => {
                let Some(submit) = submits.get(operation) else {
                    continue;
                };
                let path = paths
                    .entry((submit.slot, submit.voter))
                    .or_insert_with(|| submit.path());
                path.tags.insert(submit.tag);
                path.operations.insert(*operation);
                let (words, vote_id) = match &record.what {
                    Happening::Answered { answer, .. } => (words::answer(answer), vote_id(answer)),
                    _ => (submit.words.clone(), None),
                };
                path.vote_ids.extend(vote_id.map(str::to_owned));
                path.steps.push(Step {
                    at: record.at,
                    lane: 0,
                    words,
                });
            }
            Happening::Durable { node, entry } => {
                for recorded in operations_in(&entry.body) {
                    let path = submits
                        .get(&recorded.operation)
                        .and_then(|submit| paths.get_mut(&(submit.slot, submit.voter)));
                    let Some(path) = path else {
                        continue;
                    };
                    path.index = Some((recorded.event, entry.index));
                    path.steps.push(Step {
                        at: record.at,
                        lane: node_lane(node.0),
                        words: format!(
                            "durable on node {node} as entry {}, command {}",
                            entry.index, recorded.offset
                        ),
                    });
                }
            }
            _ => {}
        }
    }
    let viewers = node_lane(shown.plan.knobs.nodes);
    let mut paths: Vec<Path> = paths.into_values().collect();
    for path in &mut paths {
        path.steps.extend(first_seen(shown.history, path.index, viewers));
    }
    paths.sort_by_key(|path| path.tags.first().copied());
    paths
}

/// The path that a violation is about: of the submission that its sentence names, else of the vote id or the operation that
/// it names, else of the request at which it shows.
pub(super) fn about(shown: &Shown<'_>, mark: &Mark, paths: &[Path]) -> Option<usize> {
    let words: Vec<&str> = mark
        .sentence
        .split(|letter: char| !letter.is_ascii_alphanumeric() && !"-_".contains(letter))
        .collect();
    let numbers = |name: &str| -> Vec<u32> {
        let pairs = words.windows(2).filter(|pair| pair[0] == name);
        pairs.filter_map(|pair| pair[1].parse().ok()).collect()
    };
    let path_of = |is_it: &dyn Fn(&Path) -> bool| paths.iter().position(is_it);
    let path_of_operation = |operation: OperationId| {
        let asked_about = shown
            .plan
            .operations
            .iter()
            .find_map(|planned| match planned.action {
                Action::Status { of } if planned.id == operation => Some(of),
                _ => None,
            });
        path_of(&|path| path.operations.contains(&asked_about.unwrap_or(operation)))
    };
    let tags = numbers("submission").into_iter().map(SubmissionTag);
    let operations = numbers("operation").into_iter().map(OperationId);
    let asked = mark
        .record
        .and_then(|record| match shown.history.records.get(record)?.what {
            Happening::Invoked { operation } | Happening::Answered { operation, .. } => Some(operation),
            _ => None,
        });
    tags.filter_map(|tag| path_of(&|path| path.tags.contains(&tag)))
        .next()
        .or_else(|| path_of(&|path| words.iter().any(|word| path.vote_ids.contains(*word))))
        .or_else(|| operations.chain(asked).find_map(path_of_operation))
}

/// What the plan says of an operation that submits.
struct Submit {
    slot: u8,
    voter: VoterNumber,
    tag: SubmissionTag,
    words: String,
}

impl Submit {
    fn path(&self) -> Path {
        Path {
            slot: self.slot,
            voter: self.voter,
            tags: BTreeSet::new(),
            operations: BTreeSet::new(),
            vote_ids: BTreeSet::new(),
            steps: Vec::new(),
            index: None,
        }
    }
}

fn submissions(plan: &Plan) -> BTreeMap<OperationId, Submit> {
    let submit = |operation: &Operation| match &operation.action {
        Action::Submit { slot, voter, tag, .. } => {
            let submit = Submit {
                slot: slot.0,
                voter: *voter,
                tag: *tag,
                words: words::action(&operation.action),
            };
            Some((operation.id, submit))
        }
        _ => None,
    };
    plan.operations.iter().filter_map(submit).collect()
}

fn vote_id(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Vote { vote_id, .. } => Some(vote_id),
        _ => None,
    }
}

/// A vote in an entry.
struct Recorded {
    operation: OperationId,
    event: EventId,
    offset: usize,
}

/// The operations whose votes stand in an entry, by the trace that each request carried.
fn operations_in(body: &[u8]) -> Vec<Recorded> {
    let Ok(batch) = Batch::decode(body) else {
        return Vec::new();
    };
    let recorded = |(offset, command): (usize, &Command)| match command {
        Command::CastVote(vote) => Some(Recorded {
            operation: names::operation_of_trace(vote.trace?)?,
            event: vote.event,
            offset,
        }),
        _ => None,
    };
    batch.commands.iter().enumerate().filter_map(recorded).collect()
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
        let (x, y) = (scale.x(record.at), scale.y(0));
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
