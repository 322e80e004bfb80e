//! Distinct tuples of integers, each with how often it was seen: a hash table of numbers and nothing else.
//!
//! The tuples stand one after the other as they came, and a table of places leads from a hash to one of them. So a tuple
//! costs its own bytes, eight for its count and eight to sixteen for its places. What is read is sorted: nothing depends
//! on the order in which tuples came.
//!
//! Cells have neighbours. Where tuples are those of cells, a place is that of a [`Tile`] of several, with a count for each:
//! what is looked through is short, and stays near a processor.

/// A place with no tile.
const EMPTY: u32 = u32::MAX;

/// An odd number whose multiples spread over all 64 bits: the golden ratio's (Knuth, The Art of Computer Programming 3
/// (1998), section 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A tile is worth its counts as long as so many of them are of one tuple.
const MOST_COUNTS: usize = 8;

/// Which tuples share a place: those that differ in lower bits only. By default, none do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tile {
    /// How many of the lowest bits all integers of a tuple have in common.
    pub shared: u32,
    /// How many bits above these tell the tuples of a tile apart, in each integer.
    pub own: u32,
}

/// The table.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    width: usize,
    tile: Tile,
    /// How many tuples were counted.
    used: usize,
    /// What the tuples of each tile have in common, their upper bits.
    tiles: Vec<i64>,
    /// How often each tuple of each tile was seen.
    counts: Vec<i64>,
    /// Where the tiles are; a power of two of places, at most half of them taken.
    places: Vec<u32>,
}

impl Tally {
    /// A table of tuples of so many integers, at least one.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self::tiled(width, Tile::default())
    }

    /// A table of tuples that share places.
    #[must_use]
    pub fn tiled(width: usize, tile: Tile) -> Self {
        Self { width, tile, ..Self::default() }
    }

    /// How many integers a tuple has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many distinct tuples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Counts a tuple so many times more. Counts of a hostile peer must not overflow.
    pub fn add(&mut self, tuple: &[i64], count: i64) {
        // Loops over tuples of known length are none.
        match *tuple {
            [one] => self.count([one], count),
            [one, other] => self.count([one, other], count),
            _ => self.count(tuple, count),
        }
    }

    /// Hands each tuple with its count to `each`, in no order to rely on.
    pub fn for_each(&self, mut each: impl FnMut(&[i64], i64)) {
        let mut tuple = vec![0; self.width];
        let tiles = self.tiles.chunks_exact(self.width.max(1)).zip(self.counts.chunks_exact(self.slots()));
        for (tile, counts) in tiles {
            for (slot, &count) in counts.iter().enumerate().filter(|(_, count)| **count != 0) {
                self.tile.write(tile, slot, &mut tuple);
                each(&tuple, count);
            }
        }
    }

    /// The tuples, one after the other, and their counts, in ascending order.
    #[must_use]
    pub fn sorted(&self) -> (Vec<i64>, Vec<i64>) {
        match self.width {
            1 => self.sorted_by(|tuple| [tuple[0]]),
            2 => self.sorted_by(|tuple| [tuple[0], tuple[1]]),
            3 => self.sorted_by(|tuple| [tuple[0], tuple[1], tuple[2]]),
            _ => self.sorted_by(<[i64]>::to_vec),
        }
    }

    /// Short tuples are sorted by themselves, which is faster than by reference.
    fn sorted_by<K: Ord + AsRef<[i64]>>(&self, key: impl Fn(&[i64]) -> K) -> (Vec<i64>, Vec<i64>) {
        let mut tuples = Vec::with_capacity(self.used);
        self.for_each(|tuple, count| tuples.push((key(tuple), count)));
        tuples.sort_unstable();
        let values = tuples.iter().flat_map(|(tuple, _)| tuple.as_ref()).copied().collect();
        (values, tuples.iter().map(|(_, count)| *count).collect())
    }

    /// Gives each tuple a place of its own if tiles are nearly empty.
    pub fn give_up_tiles(&mut self) {
        if self.counts.len() > MOST_COUNTS * self.used {
            let mut own = Self::new(self.width);
            self.for_each(|tuple, count| own.add(tuple, count));
            *self = own;
        }
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        (self.tiles.capacity() + self.counts.capacity()) * size_of::<i64>() + self.places.capacity() * size_of::<u32>()
    }

    fn count(&mut self, tuple: impl AsRef<[i64]>, count: i64) {
        let tuple = tuple.as_ref();
        if self.places.len() <= 2 * self.tiles.len() / tuple.len() {
            self.grow();
        }
        let index = self.find(tuple);
        let slot = &mut self.counts[index * self.tile.slots(tuple.len()) + self.tile.slot(tuple)];
        self.used += usize::from(*slot == 0 && count != 0);
        *slot = slot.saturating_add(count);
    }

    /// The number of a tuple's tile, which is made if there is none.
    fn find(&mut self, tuple: &[i64]) -> usize {
        let (width, tile) = (tuple.len(), self.tile);
        let key = || tuple.iter().map(|&word| tile.key(word));
        let mut place = self.first_place(key());
        while let Some(index) = self.at(place) {
            // Tuples are short, so that this is faster than comparing memory.
            if self.tiles[index * width..(index + 1) * width].iter().zip(key()).all(|(known, own)| *known == own) {
                return index;
            }
            place = (place + 1) & (self.places.len() - 1);
        }
        let new = self.tiles.len() / width;
        self.places[place] = new as u32;
        self.tiles.extend(key());
        self.counts.resize(self.counts.len() + tile.slots(width), 0);
        new
    }

    /// Makes room for as many tiles again, in the places and in the lists, which so never hold much more than they need.
    fn grow(&mut self) {
        let tiles = self.tiles.len() / self.width;
        let places = (2 * self.places.len()).max(16);
        let more = places / 2 - tiles;
        self.tiles.reserve_exact(more * self.width);
        self.counts.reserve_exact(more * self.slots());
        self.places.clear();
        self.places.shrink_to_fit();
        self.places.resize(places, EMPTY);
        for index in 0..tiles {
            let mut place = self.first_place(self.tiles[index * self.width..(index + 1) * self.width].iter().copied());
            while self.at(place).is_some() {
                place = (place + 1) & (places - 1);
            }
            self.places[place] = index as u32;
        }
    }

    fn slots(&self) -> usize {
        self.tile.slots(self.width)
    }

    /// The tile that a place leads to.
    fn at(&self, place: usize) -> Option<usize> {
        let index = self.places[place];
        (index != EMPTY).then_some(index as usize)
    }

    /// Where a tile is looked for first: the upper bits of its hash.
    fn first_place(&self, tile: impl Iterator<Item = i64>) -> usize {
        let hash = tile.fold(0_u64, |hash, value| (hash.rotate_left(23) ^ value.cast_unsigned()).wrapping_mul(GOLDEN));
        (hash >> (64 - self.places.len().trailing_zeros())) as usize
    }
}

impl Tile {
    /// How many tuples of so many integers a tile has.
    fn slots(self, width: usize) -> usize {
        1 << (self.shared + self.own * width as u32)
    }

    /// What an integer has in common with those of its tile.
    fn key(self, word: i64) -> i64 {
        word >> (self.shared + self.own)
    }

    /// Where a tuple stands in its tile.
    fn slot(self, tuple: &[i64]) -> usize {
        let own = |word: i64| word >> self.shared & ones(self.own);
        let slot = tuple.iter().rev().fold(0, |slot, &word| slot << self.own | own(word));
        (slot << self.shared | tuple[0] & ones(self.shared)) as usize
    }

    /// The tuple that stands there in a tile.
    fn write(self, tile: &[i64], slot: usize, tuple: &mut [i64]) {
        let (shared, mut left) = (slot as i64 & ones(self.shared), slot as i64 >> self.shared);
        for (word, key) in tuple.iter_mut().zip(tile) {
            *word = (key << self.own | left & ones(self.own)) << self.shared | shared;
            left >>= self.own;
        }
    }
}

/// The lowest bits.
fn ones(bits: u32) -> i64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_tuple_is_counted_once_whatever_its_width() {
        let tiles = [(0, 0), (1, 0), (0, 2), (1, 1), (1, 2)].map(|(shared, own)| Tile { shared, own });
        for (width, tile) in (1..=4_usize).flat_map(|width| tiles.map(|tile| (width, tile))) {
            let mut tally = Tally::tiled(width, tile);
            let mut expected = BTreeMap::<Vec<i64>, i64>::new();
            for row in 0..5000_i64 {
                let value = |place: usize| {
                    ((((row * (7 + place as i64)) ^ (row >> 3)) % 12 - 6) << 40 >> (row % 40)) << 1 | row & 1
                };
                let tuple = (0..width).map(value).collect::<Vec<_>>();
                tally.add(&tuple, 1 + row % 3);
                *expected.entry(tuple).or_default() += 1 + row % 3;
            }
            let (values, counts) = tally.sorted();
            assert_eq!(counts, expected.values().copied().collect::<Vec<_>>());
            assert_eq!(values, expected.keys().flatten().copied().collect::<Vec<_>>());
            assert_eq!(tally.len(), expected.len());
            tally.give_up_tiles();
            assert_eq!(tally.sorted(), (values, counts));
        }
    }

    #[test]
    fn it_holds_little_more_than_its_tuples() {
        let mut tally = Tally::new(2);
        (0..10_000).for_each(|value| tally.add(&[value, -value], 1));
        assert!(tally.heap_size() <= 2 * 10_000 * (3 * size_of::<i64>() + 4 * size_of::<u32>()));
        tally.add(&[1, -1], i64::MAX);
        assert_eq!(tally.sorted().1.into_iter().max(), Some(i64::MAX));
    }

    #[test]
    fn tiles_that_stay_nearly_empty_are_given_up() {
        let tile = Tile { shared: 1, own: 4 };
        for (apart, is_worth) in [(2, true), (1 << 20, false)] {
            let mut tally = Tally::tiled(1, tile);
            (0..10_000).for_each(|value| tally.add(&[value * apart], 1));
            tally.give_up_tiles();
            assert_eq!((tally.len(), tally.slots() > 1), (10_000, is_worth));
            assert!(tally.heap_size() <= 2 * 10_000 * (3 * size_of::<i64>() + 4 * size_of::<u32>()), "{apart}");
        }
    }
}
