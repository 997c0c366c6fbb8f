//! Why a fault that did nothing could not help it. Each excuse is held against the history, and one that the history does
//! not bear out is none: a fault that never bites is a simulator at fault, and must not pass for luck.

use super::scene::Scene;
use crate::history::{Answer, Happening};
use crate::ids::{EventSlot, NodeIndex, SimMicros};
use crate::lives::{Felt, Span};
use crate::plan::{Action, FaultKind, Target};

/// What others write reaches a node within this time, or it is cut off.
const WRITTEN_WITHIN_MS: u64 = 500;

/// So many losses are to be expected before none at all is no chance any more: it happens once in four hundred times.
/// Only heartbeats are counted, half of what is sent and less, so that it happens more seldom than that.
const LOSSES_CREDIBLE: u64 = 6;

/// Turns of a fault that comes and goes are late by a little: simulators look every 2 ms.
const TURN_SLACK_MS: u64 = 10;
/// Turns of a crash loop that are looked at: ten minutes of the shortest period.
const TURNS_MAX: u64 = 30_000;

/// None if it should have done something.
pub(super) fn of(scene: &Scene, felt: &Felt, span: Span) -> Option<&'static str> {
    match felt.fault.kind {
        FaultKind::Kill { target } | FaultKind::PowerCut { target, .. } | FaultKind::Restart { target } => {
            was_dead(scene, felt, target, span)
        }
        FaultKind::CrashLoop { target, period_ms } => {
            was_dead_each_time(scene, felt, target, span, period_ms.0)
        }
        FaultKind::Blackout { .. } => all_were_dead(scene, span),
        FaultKind::Isolate { .. } | FaultKind::Flap { .. } => was_silent(scene, felt, span),
        FaultKind::SlowLinks { .. } | FaultKind::Hold { .. } => {
            was_silent_to_clients(scene, felt, span).and_then(|()| was_silent(scene, felt, span))
        }
        FaultKind::OneWay { to, .. } => had_nothing_to_say(scene, felt, to, span),
        FaultKind::Loss { ppm } => lost_none_by_luck(scene, felt, ppm, span),
        FaultKind::DiskError { .. } | FaultKind::DiskFull { .. } | FaultKind::SlowDisk { .. } => {
            wrote_nothing(scene, felt, span)
        }
        FaultKind::Rot { .. } => was_not_started(scene, felt, span),
        FaultKind::ClockJump { .. } => had_no_look(scene, felt, span),
        FaultKind::TransferLeadership { to } => {
            led_already(scene, to, span).or_else(|| could_not_lead(scene, felt, to, span))
        }
        FaultKind::LeaveAndJoin { .. } => could_not_leave(scene, felt, span),
        FaultKind::Overload { slot, .. } => {
            was_unknown(scene, slot, span).or_else(|| nobody_served(scene, felt, span))
        }
    }
}

fn granted(holds: bool, excuse: &'static str) -> Option<&'static str> {
    holds.then_some(excuse)
}

fn was_dead(scene: &Scene, felt: &Felt, target: Target, span: Span) -> Option<&'static str> {
    let dead = scene.had_no_process(scene.meant(target, span.from), span.from);
    granted(
        felt.node.is_none() && dead,
        "whom it was meant for was down already",
    )
}

/// A supervisor starts a node within half a second, unless another fault keeps it down.
fn was_not_started(scene: &Scene, felt: &Felt, span: Span) -> Option<&'static str> {
    let node = felt.node?;
    let down = scene.downtimes_of(node);
    let others = scene.times_kept_down(node, felt);
    granted(
        span.is_mostly_in(&down) && span.is_half_in(&others),
        "another fault kept the node from being started for most of that time",
    )
}

fn was_dead_each_time(
    scene: &Scene,
    felt: &Felt,
    target: Target,
    span: Span,
    period_ms: u64,
) -> Option<&'static str> {
    let node = scene.meant(target, span.from);
    let slack = TURN_SLACK_MS * 1_000;
    // Half of a period it is down, and half of it up.
    let period = 2 * period_ms.div_ceil(2).max(1) * 1_000;
    // What has more turns than any plan's storm is no history of a plan.
    if (span.to.0.saturating_sub(span.from.0)) / period > TURNS_MAX {
        return None;
    }
    let mut turns = (span.from.0..=span.to.0).step_by(usize::try_from(period).unwrap_or(usize::MAX));
    let dead = turns.all(|turn| {
        let moments = [turn, turn.saturating_add(slack)];
        moments
            .iter()
            .any(|at| scene.had_no_process(node, SimMicros(*at)))
    });
    granted(
        felt.node.is_none() && dead,
        "whom it was meant for was down each time it came",
    )
}

fn all_were_dead(scene: &Scene, span: Span) -> Option<&'static str> {
    let dead = scene.nodes().all(|node| scene.had_no_process(node, span.from));
    granted(dead, "all nodes were down already")
}

/// While a node is down, or cut off, or nobody leads, it and the others have nothing to say to each other.
fn was_silent(scene: &Scene, felt: &Felt, span: Span) -> Option<&'static str> {
    let node = felt.node?;
    granted(
        span.is_mostly_in(&silence_of(scene, felt, node)),
        "the node was down or cut off, or nobody led, for most of that time",
    )
}

fn silence_of(scene: &Scene, felt: &Felt, node: NodeIndex) -> Vec<Span> {
    let mut silent = scene.downtimes_of(node);
    silent.extend(scene.times_cut_off(node, felt));
    silent.extend(scene.times_without_leader(felt));
    silent.extend(scene.times_with_at_most(1));
    silent
}

/// Clients speak to a node whoever leads, and what slows or holds its links, slows or holds theirs.
fn was_silent_to_clients(scene: &Scene, felt: &Felt, span: Span) -> Option<()> {
    let node = felt.node?;
    (!was_asked(scene, node, span, &scene.downtimes_of(node))).then_some(())
}

fn had_nothing_to_say(scene: &Scene, felt: &Felt, to: Target, span: Span) -> Option<&'static str> {
    let from = felt.node?;
    let to = scene.meant(to, span.from);
    let mut silent = silence_of(scene, felt, from);
    silent.extend(scene.downtimes_of(to));
    silent.extend(scene.times_cut_off(to, felt));
    let led = |node| {
        let won = scene
            .leads
            .iter()
            .any(|(at, leader, _)| *leader == node && span.holds(*at));
        won || scene.leader_at(span.from) == node
    };
    let none_led = !led(from) && !led(to);
    granted(
        none_led || span.is_mostly_in(&silent),
        "the one had nothing to say to the other for most of that time",
    )
}

/// As the leader's heartbeats alone would have it, there and back.
fn lost_none_by_luck(scene: &Scene, felt: &Felt, ppm: u32, span: Span) -> Option<&'static str> {
    let knobs = &scene.case.plan.knobs;
    let others = u64::from(knobs.nodes)
        .checked_sub(1)
        .filter(|others| *others > 0)?;
    let mut silent = scene.times_without_leader(felt);
    silent.extend(scene.times_with_at_most(1));
    for node in scene.nodes() {
        silent.extend(scene.times_cut_off(node, felt));
    }
    // Of two that overlap, the later one draws.
    silent.extend(later_losses(scene, felt));
    let beats = span.outside_of(&silent) / 1_000 / knobs.heartbeat_ms.max(1);
    let expected = beats.saturating_mul(2 * others).saturating_mul(ppm.into()) / 1_000_000;
    granted(
        expected < LOSSES_CREDIBLE,
        "so few messages were sent in that time that chance may have lost none",
    )
}

fn later_losses(scene: &Scene, felt: &Felt) -> Vec<Span> {
    let is_loss = |other: &&Felt| matches!(other.fault.kind, FaultKind::Loss { .. });
    let losses = scene.felt.iter().filter(is_loss);
    losses
        .filter(|other| other.fault.id > felt.fault.id)
        .filter_map(|other| other.span(scene.case.end))
        .collect()
}

fn wrote_nothing(scene: &Scene, felt: &Felt, span: Span) -> Option<&'static str> {
    let node = felt.node?;
    let mut settled = Span { ..span };
    settled.to = SimMicros(span.to.0.saturating_sub(WRITTEN_WITHIN_MS * 1_000));
    let (mut wrote, mut was_to_write) = (false, false);
    for record in &scene.case.history.records {
        if let Happening::Durable { node: of, .. } = record.what {
            wrote |= of == node && span.holds(record.at);
            was_to_write |= of != node && settled.holds(record.at);
        }
    }
    let apart = span.is_mostly_in(&silence_of(scene, felt, node));
    granted(
        !wrote && (!was_to_write || apart),
        "the node wrote nothing in that time",
    )
}

/// A leader looks when it stamps an entry, and a node whose HTTP runs when it is asked. Where none runs, there are no
/// viewers either.
fn had_no_look(scene: &Scene, felt: &Felt, span: Span) -> Option<&'static str> {
    let node = felt.node?;
    let down = scene.downtimes_of(node);
    let asked = !scene.case.plan.viewers.is_empty() && was_asked(scene, node, span, &down);
    let nobody = span.is_mostly_in(&down) || (!asked && !stamped(scene, node, span));
    granted(nobody, "nobody looked at the clock in that time")
}

fn stamped(scene: &Scene, node: NodeIndex, span: Span) -> bool {
    scene.case.history.records.iter().any(|record| {
        let of_node = match &record.what {
            Happening::Durable { node: of, entry } => *of == node && !entry.body.is_empty(),
            _ => false,
        };
        of_node && span.holds(record.at) && scene.leader_at(record.at) == node
    })
}

fn was_asked(scene: &Scene, node: NodeIndex, span: Span, down: &[Span]) -> bool {
    let up = |at: SimMicros| span.holds(at) && !down.iter().any(|down| down.holds(at));
    let mut asked = scene.case.asked.iter();
    asked.any(|asked| asked.operation.endpoint == node && up(asked.invoked.at))
}

fn led_already(scene: &Scene, to: NodeIndex, span: Span) -> Option<&'static str> {
    let won = scene
        .leads
        .iter()
        .any(|(at, leader, _)| *leader == to && span.holds(*at));
    granted(won || scene.leader_at(span.from) == to, "the node led already")
}

/// An operator asks again and again, but one attempt in vain takes its time: half of the fault's must have been good.
fn could_not_lead(scene: &Scene, felt: &Felt, to: NodeIndex, span: Span) -> Option<&'static str> {
    let mut apart = silence_of(scene, felt, to);
    apart.extend(scene.times_without_ready_leader(felt));
    apart.extend(scene.times_too_slow(felt, span));
    granted(
        span.is_half_in(&apart),
        "no quorum was there to agree for most of that time",
    )
}

/// Two of three must agree, and the third is the one that leaves: so both of the others. Of five, three of the four.
fn could_not_leave(scene: &Scene, felt: &Felt, span: Span) -> Option<&'static str> {
    let mut apart = scene.times_without_ready_leader(felt);
    apart.extend(scene.times_too_slow(felt, span));
    let others = usize::from(scene.case.plan.knobs.nodes).saturating_sub(1);
    apart.extend(scene.times_with_at_most(others / 2));
    for node in scene
        .nodes()
        .filter(|node| Some(*node) != felt.node && others <= 2)
    {
        apart.extend(scene.downtimes_of(node));
        apart.extend(scene.times_cut_off(node, felt));
        apart.extend(scene.times_with_a_bad_disk(node));
    }
    granted(
        span.is_half_in(&apart),
        "no quorum was there to agree for most of that time",
    )
}

fn was_unknown(scene: &Scene, slot: EventSlot, span: Span) -> Option<&'static str> {
    let known = scene.case.asked.iter().any(|asked| {
        let of_slot = matches!(asked.operation.action, Action::CreateEvent { slot: of, .. } if of == slot);
        let created =
            |at: SimMicros, answer: &Answer| at <= span.from && matches!(answer, Answer::EventCreated { .. });
        of_slot
            && asked
                .answered
                .is_some_and(|(moment, answer)| created(moment.at, answer))
    });
    granted(!known, "nobody knew of the event yet")
}

fn nobody_served(scene: &Scene, felt: &Felt, span: Span) -> Option<&'static str> {
    granted(
        span.is_mostly_in(&scene.times_without_ready_leader(felt)),
        "nobody led who could have answered for most of that time",
    )
}

#[cfg(test)]
mod tests;
