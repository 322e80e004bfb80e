//! The expected calibration error: how far the mean score of a bin is from the share of label 1 in it.
//!
//! Each bin's difference is a mean, so their weighted sum has an influence function and the delta method gives its error
//! (Naeini, Cooper and Hauskrecht, AAAI 2015, for the metric). But the absolute value of a noisy difference is too large on
//! average, most so where there is none: a calibrated model shows some `0.8 sqrt(bins * p * (1 - p) / rows)` at a prevalence
//! `p` (Bröcker, Climate Dynamics 39 (2012) 655-667; Roelofs, Cain, Shlens and Mozer, AISTATS 2022). The metric stays what
//! everyone computes. Its interval allows for the bias of each bin, that of a folded normal distribution (Leone, Nelson and
//! Nottingham, Technometrics 3 (1961) 543-550), on the side where it misleads: for one model the lower, and between two
//! models the side of the larger bias. So it is wider than it has to be where there is little bias.

use std::collections::BTreeMap;

use crate::stats::distribution::Reference;
use crate::stats::influence::{self, Influence};
use crate::stats::measurement::{Law, Measurement};
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;
use crate::stats::weights::weighted;

/// Sums below this share of their summands are rounding, and are taken as zero.
const NOISE: f64 = 1e-14;

/// The weighted sum of the models' errors over so many bins of equal width.
///
/// # Errors
/// Without rows or weight, or with fewer than two rows or clusters.
pub fn measure(sample: &Sample, weights: &[f64], range: (f64, f64), bins: u32) -> Result<Measurement, Undefined> {
    let found = influence::measure(sample, weights, range, |model| Ok(Bins::new(sample, model, bins)?.influence()))?;
    let Law::Studentised { error, reference } = found.law else { return Ok(found) };
    let (mut above, mut below) = (0.0, 0.0);
    for (model, weight) in weighted(weights) {
        let [likely, most] = Bins::new(sample, model, bins)?.biases().map(|bias| weight * bias);
        above += if weight > 0.0 { most } else { likely };
        below -= if weight > 0.0 { likely } else { most };
    }
    let law = Law::Biased { error, reference, above: above.max(0.0), below: below.max(0.0) };
    Ok(Measurement { law, ..found })
}

/// The rows of one model in their bins.
struct Bins<'s> {
    sample: &'s Sample,
    /// Score minus label of each entry.
    excess: Vec<f64>,
    /// The bin of each entry.
    of_entry: Vec<usize>,
    masses: Vec<f64>,
    /// What the rows weigh.
    mass: f64,
    /// The share of the mass times the mean excess, of each bin.
    differences: Vec<f64>,
}

impl<'s> Bins<'s> {
    fn new(sample: &'s Sample, model: usize, bins: u32) -> Result<Self, Undefined> {
        let (scores, masses) = (sample.model(model)?, sample.masses());
        let mass = masses.iter().sum::<f64>();
        if mass == 0.0 {
            return Err(Undefined::NoWeight);
        }
        let of_entry = scores.iter().map(|&score| bin(score, bins)).collect::<Vec<_>>();
        let excess = scores.iter().zip(&sample.labels).map(|(score, label)| score - label).collect::<Vec<_>>();
        let mut sums = vec![(0.0_f64, 0.0); bins as usize];
        for ((&bin, excess), mass) in of_entry.iter().zip(&excess).zip(&masses) {
            sums[bin].0 += mass * excess;
            sums[bin].1 += mass * excess.abs();
        }
        let difference = |(sum, size): (f64, f64)| if sum.abs() <= NOISE * size { 0.0 } else { sum / mass };
        let differences = sums.into_iter().map(difference).collect();
        Ok(Self { sample, excess, of_entry, masses, mass, differences })
    }

    /// Where a bin's scores exceed its labels, its rows add score minus label, and else the negative: the error is smooth
    /// but where the two are equal, and there it has no influence.
    fn influence(&self) -> Influence {
        let sign = |bin: usize| if self.differences[bin] == 0.0 { 0.0 } else { self.differences[bin].signum() };
        let signed = self.excess.iter().zip(&self.of_entry).map(|(excess, &bin)| excess * sign(bin));
        let mut of_entry = signed.collect::<Vec<_>>();
        let value = of_entry.iter().zip(&self.masses).map(|(of, mass)| mass * of).sum::<f64>() / self.mass;
        of_entry.iter_mut().for_each(|of| *of -= value);
        Influence { value, of_entry }
    }

    /// By how much the absolute values of the differences are expected to be too large: if the differences are as they were
    /// seen, and if each is smaller by its error, which is more.
    fn biases(&self) -> [f64; 2] {
        let bins = self.differences.iter().zip(self.errors()).filter(|(_, error)| *error > 0.0).collect::<Vec<_>>();
        [0.0, 1.0].map(|less| {
            let bias = |(difference, error): &(&f64, f64)| error * folded((difference.abs() / error - less).max(0.0));
            bins.iter().map(bias).sum()
        })
    }

    /// The standard error of each bin's difference, of rows or of clusters.
    fn errors(&self) -> Vec<f64> {
        let mut squares = vec![0.0; self.differences.len()];
        let drawn = |entry: usize| self.masses[entry] * self.excess[entry];
        if self.sample.clusters.is_some() {
            for cluster in self.sample.by_cluster() {
                let mut sums = BTreeMap::<usize, f64>::new();
                for entry in cluster {
                    *sums.entry(self.of_entry[entry]).or_default() += drawn(entry);
                }
                sums.into_iter().for_each(|(bin, sum)| squares[bin] += sum * sum);
            }
        } else {
            for (entry, &count) in self.sample.counts.iter().enumerate() {
                squares[self.of_entry[entry]] += drawn(entry).powi(2) / count as f64;
            }
        }
        squares.into_iter().map(|square| square.sqrt() / self.mass).collect()
    }
}

/// By how much the mean of the absolute value of a normal number exceeds its mean `t`, which is at least 0, in units of its
/// standard deviation.
fn folded(t: f64) -> f64 {
    let density = (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    2.0 * (density - t * Reference::Normal.at_most(-t))
}

/// The bin of a score among `bins` of equal width over 0 to 1, each closed on the right; the first on both sides. The
/// product may round across an edge, so the edges themselves decide.
fn bin(score: f64, bins: u32) -> usize {
    let bins = f64::from(bins);
    let guess = (score * bins).floor().min(bins - 1.0);
    let bin = match guess {
        guess if guess > 0.0 && score <= guess / bins => guess - 1.0,
        guess if score > (guess + 1.0) / bins => guess + 1.0,
        guess => guess,
    };
    bin as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At 0 it is the mean of the half-normal distribution, `sqrt(2 / pi)`; far away there is nothing to fold.
    #[test]
    fn a_folded_number_is_too_large() {
        assert!((folded(0.0) - (2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-15);
        // scipy.stats.foldnorm.mean(1) - 1
        assert!((folded(1.0) - 0.166_630_941_175_372_58).abs() < 1e-9, "{}", folded(1.0));
        assert!((0.0..1e-9).contains(&folded(6.0)));
    }
    #[test]
    fn bins_are_closed_on_the_right() {
        let of_ten = [0.0, 0.05, 0.1, 0.100_000_1, 0.3, 0.7, 0.9, 0.95, 1.0].map(|score| bin(score, 10));
        assert_eq!(of_ten, [0, 0, 0, 1, 2, 6, 8, 9, 9]);
        for bins in 1..=200 {
            for edge in 1..bins {
                let score = f64::from(edge) / f64::from(bins);
                assert_eq!(
                    (bin(score, bins), bin(score.next_up(), bins)),
                    (edge as usize - 1, edge as usize),
                    "{score}"
                );
            }
        }
    }
}
