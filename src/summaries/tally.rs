//! Distinct tuples of integers, each with how often it was seen: a hash table of numbers and nothing else.
//!
//! A tuple and its count stand together in one list, at the place that the tuple's hash says or the next free one. So
//! counting a row touches memory in one place, which is what it costs. What is read is sorted: nothing depends on the order
//! in which tuples came.

use std::ops::Range;

/// An odd number whose multiples spread over all 64 bits: the golden ratio's (Knuth, The Art of Computer Programming 3
/// (1998), section 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Places of the smallest table.
const FEWEST_PLACES: usize = 16;

/// The table.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    width: usize,
    len: usize,
    /// For each place a count, 0 where there is none, and a tuple; a power of two of places, at most seven of eight taken.
    places: Vec<i64>,
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
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Counts a tuple so many times more; what was never seen is not there. Counts of a hostile peer must not overflow.
    pub fn add(&mut self, tuple: &[i64], count: i64) {
        // The width is known where the code is made, so that a tuple is compared and copied as single numbers.
        match *tuple {
            [one] if self.width == 1 => self.add_array([one], count),
            [one, other] if self.width == 2 => self.add_array([one, other], count),
            _ => self.add_slice(tuple, count),
        }
    }

    fn add_array<const N: usize>(&mut self, tuple: [i64; N], count: i64) {
        self.add_slice(&tuple, count);
    }

    #[inline]
    fn add_slice(&mut self, tuple: &[i64], count: i64) {
        if count < 1 {
            return;
        }
        if 8 * self.len >= 7 * self.capacity() {
            self.grow();
        }
        let (size, last) = (tuple.len() + 1, self.capacity() - 1);
        let mut place = first_place(tuple, self.capacity());
        loop {
            let found = &mut self.places[place * size..(place + 1) * size];
            if found[0] == 0 {
                found[0] = count;
                found[1..].copy_from_slice(tuple);
                self.len += 1;
                return;
            }
            if found[1..] == *tuple {
                found[0] = found[0].saturating_add(count);
                return;
            }
            place = (place + 1) & last;
        }
    }

    /// The tuples with their counts, in no order to rely on.
    ///
    /// Blocks of places are taken here and there: in the order of places, that of hashes, the tuples of one table would
    /// crowd at the start of another and be looked for there one by one.
    pub fn iter(&self) -> impl Iterator<Item = (&[i64], i64)> {
        let blocks = self.capacity() / FEWEST_PLACES;
        let length = FEWEST_PLACES * (self.width + 1);
        let start = move |block: usize| (block.wrapping_mul(GOLDEN as usize) & (blocks - 1)) * length;
        (0..blocks).flat_map(move |block| self.taken(start(block)..start(block) + length))
    }

    /// The tuples of a range of places, which starts and ends between places.
    fn taken(&self, range: Range<usize>) -> impl Iterator<Item = (&[i64], i64)> {
        let taken = self.places[range].chunks_exact(self.width + 1).filter(|place| place[0] != 0);
        taken.map(|place| (&place[1..], place[0]))
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
        self.places.capacity() * size_of::<i64>()
    }

    /// How many places there are.
    fn capacity(&self) -> usize {
        self.places.len() / (self.width + 1)
    }

    /// Makes room for as many tuples again.
    fn grow(&mut self) {
        let (size, capacity) = (self.width + 1, (2 * self.capacity()).max(FEWEST_PLACES));
        let mut places = vec![0; capacity * size];
        for (tuple, count) in self.taken(0..self.places.len()) {
            let mut place = first_place(tuple, capacity);
            while places[place * size] != 0 {
                place = (place + 1) & (capacity - 1);
            }
            places[place * size] = count;
            places[place * size + 1..(place + 1) * size].copy_from_slice(tuple);
        }
        self.places = places;
    }
}

/// Where a tuple is looked for first: the upper bits of its hash.
#[inline]
fn first_place(tuple: &[i64], capacity: usize) -> usize {
    let hash = |hash: u64, value: &i64| (hash.rotate_left(23) ^ value.cast_unsigned()).wrapping_mul(GOLDEN);
    (tuple.iter().fold(0, hash) >> (64 - capacity.trailing_zeros())) as usize
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

    /// The same number of looks, within some: a table that is filled in the order of another's places is none the slower.
    #[test]
    fn tables_are_merged_without_crowds() {
        let farthest = |tally: &Tally| {
            let places = tally.places.chunks_exact(2).enumerate().filter(|(_, place)| place[0] != 0);
            let far = |(place, tuple): (usize, &[i64])| {
                (place + tally.capacity() - first_place(&tuple[1..], tally.capacity())) % tally.capacity()
            };
            places.map(far).max().unwrap_or(0)
        };
        let [mut mine, mut theirs] = [Tally::new(1), Tally::new(1)];
        (0..55_000).for_each(|value| mine.add(&[value << 20], 1));
        (1..57_001).for_each(|value| theirs.add(&[-value << 20], 1));
        theirs.iter().take(2_300).for_each(|(tuple, count)| mine.add(tuple, count));
        assert_eq!((mine.len(), mine.capacity()), (57_300, 1 << 16));
        assert!(farthest(&mine) < 400, "{}", farthest(&mine));
    }

    #[test]
    fn it_holds_little_more_than_its_tuples() {
        let mut tally = Tally::new(2);
        (0..10_000).for_each(|value| tally.add(&[value, -value], 1));
        assert!(tally.heap_size() <= 2 * 10_000 * 3 * size_of::<i64>() * 8 / 7);
        tally.add(&[1, -1], i64::MAX);
        tally.add(&[1, 1], 0);
        assert_eq!(tally.len(), 10_000);
        assert_eq!(tally.iter().map(|(_, count)| count).max(), Some(i64::MAX));
    }
}
