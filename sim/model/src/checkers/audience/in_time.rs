//! Where nothing is wrong, each viewer has each change soon after it is durable, and not only at the end.

use std::collections::BTreeMap;

use ostraka_core::LogIndex;

use super::super::Report;
use super::{CATCH_UP_MS, RECONNECT_MS, known_since};
use crate::case::Case;
use crate::history::{Happening, Sight};
use crate::ids::{SimMicros, ViewerIndex};

pub(super) fn each_change_is_shown(case: &Case, report: &mut Report) {
    if !case.is_undisturbed() || !case.log.is_whole {
        return;
    }
    let shown = shown(case);
    for planned in &case.plan.viewers {
        // Totals that are hidden until the close do not change before it.
        let event = case
            .event_of_slot(planned.slot)
            .filter(|event| !event.after_close);
        let Some((event, known)) = event.and_then(|event| Some((event, known_since(case, event.id)?))) else {
            continue;
        };
        let came = known.max(planned.from_ms.micros());
        let seen = shown.get(&planned.viewer).map_or(&[][..], Vec::as_slice);
        for version in event.versions.keys().copied() {
            let Some(durable) = case.durable_at(LogIndex(version)) else {
                continue;
            };
            let due = durable.plus_ms(CATCH_UP_MS).max(came.plus_ms(RECONNECT_MS));
            if due > case.end {
                continue;
            }
            let first = seen.partition_point(|(_, shown)| *shown < version);
            let at = seen.get(first).map(|(at, _)| *at);
            report.lively(at.is_some_and(|at| at <= due), None, || {
                let viewer = planned.viewer.0;
                format!(
                    "nothing disturbed the cluster, and viewer {viewer} of {} had version {version} at {at:?}, due at {due:?}",
                    event.id
                )
            });
        }
    }
}

/// By viewer: when it first had which newest version.
pub(super) fn shown(case: &Case) -> BTreeMap<ViewerIndex, Vec<(SimMicros, u64)>> {
    let mut shown: BTreeMap<ViewerIndex, Vec<(SimMicros, u64)>> = BTreeMap::new();
    for record in &case.history.records {
        let Happening::Saw { viewer, sight } = &record.what else {
            continue;
        };
        let version = match sight {
            Sight::Snapshot(standings) | Sight::Closed(standings) => standings.version,
            Sight::Tally { version, .. } => *version,
            Sight::Connected { .. } | Sight::Disconnected => continue,
        };
        let seen = shown.entry(*viewer).or_default();
        if seen.last().is_none_or(|(_, newest)| *newest < version) {
            seen.push((record.at, version));
        }
    }
    shown
}
