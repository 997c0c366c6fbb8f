//! A chunk that a snapshot's image may hold: while it does, what comes is put beside the chunk and not into it.
//!
//! To copy the chunk at its first write, as one would, costs 48 KiB for a vote of 12 bytes, and with votes spread over
//! all chunks the whole table within seconds. Beside the chunk a vote costs its own row.

use std::borrow::Cow;
use std::sync::Arc;

use crate::limits::LATE_ROWS_PER_CHUNK_MAX;

/// Rows of one chunk, of which none is ever changed or removed.
pub(crate) trait Rows: Clone + Default {
    fn len(&self) -> usize;

    /// Takes in rows that came later. It has none of them.
    fn absorb(&mut self, later: &Self);
}

/// A chunk's rows in up to two layers. Cloning copies a pointer. In which layer a row lies depends on when images were
/// dropped, and is seen by nobody: readers look into both, and snapshots are written from them merged.
///
/// One pointer, and not one a layer: directories of larger ones made every vote slower.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layered<T> {
    top: Arc<Layer<T>>,
}

#[derive(Clone, Debug, Default)]
struct Layer<T> {
    rows: T,
    /// What the chunk was when an image took hold of it, if one did; none of `rows` is in it, and nothing is below it.
    below: Option<Arc<Layer<T>>>,
}

impl<T: Rows> Layered<T> {
    /// The layer that new rows do not go into, if there are two.
    pub(crate) fn layer_below(&self) -> Option<&T> {
        self.top.below.as_ref().map(|below| &below.rows)
    }

    /// Older rows first.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &T> {
        self.layer_below().into_iter().chain([&self.top.rows])
    }

    /// What `look` finds in either layer.
    pub(crate) fn find<R>(&self, look: impl Fn(&T) -> Option<R>) -> Option<R> {
        look(&self.top.rows).or_else(|| look(self.layer_below()?))
    }

    pub(crate) fn len(&self) -> usize {
        self.layers().map(T::len).sum()
    }

    /// The layer that a new row goes into.
    ///
    /// A layer of its own while an image holds the chunk. The chunk again when none does, after it has taken in what came
    /// meanwhile. And also where so much came that a copy of the chunk costs little beside it, so that an image that is held
    /// for long neither slows down lookups nor costs more memory than the copies would.
    pub(crate) fn layer_for_writing(&mut self) -> &mut T {
        let is_held = Arc::strong_count(&self.top) > 1;
        match &self.top.below {
            None if is_held => {
                let below = Some(Arc::clone(&self.top));
                let rows = T::default();
                self.top = Arc::new(Layer { rows, below });
            }
            None => (),
            Some(below) => {
                let is_free = !is_held && Arc::strong_count(below) == 1;
                if is_free || self.top.rows.len() >= LATE_ROWS_PER_CHUNK_MAX {
                    self.merge();
                }
            }
        }
        &mut Arc::make_mut(&mut self.top).rows
    }

    fn merge(&mut self) {
        let top = Arc::make_mut(&mut self.top);
        if let Some(mut below) = top.below.take() {
            Arc::make_mut(&mut below).rows.absorb(&top.rows);
            self.top = below;
        }
    }

    /// All rows as one layer.
    pub(crate) fn merged(&self) -> Cow<'_, T> {
        match self.layer_below() {
            None => Cow::Borrowed(&self.top.rows),
            Some(below) => {
                let mut all = below.clone();
                all.absorb(&self.top.rows);
                Cow::Owned(all)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Numbers as rows.
    type Numbers = BTreeSet<usize>;

    impl Rows for Numbers {
        fn len(&self) -> usize {
            BTreeSet::len(self)
        }

        fn absorb(&mut self, later: &Self) {
            self.extend(later);
        }
    }

    fn of(numbers: std::ops::Range<usize>) -> Layered<Numbers> {
        let mut chunk = Layered::default();
        write(&mut chunk, numbers);
        chunk
    }

    fn write(chunk: &mut Layered<Numbers>, numbers: std::ops::Range<usize>) {
        for number in numbers {
            assert!(chunk.layer_for_writing().insert(number));
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write,
        Hold,
        LetGo(prop::sample::Index),
    }

    proptest! {
        #[test]
        fn a_clone_stays_what_it_was_and_writes_are_never_lost(
            steps in prop::collection::vec(
                prop_oneof![
                    40 => Just(Step::Write),
                    1 => Just(Step::Hold),
                    1 => any::<prop::sample::Index>().prop_map(Step::LetGo),
                ],
                0..4 * LATE_ROWS_PER_CHUNK_MAX,
            )
        ) {
            let mut chunk = Layered::default();
            let (mut rows, mut held) = (0, Vec::new());
            for step in steps {
                match step {
                    Step::Write => {
                        write(&mut chunk, rows..rows + 1);
                        rows += 1;
                    }
                    Step::Hold => held.push((rows, chunk.clone())),
                    Step::LetGo(which) if !held.is_empty() => drop(held.swap_remove(which.index(held.len()))),
                    Step::LetGo(_) => (),
                }
                prop_assert_eq!(chunk.len(), rows);
                prop_assert!(chunk.layer_below().is_none() || chunk.top.rows.len() <= LATE_ROWS_PER_CHUNK_MAX);
            }
            for (rows, chunk) in held.into_iter().chain([(rows, chunk)]) {
                prop_assert_eq!(chunk.merged().into_owned(), (0..rows).collect::<Numbers>());
                let in_layers: Vec<usize> = chunk.layers().flatten().copied().collect();
                prop_assert_eq!(in_layers, (0..rows).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn nothing_is_copied_for_a_few_votes_beside_an_image() {
        let mut chunk = of(0..1_000);
        let image = chunk.clone();
        write(&mut chunk, 1_000..1_000 + LATE_ROWS_PER_CHUNK_MAX);
        let below = chunk.top.below.as_ref().expect("the image holds it");
        assert!(Arc::ptr_eq(below, &image.top));
        write(&mut chunk, 5_000..5_001);
        assert!(chunk.layer_below().is_none(), "many are worth a copy");
        assert_eq!(
            (image.len(), chunk.len()),
            (1_000, 1_001 + LATE_ROWS_PER_CHUNK_MAX)
        );
    }

    #[test]
    fn what_came_late_goes_into_the_chunk_when_the_image_is_gone() {
        let mut chunk = of(0..1_000);
        let (base, first) = (Arc::as_ptr(&chunk.top), chunk.clone());
        write(&mut chunk, 1_000..1_010);
        // A second image holds both layers.
        let second = chunk.clone();
        drop(first);
        write(&mut chunk, 1_010..1_020);
        assert_eq!((second.len(), chunk.len()), (1_010, 1_020));
        assert_eq!(chunk.layers().count(), 2);
        drop(second);
        write(&mut chunk, 1_020..1_021);
        assert_eq!(chunk.layers().count(), 1);
        assert_eq!(Arc::as_ptr(&chunk.top), base, "without a copy");
        assert_eq!(chunk.len(), 1_021);
    }
}
