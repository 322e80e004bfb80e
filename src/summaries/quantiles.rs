//! How the values of a column of numbers are distributed: counts in narrow cells, from which bins are cut.
//!
//! A cell holds the floats that agree in sign, exponent and the first [`FRACTION_BITS`] bits of the fraction, so whole
//! numbers up to 8192 have cells of their own, and other values share one with what differs by less than a part in 4096.
//! Memory grows with the cells in use, at most 4096 for each power of two that the column spans, and not with the rows.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use arrow::array::ArrayRef;
use arrow::datatypes::{Fields, Float64Type};
use serde::{Deserialize, Serialize};

use crate::summaries::rows::primitive;
use crate::summaries::total_order::{from_key, to_key};
use crate::summaries::wire;
use crate::summary::Summary;

/// The bits of the fraction, of 52, that tell cells apart.
const FRACTION_BITS: u32 = 12;

/// The decimal digits that tell any two floats apart.
const DIGITS: i32 = 17;

/// [`Quantiles`] is told nothing beside its column.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Debug, Default)]
pub struct QuantileParams {}

/// The cells of one `Float64` column; what is null or not finite is left out.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Quantiles {
    cells: BTreeMap<i64, Held>,
}

/// Rows of a cell, and its extremes in the total order.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Held {
    rows: i64,
    low: i64,
    high: i64,
}

/// Values that are close to each other.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cell {
    /// How many rows have one of them.
    pub rows: u64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Quantiles {
    /// The cells in the order of their values.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let cell = |held: &Held| Cell {
            rows: held.rows.max(0).cast_unsigned(),
            low: from_key(held.low),
            high: from_key(held.high),
        };
        self.cells.values().map(cell).collect()
    }

    /// Edges that cut the values into at most so many bins of about equal count, ascending. Each is the roundest number that
    /// leaves a bin within a quarter of its share; where no edge does, as beside a value that many rows have, it is the
    /// nearest. As few distinct values as bins have a bin each.
    #[must_use]
    pub fn edges(&self, bins: usize) -> Vec<f64> {
        let cells = self.cells();
        let edge = |first: usize, last: usize| roundest(cells[first - 1].high, cells[last].low);
        if cells.len() <= bins {
            return (1..cells.len()).map(|cell| edge(cell, cell)).collect();
        }
        // The places where an edge may be, and how many rows lie below each.
        let mut all = 0.0;
        let mut places: Vec<(usize, f64)> = Vec::with_capacity(cells.len());
        for (place, cell) in cells.iter().enumerate() {
            places.push((place, all));
            all += cell.rows as f64;
        }
        let (places, share) = (&places[1..], all / bins as f64);
        let mut edges = Vec::new();
        for part in 1..bins {
            let off = |place: &(usize, f64)| (place.1 - all * part as f64 / bins as f64).abs();
            let near: Vec<usize> =
                places.iter().filter(|place| off(place) <= share / 4.0).map(|place| place.0).collect();
            let nearest = places.iter().min_by(|left, right| off(left).total_cmp(&off(right))).map(|place| place.0);
            let (first, last) = (near.first().copied().or(nearest), near.last().copied().or(nearest));
            edges.extend(first.zip(last).map(|(first, last)| edge(first, last)));
        }
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        edges
    }

    fn take(&mut self, key: i64, held: Held) {
        let cell = self.cells.entry(key >> (52 - FRACTION_BITS)).or_insert(Held { rows: 0, ..held });
        cell.rows = cell.rows.saturating_add(held.rows);
        cell.low = cell.low.min(held.low);
        cell.high = cell.high.max(held.high);
    }
}

impl Summary for Quantiles {
    const NAME: &'static str = "mg_quantiles";
    type Params = QuantileParams;

    fn fields() -> Fields {
        wire::fields(&["rows", "lows", "highs"])
    }

    fn update(&mut self, _: &QuantileParams, columns: &[ArrayRef]) -> Result<()> {
        ensure!(columns.len() == 1, "{} columns where 1 is expected", columns.len());
        for value in primitive::<Float64Type>(&columns[0])?.iter().flatten().filter(|value| value.is_finite()) {
            let key = to_key(value);
            self.take(key, Held { rows: 1, low: key, high: key });
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        other.cells.into_values().for_each(|held| self.take(held.low, held));
    }

    fn write(&self) -> Vec<ArrayRef> {
        let list = |of: fn(&Held) -> i64| self.cells.values().map(of).collect();
        wire::write(vec![list(|held| held.rows), list(|held| held.low), list(|held| held.high)])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [rows, lows, highs] = wire::read(state, row)?;
        ensure!(rows.len() == lows.len() && rows.len() == highs.len(), "quantiles with cells of unequal shape");
        let mut read = Self::default();
        for ((rows, low), high) in rows.into_iter().zip(lows).zip(highs) {
            read.take(low, Held { rows, low, high });
        }
        Ok(read)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.cells.len() * size_of::<(i64, Held)>()
    }
}

/// The number of fewest decimal digits above `low` and up to `high`, and of several the one nearest to the middle.
fn roundest(low: f64, high: f64) -> f64 {
    if low < 0.0 && high >= 0.0 {
        return 0.0;
    }
    let largest = low.abs().max(high.abs()).log10().floor() as i32 + 1;
    let middle = low + (high - low) / 2.0;
    for exponent in (largest - DIGITS..=largest).rev() {
        let step = 10_f64.powi(exponent);
        for multiple in [(middle / step).round(), (high / step).floor()] {
            match format!("{multiple}e{exponent}").parse::<f64>() {
                Ok(number) if number > low && number <= high => return number,
                _ => {}
            }
        }
    }
    high
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::sync::Arc;

    use arrow::array::Float64Array;

    use super::*;

    #[test]
    fn a_cell_keeps_its_extremes_and_whole_numbers_stay_apart() {
        let values =
            [Some(2013.0), Some(2014.0), Some(2013.0), None, Some(0.1), Some(f64::NAN), Some(-3.5), Some(-0.0)];
        let mut quantiles = Quantiles::default();
        quantiles.update(&QuantileParams {}, &[Arc::new(Float64Array::from(values.to_vec()))]).unwrap();
        let cell = |rows, value| Cell { rows, low: value, high: value };
        assert_eq!(quantiles.cells(), [cell(1, -3.5), cell(1, 0.0), cell(1, 0.1), cell(2, 2013.0), cell(1, 2014.0)]);
        let close = [Some(1e6), Some(1e6 + 1.0), Some(1e6 - 1.0)];
        let mut quantiles = Quantiles::default();
        quantiles.update(&QuantileParams {}, &[Arc::new(Float64Array::from(close.to_vec()))]).unwrap();
        assert_eq!(quantiles.cells(), [Cell { rows: 3, low: 1e6 - 1.0, high: 1e6 + 1.0 }]);
    }

    fn edges(values: impl IntoIterator<Item = f64>, bins: usize) -> Vec<f64> {
        let mut quantiles = Quantiles::default();
        let values = values.into_iter().map(Some).collect::<Float64Array>();
        quantiles.update(&QuantileParams {}, &[Arc::new(values)]).unwrap();
        quantiles.edges(bins)
    }

    #[test]
    fn edges_are_round_and_share_the_rows() {
        assert_eq!(edges((0..1000).map(|n| f64::from(n) / 1000.0), 4), [0.2, 0.5, 0.7]);
        assert_eq!(edges((0..24).map(f64::from), 4), [6.0, 12.0, 18.0]);
        assert_eq!(edges((1..=7).map(f64::from), 8), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(edges((-500..500).map(|n| f64::from(n) * 1.7), 2), [0.0]);
        assert_eq!(edges((0..100).map(|n| -1e-7 * f64::from(n) - 1e-3), 2), [-0.001_005]);
    }

    /// Nine rows in ten have one value: it has a bin of its own, and the rest the other.
    #[test]
    fn a_value_of_many_rows_has_its_own_bin() {
        let values = (0..1000).map(|n| if n % 10 == 0 { f64::from(n) / 1000.0 } else { 0.0 });
        assert_eq!(edges(values, 4), [0.01]);
        assert!(edges([0.1; 50], 4).is_empty() && edges([], 4).is_empty());
        let twins = [0.1, 0.1 + f64::EPSILON / 8.0];
        assert_eq!(edges(twins.into_iter().cycle().take(50), 4), Vec::<f64>::new());
    }
}
