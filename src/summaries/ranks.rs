//! The exact multiset of labels and scores, for what depends on their order: ROC AUC, distances, curves.
//!
//! Memory grows with the number of *distinct* tuples of cluster, label and scores: small for scores of few digits, the
//! number of rows at worst. Above [`MAX_TUPLES`] an update is refused.
//!
//! Tuples are integers that sort as the values do. New ones are appended, and sorted and counted whenever there are as
//! many new ones as settled ones, so that each is moved only a logarithmic number of times.

use anyhow::{Result, bail, ensure};
use arrow::array::ArrayRef;
use arrow::datatypes::Fields;

use crate::summaries::rows::{Columns, Row, RowCounts};
use crate::summaries::total_order::{from_key, to_key};
use crate::summaries::wire;
use crate::summary::Summary;

/// The most distinct tuples that are kept: 2 GB for two models in clusters, at 40 bytes each.
pub const MAX_TUPLES: usize = 50_000_000;

/// Below this many new tuples, sorting waits.
const SMALL: usize = 4096;

/// The multiset.
#[derive(Clone, Debug, Default)]
pub struct Ranks {
    rows: RowCounts,
    tuples: Tuples,
}

/// Distinct tuples with their counts, column by column, sorted by cluster, weight, group, label and scores.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RankColumns {
    /// The cluster of each tuple, if rows are clustered.
    pub clusters: Option<Vec<u64>>,
    /// The weight of each tuple, if rows are weighted.
    pub weights: Option<Vec<f64>>,
    /// The group of each tuple, if rows are grouped.
    pub groups: Option<Vec<u64>>,
    /// The label of each tuple.
    pub labels: Vec<f64>,
    /// For each model, and within it for each class, its score in each tuple.
    pub scores: Vec<Vec<f64>>,
    /// How many rows each tuple stands for.
    pub counts: Vec<u64>,
}

impl Ranks {
    /// The rows seen and the reasons why some could not be used.
    #[must_use]
    pub fn rows(&self) -> &RowCounts {
        &self.rows
    }

    /// How many models scored the rows; 0 as long as no row was seen.
    #[must_use]
    pub fn models(&self) -> usize {
        self.rows.missing.len()
    }

    /// Usable rows with label 1.
    #[must_use]
    pub fn positives(&self) -> u64 {
        self.labelled(1.0)
    }

    /// Usable rows with a label.
    #[must_use]
    pub fn labelled(&self, label: f64) -> u64 {
        let place = self.tuples.shape.label();
        let tuples = self.tuples.iter().filter(|(tuple, _)| tuple[place] == to_key(label));
        tuples.map(|(_, count)| count.cast_unsigned()).sum()
    }

    /// The multiset as columns.
    #[must_use]
    pub fn columns(&self) -> RankColumns {
        let Tuples { shape, values, counts, .. } = self.tuples.settled();
        let column = |index: usize| values.iter().skip(index).step_by(shape.width()).copied();
        let numbers = |index: usize| column(index).map(from_key).collect::<Vec<_>>();
        let keys = |index: usize| column(index).map(unsigned).collect::<Vec<_>>();
        let label = shape.label();
        RankColumns {
            clusters: shape.clustered.then(|| keys(0)),
            weights: shape.weighted.then(|| numbers(usize::from(shape.clustered))),
            groups: shape.grouped.then(|| keys(label - 1)),
            labels: numbers(label),
            scores: (0..shape.scores).map(|score| numbers(label + 1 + score)).collect(),
            counts: counts.iter().map(|count| count.cast_unsigned()).collect(),
        }
    }
}

impl PartialEq for Ranks {
    fn eq(&self, other: &Self) -> bool {
        let (left, right) = (self.tuples.settled(), other.tuples.settled());
        let same = left.shape == right.shape && left.values == right.values && left.counts == right.counts;
        self.rows == other.rows && same
    }
}

impl Summary for Ranks {
    const NAME: &'static str = "mg_ranks";
    type Params = Columns;

    fn fields() -> Fields {
        wire::fields(&["rows", "shape", "tuples", "counts"])
    }

    fn update(&mut self, params: &Columns, columns: &[ArrayRef]) -> Result<()> {
        let tuples = &mut self.tuples;
        self.rows.take(params, columns, |row| tuples.push(params, row))?;
        tuples.settle_if_worthwhile();
        ensure!(
            tuples.settled <= MAX_TUPLES,
            "more than {MAX_TUPLES} distinct rows of labels and scores; round the scores or declare a sample"
        );
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.rows.merge(other.rows);
        self.tuples.append(other.tuples);
        self.tuples.settle_if_worthwhile();
    }

    fn write(&self) -> Vec<ArrayRef> {
        let tuples = self.tuples.settled();
        wire::write(vec![self.rows.write(), tuples.shape.write(), tuples.values, tuples.counts])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [rows, shape, values, counts] = wire::read(state, row)?;
        let (rows, shape) = (RowCounts::read(&rows)?, Shape::read(&shape)?);
        ensure!(shape.scores.is_multiple_of(rows.missing.len().max(1)), "ranks of impossible shape");
        ensure!(values.len() == shape.width() * counts.len(), "ranks without all their values");
        ensure!(rows.are_accounted_for(&counts), "ranks of other rows than were counted");
        let mut tuples = Tuples { shape, values, counts, settled: 0 };
        tuples.settle();
        Ok(Self { rows, tuples })
    }

    fn size(&self) -> usize {
        let Tuples { values, counts, .. } = &self.tuples;
        size_of::<Self>() + self.rows.heap_size() + (values.capacity() + counts.capacity()) * size_of::<i64>()
    }
}

/// What a tuple consists of, in this order: cluster, weight, group, label, scores.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Shape {
    clustered: bool,
    weighted: bool,
    grouped: bool,
    /// Scores of all models together; 0 as long as no usable row was seen.
    scores: usize,
}

impl Shape {
    fn new(columns: &Columns) -> Self {
        let &Columns { clustered, weighted, grouped, .. } = columns;
        Self { clustered, weighted, grouped, scores: columns.scores * columns.outputs() }
    }

    /// Where the label stands.
    fn label(self) -> usize {
        [self.clustered, self.weighted, self.grouped].map(usize::from).iter().sum()
    }

    fn width(self) -> usize {
        self.label() + 1 + self.scores
    }

    fn write(self) -> Vec<i64> {
        let flags = [self.clustered, self.weighted, self.grouped].map(i64::from);
        [&flags[..], &[i64::try_from(self.scores).unwrap_or(i64::MAX)]].concat()
    }

    fn read(wire: &[i64]) -> Result<Self> {
        let &[clustered, weighted, grouped, scores] = wire else { bail!("ranks without their shape") };
        let [clustered, weighted, grouped] = [clustered, weighted, grouped].map(|flag| flag == 1);
        Ok(Self { clustered, weighted, grouped, scores: u16::try_from(scores)?.into() })
    }
}

/// Tuples of integers, one after the other, and their counts.
#[derive(Clone, Debug, Default)]
struct Tuples {
    shape: Shape,
    values: Vec<i64>,
    counts: Vec<i64>,
    /// How many tuples, from the first, are sorted and distinct.
    settled: usize,
}

impl Tuples {
    fn push(&mut self, columns: &Columns, row: Row<'_>) {
        self.shape = Shape::new(columns);
        self.values.extend(columns.clustered.then(|| signed(row.cluster)));
        self.values.extend(columns.weighted.then(|| to_key(row.weight)));
        self.values.extend(columns.grouped.then(|| signed(row.group)));
        self.values.push(to_key(row.label));
        self.values.extend(row.scores.iter().map(|&score| to_key(score)));
        self.counts.push(1);
    }

    fn append(&mut self, other: Self) {
        if self.counts.is_empty() {
            *self = other;
            return;
        }
        self.values.extend(other.values);
        self.counts.extend(other.counts);
    }

    fn iter(&self) -> impl Iterator<Item = (&[i64], i64)> {
        self.values.chunks(self.shape.width()).zip(self.counts.iter().copied())
    }

    fn settle_if_worthwhile(&mut self) {
        if self.counts.len() - self.settled > self.settled.max(SMALL) || self.counts.len() > MAX_TUPLES {
            self.settle();
        }
    }

    fn settle(&mut self) {
        if self.settled < self.counts.len() {
            *self = self.settled();
        }
    }

    /// The same multiset, all settled.
    fn settled(&self) -> Self {
        if self.settled == self.counts.len() {
            return self.clone();
        }
        let mut sorted = self.iter().collect::<Vec<_>>();
        sorted.sort_unstable();
        let mut settled = Self { shape: self.shape, ..Self::default() };
        for run in sorted.chunk_by(|(left, _), (right, _)| left == right) {
            settled.values.extend(run[0].0);
            settled.counts.push(run.iter().fold(0, |total, (_, count)| total.saturating_add(*count)));
        }
        settled.settled = settled.counts.len();
        settled
    }
}

/// A key as an integer that sorts as it does.
fn signed(key: u64) -> i64 {
    (key ^ 1 << 63).cast_signed()
}

fn unsigned(key: i64) -> u64 {
    key.cast_unsigned() ^ 1 << 63
}
