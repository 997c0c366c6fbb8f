//! The numbers that stand for variants in stored bytes. A number once given is never given again.

use super::CodecError;
use crate::outcome::{EventRefusal, RejectReason, VoteVerdict};
use crate::terms::{EventKind, EventStatus, ResultsPolicy};

/// A table of (number, value), each of both once.
pub(crate) type Codes<T> = [(u8, T)];

pub(crate) const KIND_CODES: &Codes<EventKind> = &[(1, EventKind::Public), (2, EventKind::Canary)];

pub(crate) const RESULTS_CODES: &Codes<ResultsPolicy> =
    &[(1, ResultsPolicy::Live), (2, ResultsPolicy::AfterClose)];

pub(crate) const STATUS_CODES: &Codes<EventStatus> = &[
    (1, EventStatus::Scheduled),
    (2, EventStatus::Open),
    (3, EventStatus::Closed),
];

pub(crate) const VERDICT_CODES: &Codes<VoteVerdict> = &[
    (1, VoteVerdict::Processed),
    (2, VoteVerdict::Duplicate),
    (16, VoteVerdict::Rejected(RejectReason::EventNotOpen)),
    (17, VoteVerdict::Rejected(RejectReason::EventClosed)),
];

pub(crate) const REFUSAL_CODES: &Codes<EventRefusal> = &[
    (1, EventRefusal::EventNotFound),
    (2, EventRefusal::NotTheOwner),
    (3, EventRefusal::AlreadyClosed),
    (4, EventRefusal::TooManyEvents),
    (5, EventRefusal::ScheduleImpossible),
    (6, EventRefusal::OutsideLimits),
    (7, EventRefusal::OwnerHasTooManyEvents),
    (8, EventRefusal::OwnerEventsTooLarge),
    (9, EventRefusal::EventsTooLarge),
];

/// # Panics
/// If a variant was added without giving it a number, which the test below finds first.
pub(crate) fn code_of<T: Copy + PartialEq>(codes: &Codes<T>, value: T) -> u8 {
    codes
        .iter()
        .find(|(_, known)| *known == value)
        .expect("every variant has a number")
        .0
}

pub(crate) fn value_of<T: Copy>(codes: &Codes<T>, what: &'static str, found: u8) -> Result<T, CodecError> {
    let known = codes.iter().find(|(code, _)| *code == found);
    known
        .map(|(_, value)| *value)
        .ok_or(CodecError::UnknownCode { what, found })
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    /// Fails to compile when a variant is added here and not to `all`.
    fn verdicts() -> Vec<VoteVerdict> {
        let all = [
            VoteVerdict::Processed,
            VoteVerdict::Duplicate,
            VoteVerdict::Rejected(RejectReason::EventNotOpen),
            VoteVerdict::Rejected(RejectReason::EventClosed),
        ];
        for verdict in all {
            match verdict {
                VoteVerdict::Processed | VoteVerdict::Duplicate => (),
                VoteVerdict::Rejected(RejectReason::EventNotOpen | RejectReason::EventClosed) => (),
            }
        }
        all.to_vec()
    }

    fn assert_one_to_one<T: Copy + PartialEq + Debug>(codes: &Codes<T>, all: &[T]) {
        assert_eq!(codes.len(), all.len());
        for value in all {
            assert_eq!(value_of(codes, "value", code_of(codes, *value)), Ok(*value));
        }
    }

    #[test]
    fn every_variant_has_its_own_number() {
        assert_one_to_one(VERDICT_CODES, &verdicts());
        assert_one_to_one(KIND_CODES, &[EventKind::Public, EventKind::Canary]);
        assert_one_to_one(RESULTS_CODES, &[ResultsPolicy::Live, ResultsPolicy::AfterClose]);
        assert_one_to_one(
            STATUS_CODES,
            &[EventStatus::Scheduled, EventStatus::Open, EventStatus::Closed],
        );
        let refusals = [
            EventRefusal::EventNotFound,
            EventRefusal::NotTheOwner,
            EventRefusal::AlreadyClosed,
            EventRefusal::TooManyEvents,
            EventRefusal::ScheduleImpossible,
            EventRefusal::OutsideLimits,
            EventRefusal::OwnerHasTooManyEvents,
            EventRefusal::OwnerEventsTooLarge,
            EventRefusal::EventsTooLarge,
        ];
        assert_one_to_one(REFUSAL_CODES, &refusals);
        assert!(value_of(KIND_CODES, "kind", 0).is_err());
    }
}
