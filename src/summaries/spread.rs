//! Where a column of numbers lies and how widely it is spread.

use anyhow::{Result, ensure};
use arrow::array::ArrayRef;
use arrow::datatypes::{Fields, Float64Type};
use serde::{Deserialize, Serialize};

use crate::summaries::exact_sum::ExactSum;
use crate::summaries::rows::primitive;
use crate::summaries::total_order::{from_key, to_key};
use crate::summaries::wire;
use crate::summary::Summary;

/// [`Spread`] is told nothing beside its column.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Debug, Default)]
pub struct SpreadParams {}

/// Counts, exact sums and extremes of one `Float64` column; what is null or not finite is counted and left out.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Spread {
    /// Rows seen.
    pub rows: i64,
    /// Rows that are null.
    pub nulls: i64,
    /// Rows that are NaN or infinite.
    pub not_finite: i64,
    sum: ExactSum,
    squares: ExactSum,
    extremes: Option<(i64, i64)>,
}

impl Spread {
    /// Rows that the numbers are about.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.rows.saturating_sub(self.nulls).saturating_sub(self.not_finite).max(0).cast_unsigned()
    }

    /// The smallest value; none without a row.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.extremes.map(|(min, _)| from_key(min))
    }

    /// The largest value; none without a row.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.extremes.map(|(_, max)| from_key(max))
    }

    /// The mean; none without a row, or when the sum is too large for a float.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let mean = self.sum.value() / self.used() as f64;
        mean.is_finite().then_some(mean)
    }

    /// The sample standard deviation, `n - 1` in the denominator; none below two rows, or when the squares are too large
    /// for a float. Exactly zero when all values are equal.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        let n = self.used();
        if n < 2 {
            return None;
        }
        let variance = ExactSum::comoment(n, &self.squares, &self.sum, &self.sum) / n as f64 / (n - 1) as f64;
        variance.is_finite().then(|| variance.sqrt())
    }

    fn take(&mut self, value: Option<f64>) {
        self.rows += 1;
        match value {
            None => self.nulls += 1,
            Some(value) if !value.is_finite() => self.not_finite += 1,
            Some(value) => self.take_finite(value),
        }
    }

    fn take_finite(&mut self, value: f64) {
        self.sum.add(value);
        self.squares.add_product(value, value);
        self.extremes = widest(self.extremes, Some((to_key(value), to_key(value))));
    }
}

impl Summary for Spread {
    const NAME: &'static str = "mg_spread";
    type Params = SpreadParams;

    fn fields() -> Fields {
        wire::fields(&["rows", "sum", "squares", "extremes"])
    }

    fn update(&mut self, _: &SpreadParams, columns: &[ArrayRef]) -> Result<()> {
        ensure!(columns.len() == 1, "{} columns where 1 is expected", columns.len());
        let values = primitive::<Float64Type>(&columns[0])?;
        values.iter().for_each(|value| self.take(value));
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.nulls = self.nulls.saturating_add(other.nulls);
        self.not_finite = self.not_finite.saturating_add(other.not_finite);
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.extremes = widest(self.extremes, other.extremes);
    }

    fn write(&self) -> Vec<ArrayRef> {
        let (mut sum, mut squares) = (Vec::new(), Vec::new());
        self.sum.write(&mut sum);
        self.squares.write(&mut squares);
        let extremes = self.extremes.map_or(Vec::new(), |(min, max)| vec![min, max]);
        wire::write(vec![vec![self.rows, self.nulls, self.not_finite], sum, squares, extremes])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [counts, sum, squares, extremes] = wire::read(state, row)?;
        let &[rows, nulls, not_finite] = &counts[..] else { anyhow::bail!("a spread without its three counts") };
        let (sum, squares) = (ExactSum::read(&mut &sum[..])?, ExactSum::read(&mut &squares[..])?);
        let extremes = extremes.first().copied().zip(extremes.last().copied());
        Ok(Self { rows, nulls, not_finite, sum, squares, extremes })
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sum.heap_size() + self.squares.heap_size()
    }
}

fn widest(left: Option<(i64, i64)>, right: Option<(i64, i64)>) -> Option<(i64, i64)> {
    left.into_iter().chain(right).reduce(|(min, max), (low, high)| (min.min(low), max.max(high)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Float64Array;

    use super::*;

    fn spread(values: &[Option<f64>]) -> Spread {
        let mut spread = Spread::default();
        let taken = spread.update(&SpreadParams {}, &[Arc::new(Float64Array::from(values.to_vec()))]);
        assert!(taken.is_ok());
        spread
    }

    #[test]
    fn what_is_not_a_number_is_counted_apart() {
        let found = spread(&[Some(2.0), None, Some(f64::NAN), Some(-0.0), Some(4.0), Some(f64::INFINITY)]);
        assert_eq!((found.rows, found.nulls, found.not_finite, found.used()), (6, 1, 2, 3));
        assert_eq!(
            (found.min(), found.max(), found.mean(), found.deviation()),
            (Some(0.0), Some(4.0), Some(2.0), Some(2.0))
        );
    }

    #[test]
    fn nothing_is_invented_for_too_few_values() {
        let (none, one) = (spread(&[None]), spread(&[Some(3.0)]));
        assert_eq!((none.min(), none.mean(), none.deviation()), (None, None, None));
        assert_eq!((one.mean(), one.deviation()), (Some(3.0), None));
        assert_eq!(spread(&[Some(f64::MAX), Some(f64::MAX)]).mean(), None);
    }

    /// Far from zero the sum of squares alone would lose every digit of the deviation.
    #[test]
    fn a_large_offset_costs_no_digits() {
        let found = spread(&[Some(1e15), Some(1e15 + 1.0), Some(1e15 + 2.0)]);
        assert_eq!((found.mean(), found.deviation()), (Some(1e15 + 1.0), Some(1.0)));
        assert_eq!(spread(&[Some(0.1); 10]).deviation(), Some(0.0));
    }
}
