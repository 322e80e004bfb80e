//! ROC AUC of several models on the same rows, with its covariance.
//!
//! The AUC is the mean placement: for a positive row the share of negatives below it, for a negative row the share of
//! positives above it, ties counted half. The spread of the placements gives the variance (`DeLong`, `DeLong` and
//! Clarke-Pearson, Biometrics 44 (1988) 837-845), in `n log n` by sorting (Sun and Xu, IEEE Signal Processing Letters 21
//! (2014) 1389-1393). With clusters, placements are summed within each before they are compared (Obuchowski, Biometrics
//! 53 (1997) 567-578). A contrast between models is linear, so it is taken on the placements, and no covariance matrix
//! is formed.

use crate::stats::distribution::Reference;
use crate::stats::measurement::{Law, Measurement, Method};
use crate::stats::metric::Metric;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;
use crate::stats::weights::{range, single, weighted};

/// Standard errors below this share of the weights are rounding, and are taken as zero.
const NOISE: f64 = 1e-14;

/// The weighted sum of the models' AUC.
///
/// Without variation, one model's interval is what may have gone unseen in the rarer class, counted in clusters if there
/// are any: a model that ranks all rows rightly makes at least that many disjoint pairs right. A contrast without
/// variation is a point, since the models rank alike.
///
/// # Errors
/// Without rows, with one class only, or with fewer than two rows or clusters of a class.
pub fn auc(sample: &Sample, weights: &[f64]) -> Result<Measurement, Undefined> {
    let (positives, negatives) = sample.classes();
    let rows = sample.rows();
    match (positives, negatives) {
        (0, 0) => return Err(Undefined::NoRows),
        (0, _) | (_, 0) => return Err(Undefined::OneClass { positives, negatives }),
        _ => {}
    }
    let placements = Placements::new(sample, weights)?;
    let clusters = sample.clusters.is_some().then(|| sample.by_cluster());
    let found = match &clusters {
        None => placements.by_row(sample),
        Some(clusters) => placements.by_cluster(sample, clusters),
    };
    let clusters = clusters.map(|clusters| clusters.len() as u64);
    let (method, law) = found.law(weights, clusters.is_some())?;
    let range = range(&Metric::RocAuc, weights);
    Ok(Measurement { value: placements.value, rows, clusters, method, law, range })
}

/// The weighted placement of each entry.
struct Placements {
    value: f64,
    of_entry: Vec<f64>,
    positive: Vec<bool>,
}

/// The variance with its degrees of freedom, and how many independent units of each class it is from.
struct Spread {
    variance: f64,
    degrees: f64,
    positives: u64,
    negatives: u64,
}

impl Placements {
    fn new(sample: &Sample, weights: &[f64]) -> Result<Self, Undefined> {
        let (positives, negatives) = sample.classes();
        let positive = sample.positive();
        let (mut value, mut of_entry) = (0.0, vec![0.0; positive.len()]);
        for (model, weight) in weighted(weights) {
            let doubled = doubled_placements(sample.model(model)?, &positive, &sample.counts);
            value += weight * mean_placement(&doubled, &positive, &sample.counts, positives, negatives);
            for ((entry, &doubled), &positive) in of_entry.iter_mut().zip(&doubled).zip(&positive) {
                let others = if positive { negatives } else { positives };
                *entry += weight * doubled as f64 / (2.0 * others as f64);
            }
        }
        Ok(Self { value, of_entry, positive })
    }

    /// `DeLong` (1988), equation 5, for the contrast: `S10 / m + S01 / n`.
    fn by_row(&self, sample: &Sample) -> Spread {
        let (positives, negatives) = sample.classes();
        let mut squares = [0.0; 2];
        for ((&placement, &count), &positive) in self.of_entry.iter().zip(&sample.counts).zip(&self.positive) {
            squares[usize::from(positive)] += count as f64 * (placement - self.value).powi(2);
        }
        let free = |n: u64| n.saturating_sub(1).max(1) as f64;
        let part = |squares: f64, n: u64| squares / (free(n) * n as f64);
        let parts = [(part(squares[1], positives), free(positives)), (part(squares[0], negatives), free(negatives))];
        let variance = parts.iter().map(|(part, _)| part).sum();
        Spread { variance, degrees: satterthwaite(parts), positives, negatives }
    }

    /// Obuchowski (1997), equation 5: as by row, on sums per cluster, plus their covariance across the classes.
    fn by_cluster(&self, sample: &Sample, clusters: &[Vec<usize>]) -> Spread {
        let (rows, mut members) = (sample.classes(), [0_u64; 2]);
        let (mut squares, mut product) = ([0.0; 2], 0.0);
        for cluster in clusters {
            let (residual, present) = self.residuals(sample, cluster);
            for class in 0..2 {
                squares[class] += residual[class] * residual[class];
                members[class] += u64::from(present[class]);
            }
            product += residual[0] * residual[1];
        }
        let factor = |groups: u64| groups as f64 / groups.saturating_sub(1).max(1) as f64;
        let (m, n) = (rows.0 as f64, rows.1 as f64);
        let variance = factor(members[1]) * squares[1] / (m * m)
            + factor(members[0]) * squares[0] / (n * n)
            + 2.0 * factor(clusters.len() as u64) * product / (m * n);
        let degrees = members[0].min(members[1]).saturating_sub(1) as f64;
        Spread { variance, degrees, positives: members[1], negatives: members[0] }
    }

    /// Per class, the summed deviation of a cluster's placements from the value, and whether it has such rows.
    fn residuals(&self, sample: &Sample, cluster: &[usize]) -> ([f64; 2], [bool; 2]) {
        let (mut residual, mut present) = ([0.0; 2], [false; 2]);
        for &entry in cluster {
            let class = usize::from(self.positive[entry]);
            residual[class] += sample.counts[entry] as f64 * (self.of_entry[entry] - self.value);
            present[class] = true;
        }
        (residual, present)
    }
}

impl Spread {
    fn law(&self, weights: &[f64], clustered: bool) -> Result<(Method, Law), Undefined> {
        let &Self { variance, degrees, positives, negatives } = self;
        let units = positives.min(negatives);
        if units < 2 {
            return Err(Undefined::TooFewOfAClass { positives, negatives });
        }
        let error = variance.max(0.0).sqrt();
        let paired = single(weights).is_none();
        if error <= NOISE * weights.iter().map(|weight| weight.abs()).sum::<f64>() {
            let unvaried = (Method::Unvaried, Law::Unvaried { trials: units as f64, step: 1.0 });
            return Ok(if paired { (Method::Constant, Law::Point) } else { unvaried });
        }
        let (method, reference) = match (clustered, paired) {
            (true, _) => (Method::Obuchowski, Reference::Student(degrees)),
            (false, true) => (Method::DelongPaired, Reference::Normal),
            (false, false) => (Method::Delong, Reference::Student(degrees)),
        };
        Ok((method, Law::Studentised { error, reference }))
    }
}

/// The degrees of freedom of a sum of variances, each with its own (Satterthwaite, Biometrics Bulletin 2 (1946) 110-114):
/// the rarer class has most of the variance and few rows. A contrast does without: its intervals are wide enough.
fn satterthwaite(parts: [(f64, f64); 2]) -> f64 {
    let sum = parts.iter().map(|(part, _)| part).sum::<f64>();
    let uncertain = parts.iter().map(|(part, degrees)| part * part / degrees).sum::<f64>();
    if uncertain > 0.0 { sum * sum / uncertain } else { parts[0].1.min(parts[1].1) }
}

/// For each entry, twice the number of rows of the other class on its right side, plus those with its score.
fn doubled_placements(scores: &[f64], positive: &[bool], counts: &[u64]) -> Vec<u64> {
    let mut doubled = vec![0; scores.len()];
    let order = Sample::ascending(scores);
    let mut below = [0_u64; 2];
    let of_class = |entries: &[usize], class: bool| {
        entries.iter().filter(|&&entry| positive[entry] == class).map(|&entry| counts[entry]).sum::<u64>()
    };
    let total = [of_class(&order, false), of_class(&order, true)];
    for ties in order.chunk_by(|&left, &right| scores[left] == scores[right]) {
        let tied = [of_class(ties, false), of_class(ties, true)];
        for &entry in ties {
            doubled[entry] = if positive[entry] { 2 * below[0] + tied[0] } else { 2 * (total[1] - below[1]) - tied[1] };
        }
        below = [below[0] + tied[0], below[1] + tied[1]];
    }
    doubled
}

/// The mean over the positive rows, from integers, so that it is the same for every order and every monotone change of
/// the scores.
fn mean_placement(doubled: &[u64], positive: &[bool], counts: &[u64], positives: u64, negatives: u64) -> f64 {
    let entries = doubled.iter().zip(counts).zip(positive).filter(|(_, positive)| **positive);
    let total = entries.map(|((&doubled, &count), _)| u128::from(doubled) * u128::from(count)).sum::<u128>();
    total as f64 / (2.0 * positives as f64 * negatives as f64)
}
