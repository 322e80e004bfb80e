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
        part.tally.give_up_tiles();
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
        self.tally.give_up_tiles();
    }

    fn coarsen(&mut self, grid: Grid, level: u32) {
        if self.level < level {
            *self = self.at(grid, level);
        }
    }

    /// Goes over to coarser cells if there are too many tuples.
    pub(super) fn fit(&mut self, grid: Grid, budget: Budget) {
        let most = if self.level == 0 { budget.exact } else { budget.cells };
        if self.tally.len() > most && self.level < LAST {
            *self = self.finest(grid, budget);
        }
        self.tally.give_up_tiles();
    }

    /// The same in the finest cells above its own that are few enough.
    pub(super) fn finest(&self, grid: Grid, budget: Budget) -> Self {
        let base = self.level.max(1);
        let words = |tuple: &[i64], place: usize| grid.nested(grid.coarser(tuple[place], self.level, base));
        let alike = match self.tally.width() {
            1 => self.alike(base, |tuple| [words(tuple, 0)]),
            2 => self.alike(base, |tuple| [0, 1].map(|place| words(tuple, place))),
            3 => self.alike(base, |tuple| [0, 1, 2].map(|place| words(tuple, place))),
            width => self.alike(base, |tuple| (0..width).map(|place| words(tuple, place)).collect::<Vec<_>>()),
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
    fn alike<K: AsRef<[u64]>>(&self, base: u32, key: impl Fn(&[i64]) -> K) -> [usize; LAST as usize + 1] {
        let mut keys = Vec::with_capacity(self.tally.len());
        self.tally.for_each(|tuple, _| keys.push(key(tuple)));
        keys.sort_unstable_by(|left, right| by_highest_difference(left.as_ref(), right.as_ref()));
        let mut alike = [0; LAST as usize + 1];
        for pair in keys.windows(2) {
            let differ =
                pair[0].as_ref().iter().zip(pair[1].as_ref()).fold(0, |differ, (one, other)| differ | one ^ other);
            if let Some(level) = alike.get_mut((base + u64::BITS - differ.leading_zeros()) as usize) {
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
        part.tally.give_up_tiles();
        part
    }
}

/// By the words at the first place where the highest bit differs in which any do.
fn by_highest_difference(left: &[u64], right: &[u64]) -> Ordering {
    let (mut most, mut ordering) = (0, Ordering::Equal);
    for (left, right) in left.iter().zip(right) {
        let differ = left ^ right;
        // Its highest bit is above that of `most`.
        if most < differ && most < most ^ differ {
            (most, ordering) = (differ, left.cmp(right));
        }
    }
    ordering
}
