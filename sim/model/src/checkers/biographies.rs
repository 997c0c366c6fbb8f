//! Vote biographies: acknowledged ⊆ counted ⊆ submitted; each voter at most once an event; each submission one key, one
//! vote id and one outcome, however often it was sent and through whichever node.

mod crowd;

use std::collections::BTreeMap;

use ostraka_core::{EventId, NewContestant, SubmissionKey, UnixMs, VoterNumber};

use super::Report;
use crate::case::{Asked, Case, Submission};
use crate::history::{Answer, VoteStatus};
use crate::ids::{EventSlot, FaultId, SimMicros, SimMs, SubmissionTag};
use crate::lives::{self, Felt};
use crate::names;
use crate::oracle::{EventTruth, Ruling, VoteTruth};
use crate::plan::{Action, FaultKind};

/// What clients were told of one submission first.
struct Told<'a> {
    vote_id: &'a str,
    status: VoteStatus,
}

pub(super) fn check(case: &Case, report: &mut Report) {
    each_operation_is_told_once(case, report);
    each_submission_has_one_outcome(case, report);
    crowd::each_is_told_the_truth(case, report);
    each_key_is_of_one_submission(case, report);
    each_vote_id_is_of_its_own_vote(case, report);
    each_voter_counts_once(case, report);
    counted_votes_were_submitted(case, report);
    each_slot_is_one_event(case, report);
    each_event_is_as_asked_for(case, report);
}

fn each_operation_is_told_once(case: &Case, report: &mut Report) {
    for (moment, operation) in &case.out_of_turn {
        report.safe(false, *moment, || {
            format!("operation {} was sent or answered out of its turn", operation.0)
        });
    }
}

fn each_submission_has_one_outcome(case: &Case, report: &mut Report) {
    let mut told: BTreeMap<SubmissionTag, Told> = BTreeMap::new();
    let mut owners: BTreeMap<&str, SubmissionTag> = BTreeMap::new();
    for (asked, Submission { tag, .. }) in case.submissions() {
        let Some((moment, Answer::Vote { vote_id, status })) = asked.answered else {
            continue;
        };
        let first = told.entry(tag).or_insert(Told {
            vote_id,
            status: *status,
        });
        let (first_id, first_status) = (first.vote_id, first.status);
        report.safe(first_id == vote_id && first_status == *status, moment, || {
            format!("submission {} was told {first_status:?} as {first_id}, and on a retry {status:?} as {vote_id}", tag.0)
        });
        let owner = *owners.entry(vote_id).or_insert(tag);
        report.safe(owner == tag, moment, || {
            format!(
                "vote id {vote_id} was given to submission {} and to submission {}",
                owner.0, tag.0
            )
        });
        if let Some((_, verdict)) = case.first_record(tag) {
            report.safe(verdict == *status, moment, || {
                format!(
                    "submission {} was told {status:?}, and the log says {verdict:?}",
                    tag.0
                )
            });
        }
    }
    for tag in case.records.keys() {
        let keys = case.keys(*tag);
        report.safe(keys.len() == 1, None, || {
            format!(
                "submission {} has {} keys in the log: its retries were taken for other submissions",
                tag.0,
                keys.len()
            )
        });
    }
}

/// Who shares a key with another submission of the same voter is told what became of that one, and is never counted.
fn each_key_is_of_one_submission(case: &Case, report: &mut Report) {
    let mut owners: BTreeMap<(EventId, VoterNumber, SubmissionKey), SubmissionTag> = BTreeMap::new();
    for (tag, records) in &case.records {
        for VoteTruth { vote, position, .. } in records {
            let key = (vote.event, vote.voter, vote.key);
            let owner = *owners.entry(key).or_insert(*tag);
            report.safe(owner == *tag, None, || {
                format!(
                    "submission {} stands at entry {} under the key of submission {}: it was taken for a retry of that one",
                    tag.0, position.index, owner.0
                )
            });
        }
    }
}

/// The log says whose an id is, also where nobody else was ever told it.
fn each_vote_id_is_of_its_own_vote(case: &Case, report: &mut Report) {
    for (asked, Submission { slot, tag, .. }) in case.submissions() {
        let Some((moment, Answer::Vote { vote_id, .. })) = asked.answered else {
            continue;
        };
        let (Some(event), Some((position, _)), Some(told)) = (
            case.event_of_slot(slot),
            case.first_record(tag),
            names::place_of_vote_id(vote_id),
        ) else {
            continue;
        };
        report.safe(told == (event.id, position), moment, || {
            let (of, at) = told;
            format!(
                "submission {} stands at entry {}, command {}, of {}, and was told the id of command {} of entry {} of {of}",
                tag.0, position.index, position.offset, event.id, at.offset, at.index
            )
        });
    }
}

fn each_voter_counts_once(case: &Case, report: &mut Report) {
    let mut counted: BTreeMap<(EventSlot, VoterNumber), SubmissionTag> = BTreeMap::new();
    for (asked, Submission { slot, voter, tag, .. }) in case.submissions() {
        let Some((
            moment,
            Answer::Vote {
                status: VoteStatus::Processed,
                ..
            },
        )) = asked.answered
        else {
            continue;
        };
        let first = *counted.entry((slot, voter)).or_insert(tag);
        report.safe(first == tag, moment, || {
            format!(
                "voter {} was told of slot {} that submission {} counts, and that submission {} does",
                voter.0, slot.0, first.0, tag.0
            )
        });
    }
}

fn counted_votes_were_submitted(case: &Case, report: &mut Report) {
    let overloads = overloads(case);
    for vote in &case.oracle.votes {
        let counts = vote.ruling == Ruling::First(VoteStatus::Processed);
        report.safe(was_submitted(case, &overloads, vote), None, || {
            let voter = vote.vote.voter.0;
            let counted = if counts { "counts" } else { "is recorded" };
            format!(
                "a vote of voter {voter} {counted} at entry {}, and nobody submitted it",
                vote.position.index
            )
        });
    }
    for (asked, Submission { tag, .. }) in case.submissions() {
        let Some((moment, Answer::Refused { code, .. })) = asked.answered else {
            continue;
        };
        let made = case.records.get(&tag).into_iter().flatten().find(|vote| {
            let by = vote.vote.trace.and_then(names::operation_of_trace);
            by == Some(asked.operation.id) && matches!(vote.ruling, Ruling::First(_))
        });
        report.safe(made.is_none(), moment, || {
            format!(
                "submission {} was refused as {code}, and that very request is in the log",
                tag.0
            )
        });
    }
}

fn was_submitted(case: &Case, overloads: &BTreeMap<FaultId, Overload>, vote: &VoteTruth) -> bool {
    if let Some((fault, place)) = names::overload_of_voter(vote.vote.voter) {
        return overloads
            .get(&fault)
            .is_some_and(|overload| overload.submits(case, vote, place));
    }
    let asked = vote
        .vote
        .trace
        .and_then(names::operation_of_trace)
        .and_then(|operation| case.asked(operation));
    let Some(asked) = asked else { return false };
    let Action::Submit {
        slot,
        voter,
        contestant,
        tag,
    } = asked.operation.action
    else {
        return false;
    };
    is_in_event(case, vote, slot)
        && voter == vote.vote.voter
        && contestant == vote.vote.contestant.0
        && vote.vote.client_timestamp == Some(names::client_timestamp(tag))
        && is_not_older(case, vote, asked.invoked.at)
}

/// An event that the log has not made is in no slot, and a vote in it counts nowhere.
fn is_in_event(case: &Case, vote: &VoteTruth, slot: EventSlot) -> bool {
    case.event(vote.vote.event)
        .is_none_or(|event| event.slot == Some(slot))
}

/// No disk held the vote's record before it can have been sent.
fn is_not_older(case: &Case, vote: &VoteTruth, sent: SimMicros) -> bool {
    let entry = case.log.entries.get(&vote.position.index.0);
    entry
        .and_then(|entry| case.disks.first_at(entry))
        .is_none_or(|at| at >= sent)
}

/// A crowd that the plan sends, and since when.
struct Overload {
    slot: EventSlot,
    submissions: u32,
    began: SimMicros,
}

impl Overload {
    /// Whether `vote` is what the crowd's voter at `place` submits.
    fn submits(&self, case: &Case, vote: &VoteTruth, place: u32) -> bool {
        place < self.submissions
            && vote.vote.contestant == names::OVERLOAD_CONTESTANT
            && is_in_event(case, vote, self.slot)
            && is_not_older(case, vote, self.began)
    }
}

/// The plan's overloads that began.
fn overloads(case: &Case) -> BTreeMap<FaultId, Overload> {
    let overload = |felt: &Felt| match felt.fault.kind {
        FaultKind::Overload {
            slot, submissions, ..
        } => Some((
            felt.fault.id,
            Overload {
                slot,
                submissions,
                began: felt.began?,
            },
        )),
        _ => None,
    };
    lives::felt(case).iter().filter_map(overload).collect()
}

fn each_slot_is_one_event(case: &Case, report: &mut Report) {
    let mut events: BTreeMap<EventSlot, _> = BTreeMap::new();
    for event in case.oracle.events.values() {
        let Some(slot) = event.slot else { continue };
        let first = *events.entry(slot).or_insert(event.id);
        report.safe(first == event.id, None, || {
            format!(
                "slot {} was created twice, as {first} and as {}",
                slot.0, event.id
            )
        });
    }
    for asked in &case.asked {
        let Action::CreateEvent { slot, .. } = asked.operation.action else {
            continue;
        };
        let Some((moment, Answer::EventCreated { event })) = asked.answered else {
            continue;
        };
        let first = *events.entry(slot).or_insert(*event);
        report.safe(first == *event, moment, || {
            format!(
                "slot {} was created as {first}, and a client was told {event}",
                slot.0
            )
        });
    }
}

/// Each event of the log is one of the plan's, and as its creation asked for it. Had the service stored another closing,
/// all that follows from the log would agree with that one.
fn each_event_is_as_asked_for(case: &Case, report: &mut Report) {
    for event in case.oracle.events.values() {
        let (id, entry) = (event.id, event.created.index);
        let Some(slot) = event.slot else {
            report.safe(false, None, || {
                format!("{id} was created by entry {entry}, and no operation asks for any such event")
            });
            continue;
        };
        let asked: Vec<&Asked> = case
            .asked
            .iter()
            .filter(
                |asked| matches!(asked.operation.action, Action::CreateEvent { slot: of, .. } if of == slot),
            )
            .collect();
        let is_one = asked
            .iter()
            .any(|asked| Wanted::of(case, &asked.operation.action) == Some(Wanted::as_in_log(event)));
        report.safe(is_one || asked.is_empty(), None, || {
            let wanted = asked
                .first()
                .and_then(|asked| Wanted::of(case, &asked.operation.action));
            format!(
                "{id} was created by entry {entry} as {:?}, and its client asked for {wanted:?}",
                Wanted::as_in_log(event)
            )
        });
    }
}

fn contestant(place: u16) -> NewContestant {
    NewContestant {
        name: names::contestant_name(place),
        description: String::new(),
        image_url: String::new(),
    }
}

/// What a creation asks for, by the clock of the log.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    owner: VoterNumber,
    contestants: Vec<NewContestant>,
    opens_at: Option<UnixMs>,
    closes_at: Option<UnixMs>,
    after_close: bool,
    is_canary: bool,
}

impl Wanted {
    /// None if `action` creates nothing, or if it is not known when the run began.
    fn of(case: &Case, action: &Action) -> Option<Self> {
        let Action::CreateEvent {
            contestants,
            opens_at_ms,
            closes_at_ms,
            after_close,
            ..
        } = action
        else {
            return None;
        };
        let (_, began) = case.formed?;
        let moment = |at: &SimMs| UnixMs(began.0.saturating_add(at.0));
        Some(Wanted {
            owner: names::OWNER,
            contestants: (0..*contestants).map(contestant).collect(),
            opens_at: opens_at_ms.as_ref().map(moment),
            closes_at: closes_at_ms.as_ref().map(moment),
            after_close: *after_close,
            is_canary: false,
        })
    }

    fn as_in_log(event: &EventTruth) -> Self {
        Wanted {
            owner: event.owner,
            contestants: event.contestants.clone(),
            opens_at: event.opens_at,
            closes_at: event.closes_at,
            after_close: event.after_close,
            is_canary: event.is_canary,
        }
    }
}
