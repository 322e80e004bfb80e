//! The Poisson bootstrap, for what has no variance formula: quantiles, cuts, best thresholds.
//!
//! Each replicate gives every row, or every cluster, a Poisson number of copies with mean 1, which for many rows is the
//! multinomial bootstrap (Hanley and MacGibbon, Computer Methods and Programs in Biomedicine 83 (2006) 57-62; Chamandy,
//! Muralidharan, Najmi and Naidu, "Estimating uncertainty for massive data streams", 2012). The copies are a function of
//! the replicate and the row's content, so they do not depend on the order of the rows or on who holds them. Rows of
//! equal content draw together: their number of copies is Poisson with their count as the mean. All models and all
//! metrics see the same copies, so a difference of models is paired.
//!
//! What follows from the replicates is in [`replicates`](crate::stats::replicates).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::stats::distribution::normal_quantile;
use crate::stats::measurement::{Law, Measurement, Method};
use crate::stats::random::{key, uniforms};
use crate::stats::replicates::Replicates;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;
use crate::stats::weights::weighted;

/// How many replicates are drawn: the 5 % point is then at rank 50.
pub const REPLICATES: usize = 999;

/// The metric may be undefined in this share of the replicates. They are left out, and those that are left say too little
/// about the tails when they were more. With five rows on which the metric rests, 0.7 % of the replicates have none.
const MAX_UNDEFINED: f64 = 0.01;

/// Differences from the estimate below this share of the models' metrics are rounding, and are taken as zero.
const NOISE: f64 = 1e-14;

/// Replicates that are drawn from one block of random numbers.
const BLOCK: usize = 4;

/// The seed of all draws. One for all, since what is drawn depends on the rows' content.
const SEED: u64 = 0x6d67_626f_6f74;

/// The largest count of equal rows whose Poisson distribution is summed; beyond it there is an approximation.
const MAX_SUMMED: u64 = 30;

/// The weighted sum of the models' metrics, where `value` gives the metric of one model when each entry has a given mass:
/// its weight times its copies.
///
/// Rows are drawn one by one, in clusters, or in the groups that they are ranked in. The sum is a point when it is the
/// same in every replicate.
///
/// # Errors
/// When the metric of a weighted model is not defined, or not in enough replicates, with fewer than two rows or clusters,
/// or when the numbers are too large.
pub fn measure(
    sample: &Sample,
    weights: &[f64],
    range: (f64, f64),
    value: impl Fn(usize, &[f64]) -> Result<f64, Undefined>,
) -> Result<Measurement, Undefined> {
    measure_as(sample, weights, range, false, value)
}

/// The same for a metric that is the best of many, or a distance, and therefore biased: corrected for that.
///
/// # Errors
/// As [`measure`].
pub fn measure_biased(
    sample: &Sample,
    weights: &[f64],
    range: (f64, f64),
    value: impl Fn(usize, &[f64]) -> Result<f64, Undefined>,
) -> Result<Measurement, Undefined> {
    measure_as(sample, weights, range, true, value)
}

fn measure_as(
    sample: &Sample,
    weights: &[f64],
    range: (f64, f64),
    biased: bool,
    value: impl Fn(usize, &[f64]) -> Result<f64, Undefined>,
) -> Result<Measurement, Undefined> {
    let masses = sample.masses();
    let estimate = contrast(weights, &masses, &value)?;
    let size = contrast(&weights.iter().map(|weight| weight.abs()).collect::<Vec<_>>(), &masses, &value)?;
    let units = units(sample)?;
    let replicates = replicates(&Draws::new(sample), |masses| contrast(weights, masses, &value))?;
    let method = if together(sample).is_some() { Method::BootstrapClustered } else { Method::Bootstrap };
    let (method, law) = if replicates.iter().all(|replicate| (replicate - estimate).abs() <= NOISE * size.abs()) {
        (Method::Constant, Law::Point)
    } else {
        (method, Law::Replicates(Arc::new(Replicates::new(estimate, replicates, biased, units))))
    };
    let clusters = sample.clusters.as_ref().map(|_| units);
    Ok(Measurement { value: estimate, rows: sample.rows(), clusters, method, law, range })
}

fn contrast(
    weights: &[f64],
    masses: &[f64],
    value: &impl Fn(usize, &[f64]) -> Result<f64, Undefined>,
) -> Result<f64, Undefined> {
    let mut sum = 0.0;
    for (model, weight) in weighted(weights) {
        sum += weight * value(model, masses)?;
    }
    if sum.is_finite() { Ok(sum) } else { Err(Undefined::TooLarge) }
}

/// The keys of what is drawn together, if it is not single rows.
fn together(sample: &Sample) -> Option<&[u64]> {
    sample.clusters.as_deref().or(sample.groups.as_deref())
}

/// How many independent rows, clusters or groups there are.
fn units(sample: &Sample) -> Result<u64, Undefined> {
    let rows = sample.rows();
    let groups = together(sample).map(|keys| keys.iter().collect::<BTreeSet<_>>().len() as u64);
    match (rows, groups) {
        (0, _) => Err(Undefined::NoRows),
        (rows @ 1, _) => Err(Undefined::TooFewRows { rows }),
        (_, Some(clusters @ ..2)) => Err(Undefined::TooFewClusters { clusters }),
        (rows, groups) => Ok(groups.unwrap_or(rows)),
    }
}

/// The sum in each replicate in which it is defined.
fn replicates(draws: &Draws, sum: impl Fn(&[f64]) -> Result<f64, Undefined>) -> Result<Vec<f64>, Undefined> {
    let masses = (0..REPLICATES.div_ceil(BLOCK)).flat_map(|block| draws.block(block as u64));
    let found = masses.take(REPLICATES).map(|masses| sum(&masses));
    let (mut defined, mut undefined) = (Vec::with_capacity(REPLICATES), 0);
    for replicate in found {
        match replicate {
            Ok(replicate) => defined.push(replicate),
            Err(Undefined::TooLarge) => return Err(Undefined::TooLarge),
            Err(_) => undefined += 1,
        }
    }
    if undefined as f64 > MAX_UNDEFINED * REPLICATES as f64 {
        return Err(Undefined::InReplicates { undefined, replicates: REPLICATES as u64 });
    }
    Ok(defined)
}

/// What is drawn for each entry.
struct Draws {
    /// What each entry draws by: its cluster or group, or else its content.
    keys: Vec<u64>,
    /// The mean number of draws of each entry.
    means: Vec<u64>,
    /// What an entry weighs for each draw.
    units: Vec<f64>,
    /// For each mean up to [`MAX_SUMMED`], the chances of at most 0, 1, 2, ... copies.
    chances: Vec<Vec<f64>>,
}

impl Draws {
    fn new(sample: &Sample) -> Self {
        let weights = sample.weights.clone().unwrap_or_else(|| vec![1.0; sample.counts.len()]);
        let chances = (0..=MAX_SUMMED).map(poisson_chances).collect();
        match together(sample) {
            Some(keys) => Self { keys: keys.to_vec(), means: vec![1; keys.len()], units: sample.masses(), chances },
            None => Self { keys: contents(sample), means: sample.counts.clone(), units: weights, chances },
        }
    }

    /// The masses of the entries in each replicate of a block.
    fn block(&self, block: u64) -> [Vec<f64>; BLOCK] {
        let mut masses = [const { Vec::new() }; BLOCK];
        masses.iter_mut().for_each(|masses| masses.reserve_exact(self.keys.len()));
        for ((&key, &mean), &unit) in self.keys.iter().zip(&self.means).zip(&self.units) {
            let chances = uniforms(SEED, block, key);
            for (masses, chance) in masses.iter_mut().zip(chances) {
                masses.push(self.copies(mean, chance) as f64 * unit);
            }
        }
        masses
    }

    /// The Poisson quantile of `chance` in `(0, 1)`: from the summed probabilities for small means, beyond by the normal
    /// approximation with Cornish and Fisher's correction for skewness, whose error is then below one copy.
    fn copies(&self, mean: u64, chance: f64) -> u64 {
        if let Some(chances) = self.chances.get(mean as usize) {
            return chances.iter().take_while(|below| **below < chance).count() as u64;
        }
        let (mean, z) = (mean as f64, normal_quantile(chance));
        (mean + mean.sqrt() * z + (z * z - 1.0) / 6.0 + 0.5).max(0.0).floor() as u64
    }
}

/// The chances of at most 0, 1, 2, ... copies, as long as they can be told apart from 1 by a draw of 32 bits.
fn poisson_chances(mean: u64) -> Vec<f64> {
    let (mut copies, mut term) = (0.0, (-(mean as f64)).exp());
    let mut chances = vec![term];
    while 1.0 - chances[chances.len() - 1] > f64::from(u32::MAX).recip() / 2.0 {
        copies += 1.0;
        term *= mean as f64 / copies;
        chances.push(chances[chances.len() - 1] + term);
    }
    chances
}

/// The key of each entry's content: its scores, label and weight.
fn contents(sample: &Sample) -> Vec<u64> {
    let content = |entry: usize| {
        let scores = sample.scores.iter().map(|scores| scores[entry].to_bits());
        let weight = sample.weights.as_ref().map(|weights| weights[entry].to_bits());
        let words = scores.chain([sample.labels[entry].to_bits()]).chain(weight);
        key(&words.flat_map(u64::to_le_bytes).collect::<Vec<_>>())
    };
    (0..sample.counts.len()).map(content).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(count: u64) -> Draws {
        let labels = (0..1000).map(f64::from).collect::<Vec<_>>();
        Draws::new(&Sample { labels, counts: vec![count; 1000], ..Sample::default() })
    }

    /// Mean and variance within four standard errors of 4,000 draws.
    #[test]
    fn copies_have_the_moments_of_their_distribution() {
        for count in [1, 12, 80] {
            let (mean, drawn) = (count as f64, draws(count).block(3).concat());
            let average = drawn.iter().sum::<f64>() / 4000.0;
            let variance = drawn.iter().map(|copies| (copies - average).powi(2)).sum::<f64>() / 3999.0;
            assert!((average - mean).abs() < 4.0 * (mean / 4000.0).sqrt(), "{mean} {average}");
            assert!((variance - mean).abs() < 4.0 * mean * (2.5_f64 / 4000.0).sqrt(), "{mean} {variance}");
        }
    }

    /// Below, at and above the steps of the Poisson distribution with mean 1: 0.3679, 0.7358, 0.9197.
    #[test]
    fn copies_are_the_quantiles_of_their_distribution() {
        let draws = draws(1);
        let copies = [1e-9, 0.3678, 0.3680, 0.7357, 0.7359, 0.9198].map(|chance| draws.copies(1, chance));
        assert_eq!(copies, [0, 0, 1, 1, 2, 3]);
        assert!(draws.copies(1, 1.0 - f64::EPSILON) <= 13);
    }
}
