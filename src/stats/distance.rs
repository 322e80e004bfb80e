//! How far apart two columns of scores of the same rows are: the Kolmogorov-Smirnov distance, with an honest interval.
//!
//! The textbook p-value is for two independent samples. Here both columns belong to the same rows, so what varies is the
//! process `D(t) = F_a(t) - F_b(t)`, the mean over rows of `1[a <= t] - 1[b <= t]`, and its covariance is known from the
//! rows (or from clusters of them); a row counts by its weight, if rows have some. Gaussian draws with that covariance give a band that holds at all thresholds at once
//! (Montiel Olea and Plagborg-Moeller, Journal of Applied Econometrics 34 (2019) 1-17; Chernozhukov, Chetverikov and
//! Kato, Annals of Statistics 41 (2013) 2786-2819), and `|sup |D_n| - sup |D||` is at most the band's half-width.
//!
//! The value is exact over all thresholds; the band is simulated on a grid of them. Noise between the thresholds of the
//! grid would make the value exceed the truth more often than the band allows, so the lower end and the p-value of "above"
//! use the largest difference on the grid, which costs a little power. The upper end needs no such care: the truth is
//! attained at one threshold, and there the value is at least what was seen.
//!
//! Of scores in cells, both distribution functions are known at the cells' ends, and in between they may rise at once or not
//! before the next end. So the truth of these rows is at least the largest difference at an end, which is the value, and at
//! most what is possible within a cell; the upper end and the p-value of "below" allow for the difference of the two. The band
//! is simulated on the ends of joint cells, where the process of each row is known.
//!
//! Assumed: rows, or clusters, are independent and many enough for the central limit theorem at each threshold.

use crate::stats::band::Band;
use crate::stats::binned::Binned;
use crate::stats::distribution::Reference;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;

/// The most thresholds at which a process is simulated: all there are, or else the pooled quantiles.
pub(crate) const GRID: usize = 64;

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
    /// The most by which the value may be too low because scores are known by their cells only, where they are. `at` is then
    /// the number of a cell.
    pub binning_error: Option<f64>,
    /// Rows of the other sample, where the two columns are not of the same rows.
    pub against: Option<u64>,
    /// The largest difference on the grid, at most the value.
    pub(crate) on_grid: f64,
    /// The most that chance is expected to add to the value.
    pub(crate) bias: f64,
    pub(crate) band: Band,
}

/// The distance between the scores of the models `a` and `b`.
///
/// # Errors
/// Without rows, without such models, or with fewer than two rows or clusters.
pub fn kolmogorov_smirnov(sample: &Sample, a: usize, b: usize, seed: u64) -> Result<Distance, Undefined> {
    let (a, b, masses) = (sample.model(a)?, sample.model(b)?, sample.masses());
    found(steps((a, &masses), (b, &masses)), sample, (a, b), a == b, seed)
}

/// The distance between the scores of the models `a` and `b`, whose own cells are of one grid.
///
/// # Errors
/// Without such models, or with fewer than two rows.
pub fn of_cells(binned: &Binned, a: usize, b: usize, seed: u64) -> Result<Distance, Undefined> {
    let [own_a, own_b] = [&binned.own(a)?.sample, &binned.own(b)?.sample];
    let (joint, are_exact) = (&binned.joint, binned.own(a)?.exact && binned.own(b)?.exact);
    let steps = steps((own_a.model(0)?, &own_a.masses()), (own_b.model(0)?, &own_b.masses()));
    let possible = possible(&steps) / joint.rows() as f64;
    let are_twins = binned.twins.get(a) == binned.twins.get(b);
    let distance = found(steps, joint, (joint.model(a)?, joint.model(b)?), are_twins, seed)?;
    let error = if are_exact || are_twins { 0.0 } else { (possible - distance.value).max(0.0) };
    Ok(Distance { binning_error: Some(error), ..distance })
}

/// The distance that steps have, with the band of the process of two columns, which may be the same.
fn found(
    steps: Vec<Step>,
    sample: &Sample,
    (a, b): (&[f64], &[f64]),
    are_same: bool,
    seed: u64,
) -> Result<Distance, Undefined> {
    let (rows, masses) = (sample.rows(), sample.masses());
    let mass = masses.iter().sum::<f64>();
    let clusters = sample.clusters.is_some().then(|| sample.by_cluster());
    match (rows, &clusters) {
        (..2, _) => return Err(Undefined::TooFewRows { rows }),
        (_, Some(clusters)) if clusters.len() < 2 => {
            return Err(Undefined::TooFewClusters { clusters: clusters.len() as u64 });
        }
        _ if mass == 0.0 => return Err(Undefined::NoWeight),
        _ => {}
    }
    let (value, at) = largest(&steps, mass);
    let grid = grid(self::steps((a, &masses), (b, &masses)));
    let (on_grid, _) = largest(&grid, mass);
    let process = Process::new(sample, a, b, &grid);
    let covariance = clusters.as_ref().map_or_else(|| process.covariance(), |clusters| process.sandwich(clusters));
    let clusters = clusters.map(|clusters| clusters.len() as u64);
    let reference = clusters.map_or(Reference::Normal, |clusters| Reference::Student(clusters as f64 - 1.0));
    let band = match are_same {
        true => Band::Point,
        false => Band::new(&covariance, clusters.unwrap_or(rows), reference, seed),
    };
    Ok(Distance { value, at, rows, clusters, binning_error: None, against: None, on_grid, bias: 0.0, band })
}

impl Distance {
    /// An interval that holds with `1 - 2 alpha_per_side`, whose upper end is exceeded with at most `alpha_per_side`: the
    /// largest true difference is at one threshold and of one sign, which is half of what the band allows for.
    #[must_use]
    pub fn interval(&self, alpha_per_side: f64) -> (f64, f64) {
        let half = self.band.half_width(2.0 * alpha_per_side.clamp(f64::MIN_POSITIVE, 0.5));
        ((self.least() - half).max(0.0), (self.most() + half).min(1.0))
    }

    /// The p-value of "the true distance is at most `limit`" against "it is above".
    #[must_use]
    pub fn p_above(&self, limit: f64) -> f64 {
        if self.least() <= limit { 1.0 } else { self.band.exceeds(self.least() - limit) }
    }

    /// The p-value of "the true distance is at least `limit`" against "it is below".
    #[must_use]
    pub fn p_below(&self, limit: f64) -> f64 {
        if self.most() >= limit { 1.0 } else { self.band.exceeds(limit - self.most()) / 2.0 }
    }

    /// What the truth is at least, but for noise.
    fn least(&self) -> f64 {
        self.on_grid - self.bias
    }

    /// The most that the distance of these rows can be.
    fn most(&self) -> f64 {
        self.value + self.binning_error.unwrap_or(0.0)
    }

    /// About how many more rows would put `limit` outside the interval, if the value stays where it is, and so does the
    /// other sample, if there is one. `Some(0)` when it is outside already; none when the value sits on the limit, or
    /// passes it off the grid only, or does not vary, and when the other sample has too few rows for any number of these.
    #[must_use]
    pub fn needs_rows(&self, limit: f64, alpha_per_side: f64) -> Option<u64> {
        let half = self.band.half_width(2.0 * alpha_per_side.clamp(f64::MIN_POSITIVE, 0.5));
        let is_above = self.value > limit;
        let excess = if is_above { self.on_grid - limit } else { limit - self.most() };
        // What chance adds shrinks with the noise.
        let noise = half + if is_above { self.bias } else { 0.0 };
        let factor = (noise / excess).powi(2).max(1.0);
        if excess > 0.0 && noise > 0.0 { self.more_rows(factor) } else { None }
    }

    /// How many more rows bring the variance down by a factor.
    fn more_rows(&self, factor: f64) -> Option<u64> {
        let (rows, others) = (self.rows as f64, self.against.map_or(0.0, |against| 1.0 / against as f64));
        let share = (1.0 / rows + others) / factor - others;
        let more = 1.0 / share - rows;
        // Rounding of a factor of one must not ask for a row.
        (share > 0.0).then(|| (more - 1e-9 * rows).max(0.0).ceil() as u64)
    }

    /// The name of the method in records.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self.band {
            Band::Point => "constant",
            Band::Unvaried { .. } => "unvaried",
            Band::Normal { .. } => "total-variation",
            Band::Simulated { .. } => match (self.against, self.binning_error) {
                (None, None) => "simulated-band",
                (None, Some(_)) => "simulated-band-binned",
                (Some(_), None) => "two-sample-band",
                (Some(_), Some(_)) => "two-sample-band-binned",
            },
        }
    }
}

/// One value of either column.
#[derive(Clone, Copy)]
struct Step {
    at: f64,
    /// What the rows weigh that pass it, in either column.
    mass: f64,
    /// `F_a - F_b` at this value, times what all rows weigh. Without weights it is a whole number, and exact.
    net: f64,
}

/// The distinct values of both columns, each with what its entries weigh, ascending, with the difference of the distribution functions at each.
fn steps(a: (&[f64], &[f64]), b: (&[f64], &[f64])) -> Vec<Step> {
    let column = |(scores, masses): (&[f64], &[f64]), sign: f64| {
        let steps = scores.iter().zip(masses).map(move |(&at, &mass)| Step { at, mass, net: sign * mass });
        steps.collect::<Vec<_>>()
    };
    let mut values = [column(a, 1.0), column(b, -1.0)].concat();
    values.sort_by(|left, right| left.at.total_cmp(&right.at));
    let mut net = 0.0;
    let step = |run: &[Step]| {
        net += run.iter().map(|step| step.net).sum::<f64>();
        Step { at: run[0].at, mass: run.iter().map(|step| step.mass).sum(), net }
    };
    values.chunk_by(|left, right| left.at == right.at).map(step).collect()
}

fn largest(steps: &[Step], mass: f64) -> (f64, f64) {
    let first = |best: (f64, f64), step: &Step| if step.net.abs() > best.0 { (step.net.abs(), step.at) } else { best };
    let start = (0.0, steps.first().map_or(0.0, |step| step.at));
    let (net, at) = steps.iter().fold(start, first);
    (net / mass, at)
}

/// The largest net difference that is possible within a cell: all its rows of one column lie before those of the other.
fn possible(steps: &[Step]) -> f64 {
    let mut before = 0.0;
    let within = steps.iter().map(|step| {
        let twice = f64::abs(before + step.net) + step.mass;
        before = step.net;
        twice / 2.0
    });
    within.fold(0.0, f64::max)
}

/// All steps if they are at most [`GRID`], or else those at which the pooled distribution passes a multiple of `1 / GRID`.
fn grid(mut steps: Vec<Step>) -> Vec<Step> {
    let total = steps.iter().map(|step| step.mass).sum::<f64>();
    let (few, mut passed, mut quantile) = (steps.len() <= GRID, 0.0, 0.0);
    steps.retain(|step| {
        passed += step.mass;
        let before = quantile;
        quantile = (passed * GRID as f64 / total).floor();
        few || quantile > before
    });
    steps
}

/// The process on a grid: each row adds its weight, with its sign, at the thresholds between its two scores.
struct Process<'a> {
    sample: &'a Sample,
    masses: Vec<f64>,
    /// For each entry, its sign and the range of thresholds at which it counts.
    spans: Vec<(f64, usize, usize)>,
    thresholds: usize,
}

impl<'a> Process<'a> {
    fn new(sample: &'a Sample, a: &[f64], b: &[f64], grid: &[Step]) -> Self {
        let place = |score: f64| grid.partition_point(|step| step.at < score);
        let span = |(&a, &b): (&f64, &f64)| if a < b { (1.0, place(a), place(b)) } else { (-1.0, place(b), place(a)) };
        let spans = a.iter().zip(b).map(span).collect();
        Self { sample, masses: sample.masses(), spans, thresholds: grid.len() }
    }

    /// The covariance of the mean over independent rows: `n / (n - 1)` times the sum over the rows of the squared weight
    /// times the product of what the row adds beyond the mean, over the square of the summed weights. A row counts at all
    /// pairs of thresholds in its span, a square block, so second moments are the two-dimensional running sums of the
    /// blocks' corners.
    fn covariance(&self) -> Vec<Vec<f64>> {
        let squares = self.squares();
        let mut corners = vec![vec![0.0; self.thresholds + 1]; self.thresholds + 1];
        for (&(_, from, to), &square) in self.spans.iter().zip(&squares) {
            for (i, j, sign) in [(from, from, 1.0), (from, to, -1.0), (to, from, -1.0), (to, to, 1.0)] {
                corners[i][j] += sign * square;
            }
        }
        let products = running_sums(corners);
        let (all, rows) = ((0..self.spans.len()).collect::<Vec<_>>(), self.sample.rows() as f64);
        let mass = self.masses.iter().sum::<f64>();
        let mean = self.totals(&all, &self.masses).into_iter().map(|total| total / mass).collect::<Vec<_>>();
        let (mixed, square) = (self.totals(&all, &squares), squares.iter().sum::<f64>());
        let scale = rows / (rows - 1.0) / (mass * mass);
        let entry = |i: usize, j: usize| {
            scale * (products[i][j] - mean[i] * mixed[j] - mean[j] * mixed[i] + mean[i] * mean[j] * square)
        };
        self::square(self.thresholds, entry)
    }

    /// The squared weights of the rows of each entry, summed.
    fn squares(&self) -> Vec<f64> {
        let entries = self.masses.iter().zip(&self.sample.counts);
        entries.map(|(mass, &count)| mass * mass / count as f64).collect()
    }

    /// The covariance of the mean over independent clusters: `G / (G - 1)` over the square of the summed weights times the
    /// outer products of what each cluster adds beyond its rows' share.
    fn sandwich(&self, clusters: &[Vec<usize>]) -> Vec<Vec<f64>> {
        let mass = self.masses.iter().sum::<f64>();
        let totals = self.totals(&(0..self.spans.len()).collect::<Vec<_>>(), &self.masses);
        let mut meat = vec![vec![0.0; self.thresholds]; self.thresholds];
        for cluster in clusters {
            let size = cluster.iter().map(|&entry| self.masses[entry]).sum::<f64>();
            let own = self.totals(cluster, &self.masses);
            let residual = own.iter().zip(&totals).map(|(own, all)| own - size * all / mass);
            add_outer(&mut meat, &residual.collect::<Vec<_>>());
        }
        let groups = clusters.len() as f64;
        square(self.thresholds, |i, j| meat[i][j] * groups / (groups - 1.0) / (mass * mass))
    }

    /// What the entries add at each threshold, each so much, with its sign.
    fn totals(&self, entries: &[usize], amounts: &[f64]) -> Vec<f64> {
        let mut steps = vec![0.0; self.thresholds + 1];
        for &entry in entries {
            let (sign, from, to) = self.spans[entry];
            steps[from] += sign * amounts[entry];
            steps[to] -= sign * amounts[entry];
        }
        (1..steps.len()).for_each(|i| steps[i] += steps[i - 1]);
        steps.truncate(self.thresholds);
        steps
    }
}

fn running_sums(mut corners: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for i in 0..corners.len() {
        for j in 0..corners.len() {
            let above = if i > 0 { corners[i - 1][j] } else { 0.0 };
            let left = if j > 0 { corners[i][j - 1] } else { 0.0 };
            let both = if i > 0 && j > 0 { corners[i - 1][j - 1] } else { 0.0 };
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;
    use crate::stats::influence;
    use crate::stats::random::{normal, uniform};

    fn sample(weights: Option<Vec<f64>>, clusters: Option<Vec<u64>>) -> Sample {
        let column = |stream: u64| (0..60).map(|row| (8.0 * uniform(5, stream, row)).round() / 8.0).collect::<Vec<_>>();
        let scores = vec![column(0), column(1)];
        Sample { clusters, weights, labels: vec![0.0; 60], scores, counts: vec![1; 60], ..Sample::default() }
    }

    /// At each threshold the process is a mean, whose error the influence function knows too.
    #[test]
    fn a_weighted_distance_is_a_difference_of_weighted_shares() {
        let weights = (0..60).map(|row| normal(5, 2, row).exp()).collect::<Vec<_>>();
        for clusters in [None, Some((0..60).map(|row| row / 4).collect())] {
            let sample = sample(Some(weights.clone()), clusters);
            let found = kolmogorov_smirnov(&sample, 0, 1, 1).unwrap();
            let masses = sample.masses();
            let mass = masses.iter().sum::<f64>();
            let mut errors = 0.0_f64;
            for at in (0..=8).map(|step| f64::from(step) / 8.0) {
                let upto = |model: usize, row: usize| f64::from(u8::from(sample.scores[model][row] <= at));
                let moved = (0..60).map(|row| upto(0, row) - upto(1, row)).collect::<Vec<_>>();
                let share = moved.iter().zip(&masses).map(|(moved, mass)| moved * mass).sum::<f64>() / mass;
                assert!(found.value >= share.abs() - 1e-12);
                assert!(at != found.at || (found.value - share.abs()).abs() < 1e-12);
                let centred = moved.iter().map(|moved| moved - share).collect::<Vec<_>>();
                let range = (-1.0, 1.0);
                let measured = influence::measurement(&sample, share, 1.0, &centred, range).unwrap();
                errors = errors.max(measured.standard_error());
            }
            assert!((found.band.error().unwrap() - errors).abs() < 1e-12, "{} {errors}", found.band.error().unwrap());
        }
    }

    #[test]
    fn equal_weights_change_nothing_and_no_weight_is_undefined() {
        let [plain, heavy, none] = [None, Some(vec![2.0; 60]), Some(vec![0.0; 60])]
            .map(|weights| kolmogorov_smirnov(&sample(weights, None), 0, 1, 1));
        let (plain, heavy) = (plain.unwrap(), heavy.unwrap());
        assert_eq!((plain.value, plain.at, plain.on_grid), (heavy.value, heavy.at, heavy.on_grid));
        assert!((plain.interval(0.025).1 - heavy.interval(0.025).1).abs() < 1e-12);
        assert_eq!(none.unwrap_err(), Undefined::NoWeight);
    }
}
