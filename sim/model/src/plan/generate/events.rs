//! The events of a plan: when each is created, opened and closed.

use super::Draw;
use crate::ids::{EventSlot, SimMs};
use crate::plan::{Action, Knobs, Profile};

/// What happens to one event, in milliseconds from the start of the run.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) slot: EventSlot,
    pub(super) contestants: u16,
    pub(super) after_close: bool,
    pub(super) created_at: u64,
    /// By schedule.
    pub(super) opens_at: Option<u64>,
    pub(super) closes_at: Option<u64>,
    pub(super) opened_by_hand_at: Option<u64>,
    pub(super) closed_by_hand_at: Option<u64>,
    /// Votes come thick and fast around the closing.
    pub(super) races_close: bool,
}

impl Script {
    pub(super) fn creation(&self) -> Action {
        Action::CreateEvent {
            slot: self.slot,
            contestants: self.contestants,
            opens_at_ms: self.opens_at.map(SimMs),
            closes_at_ms: self.closes_at.map(SimMs),
            after_close: self.after_close,
        }
    }

    /// When it should close first, if it should.
    pub(super) fn closing_at(&self) -> Option<u64> {
        [self.closes_at, self.closed_by_hand_at]
            .into_iter()
            .flatten()
            .min()
    }
}

pub(super) fn scripts(draw: &mut Draw, profile: Profile, knobs: &Knobs) -> Vec<Script> {
    let count = draw.between(1, 3) as u8;
    (0..count)
        .map(|slot| script(draw, profile, knobs, EventSlot(slot)))
        .collect()
}

fn script(draw: &mut Draw, profile: Profile, knobs: &Knobs, slot: EventSlot) -> Script {
    let storm_ms = knobs.storm_ms.0;
    let created_at = if slot.0 == 0 {
        50
    } else {
        draw.between(50, storm_ms / 4)
    };
    let scheduled_opening = draw.percent(profile.scheduled_percent() / 2);
    let scheduled_closing = draw.percent(profile.scheduled_percent());
    let opens_at = scheduled_opening.then(|| created_at + draw.between(300, 2_500));
    let opened_by_hand = opens_at.is_some() && draw.percent(30);
    // A client that waited long creates the event long after it wanted to, and a closing in the past is refused.
    let closes_at = scheduled_closing.then(|| draw.between(storm_ms / 2, storm_ms - 500));
    let by_hand_percent = if closes_at.is_some() { 20 } else { 70 };
    let closed_by_hand = draw.percent(by_hand_percent);
    Script {
        slot,
        contestants: draw.between(2, 5) as u16,
        after_close: draw.percent(25),
        created_at,
        opens_at,
        closes_at,
        opened_by_hand_at: opens_at
            .filter(|_| opened_by_hand)
            .map(|at| at - draw.between(0, 250)),
        closed_by_hand_at: closed_by_hand.then(|| draw.between(storm_ms / 3, storm_ms - 300)),
        races_close: draw.percent(profile.close_race_percent()),
    }
}
