//! The Poisson bootstrap, for what has no variance formula: quantiles, extremes, best thresholds.
//!
//! Each replicate gives every row, or every cluster, a Poisson number of copies with mean 1, which for many rows is the
//! multinomial bootstrap (Hanley and MacGibbon 2006; Chamandy et al. 2012). The copies are a function of the seed, the
//! replicate and the row's content, so they do not depend on the order of the rows or on who holds them. Rows of equal
//! content draw together: their number of copies is Poisson with their count as the mean.

use crate::stats::random::{key, uniform};
use crate::stats::sample::Sample;

/// How many replicates are drawn: the 5 % point is then at rank 50.
pub const REPLICATES: u64 = 999;

/// For one replicate, what each entry weighs: its weight times its copies.
#[must_use]
pub fn masses(sample: &Sample, seed: u64, replicate: u64, keys: &[u64]) -> Vec<f64> {
    let copies = |(entry, &key): (usize, &u64)| {
        let mean = if sample.clusters.is_some() { 1.0 } else { sample.counts[entry] as f64 };
        let copies = poisson(mean, uniform(seed, replicate, key)) as f64;
        let rows = if sample.clusters.is_some() { sample.counts[entry] as f64 } else { 1.0 };
        copies * rows * sample.weights.as_ref().map_or(1.0, |weights| weights[entry])
    };
    keys.iter().enumerate().map(copies).collect()
}

/// What each entry draws by: its cluster, or else its content.
#[must_use]
pub fn keys(sample: &Sample) -> Vec<u64> {
    if let Some(clusters) = &sample.clusters {
        return clusters.clone();
    }
    let content = |entry: usize| {
        let scores = sample.scores.iter().map(|scores| scores[entry].to_bits());
        let group = sample.groups.as_ref().map(|groups| groups[entry]);
        let weight = sample.weights.as_ref().map(|weights| weights[entry].to_bits());
        let words = scores.chain([sample.labels[entry].to_bits()]).chain(group).chain(weight);
        key(&words.flat_map(u64::to_le_bytes).collect::<Vec<_>>())
    };
    (0..sample.counts.len()).map(content).collect()
}

/// The Poisson quantile of `chance` in `(0, 1)`: by summing the probabilities up to a mean of 30, beyond it by the normal
/// approximation with Cornish and Fisher's correction for skewness, whose error is then below one copy.
fn poisson(mean: f64, chance: f64) -> u64 {
    if mean > 30.0 {
        let z = crate::stats::distribution::normal_quantile(chance);
        return (mean + mean.sqrt() * z + (z * z - 1.0) / 6.0 + 0.5).max(0.0).floor() as u64;
    }
    let (mut copies, mut term) = (0, (-mean).exp());
    let mut below = term;
    while chance > below && copies < 1000 {
        copies += 1;
        term *= mean / copies as f64;
        below += term;
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance within four standard errors of 4,000 draws.
    #[test]
    fn copies_have_the_moments_of_their_distribution() {
        for mean in [1.0, 12.0, 80.0] {
            let draws = (0..4000).map(|row| poisson(mean, uniform(7, 1, row)) as f64).collect::<Vec<_>>();
            let average = draws.iter().sum::<f64>() / 4000.0;
            let variance = draws.iter().map(|draw| (draw - average).powi(2)).sum::<f64>() / 3999.0;
            assert!((average - mean).abs() < 4.0 * (mean / 4000.0).sqrt(), "{mean} {average}");
            assert!((variance - mean).abs() < 4.0 * mean * (2.5_f64 / 4000.0).sqrt(), "{mean} {variance}");
        }
    }
}
