//! The bytes of proposals that wait for an answer, bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct Budget {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            bytes_max,
        })
    }

    /// Room for `bytes` until the reservation is dropped, or none.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        Some(Reservation {
            budget: self.clone(),
            bytes,
        })
    }
}

pub(super) struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let before = self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        assert!(before >= self.bytes, "a reservation is given back once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_until_room_is_given_back() {
        let budget = Budget::new(10);
        let first = budget.reserve(6);
        assert!(first.is_some());
        assert!(budget.reserve(5).is_none());
        let second = budget.reserve(4);
        assert!(second.is_some());
        assert!(budget.reserve(1).is_none());
        drop(first);
        assert!(budget.reserve(6).is_some());
        assert!(budget.reserve(usize::MAX).is_none(), "no overflow");
    }
}
