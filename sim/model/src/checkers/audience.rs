//! What the audience saw: on every stream, across reconnects and from whichever node, versions and totals never go back,
//! totals are those of their version and never more, each tally starts where the viewer was, and the final result is
//! final. After the storm every viewer catches up, and where there is none every viewer is always up to date.

mod in_time;

use std::collections::BTreeMap;

use ostraka_core::{EventId, LogIndex};

use super::Report;
use crate::case::Case;
use crate::history::{Answer, Happening, Life, Sight, Standings, Status};
use crate::ids::{NodeIndex, SimMicros, ViewerIndex};
use crate::plan::Viewer;

/// Milliseconds in which a connected viewer must have what is committed: a tally at most every 50 ms, a follower that
/// learns of a commit with the next heartbeat, and slow links.
const CATCH_UP_MS: u64 = 1_500;

/// Milliseconds of silence after which a viewer takes its connection for dead, if the node went without a word (its power
/// did): somewhat longer than the stream's signs of life are apart, 10 s.
const SILENCE_MS: u64 = 12_000;

/// Milliseconds in which a viewer who knows that its connection is gone has another one.
const RECONNECT_MS: u64 = 3_000;

/// What one viewer knows.
#[derive(Debug, Default)]
struct Viewed {
    /// Over all connections.
    version: Option<u64>,
    status: Option<Status>,
    totals: Vec<Option<u64>>,
    is_final: bool,
    /// Of this connection: since when it tells, and the version told last.
    told: Option<(SimMicros, u64)>,
    /// The node that it is connected to, and since when.
    connected: Option<(NodeIndex, SimMicros)>,
    /// It found out then that a connection was dead whose node had lost its power.
    freed_at: Option<SimMicros>,
    /// It lost its connection then and has been told nothing since, connected again or not.
    away_since: Option<SimMicros>,
}

impl Viewed {
    /// It has just come, or has just lost its connection, or cannot know yet that nobody will speak on it again, or has just
    /// found that out. In the storm it may have been away for long.
    fn has_time_left(&self, case: &Case, came: SimMicros, storm_over: SimMicros) -> bool {
        let never_told = self.version.is_none().then_some(came);
        if let Some(since) = self.away_since.or(never_told)
            && case.end < since.max(storm_over).plus_ms(RECONNECT_MS)
        {
            return true;
        }
        if self
            .freed_at
            .is_some_and(|freed| case.end < freed.plus_ms(RECONNECT_MS))
        {
            return true;
        }
        let silent_since = self
            .connected
            .and_then(|(node, since)| power_lost(case, node, since));
        silent_since.is_some_and(|lost| case.end < lost.plus_ms(SILENCE_MS + RECONNECT_MS))
    }
}

/// When the node last lost its power since then: whoever was connected to it hears no more, and no end.
fn power_lost(case: &Case, node: NodeIndex, since: SimMicros) -> Option<SimMicros> {
    let lost = case.history.records.iter().rev().find(|record| {
        let what = &record.what;
        record.at >= since
            && matches!(what, Happening::Node { node: of, life: Life::LostPower { .. } } if *of == node)
    });
    lost.map(|record| record.at)
}

pub(super) fn check(case: &Case, report: &mut Report) {
    let mut viewers: BTreeMap<ViewerIndex, Viewed> = BTreeMap::new();
    for (place, record) in case.history.records.iter().enumerate() {
        let Happening::Saw { viewer, sight } = &record.what else {
            continue;
        };
        let is_planned = case.plan.viewers.iter().any(|planned| planned.viewer == *viewer);
        report.safe(is_planned, place, || {
            format!("viewer {} saw something, and the plan has none such", viewer.0)
        });
        let viewed = viewers.entry(*viewer).or_default();
        let mut look = Look {
            case,
            report,
            place,
            at: record.at,
            viewer: *viewer,
        };
        look.at_sight(viewed, sight);
    }
    in_time::each_change_is_shown(case, report);
    if case.storm_over.is_some() && case.log.is_whole {
        everyone_catches_up(case, report, &viewers);
    }
}

/// One sight being judged.
struct Look<'c, 'a> {
    case: &'c Case<'a>,
    report: &'c mut Report,
    place: usize,
    at: SimMicros,
    viewer: ViewerIndex,
}

impl Look<'_, '_> {
    fn holds(&mut self, holds: bool, sentence: impl FnOnce() -> String) {
        let viewer = self.viewer.0;
        self.report
            .safe(holds, self.place, || format!("viewer {viewer} {}", sentence()));
    }

    fn at_sight(&mut self, viewed: &mut Viewed, sight: &Sight) {
        match sight {
            Sight::Connected { node, resumed_from } => {
                viewed.connected = Some((*node, self.at));
                let known = viewed.version;
                self.holds(*resumed_from == known, || {
                    format!("asked to go on from {resumed_from:?}, and had seen {known:?}")
                });
                viewed.told = None;
            }
            Sight::Disconnected => {
                viewed.told = None;
                if let Some((node, since)) = viewed.connected.take()
                    && power_lost(self.case, node, since).is_some()
                {
                    viewed.freed_at = Some(self.at);
                }
                viewed.away_since.get_or_insert(self.at);
            }
            Sight::Snapshot(standings) => {
                self.holds(viewed.told.is_none(), || {
                    format!(
                        "got a second snapshot on one connection, at version {}",
                        standings.version
                    )
                });
                viewed.told = Some((self.at, standings.version));
                self.moves_on(viewed, standings);
            }
            Sight::Closed(standings) => {
                self.holds(standings.status == Status::Closed, || {
                    format!("got a final result that says {:?}", standings.status)
                });
                let told = viewed.told.map(|(_, version)| version);
                self.holds(told == Some(standings.version), || {
                    format!(
                        "got the final result of version {} after version {told:?}",
                        standings.version
                    )
                });
                self.moves_on(viewed, standings);
                viewed.is_final = true;
            }
            Sight::Tally {
                event,
                status,
                version,
                previous_version,
                totals,
            } => {
                let now = Standings {
                    event: *event,
                    status: *status,
                    version: *version,
                    totals: viewed.totals.clone(),
                };
                self.at_tally(viewed, *previous_version, now, totals);
            }
        }
    }

    /// `now` has the totals that the viewer had before, and `changed` those that are others now.
    fn at_tally(&mut self, viewed: &mut Viewed, previous: u64, mut now: Standings, changed: &[(u16, u64)]) {
        let told = viewed.told.map(|(_, version)| version);
        let version = now.version;
        self.holds(told.is_some_and(|told| told < version), || {
            format!("got a tally of version {version} after version {told:?} on one connection")
        });
        self.holds(previous == 0 || Some(previous) == told, || {
            format!("got what changed since version {previous}, and had been told {told:?}: a gap")
        });
        viewed.told = viewed.told.map(|(since, _)| (since, version));
        for (contestant, total) in changed {
            match now.totals.get_mut(usize::from(*contestant)) {
                Some(known) => *known = Some(*total),
                None => self.holds(false, || {
                    format!("got a total of contestant {contestant}, whom the snapshot did not name")
                }),
            }
        }
        self.moves_on(viewed, &now);
    }

    /// The viewer has these standings now.
    fn moves_on(&mut self, viewed: &mut Viewed, now: &Standings) {
        viewed.away_since = None;
        let (version, status) = (viewed.version, viewed.status);
        self.holds(version <= Some(now.version), || {
            format!("was at version {version:?} and was shown version {}", now.version)
        });
        self.holds(status <= Some(now.status), || {
            format!("saw the event {status:?} and then {:?}", now.status)
        });
        let back = viewed
            .totals
            .iter()
            .zip(&now.totals)
            .position(|(before, after)| before > after);
        self.holds(back.is_none(), || {
            format!(
                "saw the total of contestant {} go back at version {}",
                back.unwrap_or_default(),
                now.version
            )
        });
        let still_final = !viewed.is_final || version == Some(now.version);
        self.holds(still_final, || {
            format!(
                "was told the final result at {version:?} and then version {}",
                now.version
            )
        });
        if self.case.knows(now.version) {
            let planned = self
                .case
                .plan
                .viewers
                .iter()
                .find(|planned| planned.viewer == self.viewer);
            let truth = planned
                .and_then(|planned| self.case.event_of_slot(planned.slot))
                .filter(|event| event.id == now.event)
                .and_then(|event| event.standings_at(now.version));
            self.holds(truth.as_ref() == Some(now), || {
                let truth = truth.as_ref().map(|truth| (truth.status, &truth.totals));
                format!(
                    "has {:?} {:?} of {} at version {}, and the truth is {truth:?}",
                    now.status, now.totals, now.event, now.version
                )
            });
        }
        viewed.version = viewed.version.max(Some(now.version));
        viewed.status = viewed.status.max(Some(now.status));
        viewed.totals = now.totals.clone();
    }
}

/// Since when a client has known the event's id: before, nobody could ask for its stream.
fn known_since(case: &Case, wanted: EventId) -> Option<SimMicros> {
    let told = case.asked.iter().filter_map(|asked| match asked.answered {
        Some((moment, Answer::EventCreated { event })) if *event == wanted => Some(moment.at),
        _ => None,
    });
    told.min()
}

/// What is this old when a run ends early was there when the run looked whether it may end.
const LAST_LOOK_MS: u64 = 300;

/// Viewers who had not seen how it stood when the run ended: only when all have may it end before its time. If it went on to
/// its end, those who came after the storm and saw nothing at all, though others had what there was in that time.
pub(crate) fn left_behind(case: &Case) -> Vec<ViewerIndex> {
    if !case.log.is_whole {
        return Vec::new();
    }
    let knobs = &case.plan.knobs;
    let is_cut_short = case.end < knobs.storm_ms.plus(knobs.heal_ms).micros();
    let seen = in_time::shown(case);
    let last_look = SimMicros(case.end.0.saturating_sub(LAST_LOOK_MS * 1_000));
    let is_behind = |planned: &&Viewer| {
        let Some(event) = case.event_of_slot(planned.slot) else {
            return false;
        };
        let Some(known) = known_since(case, event.id).filter(|known| *known <= last_look) else {
            return false;
        };
        let last = seen.get(&planned.viewer).and_then(|seen| seen.last());
        let came = known.max(planned.from_ms.micros());
        let is_blind = planned.from_ms >= knobs.storm_ms && last.is_none();
        let must_see = is_cut_short || is_blind && came.plus_ms(CATCH_UP_MS) <= case.end;
        let was_there = |version: &&u64| {
            case.durable_at(LogIndex(**version))
                .is_some_and(|durable| durable <= last_look)
        };
        let due = event.versions.keys().rev().find(was_there);
        must_see && due.is_some_and(|due| last.is_none_or(|(_, version)| version < due))
    };
    let behind = case.plan.viewers.iter().filter(is_behind);
    behind.map(|planned| planned.viewer).collect()
}

/// Whoever has had the time for it has seen all that was there a moment ago: connected or not, and whether it has ever
/// been told anything.
fn everyone_catches_up(case: &Case, report: &mut Report, viewers: &BTreeMap<ViewerIndex, Viewed>) {
    let Some(storm_over) = case.storm_over else { return };
    let nothing = Viewed::default();
    let quiet_since = SimMicros(case.end.0.saturating_sub(CATCH_UP_MS * 1_000));
    for planned in &case.plan.viewers {
        let Some(event) = case.event_of_slot(planned.slot) else {
            continue;
        };
        let Some(known) = known_since(case, event.id) else {
            continue;
        };
        let came = known.max(planned.from_ms.micros());
        let viewed = viewers.get(&planned.viewer).unwrap_or(&nothing);
        if viewed.has_time_left(case, came, storm_over.at) {
            continue;
        }
        let was_there = |version: &&u64| {
            case.durable_at(LogIndex(**version))
                .is_some_and(|durable| durable <= quiet_since)
        };
        let due = event.versions.keys().rev().find(was_there).copied();
        let seen = viewed.version;
        let viewer = planned.viewer.0;
        report.lively(seen >= due, None, || format!("viewer {viewer} of {} is at version {seen:?} at the end, and version {due:?} was there for long", event.id));
        let closed_long_ago = event.closed.is_some_and(|closed| Some(closed.index.0) <= due);
        report.lively(viewed.is_final || !closed_long_ago, None, || {
            format!("viewer {viewer} was never told that {} is closed", event.id)
        });
    }
}
