//! Linearizability of submissions, statuses, openings, closings and leaderboards, event by event (M. Herlihy, J. Wing,
//! "Linearizability: A Correctness Condition for Concurrent Objects", 1990; that it may be checked object by object is
//! their locality theorem, §3.3).
//!
//! The log is a witness of the order, so nothing has to be searched. An answer is right at a range of places in the log:
//! a first submission at its own record only, a leaderboard from its version to just before the next, a retry anywhere
//! after the first record. What is left to check is real time: whoever is asked after another was answered must not
//! stand before it. Taking for each operation, by the time it was sent, the earliest place that it may have finds an
//! order if there is one. An operation whose outcome is unknown has no end: it may stand anywhere later, or nowhere; if
//! its record is in the log, that is where it stands.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use ostraka_core::{EventId, VotePosition};

use super::Report;
use crate::case::{Asked, Case, Moment};
use crate::history::{Answer, Status};
use crate::ids::{OperationId, SimMicros};
use crate::names;
use crate::oracle::EventTruth;
use crate::plan::Action;

/// A place in the log: after this entry's commands up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u64, u32);

const START: Place = Place(0, 0);
const NEVER_ENDS: Place = Place(u64::MAX, u32::MAX);

impl From<VotePosition> for Place {
    fn from(position: VotePosition) -> Self {
        Place(position.index.0, u32::from(position.offset))
    }
}

impl Place {
    fn after_entry(index: u64) -> Place {
        Place(index, u32::MAX)
    }

    fn before_entry(index: u64) -> Place {
        index.checked_sub(1).map_or(START, Place::after_entry)
    }

    fn before(self) -> Place {
        match self.1.checked_sub(1) {
            Some(offset) => Place(self.0, offset),
            None => Place::before_entry(self.0),
        }
    }
}

/// Where an operation may stand, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    from: Place,
    to: Place,
}

impl Window {
    fn at(place: Place) -> Self {
        Window {
            from: place,
            to: place,
        }
    }

    fn since(place: impl Into<Place>) -> Self {
        Window {
            from: place.into(),
            to: NEVER_ENDS,
        }
    }

    fn until(place: Place) -> Self {
        Window {
            from: START,
            to: place,
        }
    }
}

struct Timed {
    operation: OperationId,
    invoked: Moment,
    answered: Option<SimMicros>,
    window: Window,
}

pub(super) fn check(case: &Case, report: &mut Report) {
    let mut by_event: BTreeMap<EventId, Vec<Timed>> = BTreeMap::new();
    for asked in &case.asked {
        let Some(event) = event_of(case, asked) else {
            continue;
        };
        answer_is_to_the_question(report, asked, event);
        standing_is_in_the_log(case, report, asked, event);
        let Some(window) = window(case, asked, event) else {
            continue;
        };
        by_event.entry(event.id).or_default().push(Timed {
            operation: asked.operation.id,
            invoked: asked.invoked,
            answered: asked
                .answered
                .filter(|(_, answer)| is_known(answer))
                .map(|(moment, _)| moment.at),
            window,
        });
    }
    for event in case.oracle.events.values() {
        let effects = effects_by_hand(case, event, report);
        by_event.entry(event.id).or_default().extend(effects);
    }
    for (event, timed) in by_event {
        in_real_time(event, timed, report);
    }
}

/// Creation, opening and closing by request. Their records do not say which request made them, so the one that was sent
/// first counts as it: if even that one came too late, none of them can have been it.
fn effects_by_hand(case: &Case, event: &EventTruth, report: &mut Report) -> Vec<Timed> {
    let Some(slot) = event.slot else { return Vec::new() };
    let by_hand = |at: Option<VotePosition>, is_by_hand: bool| at.filter(|_| is_by_hand);
    let creation = |action: &Action| matches!(action, Action::CreateEvent { slot: of, .. } if *of == slot);
    let opening = |action: &Action| matches!(action, Action::OpenEvent { slot: of } if *of == slot);
    let closing = |action: &Action| matches!(action, Action::CloseEvent { slot: of } if *of == slot);
    let first =
        |wanted: &dyn Fn(&Action) -> bool| case.asked.iter().find(|asked| wanted(&asked.operation.action));
    let effects = [
        ("created", Some(event.created), first(&creation)),
        (
            "opened",
            by_hand(event.opened, event.opened_by_hand),
            first(&opening),
        ),
        (
            "closed",
            by_hand(event.closed, event.closed_by_hand),
            first(&closing),
        ),
    ];
    let mut timed = Vec::new();
    for (what, at, asked) in effects {
        let Some(at) = at else { continue };
        report.safe(asked.is_some(), None, || {
            format!(
                "{} was {what} by entry {}, and nobody asked for it",
                event.id, at.index
            )
        });
        timed.extend(asked.map(|asked| Timed {
            operation: asked.operation.id,
            invoked: asked.invoked,
            answered: None,
            window: Window::at(at.into()),
        }));
    }
    timed
}

fn is_known(answer: &Answer) -> bool {
    !matches!(answer, Answer::Unknown { .. } | Answer::Skipped)
}

fn event_of<'c>(case: &'c Case, asked: &Asked) -> Option<&'c EventTruth> {
    let slot = match asked.operation.action {
        Action::CreateEvent { slot, .. }
        | Action::OpenEvent { slot }
        | Action::CloseEvent { slot }
        | Action::Submit { slot, .. }
        | Action::Leaderboard { slot } => slot,
        Action::Status { of } => crate::case::submission(case.asked(of)?.operation)?.slot,
    };
    case.event_of_slot(slot)
}

/// Where the log allows the operation to stand; none if what it was told says nothing of that.
fn window(case: &Case, asked: &Asked, event: &EventTruth) -> Option<Window> {
    if let Action::Submit { tag, .. } = asked.operation.action
        && let Some((first, _)) = case.first_record(tag)
    {
        let records = case.records.get(&tag)?;
        let made_it = records.iter().any(|vote| {
            vote.position == first
                && vote.vote.trace.and_then(names::operation_of_trace) == Some(asked.operation.id)
        });
        return match asked.answered {
            _ if made_it => Some(Window::at(first.into())),
            Some((_, Answer::Vote { .. })) => Some(Window::since(first)),
            _ => None,
        };
    }
    let (_, answer) = asked.answered?;
    match answer {
        Answer::EventCreated { event: told } if *told == event.id => Some(Window::since(event.created)),
        Answer::EventStatus {
            event: told, status, ..
        } if *told == event.id => status_window(event, *status),
        Answer::Status { .. } => {
            let Action::Status { of } = asked.operation.action else {
                return None;
            };
            let tag = crate::case::submission(case.asked(of)?.operation)?.tag;
            case.first_record(tag).map(|(first, _)| Window::since(first))
        }
        Answer::Board {
            standings,
            linearizable,
        } if standings.event == event.id => {
            event.versions.get(&standings.version)?;
            let from = Place::after_entry(standings.version);
            let next = event.version_after(standings.version).filter(|_| *linearizable);
            Some(Window {
                from,
                to: next.map_or(NEVER_ENDS, Place::before_entry),
            })
        }
        Answer::Refused { code, .. } => match code.as_str() {
            "event-not-found" => Some(Window::until(Place::from(event.created).before())),
            "event-already-closed" => event.closed.map(Window::since),
            _ => None,
        },
        _ => None,
    }
}

fn status_window(event: &EventTruth, status: Status) -> Option<Window> {
    match status {
        Status::Closed => event.closed.map(Window::since),
        Status::Open => event.opened.map(|opened| Window {
            from: opened.into(),
            to: event
                .closed
                .map_or(NEVER_ENDS, |closed| Place::from(closed).before()),
        }),
        Status::Scheduled => None,
    }
}

/// Whoever asks about one event is told of that one; whoever opened it, that it is open; whoever closed it, that it is
/// closed.
fn answer_is_to_the_question(report: &mut Report, asked: &Asked, event: &EventTruth) {
    let Some((moment, answer)) = asked.answered else {
        return;
    };
    let (of, status) = match answer {
        Answer::EventCreated { event } => (*event, None),
        Answer::EventStatus { event, status, .. } => (*event, Some(*status)),
        Answer::Board { standings, .. } => (standings.event, None),
        _ => return,
    };
    let id = asked.operation.id.0;
    report.safe(of == event.id, moment, || {
        format!(
            "operation {id} asked about {} and was answered about {of}",
            event.id
        )
    });
    let wanted = match asked.operation.action {
        Action::OpenEvent { .. } => Some(Status::Open),
        Action::CloseEvent { .. } => Some(Status::Closed),
        _ => None,
    };
    if let (Some(wanted), Some(status)) = (wanted, status) {
        report.safe(status == wanted, moment, || {
            format!(
                "operation {id} asked for {} to be {wanted:?} and was answered that it is {status:?}",
                event.id
            )
        });
    }
}

/// An opening or closing that was answered is in the log by the version that was told: one that the schedule brought later
/// was not it.
fn standing_is_in_the_log(case: &Case, report: &mut Report, asked: &Asked, event: &EventTruth) {
    let Some((
        moment,
        Answer::EventStatus {
            event: of,
            status,
            version,
        },
    )) = asked.answered
    else {
        return;
    };
    let since = match status {
        Status::Open => event.opened,
        Status::Closed => event.closed,
        Status::Scheduled => return,
    };
    if *of != event.id || !case.knows(*version) {
        return;
    }
    let since = since.map(|since| since.index.0);
    report.safe(since.is_some_and(|since| since <= *version), moment, || {
        let truth = since.map_or_else(
            || "never was by the log".to_owned(),
            |since| format!("is since entry {since}"),
        );
        format!(
            "operation {} was answered that {of} is {status:?} at version {version}, and it {truth}",
            asked.operation.id.0
        )
    });
}

fn in_real_time(event: EventId, mut timed: Vec<Timed>, report: &mut Report) {
    timed.sort_by_key(|operation| operation.invoked);
    // Of those that were answered, by when: where they stand at the earliest.
    let mut answered: BinaryHeap<Reverse<(SimMicros, Place, OperationId)>> = BinaryHeap::new();
    let mut floor = (START, None);
    for operation in timed {
        while let Some(Reverse((at, place, by))) = answered.peek().copied() {
            if at >= operation.invoked.at {
                break;
            }
            answered.pop();
            if place > floor.0 {
                floor = (place, Some(by));
            }
        }
        let place = operation.window.from.max(floor.0);
        report.safe(place <= operation.window.to, operation.invoked, || {
            let before = floor.1.map_or_else(String::new, |by| {
                format!(
                    ", and operation {} had an answer from entry {} before it was sent",
                    by.0, floor.0.0
                )
            });
            format!(
                "{event}: what operation {} did or was told was so up to entry {}{before}",
                operation.operation.0, operation.window.to.0
            )
        });
        if let Some(at) = operation.answered {
            // Where it could not stand, it counts as standing as late as it could: one fault is told once.
            answered.push(Reverse((at, place.min(operation.window.to), operation.operation)));
        }
    }
}
