//! Labels that stand in rows, so that none covers another.

use super::PAGE_WIDTH;

/// How wide a letter of a label is at most, and what is left free behind it.
const LETTER_WIDTH: f64 = 6.5;
const GAP: f64 = 6.0;

/// Where each row is taken to.
#[derive(Default)]
pub(super) struct Rows {
    taken_to: Vec<f64>,
}

/// Where a label goes.
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) row: usize,
}

impl Rows {
    /// The highest row with room for a label at `x`. Labels come from left to right, but for those that would run off the
    /// page: they are moved to its edge.
    pub(super) fn place(&mut self, x: f64, label: &str) -> Place {
        let width = width(label);
        let x = x.min(PAGE_WIDTH - width);
        let free = self.taken_to.iter().position(|taken_to| *taken_to <= x);
        let row = free.unwrap_or_else(|| {
            self.taken_to.push(0.0);
            self.taken_to.len() - 1
        });
        self.taken_to[row] = x + width;
        Place { x, row }
    }

    pub(super) fn count(&self) -> usize {
        self.taken_to.len()
    }
}

/// With what is left free behind it.
pub(super) fn width(label: &str) -> f64 {
    label.chars().count() as f64 * LETTER_WIDTH + GAP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_would_meet_stand_in_rows_of_their_own() {
        let mut rows = Rows::default();
        let placed = [
            (100.0, "isolate"),
            (110.0, "hold"),
            (120.0, "loss"),
            (160.0, "kill"),
        ]
        .map(|(x, label)| rows.place(x, label).row);
        assert_eq!((placed, rows.count()), ([0, 1, 2, 0], 3));
    }

    #[test]
    fn a_label_at_the_edge_stays_on_the_page() {
        let mut rows = Rows::default();
        let first = rows.place(PAGE_WIDTH - 20.0, "leave-and-join");
        let second = rows.place(PAGE_WIDTH - 10.0, "rot");
        assert!(first.x < PAGE_WIDTH - 60.0, "{}", first.x);
        assert_eq!((first.row, second.row), (0, 1));
    }
}
