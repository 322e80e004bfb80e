//! Distinct tuples in a budget: exact as long as they fit, and else in the cells of a [`Grid`], at the finest level at which
//! they are few enough.
//!
//! A coarser level never has more tuples, and more rows never have fewer; so the level is a function of the rows, and not of
//! the order in which they came or were merged.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::summaries::grid::{Grid, LAST};
use crate::summaries::tally::Tally;

/// How many distinct tuples are kept of a group of rows whose scores may be binned.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// At most so many exactly.
    pub exact: usize,
    /// At most so many of cells, and as many of the cells of each model alone.
    pub cells: usize,
}

impl Budget {
    /// Exactly 4 MB for two models, and 3 MB in cells.
    pub const STANDARD: Self = Self { exact: 100_000, cells: 30_000 };
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
    /// Reads what was written: tuples of `width` words, one after the other, and their counts.
    pub(super) fn read(grid: Option<Grid>, level: i64, width: usize, values: &[i64], counts: &[i64]) -> Result<Self> {
        let level = u32::try_from(level).ok().filter(|level| *level <= if grid.is_some() { LAST } else { 0 });
        let mut part = Self { level: level.context("ranks of an impossible level")?, tally: Tally::new(width) };
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
        other.tally.iter().for_each(|(tuple, count)| self.tally.add(tuple, count));
    }

    fn coarsen(&mut self, grid: Grid, level: u32) {
        if self.level < level
            && let Some(coarser) = self.at(grid, level, usize::MAX)
        {
            *self = coarser;
        }
    }

    /// Goes over to coarser cells if there are too many tuples.
    pub(super) fn fit(&mut self, grid: Grid, budget: Budget) {
        let most = if self.level == 0 { budget.exact } else { budget.cells };
        if self.tally.len() > most && self.level < LAST {
            *self = self.finest(grid, budget);
        }
    }

    /// The same in the finest cells above its own that are few enough. Of cells it is mostly the next level, so it is looked
    /// for in steps of growing length, and then in those between.
    pub(super) fn finest(&self, grid: Grid, budget: Budget) -> Self {
        let (mut low, mut high, mut step) = (self.level + 1, LAST, 1);
        let mut found = None;
        while low < high {
            let tried =
                if found.is_none() && self.level > 0 { (low + step - 1).min(high - 1) } else { low + (high - low) / 2 };
            match self.at(grid, tried, budget.cells) {
                Some(part) => (found, high) = (Some(part), tried),
                None => (low, step) = (tried + 1, 2 * step),
            }
        }
        found.or_else(|| self.at(grid, LAST, usize::MAX)).unwrap_or_else(|| self.clone())
    }

    /// The same in the cells of a level, if they are at most so many.
    fn at(&self, grid: Grid, level: u32, most: usize) -> Option<Self> {
        let mut part = Self { level, tally: Tally::new(self.tally.width()) };
        let mut words = Vec::new();
        for (tuple, count) in self.tally.iter() {
            words.clear();
            words.extend(tuple.iter().map(|&word| grid.coarser(word, self.level, level)));
            part.tally.add(&words, count);
            if part.tally.len() > most {
                return None;
            }
        }
        Some(part)
    }
}
