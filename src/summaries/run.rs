//! Rows that stand side by side and are of one cluster: taken in row by row, summed column by column.

use crate::summaries::exact_sum::{ExactSum, Scaled};
use crate::summaries::moments::{pair, pairs};

/// Longer runs are summed in parts, so that their columns stay near the processor.
const MOST_ROWS: usize = 4096;

/// The values of the rows, one column for each sum.
pub(super) struct Run {
    cluster: u64,
    columns: Vec<Vec<Scaled>>,
}

impl Run {
    /// A run with room for `rows` rows.
    pub(super) fn new(columns: usize, rows: usize) -> Self {
        let column = |_| Vec::with_capacity(rows.min(MOST_ROWS));
        Self { cluster: 0, columns: (0..columns).map(column).collect() }
    }

    /// The cluster, once there are rows.
    pub(super) fn cluster(&self) -> u64 {
        self.cluster
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    /// Whether a row of `cluster` belongs into another run.
    pub(super) fn ends_before(&self, cluster: u64) -> bool {
        self.rows() > 0 && (self.cluster != cluster || self.rows() == MOST_ROWS)
    }

    /// Takes in a row, with one value for each column.
    pub(super) fn push(&mut self, cluster: u64, values: &[f64]) {
        self.cluster = cluster;
        self.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(Scaled::from(*value)));
    }

    /// Adds each column to its sum.
    pub(super) fn add_to(&self, sums: &mut Vec<ExactSum>) {
        sums.resize(self.columns.len(), ExactSum::default());
        sums.iter_mut().zip(&self.columns).for_each(|(sum, column)| sum.add_all(column));
    }

    /// Adds the products of each pair of columns to its sum. Pairs are within `joint` columns that follow each other.
    pub(super) fn add_products_to(&self, sums: &mut Vec<ExactSum>, joint: usize) {
        sums.resize(self.columns.len() / joint * pairs(joint), ExactSum::default());
        for (columns, sums) in self.columns.chunks(joint).zip(sums.chunks_mut(pairs(joint))) {
            for (j, y) in columns.iter().enumerate() {
                columns[..=j].iter().enumerate().for_each(|(i, x)| sums[pair(i, j)].add_products(x, y));
            }
        }
    }

    /// Forgets the rows.
    pub(super) fn clear(&mut self) {
        self.columns.iter_mut().for_each(Vec::clear);
    }
}
