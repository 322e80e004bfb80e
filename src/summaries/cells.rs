//! Distinct tuples in a budget: exact as long as they fit, and else in the cells of a [`Grid`], at the finest level at which
//! they are few enough.
//!
//! A coarser level never has more tuples, and more rows never have fewer; so the level is a function of the rows, and not of
//! the order in which they came or were merged.

use std::cmp::Ordering;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::summaries::grid::{Grid, LAST};
use crate::summaries::tally::{Tally, Tile};

/// How many distinct tuples are kept of a group of rows whose scores may be binned.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// At most so many exactly.
    pub exact: usize,
    /// At most so many of cells, and as many of the cells of each model alone.
    pub cells: usize,
}

impl Budget {
    /// Exactly 1.3 MB for two models, and 1.7 MB in cells: each table stays near a processor.
    pub const STANDARD: Self = Self { exact: 32_768, cells: 16_384 };
}

/// Tuples, and in cells of which level they are.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    /// The level; at 0 they are the tuples themselves.
    pub(super) level: u32,
    /// The tuples.
    pub(super) tally: Tally,
}

impl Cells {
    /// None yet, of tuples of `width` words.
    pub(super) fn new(grid: Option<Grid>, level: u32, width: usize) -> Self {
        let tile = grid.filter(|_| level > 0).map_or_else(Tile::default, |grid| grid.tile(width));
        Self { level, tally: Tally::tiled(width, tile) }
    }

    /// Reads what was written: tuples of `width` words, one after the other, and their counts.
    pub(super) fn read(grid: Option<Grid>, level: i64, width: usize, values: &[i64], counts: &[i64]) -> Result<Self> {
        let level = u32::try_from(level).ok().filter(|level| *level <= if grid.is_some() { LAST } else { 0 });
        let mut part = Self::new(grid, level.context("ranks of an impossible level")?, width);
        values.chunks_exact(width).zip(counts).for_each(|(tuple, &count)| part.tally.add(tuple, count));
        Ok(part)
    }

    /// Takes in the tuples of another, at the coarser level of both.
    pub(super) fn merge(&mut self, grid: Option<Grid>, mut other: Self) {
        if let Some(grid) = grid {
            let level = self.level.max(other.level);
            self.coarsen(grid, level);
            other.coarsen(grid, level);
        }
        if self.tally.len() < other.tally.len() {
            std::mem::swap(self, &mut other);
        }
        other.tally.for_each(|tuple, count| self.tally.add(tuple, count));
    }

    fn coarsen(&mut self, grid: Grid, level: u32) {
        if self.level < level {
            *self = self.at(grid, level);
        }
    }

    /// Goes over to coarser cells if there are too many tuples, and to places of their own if tiles are nearly empty. Whoever has
    /// taken in rows or another's tuples calls it.
    pub(super) fn fit(&mut self, grid: Grid, budget: Budget) {
        if self.level == 0 && self.tally.len() > budget.exact {
            *self = self.finest(grid, budget);
        }
        // A few rows more seldom need more than a level more.
        while (1..LAST).contains(&self.level) && self.tally.len() > budget.cells {
            *self = self.at(grid, self.level + 1);
        }
        self.tally.give_up_tiles();
    }

    /// Exact tuples in the finest cells that are few enough.
    pub(super) fn finest(&self, grid: Grid, budget: Budget) -> Self {
        let nested = |word: &i64| grid.nested(grid.coarser(*word, self.level, 1));
        let alike = match self.tally.width() {
            1 => self.alike(|tuple| nested(&tuple[0])),
            2 => self.alike(|tuple| Interleaved::from([nested(&tuple[0]), nested(&tuple[1])])),
            _ => self.alike(|tuple| Several(tuple.iter().map(nested).collect())),
        };
        let mut left = self.tally.len();
        let is_fine = |&level: &u32| {
            left -= alike[level as usize];
            level > self.level && left <= budget.cells
        };
        let level = (0..LAST).find(is_fine).unwrap_or(LAST);
        self.at(grid, level)
    }

    /// For each level, how many tuples are at it, and not before, the same as one that is counted already. In the order of the
    /// highest bit in which any of their words differ (G. M. Morton, A computer oriented geodetic data base (1966)), tuples that
    /// share a cell stand side by side, at every level.
    fn alike<K: Morton>(&self, key: impl Fn(&[i64]) -> K) -> [usize; LAST as usize + 1] {
        let mut keys = Vec::with_capacity(self.tally.len());
        self.tally.for_each(|tuple, _| keys.push(key(tuple)));
        keys.sort_unstable();
        let mut alike = [0; LAST as usize + 1];
        for pair in keys.windows(2) {
            if let Some(level) = alike.get_mut(1 + pair[0].bits_apart(&pair[1]) as usize) {
                *level += 1;
            }
        }
        alike
    }

    /// The same in the cells of a level.
    fn at(&self, grid: Grid, level: u32) -> Self {
        let mut part = Self::new(Some(grid), level, self.tally.width());
        let mut words = Vec::new();
        self.tally.for_each(|tuple, count| {
            words.clear();
            words.extend(tuple.iter().map(|&word| grid.coarser(word, self.level, level)));
            part.tally.add(&words, count);
        });
        part
    }
}

/// Words of a tuple, in the order of the highest bit in which any of them differ.
trait Morton: Ord {
    /// The bits of a word up to that bit; 0 where none differs.
    fn bits_apart(&self, other: &Self) -> u32;
}

impl Morton for u64 {
    fn bits_apart(&self, other: &Self) -> u32 {
        Self::BITS - (self ^ other).leading_zeros()
    }
}

/// Two words, bit by bit in turn.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Interleaved(u128);

impl From<[u64; 2]> for Interleaved {
    fn from(words: [u64; 2]) -> Self {
        let [one, other] = words.map(|word| {
            let halves = (u128::from(word) | u128::from(word) << 32) & (u128::MAX / 0x1_0000_0001);
            let quarters = (halves | halves << 16) & (u128::MAX / 0x1_0001);
            let bytes = (quarters | quarters << 8) & (u128::MAX / 0x101);
            let nibbles = (bytes | bytes << 4) & (u128::MAX / 0x11);
            let pairs = (nibbles | nibbles << 2) & (u128::MAX / 0x5);
            (pairs | pairs << 1) & (u128::MAX / 0x3)
        });
        Self(one << 1 | other)
    }
}

impl Morton for Interleaved {
    fn bits_apart(&self, other: &Self) -> u32 {
        (u128::BITS - (self.0 ^ other.0).leading_zeros()).div_ceil(2)
    }
}

/// Any number of words.
#[derive(PartialEq, Eq)]
struct Several(Vec<u64>);

impl Ord for Several {
    /// By the words at the first place where the highest bit differs.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut most, mut ordering) = (0, Ordering::Equal);
        for (one, other) in self.0.iter().zip(&other.0) {
            let differ = one ^ other;
            // Its highest bit is above that of `most`.
            if most < differ && most < most ^ differ {
                (most, ordering) = (differ, one.cmp(other));
            }
        }
        ordering
    }
}

impl PartialOrd for Several {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Morton for Several {
    fn bits_apart(&self, other: &Self) -> u32 {
        self.0.iter().zip(&other.0).map(|(one, other)| one.bits_apart(other)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_words_are_in_the_order_of_several() {
        let word = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (number * 7 % 64);
        let pairs = (0..300).map(|row| [word(2 * row), word(2 * row + 1)]).collect::<Vec<_>>();
        for (one, other) in pairs.iter().zip(&pairs[1..]) {
            let several = [one, other].map(|words| Several(words.to_vec()));
            let interleaved = [one, other].map(|words| Interleaved::from(*words));
            assert_eq!(interleaved[0].cmp(&interleaved[1]), several[0].cmp(&several[1]), "{one:x?} {other:x?}");
            assert_eq!(interleaved[0].bits_apart(&interleaved[1]), several[0].bits_apart(&several[1]));
        }
    }
}
