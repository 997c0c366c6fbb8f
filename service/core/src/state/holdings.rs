//! What owners hold: how many events, and how many bytes their definitions take. All of it follows from the events, so a
//! snapshot does not have it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::command::{NewContestant, NewEvent};
use crate::ids::VoterNumber;
use crate::limits::{
    CONTESTANT_OWN_BYTES, EVENT_BYTES_MAX, EVENT_BYTES_PER_OWNER_MAX, EVENT_OWN_BYTES, EVENTS_PER_OWNER_MAX,
};
use crate::outcome::EventRefusal;

/// Events are never deleted, so everything here only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    by_owner: Arc<BTreeMap<VoterNumber, Holding>>,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holding {
    events: u64,
    bytes: u64,
}

impl Holdings {
    /// Those of a state with these events. They may be more than is allowed: an older version did not ask.
    pub(super) fn of<'a>(specs: impl Iterator<Item = &'a NewEvent>) -> Self {
        let mut holdings = Holdings::default();
        specs.for_each(|spec| holdings.add(spec));
        holdings
    }

    pub(super) fn add(&mut self, spec: &NewEvent) {
        let bytes = bytes_of(spec);
        let of_owner = Arc::make_mut(&mut self.by_owner).entry(spec.owner).or_default();
        of_owner.events += 1;
        of_owner.bytes += bytes;
        self.bytes += bytes;
    }

    /// Which limit one more event would break.
    pub(super) fn no_room_for(&self, spec: &NewEvent) -> Option<EventRefusal> {
        let bytes = bytes_of(spec);
        let of_owner = self.by_owner.get(&spec.owner).copied().unwrap_or_default();
        if of_owner.events >= EVENTS_PER_OWNER_MAX {
            Some(EventRefusal::OwnerHasTooManyEvents)
        } else if of_owner.bytes + bytes > EVENT_BYTES_PER_OWNER_MAX {
            Some(EventRefusal::OwnerEventsTooLarge)
        } else if self.bytes + bytes > EVENT_BYTES_MAX {
            Some(EventRefusal::EventsTooLarge)
        } else {
            None
        }
    }
}

/// What a definition takes in memory, as the limits reckon it: the same on every machine, whatever its allocator.
fn bytes_of(spec: &NewEvent) -> u64 {
    let of_contestant = |contestant: &NewContestant| {
        let texts = contestant.name.len() + contestant.description.len() + contestant.image_url.len();
        CONTESTANT_OWN_BYTES + texts as u64
    };
    let contestants: u64 = spec.contestants.iter().map(of_contestant).sum();
    EVENT_OWN_BYTES + spec.name.len() as u64 + contestants
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::event::Event;
    use super::*;
    use crate::command::{Batch, Command};
    use crate::ids::{EntryMeta, EventId, LogIndex, RequestKey, UnixMs};
    use crate::outcome::Outcome;
    use crate::terms::{EventKind, ResultsPolicy};

    fn spec(owner: u32, request: u128, contestants: usize) -> NewEvent {
        let contestant = NewContestant {
            name: "one".to_owned(),
            description: "two".to_owned(),
            image_url: "three".to_owned(),
        };
        NewEvent {
            request: RequestKey(request),
            owner: VoterNumber(owner),
            name: "event".to_owned(),
            kind: EventKind::Public,
            results: ResultsPolicy::Live,
            opens_at: Some(UnixMs(1_000)),
            closes_at: None,
            contestants: vec![contestant; contestants],
        }
    }

    fn create(state: &mut State, spec: NewEvent) -> Outcome {
        let meta = EntryMeta {
            index: LogIndex(state.last_applied().0 + 1),
            stamped_at: UnixMs(1),
        };
        let commands = vec![Command::CreateEvent(Box::new(spec))];
        state.apply(meta, &Batch { commands }).outcomes[0]
    }

    #[test]
    fn an_event_counts_its_texts_and_what_it_takes_besides() {
        assert_eq!(bytes_of(&spec(1, 1, 0)), EVENT_OWN_BYTES + 5);
        assert_eq!(
            bytes_of(&spec(1, 1, 3)),
            EVENT_OWN_BYTES + 5 + 3 * (CONTESTANT_OWN_BYTES + 11)
        );
    }

    #[test]
    fn all_events_take_so_many_bytes_whoever_owns_them() {
        let mut state = State::new();
        state.holdings.bytes = EVENT_BYTES_MAX - bytes_of(&spec(1, 1, 9)) - bytes_of(&spec(1, 1, 1));
        assert_eq!(
            create(&mut state, spec(1, 1, 9)),
            Outcome::EventCreated(EventId(1))
        );
        let refused = Outcome::EventRefused(EventRefusal::EventsTooLarge);
        assert_eq!(create(&mut state, spec(2, 2, 2)), refused);
        assert_eq!(
            create(&mut state, spec(2, 3, 1)),
            Outcome::EventCreated(EventId(2))
        );
        assert_eq!(create(&mut state, spec(3, 4, 1)), refused);
        assert_eq!(
            create(&mut state, spec(1, 1, 9)),
            Outcome::EventCreated(EventId(1)),
            "a repeated creation gets the first event"
        );
        assert_eq!(state.holdings.bytes, EVENT_BYTES_MAX);
    }

    /// One owner after another creates as much as there is room for.
    #[test]
    fn no_owner_and_not_all_of_them_together_get_past_the_limits() {
        let mut longest = spec(1, 1, 1_000);
        longest.contestants[0].description = "x".repeat(246_000);
        let mut holdings = Holdings::default();
        let mut owners = 0;
        while holdings.no_room_for(&spec(1_000_000, 1, 1)).is_none() {
            owners += 1;
            longest.owner = VoterNumber(owners);
            while holdings.no_room_for(&longest).is_none() {
                holdings.add(&longest);
            }
            while holdings.no_room_for(&spec(owners, 1, 1)).is_none() {
                holdings.add(&spec(owners, 1, 1));
            }
        }
        assert!(owners >= 32, "only {owners} had to work together");
        assert!(holdings.bytes <= EVENT_BYTES_MAX);
        for holding in holdings.by_owner.values() {
            assert!(holding.bytes <= EVENT_BYTES_PER_OWNER_MAX && holding.events <= EVENTS_PER_OWNER_MAX);
        }
    }

    #[test]
    fn a_snapshot_from_before_the_limits_is_read_and_its_owner_creates_no_more() {
        let old = |place: u64| {
            let id = EventId(place as u32 + 1);
            Event::new(id, LogIndex(1), spec(1, u128::from(place), 1))
        };
        let events = (0..EVENTS_PER_OWNER_MAX + 5).map(old).collect();
        let state = State::from_parts(LogIndex(1), UnixMs(1), events);
        let mut bytes = Vec::new();
        crate::snapshot::write(&state, &mut bytes).unwrap();
        let mut state = crate::snapshot::read(&mut &*bytes).unwrap();
        let outcomes = [(1, 9_000), (1, 1_003), (2, 9_000)]
            .map(|(owner, request)| create(&mut state, spec(owner, request, 1)));
        let expected = [
            Outcome::EventRefused(EventRefusal::OwnerHasTooManyEvents),
            Outcome::EventCreated(EventId(1_004)),
            Outcome::EventCreated(EventId(1_006)),
        ];
        assert_eq!(outcomes, expected);
    }
}
