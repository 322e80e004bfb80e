//! Distinct tuples of integers, each with how often it was seen: a hash table of numbers and nothing else.
//!
//! The tuples stand one after the other as they came, and a table of places leads from a hash to one of them. So a tuple
//! costs its own bytes, eight for its count and eight to sixteen for its places. What is read is sorted: nothing depends
//! on the order in which tuples came.

/// A place with no tuple.
const EMPTY: u32 = u32::MAX;

/// An odd number whose multiples spread over all 64 bits: the golden ratio's (Knuth, The Art of Computer Programming 3
/// (1998), section 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The table.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    width: usize,
    values: Vec<i64>,
    counts: Vec<i64>,
    /// Where the tuples are; a power of two of places, at most half of them taken.
    places: Vec<u32>,
}

impl Tally {
    /// A table of tuples of so many integers, at least one.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// How many integers a tuple has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many distinct tuples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Counts a tuple so many times more. Counts of a hostile peer must not overflow.
    pub fn add(&mut self, tuple: &[i64], count: i64) {
        if self.places.len() <= 2 * self.counts.len() {
            self.grow();
        }
        let mut place = self.first_place(tuple);
        while let Some(index) = self.at(place) {
            if same(&self.values[index * self.width..(index + 1) * self.width], tuple) {
                self.counts[index] = self.counts[index].saturating_add(count);
                return;
            }
            place = (place + 1) & (self.places.len() - 1);
        }
        self.places[place] = self.counts.len() as u32;
        self.values.extend_from_slice(tuple);
        self.counts.push(count);
    }

    /// The tuples with their counts, in no order to rely on.
    pub fn iter(&self) -> impl Iterator<Item = (&[i64], i64)> {
        self.values.chunks_exact(self.width.max(1)).zip(self.counts.iter().copied())
    }

    /// The tuples, one after the other, and their counts, in ascending order.
    #[must_use]
    pub fn sorted(&self) -> (Vec<i64>, Vec<i64>) {
        match self.width {
            1 => self.sorted_by(|tuple| [tuple[0]]),
            2 => self.sorted_by(|tuple| [tuple[0], tuple[1]]),
            3 => self.sorted_by(|tuple| [tuple[0], tuple[1], tuple[2]]),
            _ => self.sorted_by(|tuple| tuple),
        }
    }

    /// Short tuples are sorted by themselves, which is faster than by reference.
    fn sorted_by<'a, K: Ord + AsRef<[i64]>>(&'a self, key: impl Fn(&'a [i64]) -> K) -> (Vec<i64>, Vec<i64>) {
        let mut tuples = self.iter().map(|(tuple, count)| (key(tuple), count)).collect::<Vec<_>>();
        tuples.sort_unstable();
        let values = tuples.iter().flat_map(|(tuple, _)| tuple.as_ref()).copied().collect();
        (values, tuples.iter().map(|(_, count)| *count).collect())
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        (self.values.capacity() + self.counts.capacity()) * size_of::<i64>() + self.places.capacity() * size_of::<u32>()
    }

    /// Makes room for as many tuples again, in the places and in the lists, which so never hold much more than they need.
    fn grow(&mut self) {
        let places = (2 * self.places.len()).max(16);
        let more = places / 2 - self.counts.len();
        self.values.reserve_exact(more * self.width);
        self.counts.reserve_exact(more);
        self.places.clear();
        self.places.shrink_to_fit();
        self.places.resize(places, EMPTY);
        for index in 0..self.counts.len() {
            let mut place = self.first_place(&self.values[index * self.width..(index + 1) * self.width]);
            while self.at(place).is_some() {
                place = (place + 1) & (places - 1);
            }
            self.places[place] = index as u32;
        }
    }

    /// The tuple that a place leads to.
    fn at(&self, place: usize) -> Option<usize> {
        let index = self.places[place];
        (index != EMPTY).then_some(index as usize)
    }

    /// Where a tuple is looked for first: the upper bits of its hash.
    fn first_place(&self, tuple: &[i64]) -> usize {
        let hash =
            tuple.iter().fold(0_u64, |hash, value| (hash.rotate_left(23) ^ value.cast_unsigned()).wrapping_mul(GOLDEN));
        (hash >> (64 - self.places.len().trailing_zeros())) as usize
    }
}

/// Tuples are short, so that this is faster than comparing memory.
fn same(left: &[i64], right: &[i64]) -> bool {
    left.iter().zip(right).all(|(left, right)| left == right)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_tuple_is_counted_once_whatever_its_width() {
        for width in 1..=4_usize {
            let mut tally = Tally::new(width);
            let mut expected = BTreeMap::<Vec<i64>, i64>::new();
            for row in 0..5000_i64 {
                let value = |place: usize| (((row * (7 + place as i64)) ^ (row >> 3)) % 12 - 6) << 40;
                let tuple = (0..width).map(value).collect::<Vec<_>>();
                tally.add(&tuple, 1 + row % 3);
                *expected.entry(tuple).or_default() += 1 + row % 3;
            }
            let (values, counts) = tally.sorted();
            assert_eq!(counts, expected.values().copied().collect::<Vec<_>>());
            assert_eq!(values, expected.keys().flatten().copied().collect::<Vec<_>>());
            assert_eq!(tally.len(), expected.len());
        }
    }

    #[test]
    fn it_holds_little_more_than_its_tuples() {
        let mut tally = Tally::new(2);
        (0..10_000).for_each(|value| tally.add(&[value, -value], 1));
        assert!(tally.heap_size() <= 2 * 10_000 * (3 * size_of::<i64>() + 4 * size_of::<u32>()));
        tally.add(&[1, -1], i64::MAX);
        assert_eq!(tally.iter().map(|(_, count)| count).max(), Some(i64::MAX));
    }
}
