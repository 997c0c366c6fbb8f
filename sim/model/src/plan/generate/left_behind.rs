//! A node that misses how an event ends: it is cut off before the closing, a crowd votes in another event, and by the time
//! it is back the log that it lacks is purged. What it learns of the first it learns from a snapshot alone, for no later
//! entry is about it, and whoever watches it there must learn it too.

use super::events::Script;
use super::{Draw, any_node};
use crate::ids::{EventSlot, FaultId, NodeIndex, SimMs};
use crate::plan::{Fault, FaultKind, Knobs, Profile, Target};

/// In percent of the plans in which it can happen.
const PERCENT: u64 = 40;
/// Before it somebody has mostly begun to watch.
const CLOSING_MS_MIN: u64 = 1_800;
/// From cutting off to the closing, at most.
const CUT_BEFORE_MS_MAX: u64 = 800;

pub(super) struct LeftBehind {
    pub(super) faults: Vec<Fault>,
    /// Who watches what from where, all the time.
    pub(super) slot: EventSlot,
    pub(super) node: NodeIndex,
    pub(super) watched_from_ms: SimMs,
}

/// `None` where logs are not purged, where nothing closes in time, where there is no other event to vote in (open or not: what
/// is rejected stands in the log as well), and often.
pub(super) fn draw(
    draw: &mut Draw,
    profile: Profile,
    knobs: &Knobs,
    scripts: &[Script],
) -> Option<LeftBehind> {
    if knobs.log_keep_entries.is_none() || profile == Profile::Calm || !draw.percent(PERCENT) {
        return None;
    }
    let node = any_node(draw, knobs);
    let back_after_ms = draw.between(1_700, 2_500);
    let in_time = |script: &&Script| {
        let last_ms = knobs.storm_ms.0 - 2 - back_after_ms;
        let closing = script.closing_at();
        closing.is_some_and(|closing| (CLOSING_MS_MIN..=last_ms).contains(&closing))
    };
    let script = scripts.iter().find(in_time)?;
    let closing = script.closing_at()?;
    let other = scripts.iter().find(|other| other.slot != script.slot)?;
    let cut_at_ms = closing - draw.between(50, CUT_BEFORE_MS_MAX);
    let crowd_after_ms = draw.between(50, 300);
    let fault = |at_ms, for_ms, kind| Fault {
        id: FaultId(0),
        at_ms: SimMs(at_ms),
        for_ms: SimMs(for_ms),
        kind,
    };
    let cut = fault(
        cut_at_ms,
        closing + back_after_ms - cut_at_ms,
        FaultKind::Isolate {
            target: Target::Node(node),
        },
    );
    // Few at a time, so that each entry has few of them and the entries are many.
    let crowd = fault(
        closing + crowd_after_ms,
        back_after_ms - crowd_after_ms,
        FaultKind::Overload {
            slot: other.slot,
            clients: draw.between(2, 5) as u16,
            submissions: draw.between(150, 300) as u32,
        },
    );
    Some(LeftBehind {
        faults: vec![cut, crowd],
        slot: script.slot,
        node,
        watched_from_ms: SimMs(script.created_at + 50),
    })
}
