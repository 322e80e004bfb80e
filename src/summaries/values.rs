//! How the values of a column of numbers are distributed, to be held against those of another dataset: exact as long as they
//! fit a budget, and else in nested cells, which two datasets can have in common.
//!
//! What is missing or not finite has counts of its own. The budget is small, so that the table stays in the processor's
//! cache; a cell then holds some thousandths of the rows.

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{Fields, Float64Type};
use serde::{Deserialize, Serialize};

use crate::summaries::cells::{Budget, Cells};
use crate::summaries::grid::Grid;
use crate::summaries::rows::primitive;
use crate::summaries::total_order::{from_key, to_key};
use crate::summaries::units::{self, Batch, UNITS};
use crate::summaries::wire;
use crate::summary::Summary;

/// The budget of all rows: 300 KB at most.
const OF_ROWS: Budget = Budget { exact: 8_192, cells: 4_096 };

/// The budget of each unit of entities, in which there are fewer values.
const OF_UNITS: Budget = Budget { exact: 2_048, cells: 1_024 };

/// What [`Values`] is told.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Debug)]
pub struct ValueParams {
    /// Whether a second column, of `UInt64`, names the entity of a row.
    pub clustered: bool,
    /// How many values are kept, in each unit of entities.
    pub budget: Budget,
}

impl ValueParams {
    /// The usual budget.
    #[must_use]
    pub fn new(clustered: bool) -> Self {
        Self { clustered, budget: if clustered { OF_UNITS } else { OF_ROWS } }
    }
}

/// The values of one `Float64` column with their counts.
#[derive(Clone, Debug, Default)]
pub struct Values {
    budget: Option<Budget>,
    /// One, or one for each unit of entities; none before a row.
    units: Vec<Unit>,
}

#[derive(Clone, Debug)]
struct Unit {
    /// Rows whose value is missing, NaN, negative or positive infinity.
    apart: [i64; 4],
    cells: Cells,
}

/// Where a value stands in the order of all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// It is missing.
    Missing,
    /// It is not a number.
    Nan,
    /// It is negative infinity.
    Lowest,
    /// It is finite: the value, or its cell.
    Finite(i64),
    /// It is positive infinity.
    Highest,
}

/// What is not finite, in the order of its counts.
const APART: [Place; 4] = [Place::Missing, Place::Nan, Place::Lowest, Place::Highest];

impl Values {
    /// The coarsest level of the cells of the units; 0 where values are exact.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.units.iter().map(|unit| unit.cells.level).max().unwrap_or(0)
    }

    /// Whether rows are of entities; false before a row.
    #[must_use]
    pub fn is_clustered(&self) -> bool {
        self.units.len() > 1
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let mut rows = self.units.iter().flat_map(|unit| unit.apart).sum::<i64>();
        self.units.iter().for_each(|unit| unit.cells.tally.for_each(|_, count| rows += count));
        rows.cast_unsigned()
    }

    /// The rows of each unit at each place, with the cells of a level that is at least [`Values::level`]: unit, place, rows.
    #[must_use]
    pub fn counts(&self, level: u32) -> Vec<(usize, Place, u64)> {
        let mut counts = Vec::new();
        for (number, unit) in self.units.iter().enumerate() {
            let mut hold = |place: Place, rows: i64| {
                if rows > 0 {
                    counts.push((number, place, rows.cast_unsigned()));
                }
            };
            APART.into_iter().zip(unit.apart).for_each(|(place, rows)| hold(place, rows));
            let place = |tuple: &[i64]| Place::Finite(Grid::Number.coarser(tuple[0], unit.cells.level, level));
            unit.cells.tally.for_each(|tuple, rows| hold(place(tuple), rows));
        }
        counts
    }

    fn start(&mut self, budget: Budget, units: usize) {
        self.budget = Some(budget);
        let unit = || Unit { apart: [0; 4], cells: Cells::new(None, 0, 1) };
        self.units.resize_with(units, unit);
    }

    fn fit(&mut self) {
        if let Some(budget) = self.budget {
            self.units.iter_mut().for_each(|unit| unit.cells.fit(Grid::Number, budget));
        }
    }
}

impl Place {
    /// The largest number at the place, by the level of cells; none where there is no number, or no finite one.
    #[must_use]
    pub fn number(self, level: u32) -> Option<f64> {
        let Self::Finite(word) = self else { return None };
        let cell = Grid::Number.number(word, level);
        if level == 0 {
            return Some(cell);
        }
        let (own, next) = (Grid::Number.lowest(level, cell), Grid::Number.lowest(level, cell + 1.0));
        let last = from_key(to_key(next) - 1);
        Some(if last >= own && last.is_finite() { last } else { f64::MAX })
    }
}

impl Unit {
    fn take(&mut self, value: Option<f64>) {
        match value {
            Some(value) if value.is_finite() => {
                self.cells.tally.add(&[Grid::Number.word(self.cells.level, 0.0, value)], 1);
            }
            None => self.apart[0] += 1,
            Some(value) if value.is_nan() => self.apart[1] += 1,
            Some(value) => self.apart[if value < 0.0 { 2 } else { 3 }] += 1,
        }
    }
}

impl PartialEq for Unit {
    fn eq(&self, other: &Self) -> bool {
        let tallies = [&self.cells.tally, &other.cells.tally];
        self.apart == other.apart
            && self.cells.level == other.cells.level
            && tallies[0].len() == tallies[1].len()
            && tallies[0].sorted() == tallies[1].sorted()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.budget == other.budget && self.units == other.units
    }
}

impl Summary for Values {
    const NAME: &'static str = "mg_values";
    type Params = ValueParams;

    fn fields() -> Fields {
        wire::fields(&["budget", "apart", "levels", "lengths", "values", "counts"])
    }

    fn update(&mut self, params: &ValueParams, columns: &[ArrayRef]) -> Result<()> {
        let batch = Batch::of(columns, params.clustered)?;
        let values = primitive::<Float64Type>(batch.values)?;
        if self.units.is_empty() && !values.is_empty() {
            self.start(params.budget, units::count(params.clustered));
        }
        if values.null_count() == 0 && !params.clustered {
            for unit in &mut self.units {
                values.values().iter().for_each(|&value| unit.take(Some(value)));
            }
        } else {
            let rows = values.iter().enumerate();
            rows.for_each(|(row, value)| self.units[batch.unit(row)].take(value));
        }
        self.fit();
        Ok(())
    }

    fn merge(&mut self, mut other: Self) {
        if self.units.is_empty() {
            std::mem::swap(self, &mut other);
        }
        for (mine, theirs) in self.units.iter_mut().zip(other.units) {
            mine.apart.iter_mut().zip(theirs.apart).for_each(|(mine, more)| *mine = mine.saturating_add(more));
            mine.cells.merge(Some(Grid::Number), theirs.cells);
        }
        self.fit();
    }

    fn write(&self) -> Vec<ArrayRef> {
        let budget = self.budget.map_or(Vec::new(), |budget| {
            [budget.exact, budget.cells].map(|most| i64::try_from(most).unwrap_or(i64::MAX)).to_vec()
        });
        let (mut values, mut counts, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        for unit in &self.units {
            let sorted = unit.cells.tally.sorted();
            lengths.push(unit.cells.tally.len() as i64);
            values.extend(sorted.0);
            counts.extend(sorted.1);
        }
        let apart = self.units.iter().flat_map(|unit| unit.apart).collect();
        let levels = self.units.iter().map(|unit| i64::from(unit.cells.level)).collect();
        wire::write(vec![budget, apart, levels, lengths, values, counts])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [budget, apart, levels, lengths, values, counts] = wire::read(state, row)?;
        let mut read = Self::default();
        let &[exact, cells] = &budget[..] else {
            let is_empty = [&budget, &apart, &levels, &lengths, &values, &counts].iter().all(|list| list.is_empty());
            ensure!(is_empty, "values without their budget");
            return Ok(read);
        };
        ensure!([1, UNITS].contains(&levels.len()), "values of {} units", levels.len());
        ensure!(lengths.len() == levels.len() && apart.len() == 4 * levels.len(), "values of units that do not agree");
        ensure!(units::are_rows(apart.iter().chain(&counts)), "values of an impossible number of rows");
        read.start(Budget { exact: usize::try_from(exact)?, cells: usize::try_from(cells)? }, levels.len());
        let (mut values, mut counts) = (&values[..], &counts[..]);
        for (number, unit) in read.units.iter_mut().enumerate() {
            let length = usize::try_from(lengths[number])?;
            let parts = values.split_off(..length).zip(counts.split_off(..length));
            let (values, counts) = parts.context("values without all their counts")?;
            unit.apart.copy_from_slice(&apart[4 * number..4 * (number + 1)]);
            unit.cells = Cells::read(Some(Grid::Number), levels[number], 1, values, counts)?;
        }
        ensure!(values.is_empty() && counts.is_empty(), "values with more of them than they have");
        read.fit();
        Ok(read)
    }

    fn size(&self) -> usize {
        let units = self.units.iter().map(|unit| size_of::<Unit>() + unit.cells.tally.heap_size());
        size_of::<Self>() + units.sum::<usize>()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, UInt64Array};

    use super::*;

    fn of(values: impl IntoIterator<Item = Option<f64>>) -> Values {
        let mut found = Values::default();
        let values = values.into_iter().collect::<Float64Array>();
        found.update(&ValueParams::new(false), &[Arc::new(values)]).unwrap();
        found
    }

    #[test]
    fn what_is_no_finite_number_has_a_place_of_its_own() {
        let hostile =
            [Some(f64::INFINITY), None, Some(-f64::NAN), Some(2.5), Some(f64::NEG_INFINITY), None, Some(-0.0)];
        let mut found = of(hostile).counts(0);
        found.sort_unstable_by_key(|(_, place, _)| *place);
        let finite = |value| Place::Finite(to_key(value));
        let expected = [
            (Place::Missing, 2),
            (Place::Nan, 1),
            (Place::Lowest, 1),
            (finite(0.0), 1),
            (finite(2.5), 1),
            (Place::Highest, 1),
        ];
        assert_eq!(found, expected.map(|(place, rows)| (0, place, rows)));
        assert_eq!((finite(2.5).number(0), Place::Nan.number(0)), (Some(2.5), None));
    }

    #[test]
    fn a_cell_of_many_values_holds_few_rows_and_knows_its_last_number() {
        let values = of((0..50_000_u64).map(|row| Some(normal(row))));
        let level = values.level();
        assert!(level > 0);
        let counts = values.counts(level);
        assert!(counts.len() <= OF_ROWS.cells);
        assert!(counts.iter().all(|(_, _, rows)| *rows < 50_000 / 50), "{:?}", counts.iter().map(|c| c.2).max());
        for (_, place, _) in counts {
            let last = place.number(level).unwrap();
            let place_of = |value: f64| Place::Finite(Grid::Number.word(level, 0.0, value));
            assert_eq!(place_of(last), place);
            assert!(place_of(from_key(to_key(last) + 1)) > place);
        }
        assert_eq!(Place::Finite(Grid::Number.word(53, 0.0, 1.0)).number(53), Some(f64::MAX));
    }

    /// About a normal number: the sum of twelve that are spread evenly, less their mean.
    fn normal(row: u64) -> f64 {
        let mut word = row;
        let mut next = || {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (word >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..12).map(|_| next()).sum::<f64>() - 6.0
    }

    #[test]
    fn the_rows_of_an_entity_are_in_one_unit() {
        let mut found = Values::default();
        let values = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 4.0]));
        let entities = Arc::new(UInt64Array::from(vec![Some(40), Some(3), Some(8), None]));
        found.update(&ValueParams::new(true), &[values, entities]).unwrap();
        let units = found.counts(0).into_iter().map(|(unit, _, _)| unit).collect::<Vec<_>>();
        assert_eq!(units, [3, 8, 8, 31]);
    }
}
