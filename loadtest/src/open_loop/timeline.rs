//! How a load went, slot by slot.

use std::time::Duration;

/// Short enough to see a recovery to the tenth of a second.
pub(crate) const SLOT: Duration = Duration::from_millis(100);

/// Counts of one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Votes that were to begin in it.
    pub(crate) begun: u64,
    /// Of those, the ones that were acknowledged as quickly as they should be.
    pub(crate) quick: u64,
    /// Acknowledgements that came in it, whenever their votes began.
    pub(crate) acked: u64,
}

/// Slots since the load's beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timeline {
    pub(crate) slots: Vec<Slot>,
}

impl Timeline {
    pub(crate) fn at(&mut self, moment: Duration) -> &mut Slot {
        let number = (moment.as_nanos() / SLOT.as_nanos()) as usize;
        if self.slots.len() <= number {
            self.slots.resize(number + 1, Slot::default());
        }
        &mut self.slots[number]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (number, slot) in other.slots.iter().enumerate() {
            let all = self.at(SLOT * number as u32);
            all.begun += slot.begun;
            all.quick += slot.quick;
            all.acked += slot.acked;
        }
    }

    /// Acknowledgements that came from the one moment to the other; both begin a slot.
    pub(crate) fn acked_between(&self, from: Duration, until: Duration) -> u64 {
        let slots = self.slots.iter().enumerate();
        let within = slots.filter(|(number, _)| (from..until).contains(&(SLOT * *number as u32)));
        within.map(|(_, slot)| slot.acked).sum()
    }

    /// How long after `end` the last slot ends of whose votes more than one in a hundred were not acknowledged quickly; zero where
    /// there is none.
    pub(crate) fn recovery(&self, end: Duration) -> Duration {
        let slow = |slot: &Slot| (slot.begun - slot.quick) * 100 > slot.begun;
        let last = self.slots.iter().rposition(slow);
        last.map_or(Duration::ZERO, |number| {
            (SLOT * (number as u32 + 1)).saturating_sub(end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_ends_with_the_last_slot_that_is_slow() {
        let mut timeline = Timeline::default();
        for number in 0..20 {
            let slot = timeline.at(SLOT * number);
            (slot.begun, slot.quick, slot.acked) = (100, 99, 50);
        }
        let end = SLOT * 10;
        assert_eq!(timeline.recovery(end), Duration::ZERO);
        timeline.at(SLOT * 5).quick = 0;
        assert_eq!(timeline.recovery(end), Duration::ZERO);
        timeline.at(SLOT * 12).quick = 98;
        assert_eq!(timeline.recovery(end), SLOT * 3);
        assert_eq!(timeline.acked_between(SLOT * 10, SLOT * 12), 100);
        let mut sum = timeline.clone();
        sum.add(&timeline);
        assert_eq!(sum.at(SLOT * 12).begun, 200);
        assert_eq!(sum.recovery(end), SLOT * 3);
    }
}
