//! Joint sums of row-wise values of several models: all that a ratio of sums needs.
//!
//! A ratio is a smooth function of two means, so the delta method turns the covariance of these means, of all models
//! together, into its interval. Kept are exact sums of the values per cluster and, when rows are not clustered, of their
//! products.
//!
//! ```text
//! values of a row = for each model what is summed above the line, and what below it; each times the weight of the row
//! sums            = one per value
//! products        = one per pair of values i <= j
//! ```

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayRef, Float64Array};
use arrow::datatypes::{Fields, Float64Type};

use crate::summaries::exact_sum::ExactSum;
use crate::summaries::moments::{MAX_MODELS, Means, add_outer, heap_size, merge_sums, pair, pairs, read_sums, square};
use crate::summaries::rows::{Columns, Row, RowCounts, primitive};
use crate::summaries::run::Run;
use crate::summaries::wire;
use crate::summary::Summary;

/// The sums. A batch has the columns of labelled, scored rows, and after them for each model one `Float64` above the line
/// and one below it. Rows are clustered by their cluster, or else by their group.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Sums {
    rows: RowCounts,
    positives: i64,
    /// For each model, usable rows with a value that is null or not finite. They are in no sum.
    undefined: Vec<i64>,
    clusters: BTreeMap<u64, Cluster>,
    /// Empty when rows are clustered.
    products: Vec<ExactSum>,
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Cluster {
    rows: i64,
    sums: Vec<ExactSum>,
}

impl Sums {
    /// The rows seen and the reasons why some could not be used.
    #[must_use]
    pub fn rows(&self) -> &RowCounts {
        &self.rows
    }

    /// How many models there are; 0 as long as no row was seen.
    #[must_use]
    pub fn models(&self) -> usize {
        self.rows.missing.len()
    }

    /// Usable rows with label 1.
    #[must_use]
    pub fn positives(&self) -> u64 {
        self.positives.cast_unsigned()
    }

    /// Usable rows on which a value of a model is null or not finite, by model; none as long as no row was usable.
    #[must_use]
    pub fn undefined(&self) -> &[i64] {
        &self.undefined
    }

    /// How many clusters the summed rows are in, if rows are clustered.
    #[must_use]
    pub fn clusters(&self) -> Option<u64> {
        (self.products.is_empty() && !self.clusters.is_empty()).then_some(self.clusters.len() as u64)
    }

    /// The means of the values. None without summed rows.
    #[must_use]
    pub fn means(&self) -> Option<Means> {
        let rows = self.clusters.values().map(|cluster| cluster.rows).sum::<i64>().cast_unsigned();
        let values = 2 * self.models();
        let sums = (0..values).map(|value| self.sum(value)).collect::<Vec<_>>();
        let mean = sums.iter().map(|sum| sum.value() / rows as f64).collect::<Vec<_>>();
        let clusters = self.clusters();
        let scale = rows as f64 * rows as f64 * rows.saturating_sub(1).max(1) as f64;
        let product = |i: usize, j: usize| &self.products[pair(i.min(j), i.max(j))];
        let sampled = || square(values, |i, j| ExactSum::comoment(rows, product(i, j), &sums[i], &sums[j]) / scale);
        let covariance = || if clusters.is_some() { self.sandwich(rows, &mean) } else { sampled() };
        (rows > 0).then(|| Means { rows, clusters, covariance: covariance(), mean: mean.clone() })
    }

    /// As for [`Means::covariance`], in the order of the cluster keys, so that rounding is the same for every order of rows.
    fn sandwich(&self, rows: u64, mean: &[f64]) -> Vec<Vec<f64>> {
        let mut meat = vec![vec![0.0; mean.len()]; mean.len()];
        for Cluster { rows, sums } in self.clusters.values() {
            let residual = |(sum, mean): (&ExactSum, &f64)| sum.value() - *rows as f64 * mean;
            add_outer(&mut meat, &sums.iter().zip(mean).map(residual).collect::<Vec<_>>());
        }
        let clusters = self.clusters.len() as f64;
        let factor = clusters / (clusters - 1.0).max(1.0) / (rows as f64).powi(2);
        square(mean.len(), |i, j| meat[i][j] * factor)
    }

    fn sum(&self, value: usize) -> ExactSum {
        self.clusters.values().fold(ExactSum::default(), |mut total, cluster| {
            total.merge(&cluster.sums[value]);
            total
        })
    }

    /// Counts a row; whether its values, left in `values`, are to be summed.
    fn count(&mut self, row: &Row<'_>, arrays: &[&Float64Array], values: &mut [f64]) -> bool {
        self.positives += i64::from(row.label == 1.0);
        self.undefined.resize(arrays.len() / 2, 0);
        let mut summed = true;
        for ((values, arrays), count) in values.chunks_mut(2).zip(arrays.chunks(2)).zip(&mut self.undefined) {
            let mut defined = true;
            for (value, array) in values.iter_mut().zip(arrays) {
                *value = row.weight * array.value(row.index);
                defined &= array.is_valid(row.index) && value.is_finite();
            }
            *count += i64::from(!defined);
            summed &= defined;
        }
        summed
    }

    /// Takes in the rows of `run` and empties it.
    fn take(&mut self, columns: &Columns, run: &mut Run) {
        if run.rows() > 0 {
            let cluster = self.clusters.entry(run.cluster()).or_default();
            cluster.rows += run.rows() as i64;
            run.add_to(&mut cluster.sums);
            if !columns.clustered && !columns.grouped {
                run.add_products_to(&mut self.products, 2 * columns.scores);
            }
        }
        run.clear();
    }
}

impl Summary for Sums {
    const NAME: &'static str = "mg_sums";
    type Params = Columns;

    fn fields() -> Fields {
        wire::fields(&["rows", "counts", "clusters", "sizes", "sums", "products"])
    }

    fn update(&mut self, params: &Columns, columns: &[ArrayRef]) -> Result<()> {
        ensure!(params.scores <= MAX_MODELS, "{} models where at most {MAX_MODELS} are possible", params.scores);
        let scored = columns.len().checked_sub(2 * params.scores).context("fewer columns than values")?;
        let (scored, values) = columns.split_at(scored);
        let arrays = values.iter().map(primitive::<Float64Type>).collect::<Result<Vec<_>>>()?;
        let rows = scored.first().context("values without rows")?.len();
        ensure!(arrays.iter().all(|array| array.len() == rows), "columns of unequal length");
        let mut counts = std::mem::take(&mut self.rows);
        let (mut summed, mut run) = (vec![0.0; arrays.len()], Run::new(arrays.len(), rows));
        let taken = counts.take(params, scored, |row| {
            if self.count(&row, &arrays, &mut summed) {
                let cluster = if params.clustered { row.cluster } else { row.group };
                if run.ends_before(cluster) {
                    self.take(params, &mut run);
                }
                run.push(cluster, &summed);
            }
        });
        self.take(params, &mut run);
        self.rows = counts;
        taken
    }

    fn merge(&mut self, other: Self) {
        self.rows.merge(other.rows);
        self.positives = self.positives.saturating_add(other.positives);
        self.undefined.resize(self.undefined.len().max(other.undefined.len()), 0);
        self.undefined.iter_mut().zip(&other.undefined).for_each(|(count, more)| *count = count.saturating_add(*more));
        merge_sums(&mut self.products, &other.products);
        for (key, cluster) in other.clusters {
            let mine = self.clusters.entry(key).or_default();
            mine.rows = mine.rows.saturating_add(cluster.rows);
            merge_sums(&mut mine.sums, &cluster.sums);
        }
    }

    fn write(&self) -> Vec<ArrayRef> {
        let counts = [&[self.positives][..], &self.undefined].concat();
        let keys = self.clusters.keys().map(|key| key.cast_signed()).collect();
        let sizes = self.clusters.values().map(|cluster| cluster.rows).collect();
        let (mut sums, mut products) = (Vec::new(), Vec::new());
        self.clusters.values().flat_map(|cluster| &cluster.sums).for_each(|sum| sum.write(&mut sums));
        self.products.iter().for_each(|sum| sum.write(&mut products));
        wire::write(vec![self.rows.write(), counts, keys, sizes, sums, products])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [rows, counts, keys, sizes, sums, products] = wire::read(state, row)?;
        let (rows, products) = (RowCounts::read(&rows)?, read_sums(&products)?);
        let (&positives, undefined) = counts.split_first().context("sums without their counts")?;
        let (values, mut sums) = (2 * rows.missing.len(), &sums[..]);
        ensure!(values <= 2 * MAX_MODELS && sizes.len() == keys.len(), "sums of impossible shape");
        ensure!(sizes.iter().chain(&counts).all(|count| (0..=rows.used).contains(count)), "sums of impossible counts");
        ensure!(sizes.iter().try_fold(0_i64, |total, size| total.checked_add(*size)).is_some_and(|n| n <= rows.used));
        ensure!(products.is_empty() || products.len() == pairs(values), "sums without all products");
        let mut clusters = BTreeMap::new();
        for (key, rows) in keys.iter().zip(sizes) {
            let sums = (0..values).map(|_| ExactSum::read(&mut sums)).collect::<Result<_>>()?;
            clusters.insert(key.cast_unsigned(), Cluster { rows, sums });
        }
        Ok(Self { rows, positives, undefined: undefined.to_vec(), clusters, products })
    }

    fn size(&self) -> usize {
        let cluster = |cluster: &Cluster| size_of::<(u64, Cluster)>() + heap_size(&cluster.sums);
        let clusters = self.clusters.values().map(cluster).sum::<usize>();
        let counts = self.undefined.capacity() * size_of::<i64>();
        size_of::<Self>() + self.rows.heap_size() + counts + clusters + heap_size(&self.products)
    }
}
