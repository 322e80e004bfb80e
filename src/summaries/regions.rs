//! How much more one model loses than another in every region that one or two columns cut out.
//!
//! The columns are cut into bins beforehand. A region is a bin of one column, or a bin of one and a bin of another; each
//! row is in one region for each column and each pair of columns. Kept are, per region, the rows, those with label 1, and
//! the exact sums of the rows' excess loss and of its square, from which its studentised mean follows. Memory grows with
//! the number of regions, and not with the number of rows. Rows are taken as independent here: this is for a search, and
//! what it finds is measured again.

use std::mem::take;

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use arrow::datatypes::{Fields, Float64Type};
use serde::{Deserialize, Serialize};

use crate::summaries::exact_sum::ExactSum;
use crate::summaries::rows::{Columns, Row, RowCounts, Task, Threshold, primitive};
use crate::summaries::term::loss;
use crate::summaries::total_order::from_key;
use crate::summaries::wire;
use crate::summary::Summary;

/// The most regions of one summary: 20 MB of sums.
pub const MAX_REGIONS: usize = 100_000;

/// What is searched for.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct RegionParams {
    /// The label and the two scores, unclustered.
    pub rows: Columns,
    /// What a row costs a model.
    pub loss: Loss,
    /// What the losses of the models count for in the excess.
    pub weights: [f64; 2],
    /// What is taken off the excess: the part of it that is allowed.
    pub margin: f64,
    /// How each column is cut into bins.
    pub cuts: Vec<Cuts>,
}

/// What a row costs a model.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// As [`Term::LogLoss`](crate::summaries::term::Term::LogLoss).
    LogLoss,
    /// As [`Term::Brier`](crate::summaries::term::Term::Brier).
    Brier,
    /// 1 for a wrong decision, else 0.
    Error,
    /// As [`Term::AbsoluteError`](crate::summaries::term::Term::AbsoluteError).
    AbsoluteError,
    /// As [`Term::SquaredError`](crate::summaries::term::Term::SquaredError).
    SquaredError,
}

/// The bins of a column. The last two hold what no other does: values beyond the last cut, or texts that are not named,
/// and nulls.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Cuts {
    /// Of a `Float64` column: a bin below each edge, edges belonging to the bin above. They are ascending and written as
    /// places in the total order, which JSON does not round.
    Numbers(Vec<i64>),
    /// Of a `Utf8` column: a bin for each text, in ascending order.
    Texts(Vec<String>),
}

/// The bins that make a region, by the numbers of column and bin: none for all rows, else one or two.
pub type Region = Vec<(usize, usize)>;

/// Sums over the rows of each region, in the order of [`RegionParams::regions`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Regions {
    rows: RowCounts,
    /// Empty as long as no usable row was seen.
    regions: Vec<Sums>,
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Sums {
    rows: i64,
    positives: i64,
    excess: ExactSum,
    squares: ExactSum,
}

impl Cuts {
    /// How many bins there are.
    #[must_use]
    pub fn bins(&self) -> usize {
        match self {
            Self::Numbers(edges) => edges.len() + 2,
            Self::Texts(texts) => texts.len() + 2,
        }
    }
}

impl RegionParams {
    /// All regions: all rows, the bins of each column, the pairs of bins of each pair of columns.
    #[must_use]
    pub fn regions(&self) -> Vec<Region> {
        let bins = |column: usize| (0..self.cuts[column].bins()).map(move |bin| (column, bin));
        let mut regions = vec![Region::new()];
        for one in 0..self.cuts.len() {
            regions.extend(bins(one).map(|part| vec![part]));
        }
        for (one, other) in self.pairs() {
            regions.extend(bins(one).flat_map(|part| bins(other).map(move |more| vec![part, more])));
        }
        regions
    }

    /// How many regions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let bins: Vec<usize> = self.cuts.iter().map(Cuts::bins).collect();
        1 + bins.iter().sum::<usize>() + self.pairs().map(|(one, other)| bins[one] * bins[other]).sum::<usize>()
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let columns = self.cuts.len();
        (0..columns).flat_map(move |one| (one + 1..columns).map(move |other| (one, other)))
    }

    /// The numbers of the regions that a row with these bins is in.
    fn regions_of<'b>(&'b self, bins: &'b [usize]) -> impl Iterator<Item = usize> + 'b {
        let mut next = 1;
        let place = move |(size, at): (usize, usize)| {
            let region = next + at;
            next += size;
            region
        };
        let widths = move |column: usize| self.cuts[column].bins();
        let singles = (0..bins.len()).map(move |column| (widths(column), bins[column]));
        let pairs = self.pairs().map(move |(one, other)| {
            let width = widths(other);
            (widths(one) * width, bins[one] * width + bins[other])
        });
        std::iter::once(0).chain(singles.chain(pairs).map(place))
    }

    /// What the row costs the models, weighted, beyond what is allowed.
    fn excess(&self, row: &Row<'_>) -> f64 {
        let cost = |model: usize| self.loss.of(&self.rows.task, row.label, row.scores[model], model);
        row.weight * (self.weights[0] * cost(0) + self.weights[1] * cost(1) - self.margin)
    }
}

impl Loss {
    fn of(self, task: &Task, label: f64, score: f64, model: usize) -> f64 {
        match (self, task) {
            (Self::LogLoss | Self::AbsoluteError, _) => loss(task, 0, label, score),
            (Self::Error, Task::Binary { threshold: Threshold::From(thresholds) }) => {
                f64::from(u8::from((score >= thresholds[model]) != (label == 1.0)))
            }
            (Self::Brier | Self::SquaredError | Self::Error, _) => loss(task, 1, label, score),
        }
    }
}

impl Regions {
    /// The rows seen and the reasons why some could not be used.
    #[must_use]
    pub fn rows(&self) -> &RowCounts {
        &self.rows
    }

    /// The rows of a region, and those with label 1.
    #[must_use]
    pub fn size(&self, region: usize) -> (u64, u64) {
        let sums = self.regions.get(region);
        sums.map_or((0, 0), |sums| (sums.rows.max(0).cast_unsigned(), sums.positives.max(0).cast_unsigned()))
    }

    /// The mean excess of a region in standard errors; infinite where it does not vary, 0 where it is none.
    #[must_use]
    pub fn statistic(&self, region: usize) -> f64 {
        let Some(Sums { rows, excess, squares, .. }) = self.regions.get(region) else { return 0.0 };
        let (n, total) = (rows.max(&0).cast_unsigned(), excess.value());
        let comoment = ExactSum::comoment(n, squares, excess, excess);
        if total == 0.0 {
            0.0
        } else if comoment > 0.0 {
            total / (comoment / n.saturating_sub(1).max(1) as f64).sqrt()
        } else {
            f64::INFINITY.copysign(total)
        }
    }

    fn take(&mut self, params: &RegionParams, bins: &[usize], row: &Row<'_>) {
        if self.regions.is_empty() {
            self.regions.resize(params.count(), Sums::default());
        }
        let (excess, positive) = (params.excess(row), i64::from(row.label == 1.0));
        for region in params.regions_of(bins) {
            let sums = &mut self.regions[region];
            sums.rows += 1;
            sums.positives += positive;
            sums.excess.add(excess);
            sums.squares.add_product(excess, excess);
        }
    }
}

impl Summary for Regions {
    const NAME: &'static str = "mg_regions";
    type Params = RegionParams;

    fn fields() -> Fields {
        wire::fields(&["rows", "counts", "positives", "excess", "squares"])
    }

    fn update(&mut self, params: &RegionParams, columns: &[ArrayRef]) -> Result<()> {
        let regions = params.count();
        ensure!(regions <= MAX_REGIONS, "{regions} regions where at most {MAX_REGIONS} are possible");
        ensure!(params.rows.scores == 2 && !params.rows.clustered, "regions compare two models, without clusters");
        let (rows, values) = columns.split_at(columns.len().saturating_sub(params.cuts.len()));
        let binned = params.cuts.iter().zip(values).map(|(cuts, values)| Binned::new(cuts, values));
        let binned = binned.collect::<Result<Vec<_>>>()?;
        let length = rows.first().map_or(0, |column| column.len());
        ensure!(values.iter().all(|column| column.len() == length), "columns of unequal length");
        let mut counts = take(&mut self.rows);
        let taken = counts.take(&params.rows, rows, |row| {
            let bins: Vec<usize> = binned.iter().map(|binned| binned.bin(row.index)).collect();
            self.take(params, &bins, &row);
        });
        self.rows = counts;
        taken
    }

    fn merge(&mut self, other: Self) {
        self.rows.merge(other.rows);
        self.regions.resize(self.regions.len().max(other.regions.len()), Sums::default());
        self.regions.iter_mut().zip(&other.regions).for_each(|(sums, more)| sums.merge(more));
    }

    fn write(&self) -> Vec<ArrayRef> {
        let (mut excess, mut squares) = (Vec::new(), Vec::new());
        self.regions.iter().for_each(|sums| sums.excess.write(&mut excess));
        self.regions.iter().for_each(|sums| sums.squares.write(&mut squares));
        let rows = self.regions.iter().map(|sums| sums.rows).collect();
        let positives = self.regions.iter().map(|sums| sums.positives).collect();
        wire::write(vec![self.rows.write(), rows, positives, excess, squares])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [counts, rows, positives, excess, squares] = wire::read(state, row)?;
        let (counts, mut excess, mut squares) = (RowCounts::read(&counts)?, &excess[..], &squares[..]);
        ensure!(rows.len() <= MAX_REGIONS && rows.len() == positives.len(), "regions of impossible shape");
        ensure!(rows.first().copied().unwrap_or(0) == counts.used, "regions of other rows than were counted");
        let mut regions = Vec::new();
        for (rows, positives) in rows.into_iter().zip(positives) {
            let (excess, squares) = (ExactSum::read(&mut excess)?, ExactSum::read(&mut squares)?);
            regions.push(Sums { rows, positives, excess, squares });
        }
        Ok(Self { rows: counts, regions })
    }

    fn size(&self) -> usize {
        let sums = self.regions.iter().map(|sums| sums.excess.heap_size() + sums.squares.heap_size());
        size_of::<Self>() + self.rows.heap_size() + size_of_val(&self.regions[..]) + sums.sum::<usize>()
    }
}

impl Sums {
    fn merge(&mut self, other: &Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.positives = self.positives.saturating_add(other.positives);
        self.excess.merge(&other.excess);
        self.squares.merge(&other.squares);
    }
}

/// A column with its bins.
enum Binned<'a> {
    Numbers(Vec<f64>, &'a Float64Array),
    Texts(&'a [String], &'a StringArray),
}

impl<'a> Binned<'a> {
    fn new(cuts: &'a Cuts, values: &'a ArrayRef) -> Result<Self> {
        Ok(match cuts {
            Cuts::Numbers(edges) => {
                Self::Numbers(edges.iter().copied().map(from_key).collect(), primitive::<Float64Type>(values)?)
            }
            Cuts::Texts(texts) => Self::Texts(texts, values.as_string_opt().context("a column that is no text")?),
        })
    }

    /// The bin of a row. Numbers are ordered as SQL does it here: by the total order, in which `-0.0` is below `0.0`.
    fn bin(&self, row: usize) -> usize {
        match self {
            Self::Numbers(edges, values) if values.is_valid(row) => {
                edges.partition_point(|edge| edge.total_cmp(&values.value(row)).is_le())
            }
            Self::Texts(texts, values) if values.is_valid(row) => {
                texts.binary_search_by(|text| text.as_str().cmp(values.value(row))).unwrap_or(texts.len())
            }
            Self::Numbers(edges, _) => edges.len() + 1,
            Self::Texts(texts, _) => texts.len() + 1,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::summaries::total_order::to_key;

    fn params() -> RegionParams {
        let edges = [0.0, 10.0].map(to_key).to_vec();
        RegionParams {
            rows: Columns { task: Task::Regression, scores: 2, clustered: false, weighted: false, grouped: false },
            loss: Loss::AbsoluteError,
            weights: [-1.0, 1.0],
            margin: 0.0,
            cuts: vec![Cuts::Numbers(edges), Cuts::Texts(vec!["a".to_owned(), "b".to_owned()])],
        }
    }

    /// Each row's regions, found naively, against the numbers of the regions that counted it.
    #[test]
    fn every_row_is_counted_where_it_belongs() {
        let params = params();
        let numbers = [Some(-0.0), Some(0.0), Some(9.5), Some(10.0), Some(f64::NAN), None];
        let texts = [Some("a"), Some("b"), Some("c"), None, Some("a"), Some("")];
        let expected = [(0, 0), (1, 1), (1, 2), (2, 3), (2, 0), (3, 2)];
        let regions = params.regions();
        assert_eq!(regions.len(), params.count());
        for (row, (one, other)) in expected.into_iter().enumerate() {
            let number = |values: &[Option<f64>]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
            let columns = [
                number(&[Some(0.0)]),
                number(&[Some(1.0)]),
                number(&[Some(3.0)]),
                number(&[numbers[row]]),
                Arc::new(StringArray::from(vec![texts[row]])) as ArrayRef,
            ];
            let mut summary = Regions::default();
            summary.update(&params, &columns).unwrap();
            let counted: Vec<&Region> =
                regions.iter().enumerate().filter(|(index, _)| summary.size(*index).0 == 1).map(|(_, r)| r).collect();
            assert_eq!(
                counted,
                [&vec![], &vec![(0, one)], &vec![(1, other)], &vec![(0, one), (1, other)]],
                "row {row}"
            );
            assert_eq!(summary.statistic(0), f64::INFINITY);
        }
    }

    #[test]
    fn the_statistic_is_students() {
        let excess = [0.5, 2.0, -1.0, 0.25];
        let column = |value: fn(f64) -> f64| {
            Arc::new(excess.iter().map(|excess| Some(value(*excess))).collect::<Float64Array>()) as ArrayRef
        };
        let params = RegionParams { cuts: Vec::new(), ..params() };
        let mut summary = Regions::default();
        summary.update(&params, &[column(|_| 0.0), column(|_| 5.0), column(|excess| 5.0 + excess)]).unwrap();
        // scipy.stats.ttest_1samp([0.5, 2.0, -1.0, 0.25], 0).statistic
        assert!((summary.statistic(0) - 0.710_742_315_593_533_4).abs() < 1e-12, "{}", summary.statistic(0));
        summary = Regions::default();
        summary.update(&params, &[column(|_| 0.0), column(|_| 5.0), column(|_| 5.0)]).unwrap();
        assert_eq!((summary.statistic(0), summary.statistic(7), summary.size(0)), (0.0, 0.0, (4, 0)));
    }
}
