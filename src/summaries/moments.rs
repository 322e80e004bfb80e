//! Joint moments of several models on the same rows: all that the smooth metrics need.
//!
//! A metric of one model, or a difference between two, is a smooth function of means over rows, and the delta method
//! turns the covariance of these means into its interval. So kept are, per cluster, the integer counts of the decision
//! cells and the exact sums of the loss terms; and, when rows are not clustered, the exact sums of products of terms.
//! Memory grows with the number of clusters, and not with the number of rows.
//!
//! ```text
//! cell of a row  = label bit | decision of model 0 << 1 | decision of model 1 << 2 | ...     (regression: one cell)
//! sums           = one per term and model, the term slowest
//! products       = one per term and pair of models i <= j, the term slowest; within one term only, since no metric mixes
//! ```

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use arrow::array::ArrayRef;
use arrow::datatypes::Fields;

use crate::summaries::exact_sum::ExactSum;
use crate::summaries::rows::{Columns, Row, RowCounts, Task, Threshold};
use crate::summaries::run::Run;
use crate::summaries::term::{TERMS, Term, loss};
use crate::summaries::wire;
use crate::summary::Summary;

/// The most models in one summary: the number of decision cells doubles with each.
pub const MAX_MODELS: usize = 6;

/// Means over rows and the covariance of these means.
#[derive(Clone, PartialEq, Debug)]
pub struct Means {
    /// Rows.
    pub rows: u64,
    /// Clusters, if rows are clustered.
    pub clusters: Option<u64>,
    /// One mean per cell or model.
    pub mean: Vec<f64>,
    /// The covariance of the mean vector: `S / n` with the sample covariance `S` (`n - 1`); if clustered, the sandwich
    /// `G / (G - 1) / n^2 * sum over clusters of (S_g - n_g mean)(S_g - n_g mean)'`, the ultimate-cluster variance of a
    /// ratio mean (Cochran, Sampling Techniques, 1977, section 11; Liang and Zeger 1986). Zero below two rows or
    /// clusters, where nothing is known of it.
    pub covariance: Vec<Vec<f64>>,
}

/// The moments. The models' decisions are in [`Moments::cells`], their losses in [`Moments::terms`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Moments {
    rows: RowCounts,
    clusters: BTreeMap<u64, Cluster>,
    /// Empty when rows are clustered.
    products: Vec<ExactSum>,
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Cluster {
    cells: Vec<i64>,
    sums: Vec<ExactSum>,
}

impl Moments {
    /// Whether moments hold rows like these: unweighted ones of one score a model, and thresholds known beforehand.
    #[must_use]
    pub fn can_hold(columns: &Columns) -> bool {
        let holds = match &columns.task {
            Task::Binary { threshold: Threshold::From(thresholds) } => thresholds.len() == columns.scores,
            Task::Regression => true,
            Task::Binary { .. } | Task::Multiclass { .. } | Task::Ranking => false,
        };
        holds && !columns.weighted && !columns.grouped
    }

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

    /// How many clusters the usable rows are in, if rows are clustered.
    #[must_use]
    pub fn clusters(&self) -> Option<u64> {
        (self.products.is_empty() && !self.clusters.is_empty()).then_some(self.clusters.len() as u64)
    }

    /// Usable rows with label 1; 0 for a regression.
    #[must_use]
    pub fn positives(&self) -> u64 {
        self.cells().iter().skip(1).step_by(2).sum()
    }

    /// How many usable rows are in each decision cell: bit 0 of the cell's index is the label, bit `1 + i` the decision
    /// of model `i`. One cell for a regression, none without usable rows.
    #[must_use]
    pub fn cells(&self) -> Vec<u64> {
        let mut total = Vec::new();
        for cluster in self.clusters.values() {
            add_cells(&mut total, &cluster.cells);
        }
        total.into_iter().map(i64::cast_unsigned).collect()
    }

    /// Whether labels are 0 or 1, so that the terms are log-loss and Brier. None without usable rows.
    #[must_use]
    pub fn is_binary(&self) -> Option<bool> {
        self.clusters.values().next().map(|cluster| cluster.cells.len() > 1)
    }

    /// The shares of the decision cells. None without usable rows.
    #[must_use]
    pub fn decisions(&self) -> Option<Means> {
        let cells = self.cells();
        let rows = cells.iter().sum::<u64>();
        let mean = cells.iter().map(|&count| count as f64 / rows as f64).collect();
        let totals = |cluster: &Cluster| cluster.cells.iter().map(|&count| count as f64).collect();
        let sampled = || square(cells.len(), |i, j| multinomial(rows, &cells, i, j));
        (rows > 0).then(|| self.means(rows, mean, totals, sampled))
    }

    /// The mean of a loss term, one entry per model. None without usable rows, or when the term is not of this task.
    #[must_use]
    pub fn terms(&self, term: Term) -> Option<Means> {
        let (binary, index) = term.place();
        if self.is_binary()? != binary {
            return None;
        }
        let (k, rows) = (self.models(), self.cells().iter().sum::<u64>());
        let sums = (0..k).map(|model| self.sum(index * k + model)).collect::<Vec<_>>();
        let mean = sums.iter().map(|sum| sum.value() / rows as f64).collect();
        let totals = |cluster: &Cluster| cluster.sums[index * k..(index + 1) * k].iter().map(ExactSum::value).collect();
        let products = |i: usize, j: usize| &self.products[index * pairs(k) + pair(i.min(j), i.max(j))];
        let scale = rows as f64 * rows as f64 * rows.saturating_sub(1).max(1) as f64;
        let sampled = || square(k, |i, j| ExactSum::comoment(rows, products(i, j), &sums[i], &sums[j]) / scale);
        Some(self.means(rows, mean, totals, sampled))
    }

    fn means(
        &self,
        rows: u64,
        mean: Vec<f64>,
        totals: impl Fn(&Cluster) -> Vec<f64>,
        sampled: impl FnOnce() -> Vec<Vec<f64>>,
    ) -> Means {
        let clusters = self.clusters();
        let covariance = if clusters.is_some() { self.sandwich(rows, &mean, totals) } else { sampled() };
        Means { rows, clusters, mean, covariance }
    }

    /// Sums in the order of the cluster keys, so that rounding is the same for every order of the rows.
    fn sandwich(&self, rows: u64, mean: &[f64], totals: impl Fn(&Cluster) -> Vec<f64>) -> Vec<Vec<f64>> {
        let mut meat = vec![vec![0.0; mean.len()]; mean.len()];
        for cluster in self.clusters.values() {
            let size = cluster.rows() as f64;
            let residual =
                totals(cluster).iter().zip(mean).map(|(total, mean)| total - size * mean).collect::<Vec<_>>();
            add_outer(&mut meat, &residual);
        }
        let groups = self.clusters.len() as f64;
        let factor = groups / (groups - 1.0).max(1.0) / (rows as f64).powi(2);
        square(mean.len(), |i, j| meat[i][j] * factor)
    }

    fn sum(&self, index: usize) -> ExactSum {
        self.clusters.values().fold(ExactSum::default(), |mut total, cluster| {
            total.merge(&cluster.sums[index]);
            total
        })
    }

    /// Takes in the rows of `run`, which are in the decision cells `cells`, and empties both.
    fn take(&mut self, columns: &Columns, run: &mut Run, cells: &mut [i64]) {
        if run.rows() > 0 {
            let cluster = self.clusters.entry(run.cluster()).or_default();
            add_cells(&mut cluster.cells, cells);
            run.add_to(&mut cluster.sums);
            if !columns.clustered {
                run.add_products_to(&mut self.products, columns.scores);
            }
        }
        cells.fill(0);
        run.clear();
    }
}

impl Summary for Moments {
    const NAME: &'static str = "mg_moments";
    type Params = Columns;

    fn merges_at_once(params: &Columns) -> bool {
        !params.clustered
    }

    fn fields() -> Fields {
        wire::fields(&["rows", "clusters", "cells", "sums", "products"])
    }

    fn update(&mut self, params: &Columns, columns: &[ArrayRef]) -> Result<()> {
        ensure!(params.scores <= MAX_MODELS, "{} models where at most {MAX_MODELS} are possible", params.scores);
        ensure!(Self::can_hold(params), "moments of weighted rows, of several classes or of rows without thresholds");
        let mut rows = std::mem::take(&mut self.rows);
        let (mut terms, mut cells) = (vec![0.0; TERMS * params.scores], vec![0; cells(params)]);
        let mut run = Run::new(terms.len(), columns.first().map_or(0, |column| column.len()));
        let taken = rows.take(params, columns, |row| {
            if run.ends_before(row.cluster) {
                self.take(params, &mut run, &mut cells);
            }
            cells[cell(&params.task, &row)] += 1;
            losses(&params.task, &row, &mut terms);
            run.push(row.cluster, &terms);
        });
        self.take(params, &mut run, &mut cells);
        self.rows = rows;
        taken
    }

    fn merge(&mut self, other: Self) {
        self.rows.merge(other.rows);
        merge_sums(&mut self.products, &other.products);
        for (key, cluster) in other.clusters {
            self.clusters.entry(key).or_default().merge(&cluster);
        }
    }

    fn write(&self) -> Vec<ArrayRef> {
        let (mut sums, mut products) = (Vec::new(), Vec::new());
        self.clusters.values().flat_map(|cluster| &cluster.sums).for_each(|sum| sum.write(&mut sums));
        self.products.iter().for_each(|sum| sum.write(&mut products));
        let keys = self.clusters.keys().map(|key| key.cast_signed()).collect();
        let cells = self.clusters.values().flat_map(|cluster| &cluster.cells).copied().collect();
        wire::write(vec![self.rows.write(), keys, cells, sums, products])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [rows, keys, cells, sums, products] = wire::read(state, row)?;
        let (rows, mut sums, products) = (RowCounts::read(&rows)?, &sums[..], read_sums(&products)?);
        let (k, width) = (rows.missing.len(), cells.len() / keys.len().max(1));
        ensure!(k <= MAX_MODELS && (width == 1 || width == 2 << k || keys.is_empty()), "moments of impossible shape");
        ensure!(cells.len() == width * keys.len(), "moments with clusters of unequal shape");
        ensure!(products.is_empty() || products.len() == TERMS * pairs(k), "moments without all products");
        ensure!(rows.are_accounted_for(&cells), "moments of other rows than were counted");
        let mut clusters = BTreeMap::new();
        for (key, cells) in keys.iter().zip(cells.chunks(width.max(1))) {
            let sums = (0..TERMS * k).map(|_| ExactSum::read(&mut sums)).collect::<Result<_>>()?;
            clusters.insert(key.cast_unsigned(), Cluster { cells: cells.to_vec(), sums });
        }
        Ok(Self { rows, clusters, products })
    }

    fn size(&self) -> usize {
        let clusters = self.clusters.values().map(|cluster| size_of::<(u64, Cluster)>() + cluster.heap_size());
        size_of::<Self>() + self.rows.heap_size() + clusters.sum::<usize>() + heap_size(&self.products)
    }
}

impl Cluster {
    fn rows(&self) -> i64 {
        self.cells.iter().sum()
    }

    fn merge(&mut self, other: &Self) {
        add_cells(&mut self.cells, &other.cells);
        merge_sums(&mut self.sums, &other.sums);
    }

    fn heap_size(&self) -> usize {
        self.cells.capacity() * size_of::<i64>() + heap_size(&self.sums)
    }
}

/// How many decision cells there are.
fn cells(columns: &Columns) -> usize {
    if matches!(columns.task, Task::Binary { .. }) { 2 << columns.scores } else { 1 }
}

fn cell(task: &Task, row: &Row<'_>) -> usize {
    let Task::Binary { threshold: Threshold::From(thresholds) } = task else { return 0 };
    let decided = row.scores.iter().zip(thresholds).rev();
    let decisions = decided.fold(0, |bits, (score, threshold)| bits << 1 | usize::from(score >= threshold));
    decisions << 1 | usize::from(row.label == 1.0)
}

fn losses(task: &Task, row: &Row<'_>, terms: &mut [f64]) {
    for (term, losses) in terms.chunks_mut(row.scores.len()).enumerate() {
        losses.iter_mut().zip(row.scores).for_each(|(value, score)| *value = loss(task, term, row.label, *score));
    }
}

/// How many pairs `i <= j` there are of `k` models.
pub(super) fn pairs(k: usize) -> usize {
    k * (k + 1) / 2
}

/// The index of the pair `i <= j`, the same for every number of models.
pub(super) fn pair(i: usize, j: usize) -> usize {
    pairs(j) + i
}

/// The covariance of two cell shares: `(p_i [i = j] - p_i p_j) / (n - 1)`, from exact integers.
fn multinomial(rows: u64, cells: &[u64], i: usize, j: usize) -> f64 {
    let [n, x, y] = [rows, cells[i], cells[j]].map(i128::from);
    let comoment = if i == j { n * x } else { 0 } - x * y;
    comoment as f64 / (rows as f64).powi(2) / rows.saturating_sub(1).max(1) as f64
}

pub(super) fn square(size: usize, entry: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    (0..size).map(|i| (0..size).map(|j| entry(i, j)).collect()).collect()
}

pub(super) fn add_outer(matrix: &mut [Vec<f64>], vector: &[f64]) {
    for (row, x) in matrix.iter_mut().zip(vector) {
        row.iter_mut().zip(vector).for_each(|(entry, y)| *entry += x * y);
    }
}

fn add_cells(cells: &mut Vec<i64>, more: &[i64]) {
    cells.resize(cells.len().max(more.len()), 0);
    cells.iter_mut().zip(more).for_each(|(count, more)| *count = count.saturating_add(*more));
}

pub(super) fn merge_sums(sums: &mut Vec<ExactSum>, more: &[ExactSum]) {
    sums.resize(sums.len().max(more.len()), ExactSum::default());
    sums.iter_mut().zip(more).for_each(|(sum, more)| sum.merge(more));
}

pub(super) fn read_sums(mut wire: &[i64]) -> Result<Vec<ExactSum>> {
    let mut sums = Vec::new();
    while !wire.is_empty() {
        sums.push(ExactSum::read(&mut wire)?);
    }
    Ok(sums)
}

pub(super) fn heap_size(sums: &[ExactSum]) -> usize {
    size_of_val(sums) + sums.iter().map(ExactSum::heap_size).sum::<usize>()
}
