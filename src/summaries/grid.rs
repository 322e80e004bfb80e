//! Nested grids of cells for scores: at each level two cells of the one before are one.
//!
//! Level 0 is the score itself. Which scores share a cell depends on the level alone, not on other rows, so that cells
//! can be counted in any order and made coarser at any time.
//!
//! The cells of probabilities are narrow near 0 and 1, where the scores of rare events are, and of equal width between.
//! For that a probability has a place: 2 parts in 5 of the axis are the probability, and the others its logarithm and that
//! of the other outcome's, each over [`OCTAVES`] octaves and straight within an octave, so that no machine rounds it
//! another way. Numbers have cells of as many floats each: of about equal relative width.

use crate::summaries::tally::Tile;
use crate::summaries::total_order::{from_key, to_key};

/// The coarsest level: two cells.
pub const LAST: u32 = 53;

/// Octaves below 1 in which probabilities are told apart by their logarithm.
const OCTAVES: i64 = 24;

/// `2^-OCTAVES`.
const SMALLEST: f64 = 1.0 / (1 << OCTAVES) as f64;

/// Bits of a float that tell apart the numbers within an octave.
const MANTISSA: u32 = 52;

/// The scale of the straight part of a place: `2^60`.
const STRAIGHT: f64 = (1_u64 << 60) as f64;

/// What makes each logarithm three quarters as long as the straight part: `24 * 2^52 * 2^3` to `2^60`.
const LOGARITHM: u32 = 3;

/// Which scores there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grid {
    /// Probabilities of label 1, each kept with its label, 0 or 1.
    Probability,
    /// Finite numbers, kept without a label.
    Number,
}

impl Grid {
    /// The cell of a score and its label as one integer; at level 0 the score itself and its label.
    #[must_use]
    pub fn word(self, level: u32, label: f64, score: f64) -> i64 {
        match (self, level) {
            (Self::Number, 0) => to_key(score),
            (Self::Number, _) => to_key(score) >> self.shift(level),
            (Self::Probability, 0) => to_key(score) << 1 | i64::from(label == 1.0),
            (Self::Probability, _) => (place(score) >> self.shift(level)) << 1 | i64::from(label == 1.0),
        }
    }

    /// The integer of a coarser level.
    #[must_use]
    pub fn coarser(self, word: i64, from: u32, to: u32) -> i64 {
        match (self, from) {
            _ if from == to => word,
            (_, 0) => self.word(to, self.label(word), self.number(word, 0)),
            (Self::Number, _) => word >> (to - from),
            (Self::Probability, _) => word >> (to - from) & !1 | word & 1,
        }
    }

    /// The bits of a cell above level 0 from the one that tells most to the one that tells least, the label's first: two cells
    /// are one so many levels further up as there are bits from the highest that differs.
    #[must_use]
    pub fn nested(self, word: i64) -> u64 {
        match self {
            Self::Number => word.cast_unsigned() ^ 1 << 63,
            Self::Probability => (word >> 1).cast_unsigned() | (word & 1).cast_unsigned() << 62,
        }
    }

    /// How tuples of so many cells are counted: sixteen or thirty-two neighbours together, probabilities with their labels.
    pub(super) fn tile(self, width: usize) -> Tile {
        let shared = u32::from(self == Self::Probability);
        Tile { shared, own: (5 - shared) / width as u32 }
    }

    /// The label; 0 where none is kept.
    #[must_use]
    pub fn label(self, word: i64) -> f64 {
        if self == Self::Probability && word & 1 == 1 { 1.0 } else { 0.0 }
    }

    /// The score at level 0, or else the number of the cell, in the order of the scores.
    #[must_use]
    pub fn number(self, word: i64, level: u32) -> f64 {
        let cell = if self == Self::Probability { word >> 1 } else { word };
        if level == 0 { from_key(cell) } else { cell as f64 }
    }

    /// The smallest score of a cell, by its number.
    #[must_use]
    pub fn lowest(self, level: u32, cell: f64) -> f64 {
        match (self, level) {
            (_, 0) => cell,
            (Self::Number, _) => from_key(((cell as i64) << self.shift(level)).max(to_key(f64::MIN))),
            (Self::Probability, _) => {
                let (mut low, mut high) = (0, to_key(1.0));
                while low < high {
                    let middle = low + (high - low) / 2;
                    let reached = (place(from_key(middle)) >> self.shift(level)) as f64 >= cell;
                    (low, high) = if reached { (low, middle) } else { (middle + 1, high) };
                }
                from_key(low)
            }
        }
    }

    /// How many lower bits of a place a cell has at a level above 0. The number of a cell is below `2^53`, so that floats
    /// hold it.
    fn shift(self, level: u32) -> u32 {
        level + if self == Self::Probability { 8 } else { 10 }
    }
}

/// Where a probability stands among all: a number below `2^62` that grows with it.
fn place(probability: f64) -> i64 {
    let octaves = |share: f64| share.max(SMALLEST).to_bits().cast_signed() - SMALLEST.to_bits().cast_signed();
    let logarithms = octaves(probability) + (OCTAVES << MANTISSA) - octaves(1.0 - probability);
    (probability * STRAIGHT) as i64 + (logarithms << LOGARITHM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(grid: Grid) -> Vec<f64> {
        let small = (1..300).map(|exponent| 0.1_f64.powi(exponent)).rev();
        let probabilities = small.chain((1..1000).map(|step| f64::from(step) / 1000.0)).chain([1.0 - 1e-9, 1.0]);
        let mut scores = std::iter::once(0.0).chain(probabilities).collect::<Vec<_>>();
        if grid == Grid::Number {
            let negative = scores.iter().rev().map(|score| -1e9 * score).collect::<Vec<_>>();
            scores = [&[f64::MIN][..], &negative, &scores, &[7.5, f64::MAX]].concat();
        }
        scores.sort_by(f64::total_cmp);
        scores
    }

    #[test]
    fn cells_nest_keep_the_order_and_know_their_label() {
        for grid in [Grid::Probability, Grid::Number] {
            for level in 1..=LAST {
                let words = scores(grid).into_iter().map(|score| grid.word(level, 1.0, score)).collect::<Vec<_>>();
                assert!(words.is_sorted(), "{grid:?} {level}");
                for (score, &word) in scores(grid).into_iter().zip(&words) {
                    let finer = [0, level / 2, level - 1];
                    let nested = finer.map(|finer| grid.coarser(grid.word(finer, 1.0, score), finer, level));
                    assert_eq!(nested, [word; 3], "{grid:?} {level} {score}");
                    assert_eq!(grid.label(word), if grid == Grid::Probability { 1.0 } else { 0.0 });
                }
                assert!(level < LAST || words.iter().collect::<std::collections::BTreeSet<_>>().len() <= 2);
            }
        }
    }

    #[test]
    fn the_lowest_score_of_a_cell_is_in_it_and_the_one_below_is_not() {
        for grid in [Grid::Probability, Grid::Number] {
            for (level, score) in (1..=LAST).flat_map(|level| scores(grid).into_iter().map(move |score| (level, score)))
            {
                let cell = |score: f64| grid.number(grid.word(level, 0.0, score), level);
                let lowest = grid.lowest(level, cell(score));
                let below = from_key(to_key(lowest) - 1);
                assert!(lowest <= score && cell(lowest) == cell(score), "{grid:?} {level} {score}");
                assert!(lowest == 0.0 || lowest == f64::MIN || cell(below) < cell(score), "{grid:?} {level} {score}");
            }
        }
    }

    #[test]
    fn level_zero_keeps_scores_and_labels() {
        for grid in [Grid::Probability, Grid::Number] {
            for (score, label) in scores(grid).into_iter().flat_map(|score| [(score, 0.0), (score, 1.0)]) {
                let word = grid.word(0, label, score);
                assert_eq!((grid.number(word, 0), grid.lowest(0, score)), (score, score));
                assert_eq!(grid.label(word), if grid == Grid::Number { 0.0 } else { label });
            }
        }
    }

    #[test]
    fn rare_events_have_cells_of_their_own() {
        let cells = |from: f64, to: f64| {
            let cell = |score| Grid::Probability.number(Grid::Probability.word(40, 0.0, score), 40);
            cell(to) - cell(from)
        };
        assert!(cells(0.0, 0.01) > 0.3 * cells(0.0, 0.5) && cells(0.99, 1.0) > 0.3 * cells(0.5, 1.0));
        assert!(cells(0.4, 0.5) > 0.4 * 0.1 * cells(0.0, 1.0));
    }
}
