//! Labelled, scored rows: what the columns hold, which rows can be used, and why the others cannot.

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, PrimitiveArray, UInt64Array};
use arrow::datatypes::{ArrowPrimitiveType, Float64Type, UInt64Type};
use serde::{Deserialize, Serialize};

use crate::summaries::total_order::{from_key, to_key};

/// The cluster of the rows whose cluster is null. A row that really has this key is in the same cluster as they are.
pub const NULL_CLUSTER: u64 = u64::MAX;

/// How far the probabilities of all classes may be from 1 in sum: what rounding each to three digits makes of a few, and more
/// than 32-bit floats make of any.
pub const SUM_TOLERANCE: f64 = 1e-2;

/// What labels and scores mean.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Labels are 0 or 1, scores are probabilities of 1, and a score of at least the threshold decides for 1.
    Binary {
        /// The decision rule.
        threshold: Threshold,
    },
    /// Labels are indices of classes, and each model gives one probability for each class.
    Multiclass {
        /// The classes.
        classes: Vec<String>,
    },
    /// Labels and scores are finite numbers on one scale.
    Regression,
    /// Labels are finite relevances of at least 0, scores are finite numbers.
    Ranking,
}

/// Which rows are decided for 1.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// Those whose score is at least this; one for each model.
    From(Vec<f64>),
    /// This share of the rows, those with the model's highest scores.
    TopShare(f64),
}

/// The columns of a batch: `label: Float64`; then for each of the models one `score: Float64`, in a multiclass task one for
/// each class; then, if `clustered`, `cluster: UInt64`; if `weighted`, `weight: Float64`; if `grouped`, `group: UInt64`. All
/// may hold nulls.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Columns {
    /// What labels and scores mean.
    pub task: Task,
    /// How many models scored the rows.
    pub scores: usize,
    /// Whether a column names the cluster of a row.
    pub clustered: bool,
    /// Whether a column says what a row weighs.
    #[serde(default)]
    pub weighted: bool,
    /// Whether a column names the group in which a row is ranked.
    #[serde(default)]
    pub grouped: bool,
}

impl Columns {
    /// How many score columns each model has.
    #[must_use]
    pub fn outputs(&self) -> usize {
        if let Task::Multiclass { classes } = &self.task { classes.len() } else { 1 }
    }
}

/// How many rows were seen, and how many could not be used for which reason. A row counts once under each of its
/// defects. The lists have one entry per model, and none as long as no row was seen.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RowCounts {
    /// Rows seen.
    pub rows: i64,
    /// Rows without any defect: those that the numbers are about.
    pub used: i64,
    /// Rows whose label is null.
    pub unlabelled: i64,
    /// Rows whose label is outside the task's domain: not 0 or 1, or not finite.
    pub bad_labels: i64,
    /// Rows whose weight is null, negative or not finite.
    pub bad_weights: i64,
    /// Rows whose group is null.
    pub ungrouped: i64,
    /// Rows whose score is null.
    pub missing: Vec<i64>,
    /// Rows whose score is not finite, or so far from the label that the squared error is not.
    pub not_finite: Vec<i64>,
    /// Rows whose score is finite and not a probability, or whose scores for the classes do not sum to 1.
    pub out_of_range: Vec<i64>,
    smallest_bad_label: Option<i64>,
}

/// A row without defects.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Where it stands in its batch.
    pub index: usize,
    /// The cluster; 0 when rows are not clustered.
    pub cluster: u64,
    /// What the row weighs.
    pub weight: f64,
    /// The group; 0 when rows are not grouped.
    pub group: u64,
    /// The label.
    pub label: f64,
    /// The scores, one per model, or per model and class.
    pub scores: &'a [f64],
}

impl RowCounts {
    /// The smallest label outside the task's domain, by total order, as an example for a message.
    #[must_use]
    pub fn bad_label(&self) -> Option<f64> {
        self.smallest_bad_label.map(from_key)
    }

    /// Counts the rows of a batch and hands those without defects to `each`.
    ///
    /// # Errors
    /// When the arrays are not what `columns` says.
    pub fn take(&mut self, columns: &Columns, arrays: &[ArrayRef], mut each: impl FnMut(Row<'_>)) -> Result<()> {
        let batch = Batch::new(columns, arrays)?;
        let (flawless, mut scores) = (batch.flawless(&columns.task), vec![0.0; batch.scores.len()]);
        if !flawless.is_empty() {
            self.resize(columns.scores);
        }
        for (row, flawless) in flawless.into_iter().enumerate() {
            self.rows += 1;
            scores.iter_mut().zip(&batch.scores).for_each(|(score, array)| *score = array.value(row) + 0.0);
            if flawless || self.is_usable(columns, &batch, row, &scores) {
                self.used += 1;
                let (cluster, group) = (key(batch.clusters, row), key(batch.groups, row));
                let weight = batch.weights.map_or(1.0, |weights| weights.value(row) + 0.0);
                let label = batch.label.value(row) + 0.0;
                each(Row { index: row, cluster, weight, group, label, scores: &scores });
            }
        }
        Ok(())
    }

    /// Takes in the rows that `other` has counted.
    pub fn merge(&mut self, other: Self) {
        let Self { rows, used, unlabelled, bad_labels, bad_weights, ungrouped, .. } = other;
        let Self { missing, not_finite, out_of_range, smallest_bad_label, .. } = other;
        self.resize(missing.len());
        self.rows = self.rows.saturating_add(rows);
        self.used = self.used.saturating_add(used);
        self.unlabelled = self.unlabelled.saturating_add(unlabelled);
        self.bad_labels = self.bad_labels.saturating_add(bad_labels);
        self.bad_weights = self.bad_weights.saturating_add(bad_weights);
        self.ungrouped = self.ungrouped.saturating_add(ungrouped);
        add(&mut self.missing, &missing);
        add(&mut self.not_finite, &not_finite);
        add(&mut self.out_of_range, &out_of_range);
        self.smallest_bad_label = smaller(self.smallest_bad_label, smallest_bad_label);
    }

    /// The counts as integers, for the wire.
    #[must_use]
    pub fn write(&self) -> Vec<i64> {
        let label = [i64::from(self.smallest_bad_label.is_some()), self.smallest_bad_label.unwrap_or(0)];
        let fixed = [self.rows, self.used, self.unlabelled, self.bad_labels, self.bad_weights, self.ungrouped];
        let lists = [&self.missing[..], &self.not_finite, &self.out_of_range].concat();
        [&fixed[..], &label, &lists].concat()
    }

    /// The inverse of [`RowCounts::write`].
    ///
    /// # Errors
    /// When the integers are not what it makes.
    pub fn read(wire: &[i64]) -> Result<Self> {
        let (&[rows, used, unlabelled, bad_labels, bad_weights, ungrouped, has_label, label], lists) =
            wire.split_first_chunk().context("row counts that end early")?;
        ensure!(lists.len() % 3 == 0, "row counts of models that do not agree in number");
        let list = |index: usize| lists[index * lists.len() / 3..(index + 1) * lists.len() / 3].to_vec();
        let [missing, not_finite, out_of_range] = std::array::from_fn(list);
        let smallest_bad_label = (has_label == 1).then_some(label);
        let counts = Self { rows, used, unlabelled, bad_labels, bad_weights, ungrouped, ..Self::default() };
        Ok(Self { missing, not_finite, out_of_range, smallest_bad_label, ..counts })
    }

    /// Whether `counts` are counts that add up to the usable rows.
    #[must_use]
    pub fn are_accounted_for(&self, counts: &[i64]) -> bool {
        let total = counts.iter().try_fold(0_i64, |total, &count| total.checked_add(count).filter(|_| count >= 0));
        total == Some(self.used)
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        let Self { missing, not_finite, out_of_range, .. } = self;
        (missing.capacity() + not_finite.capacity() + out_of_range.capacity()) * size_of::<i64>()
    }

    fn resize(&mut self, models: usize) {
        let models = models.max(self.missing.len());
        for list in [&mut self.missing, &mut self.not_finite, &mut self.out_of_range] {
            list.resize(models, 0);
        }
    }

    /// Whether a row has no defect. Counts those it has.
    fn is_usable(&mut self, columns: &Columns, batch: &Batch<'_>, row: usize, scores: &[f64]) -> bool {
        let label = batch.label.is_valid(row).then(|| batch.label.value(row));
        let mut usable = self.take_label(&columns.task, label);
        usable &= batch.weights.is_none_or(|weights| self.take_weight(weights, row));
        usable &= batch.groups.is_none_or(|groups| self.take_group(groups, row));
        let outputs = columns.outputs();
        for (model, (scores, arrays)) in scores.chunks(outputs).zip(batch.scores.chunks(outputs)).enumerate() {
            let valid = arrays.iter().zip(scores).map(|(array, score)| array.is_valid(row).then_some(*score));
            // A row counts once under the worst defect of a model's outputs.
            let worst = valid.filter_map(|score| defect(&columns.task, label, score)).min();
            let shares = matches!(columns.task, Task::Multiclass { .. });
            let excess = (scores.iter().sum::<f64>() - 1.0).abs();
            let worst = worst.or((shares && excess > SUM_TOLERANCE).then_some(Defect::OutOfRange));
            if let Some(defect) = worst {
                self.defects(defect)[model] += 1;
                usable = false;
            }
        }
        usable
    }

    fn take_label(&mut self, task: &Task, label: Option<f64>) -> bool {
        let Some(label) = label else {
            self.unlabelled += 1;
            return false;
        };
        let good = is_label(task, label);
        if !good {
            self.bad_labels += 1;
            self.smallest_bad_label = smaller(self.smallest_bad_label, Some(to_key(label)));
        }
        good
    }

    fn take_weight(&mut self, weights: &Float64Array, row: usize) -> bool {
        let good = weights.is_valid(row) && is_weight(weights.value(row));
        self.bad_weights += i64::from(!good);
        good
    }

    fn take_group(&mut self, groups: &UInt64Array, row: usize) -> bool {
        self.ungrouped += i64::from(groups.is_null(row));
        groups.is_valid(row)
    }

    fn defects(&mut self, defect: Defect) -> &mut [i64] {
        match defect {
            Defect::Missing => &mut self.missing,
            Defect::NotFinite => &mut self.not_finite,
            Defect::OutOfRange => &mut self.out_of_range,
        }
    }
}

/// What is wrong with a score, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Defect {
    Missing,
    NotFinite,
    OutOfRange,
}

fn is_label(task: &Task, label: f64) -> bool {
    match task {
        Task::Binary { .. } => label == 0.0 || label == 1.0,
        Task::Multiclass { classes } => (0..classes.len()).any(|class| class as f64 == label),
        Task::Regression => label.is_finite(),
        Task::Ranking => label.is_finite() && label >= 0.0,
    }
}

fn is_weight(weight: f64) -> bool {
    weight >= 0.0 && weight.is_finite()
}

fn defect(task: &Task, label: Option<f64>, score: Option<f64>) -> Option<Defect> {
    let shares = matches!(task, Task::Binary { .. } | Task::Multiclass { .. });
    match score {
        None => Some(Defect::Missing),
        Some(score) if !score.is_finite() => Some(Defect::NotFinite),
        Some(score) if shares && !is_probability(score) => Some(Defect::OutOfRange),
        Some(score) if *task == Task::Regression && label.is_some_and(|label| is_too_far(label, score)) => {
            Some(Defect::NotFinite)
        }
        Some(_) => None,
    }
}

fn is_probability(score: f64) -> bool {
    (0.0..=1.0).contains(&score)
}

fn is_too_far(label: f64, score: f64) -> bool {
    label.is_finite() && !((label - score) * (label - score)).is_finite()
}

fn smaller(left: Option<i64>, right: Option<i64>) -> Option<i64> {
    left.into_iter().chain(right).min()
}

/// Adds counts; those of a hostile peer must not overflow.
fn add(counts: &mut [i64], more: &[i64]) {
    counts.iter_mut().zip(more).for_each(|(count, more)| *count = count.saturating_add(*more));
}

struct Batch<'a> {
    label: &'a Float64Array,
    scores: Vec<&'a Float64Array>,
    clusters: Option<&'a UInt64Array>,
    weights: Option<&'a Float64Array>,
    groups: Option<&'a UInt64Array>,
}

impl<'a> Batch<'a> {
    fn new(columns: &Columns, arrays: &'a [ArrayRef]) -> Result<Self> {
        let scores = columns.scores * columns.outputs();
        let extra = [columns.clustered, columns.weighted, columns.grouped].map(usize::from);
        let expected = 1 + scores + extra.iter().sum::<usize>();
        ensure!(scores > 0 && arrays.len() == expected, "{} columns where {expected} are expected", arrays.len());
        ensure!(arrays.iter().all(|array| array.len() == arrays[0].len()), "columns of unequal length");
        let (label, rest) = (primitive::<Float64Type>(&arrays[0])?, &arrays[1 + scores..]);
        let (clusters, rest) = rest.split_at(extra[0]);
        let (weights, groups) = rest.split_at(extra[1]);
        let scores = arrays[1..=scores].iter().map(primitive::<Float64Type>).collect::<Result<_>>()?;
        let clusters = clusters.first().map(primitive::<UInt64Type>).transpose()?;
        let weights = weights.first().map(primitive::<Float64Type>).transpose()?;
        let groups = groups.first().map(primitive::<UInt64Type>).transpose()?;
        Ok(Self { label, scores, clusters, weights, groups })
    }

    /// For each row, whether it is known to have no defect. Found column by column, which is many times faster than
    /// row by row; not found for several classes, whose scores have a sum.
    fn flawless(&self, task: &Task) -> Vec<bool> {
        let mut flawless = vec![true; self.label.len()];
        keep(&mut flawless, self.label, |_, label| is_label(task, label));
        for scores in &self.scores {
            match task {
                Task::Binary { .. } => keep(&mut flawless, scores, |_, score| is_probability(score)),
                Task::Multiclass { .. } => flawless.fill(false),
                Task::Regression => {
                    keep(&mut flawless, scores, |row, score| !is_too_far(self.label.values()[row], score))
                }
                Task::Ranking => keep(&mut flawless, scores, |_, score| score.is_finite()),
            }
        }
        self.weights.iter().for_each(|weights| keep(&mut flawless, weights, |_, weight| is_weight(weight)));
        self.groups.iter().for_each(|groups| keep(&mut flawless, groups, |_, _| true));
        flawless
    }
}

/// Leaves `flawless` only where a value is there and good.
fn keep<T: ArrowPrimitiveType>(
    flawless: &mut [bool],
    array: &PrimitiveArray<T>,
    good: impl Fn(usize, T::Native) -> bool,
) {
    for (row, (flawless, value)) in flawless.iter_mut().zip(array.values()).enumerate() {
        *flawless &= good(row, *value);
    }
    if let Some(nulls) = array.nulls() {
        flawless.iter_mut().zip(nulls).for_each(|(flawless, valid)| *flawless &= valid);
    }
}

/// The key of a row; 0 where there are none.
fn key(keys: Option<&UInt64Array>, row: usize) -> u64 {
    keys.map_or(0, |keys| if keys.is_valid(row) { keys.value(row) } else { NULL_CLUSTER })
}

/// `array` as an array of `T`.
///
/// # Errors
/// When it is of another type.
pub fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<&PrimitiveArray<T>> {
    array
        .as_primitive_opt()
        .with_context(|| format!("a column of {} where {} is expected", array.data_type(), T::DATA_TYPE))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn counts(task: Task, label: &[Option<f64>], score: &[Option<f64>]) -> (RowCounts, Vec<f64>) {
        let columns = Columns { task, scores: 1, clustered: false, weighted: false, grouped: false };
        let arrays = [label, score].map(|values| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef);
        let (mut counts, mut used) = (RowCounts::default(), Vec::new());
        counts.take(&columns, &arrays, |row| used.push(row.scores[0])).unwrap();
        (counts, used)
    }

    #[test]
    fn every_defect_is_counted_and_leaves_the_row_out() {
        let label = [Some(1.0), None, Some(2.0), Some(-3.0), Some(0.0), Some(1.0), Some(0.0), Some(f64::NAN)];
        let score = [Some(0.5), Some(0.6), Some(0.7), None, Some(1.5), Some(f64::NAN), Some(-0.0), Some(2.0)];
        let (counts, used) = counts(Task::Binary { threshold: Threshold::From(vec![0.5]) }, &label, &score);
        assert_eq!(used, [0.5, 0.0]);
        assert_eq!((counts.rows, counts.used, counts.unlabelled, counts.bad_labels), (8, 2, 1, 3));
        assert_eq!(
            (&counts.missing[..], &counts.not_finite[..], &counts.out_of_range[..]),
            (&[1][..], &[1][..], &[2][..])
        );
        assert_eq!(counts.bad_label(), Some(-3.0));
    }

    #[test]
    fn an_error_without_a_finite_square_is_not_finite() {
        let (counts, used) = counts(Task::Regression, &[Some(1e200), Some(5.0)], &[Some(-1e200), Some(7.0)]);
        assert_eq!((used, counts.bad_label(), counts.not_finite), (vec![7.0], None, vec![1]));
    }

    /// What is found by column is what is found by row.
    #[test]
    fn flawless_rows_are_the_usable_ones() {
        let values = [0.0, -0.0, 1.0, 0.5, 1.5, -1.0, 5e-324, f64::MAX, f64::MIN, f64::INFINITY, f64::NAN, -f64::NAN];
        let values = values.map(Some).into_iter().chain([None]).collect::<Vec<_>>();
        let (n, rows) = (values.len(), values.len().pow(3));
        let column = |step| Arc::new((0..rows).map(|row| values[row / step % n]).collect::<Float64Array>()) as ArrayRef;
        let groups = (0..rows as u64).map(|row| (row % 5 > 0).then_some(row)).collect::<UInt64Array>();
        let arrays = [column(1), column(n), column(n * n), Arc::new(groups)];
        for task in [Task::Binary { threshold: Threshold::TopShare(0.5) }, Task::Regression, Task::Ranking] {
            let columns = Columns { task, scores: 1, clustered: false, weighted: true, grouped: true };
            let batch = Batch::new(&columns, &arrays).unwrap();
            let mut counts = RowCounts::default();
            counts.resize(1);
            let mut usable = |row| counts.is_usable(&columns, &batch, row, &[batch.scores[0].value(row) + 0.0]);
            let by_row = (0..rows).map(&mut usable).collect::<Vec<_>>();
            assert_eq!(batch.flawless(&columns.task), by_row);
            assert!(by_row.contains(&true));
        }
    }
}
