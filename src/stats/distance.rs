//! How far apart two columns of scores of the same rows are: the Kolmogorov-Smirnov distance, with an honest interval.
//!
//! The textbook p-value is for two independent samples. Here both columns belong to the same rows, so what varies is the
//! process `D(t) = F_a(t) - F_b(t)`, the mean over rows of `1[a <= t] - 1[b <= t]`, and its covariance is known from the
//! rows (or from clusters of them). Gaussian draws with that covariance give a band that holds at all thresholds at once
//! (Montiel Olea and Plagborg-Moeller, Journal of Applied Econometrics 34 (2019) 1-17; Chernozhukov, Chetverikov and
//! Kato, Annals of Statistics 41 (2013) 2786-2819), and `|sup |D_n| - sup |D||` is at most the band's half-width.
//!
//! The value is exact over all thresholds; the band is simulated on a grid of them. Noise between the thresholds of the
//! grid would make the value exceed the truth more often than the band allows, so the lower end and the p-value of "above"
//! use the largest difference on the grid, which costs a little power. The upper end needs no such care: the truth is
//! attained at one threshold, and there the value is at least what was seen.
//!
//! Assumed: rows, or clusters, are independent and many enough for the central limit theorem at each threshold.

use crate::stats::band::Band;
use crate::stats::distribution::Reference;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;

/// The most thresholds at which the process is simulated: all there are, or else the pooled quantiles.
const GRID: usize = 64;

/// A Kolmogorov-Smirnov distance with what is known of its error.
#[derive(Clone, PartialEq, Debug)]
pub struct Distance {
    /// The largest difference between the two distribution functions, over all thresholds.
    pub value: f64,
    /// The smallest threshold at which it is attained.
    pub at: f64,
    /// Usable rows.
    pub rows: u64,
    /// Their clusters, if rows are clustered.
    pub clusters: Option<u64>,
    /// The largest difference on the grid, at most the value.
    pub(crate) on_grid: f64,
    pub(crate) band: Band,
}

/// The distance between the scores of the models `a` and `b`.
///
/// # Errors
/// Without rows, without such models, or with fewer than two rows or clusters.
pub fn kolmogorov_smirnov(sample: &Sample, a: usize, b: usize, seed: u64) -> Result<Distance, Undefined> {
    let (a, b, rows) = (sample.model(a)?, sample.model(b)?, sample.rows());
    let clusters = sample.clusters.is_some().then(|| sample.by_cluster());
    match (rows, &clusters) {
        (..2, _) => return Err(Undefined::TooFewRows { rows }),
        (_, Some(clusters)) if clusters.len() < 2 => {
            return Err(Undefined::TooFewClusters { clusters: clusters.len() as u64 });
        }
        _ => {}
    }
    let steps = steps(sample, a, b);
    let (value, at) = largest(&steps, rows);
    let grid = grid(steps);
    let (on_grid, _) = largest(&grid, rows);
    let process = Process::new(sample, a, b, &grid);
    let covariance = clusters.as_ref().map_or_else(|| process.covariance(), |clusters| process.sandwich(clusters));
    let clusters = clusters.map(|clusters| clusters.len() as u64);
    let reference = clusters.map_or(Reference::Normal, |clusters| Reference::Student(clusters as f64 - 1.0));
    let band = match a == b {
        true => Band::Point,
        false => Band::new(&covariance, clusters.unwrap_or(rows), reference, seed),
    };
    Ok(Distance { value, at, rows, clusters, on_grid, band })
}

impl Distance {
    /// An interval that holds with `1 - 2 alpha_per_side`, whose upper end is exceeded with at most `alpha_per_side`: the
    /// largest true difference is at one threshold and of one sign, which is half of what the band allows for.
    #[must_use]
    pub fn interval(&self, alpha_per_side: f64) -> (f64, f64) {
        let half = self.band.half_width(2.0 * alpha_per_side.clamp(f64::MIN_POSITIVE, 0.5));
        ((self.on_grid - half).max(0.0), (self.value + half).min(1.0))
    }

    /// The p-value of "the true distance is at most `limit`" against "it is above".
    #[must_use]
    pub fn p_above(&self, limit: f64) -> f64 {
        if self.on_grid <= limit { 1.0 } else { self.band.exceeds(self.on_grid - limit) }
    }

    /// The p-value of "the true distance is at least `limit`" against "it is below".
    #[must_use]
    pub fn p_below(&self, limit: f64) -> f64 {
        if self.value >= limit { 1.0 } else { self.band.exceeds(limit - self.value) / 2.0 }
    }

    /// About how many more rows would put `limit` outside the interval, if the value stays where it is. `Some(0)` when it
    /// is outside already; none when the value sits on the limit, or passes it off the grid only, or does not vary.
    #[must_use]
    pub fn needs_rows(&self, limit: f64, alpha_per_side: f64) -> Option<u64> {
        let half = self.band.half_width(2.0 * alpha_per_side.clamp(f64::MIN_POSITIVE, 0.5));
        let excess = if self.value > limit { self.on_grid - limit } else { limit - self.value };
        let factor = (half / excess).powi(2).max(1.0);
        (excess > 0.0 && half > 0.0).then(|| ((factor - 1.0) * self.rows as f64).ceil() as u64)
    }

    /// The name of the method in records.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self.band {
            Band::Point => "constant",
            Band::Unvaried { .. } => "unvaried",
            Band::Simulated { .. } => "simulated-band",
        }
    }
}

/// One value of either column.
struct Step {
    at: f64,
    /// Rows that pass it, in either column.
    rows: u64,
    /// `rows * (F_a - F_b)` at this value.
    net: i64,
}

/// The distinct values of both columns, ascending, with the difference of the distribution functions at each.
fn steps(sample: &Sample, a: &[f64], b: &[f64]) -> Vec<Step> {
    let column = |scores: &[f64], sign: i64| {
        let counted = scores.iter().zip(&sample.counts);
        counted.map(move |(&score, &count)| (score, count, sign * count.cast_signed())).collect::<Vec<_>>()
    };
    let mut values = [column(a, 1), column(b, -1)].concat();
    values.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut net = 0;
    let step = |run: &[(f64, u64, i64)]| {
        net += run.iter().map(|(_, _, signed)| signed).sum::<i64>();
        Step { at: run[0].0, rows: run.iter().map(|(_, count, _)| count).sum(), net }
    };
    values.chunk_by(|left, right| left.0 == right.0).map(step).collect()
}

fn largest(steps: &[Step], rows: u64) -> (f64, f64) {
    let first = |best: (u64, f64), step: &Step| {
        let size = step.net.unsigned_abs();
        if size > best.0 { (size, step.at) } else { best }
    };
    let start = (0, steps.first().map_or(0.0, |step| step.at));
    let (net, at) = steps.iter().fold(start, first);
    (net as f64 / rows as f64, at)
}

/// All steps if they are at most [`GRID`], or else those at which the pooled distribution passes a multiple of `1 / GRID`.
fn grid(mut steps: Vec<Step>) -> Vec<Step> {
    let total = steps.iter().map(|step| step.rows).sum::<u64>();
    let (few, mut passed, mut quantile) = (steps.len() <= GRID, 0_u64, 0);
    steps.retain(|step| {
        passed += step.rows;
        let before = quantile;
        quantile = u128::from(passed) * GRID as u128 / u128::from(total);
        few || quantile > before
    });
    steps
}

/// The process on a grid: each row adds its sign at the thresholds between its two scores.
struct Process<'a> {
    sample: &'a Sample,
    /// For each entry, its sign and the range of thresholds at which it counts.
    spans: Vec<(i64, usize, usize)>,
    thresholds: usize,
}

impl<'a> Process<'a> {
    fn new(sample: &'a Sample, a: &[f64], b: &[f64], grid: &[Step]) -> Self {
        let place = |score: f64| grid.partition_point(|step| step.at < score);
        let span = |(&a, &b): (&f64, &f64)| if a < b { (1, place(a), place(b)) } else { (-1, place(b), place(a)) };
        Self { sample, spans: a.iter().zip(b).map(span).collect(), thresholds: grid.len() }
    }

    /// The covariance of the mean over independent rows. A row counts at all pairs of thresholds in its span, a square
    /// block, so second moments are the two-dimensional running sums of the blocks' corners.
    fn covariance(&self) -> Vec<Vec<f64>> {
        let mut corners = vec![vec![0_i64; self.thresholds + 1]; self.thresholds + 1];
        for (&(_, from, to), &count) in self.spans.iter().zip(&self.sample.counts) {
            for (i, j, sign) in [(from, from, 1), (from, to, -1), (to, from, -1), (to, to, 1)] {
                corners[i][j] += sign * count.cast_signed();
            }
        }
        let products = running_sums(corners);
        let rows = self.sample.rows();
        let totals = self.totals(&(0..self.spans.len()).collect::<Vec<_>>());
        let scale = (rows as f64).powi(2) * rows.saturating_sub(1).max(1) as f64;
        let entry = |i: usize, j: usize| {
            let comoment =
                i128::from(rows) * i128::from(products[i][j]) - i128::from(totals[i]) * i128::from(totals[j]);
            comoment as f64 / scale
        };
        square(self.thresholds, entry)
    }

    /// The covariance of the mean over independent clusters: `G / (G - 1) / n^2` times the outer products of what each
    /// cluster adds beyond its rows' share.
    fn sandwich(&self, clusters: &[Vec<usize>]) -> Vec<Vec<f64>> {
        let rows = self.sample.rows() as f64;
        let totals = self.totals(&(0..self.spans.len()).collect::<Vec<_>>());
        let mut meat = vec![vec![0.0; self.thresholds]; self.thresholds];
        for cluster in clusters {
            let size = cluster.iter().map(|&entry| self.sample.counts[entry]).sum::<u64>() as f64;
            let own = self.totals(cluster);
            let residual = own.iter().zip(&totals).map(|(&own, &all)| own as f64 - size * all as f64 / rows);
            add_outer(&mut meat, &residual.collect::<Vec<_>>());
        }
        let groups = clusters.len() as f64;
        square(self.thresholds, |i, j| meat[i][j] * groups / (groups - 1.0) / (rows * rows))
    }

    /// The signed number of rows among the entries that count at each threshold.
    fn totals(&self, entries: &[usize]) -> Vec<i64> {
        let mut steps = vec![0_i64; self.thresholds + 1];
        for &entry in entries {
            let (sign, from, to) = self.spans[entry];
            let count = sign * self.sample.counts[entry].cast_signed();
            steps[from] += count;
            steps[to] -= count;
        }
        (1..steps.len()).for_each(|i| steps[i] += steps[i - 1]);
        steps.truncate(self.thresholds);
        steps
    }
}

fn running_sums(mut corners: Vec<Vec<i64>>) -> Vec<Vec<i64>> {
    for i in 0..corners.len() {
        for j in 0..corners.len() {
            let above = if i > 0 { corners[i - 1][j] } else { 0 };
            let left = if j > 0 { corners[i][j - 1] } else { 0 };
            let both = if i > 0 && j > 0 { corners[i - 1][j - 1] } else { 0 };
            corners[i][j] += above + left - both;
        }
    }
    corners
}

fn add_outer(matrix: &mut [Vec<f64>], vector: &[f64]) {
    for (row, x) in matrix.iter_mut().zip(vector) {
        row.iter_mut().zip(vector).for_each(|(entry, y)| *entry += x * y);
    }
}

fn square(size: usize, entry: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    (0..size).map(|i| (0..size).map(|j| entry(i, j)).collect()).collect()
}
