//! Bands around a process of shares that hold at all thresholds at once, by simulation.
//!
//! The largest absolute value of Gaussian draws with the process's covariance is the law of its largest deviation from the
//! truth. Clusters are often few, so their draws are studentised: divided by the root of a chi-square over its `G - 1`
//! degrees of freedom. Draws are functions of the seed, the draw and the threshold, and of nothing else.

use crate::stats::distribution::Reference;
use crate::stats::proportion::{unseen, unseen_statistic};
use crate::stats::random::normal;

/// Draws of the process: the 5 % point of its supremum is then known to about 0.5 %.
const DRAWS: usize = 2000;

/// Pivots below this share of the variance are rounding: thresholds between which hardly a row moved.
const PIVOT_NOISE: f64 = 1e-12;

/// Where the normal number of a draw's scale is, apart from those of the thresholds.
const SCALE_COUNTER: u64 = 1 << 32;

/// Standard errors of shares below this are rounding, and are taken as zero.
const NOISE: f64 = 1e-14;

/// The law of the largest absolute value of the process around its truth.
#[derive(Clone, PartialEq, Debug)]
pub enum Band {
    /// There is no noise: no row moves the process.
    Point,
    /// All rows are alike; what differs may have gone unseen.
    Unvaried {
        /// Rows, or clusters.
        trials: f64,
    },
    /// Normal, or Student's, around the truth of one set of values, whichever it is.
    Normal {
        /// The largest standard error of a set.
        error: f64,
        /// Its law.
        reference: Reference,
    },
    /// Drawn.
    Simulated {
        /// The draws of the supremum, ascending.
        suprema: Vec<f64>,
        /// The largest standard error of the thresholds.
        error: f64,
        /// How many thresholds there are.
        thresholds: f64,
        /// The law at a single threshold.
        reference: Reference,
    },
}

impl Band {
    /// The band of a process with this covariance, from `units` independent rows or clusters, drawn from `seed`.
    #[must_use]
    pub fn new(covariance: &[Vec<f64>], units: u64, reference: Reference, seed: u64) -> Self {
        let error = (0..covariance.len()).map(|i| covariance[i][i]).fold(0.0, f64::max).sqrt();
        if error <= NOISE {
            return Self::Unvaried { trials: units as f64 };
        }
        let factor = cholesky(covariance);
        let draws = (0..DRAWS as u64).map(|draw| supremum(&factor, seed, draw) / scale(reference, seed, draw));
        let mut suprema = draws.collect::<Vec<_>>();
        suprema.sort_by(f64::total_cmp);
        Self::Simulated { suprema, error, thresholds: covariance.len() as f64, reference }
    }

    /// The chance that the supremum is at least `excess`, which is above 0: the smaller of two valid ones. The rank among
    /// the draws cannot fall below one in their number; there the sum over the thresholds of normal tails takes over.
    #[must_use]
    pub fn exceeds(&self, excess: f64) -> f64 {
        match self {
            Self::Point => 0.0,
            Self::Unvaried { trials } => 2.0 * Reference::Normal.at_most(-unseen_statistic(*trials, excess)),
            Self::Normal { error, reference } => 2.0 * reference.at_most(-excess / error),
            Self::Simulated { suprema, error, thresholds, reference } => {
                let larger = suprema.len() - suprema.partition_point(|&supremum| supremum < excess);
                let rank = (larger + 1) as f64 / (suprema.len() + 1) as f64;
                (2.0 * thresholds * reference.at_most(-excess / error)).min(rank)
            }
        }
    }

    /// The largest standard error of the thresholds, where noise was seen.
    #[must_use]
    pub fn error(&self) -> Option<f64> {
        match self {
            Self::Point | Self::Unvaried { .. } => None,
            Self::Normal { error, .. } | Self::Simulated { error, .. } => Some(*error),
        }
    }

    /// The smallest excess whose chance is at most `alpha`.
    #[must_use]
    pub fn half_width(&self, alpha: f64) -> f64 {
        match self {
            Self::Point => 0.0,
            Self::Unvaried { trials } => unseen(*trials, Reference::Normal.critical(alpha / 2.0)),
            Self::Normal { error, reference } => error * reference.critical(alpha / 2.0),
            Self::Simulated { suprema, error, thresholds, reference } => {
                let tail = error * reference.critical(alpha / (2.0 * thresholds));
                let larger = (alpha * (suprema.len() + 1) as f64).floor() as usize;
                larger.checked_sub(1).map_or(tail, |index| suprema[suprema.len() - 1 - index].min(tail))
            }
        }
    }
}

/// The lower triangular `L` with `L L' = covariance`, row by row; dependent thresholds get a column of zeros.
fn cholesky(covariance: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut factor: Vec<Vec<f64>> = Vec::with_capacity(covariance.len());
    for (i, row) in covariance.iter().enumerate() {
        let mut entries = Vec::with_capacity(i + 1);
        for (j, above) in factor.iter().enumerate() {
            let rest = row[j] - dot(&entries, above);
            entries.push(if above[j] > 0.0 { rest / above[j] } else { 0.0 });
        }
        let pivot = row[i] - dot(&entries, &entries);
        entries.push(if pivot > PIVOT_NOISE * row[i] { pivot.sqrt() } else { 0.0 });
        factor.push(entries);
    }
    factor
}

fn supremum(factor: &[Vec<f64>], seed: u64, draw: u64) -> f64 {
    let normals = (0..factor.len() as u64).map(|threshold| normal(seed, draw, threshold)).collect::<Vec<_>>();
    factor.iter().map(|row| dot(row, &normals).abs()).fold(0.0, f64::max)
}

/// The root of a chi-square over its degrees of freedom, from one normal number by Wilson and Hilferty (1931); 1 for the
/// normal distribution. With few degrees it can come out as nothing, which would be a supremum without end: so cut.
fn scale(reference: Reference, seed: u64, draw: u64) -> f64 {
    let Reference::Student(degrees) = reference else { return 1.0 };
    let spread = 2.0 / (9.0 * degrees);
    let cube = 1.0 - spread + spread.sqrt() * normal(seed, draw, SCALE_COUNTER);
    cube.max(1e-3).powf(1.5)
}

/// Over the shorter of the two. A plain loop, since this is where the draws spend their time.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (x, y) in left.iter().zip(right) {
        sum += x * y;
    }
    sum
}
