//! ROC AUC of several models on the same rows, with its covariance.
//!
//! The AUC is the mean placement: for a positive row the share of negatives below it, for a negative row the share of
//! positives above it, ties counted half. The spread of the placements gives the variance (`DeLong`, `DeLong` and
//! Clarke-Pearson, Biometrics 44 (1988) 837-845), in `n log n` by sorting (Sun and Xu, IEEE Signal Processing Letters 21
//! (2014) 1389-1393). With clusters, placements are summed within each before they are compared (Obuchowski, Biometrics
//! 53 (1997) 567-578). A contrast between models is linear, so it is taken on the placements, and no covariance matrix
//! is formed. Rows may have weights: each then counts by its weight, in its own residual and in the placements of others.
//!
//! Of scores in cells, only pairs of rows that share a cell are in doubt, and counted half. So the AUC is off by at most
//! half their share of all pairs, and a placement by at most half the share of the other class in its cell. By Minkowski's
//! inequality, the root of the mean square of the placements' residuals is then off by at most the root of the mean square of
//! that, which is added to it.

use crate::stats::binned::{Binned, Own};
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
    let (totals, rows) = (totals(sample), sample.rows());
    let [negatives, positives] = self::rows(sample);
    match totals {
        [0.0, 0.0] => return Err(Undefined::NoRows),
        [0.0, _] | [_, 0.0] => return Err(Undefined::OneClass { positives, negatives }),
        _ => {}
    }
    let placements = Placements::new(sample, weights)?;
    let clusters = sample.clusters.is_some().then(|| sample.by_cluster());
    let found = match &clusters {
        None => placements.by_row(sample, [0.0; 2]),
        Some(clusters) => placements.by_cluster(sample, clusters),
    };
    let clusters = clusters.map(|clusters| clusters.len() as u64);
    let (method, law) = found.law(weights, clusters.is_some())?;
    let range = range(&Metric::RocAuc, weights);
    Ok(Measurement { value: placements.value, rows, clusters, method, law, range })
}

/// The weighted sum of the AUC of models whose scores are in cells: the values from each model's own cells, a model's error
/// from these as well, and that of a contrast from the joint ones.
///
/// # Errors
/// Without rows, with one class only, or with fewer than two rows of a class.
pub fn auc_of_cells(binned: &Binned, weights: &[f64]) -> Result<Measurement, Undefined> {
    let range = range(&Metric::RocAuc, weights);
    let weights = binned.without_twins(weights);
    let (rows, [negatives, positives]) = (binned.joint.rows(), rows(&binned.joint));
    match [negatives, positives] {
        [0, 0] => return Err(Undefined::NoRows),
        [0, _] | [_, 0] => return Err(Undefined::OneClass { positives, negatives }),
        _ => {}
    }
    let (mut value, mut bound) = (0.0, 0.0);
    for (model, weight) in weighted(&weights) {
        let own = Cells::new(&binned.own(model)?.sample, 0)?;
        value += weight * own.area();
        bound += if binned.own(model)?.exact { 0.0 } else { weight.abs() * own.half_the_ties() };
    }
    let found = match single(&weights).map(|model| binned.own(model)).transpose()? {
        Some(Own { sample, exact: true }) => Placements::new(sample, &[1.0])?.by_row(sample, [0.0; 2]),
        Some(Own { sample, exact: false }) => of_cells(sample, &[1.0])?,
        None => of_cells(&binned.joint, &weights)?,
    };
    let (method, law) = match found.law(&weights, false)? {
        (_, Law::Studentised { error, reference }) => (Method::DelongBinned, Law::Binned { error, reference, bound }),
        unvaried => unvaried,
    };
    Ok(Measurement { value, rows, clusters: None, method, law, range })
}

/// The spread of the placements by cell, and the most that the cells may hide of it.
fn of_cells(sample: &Sample, weights: &[f64]) -> Result<Spread, Undefined> {
    let mut hidden = [0.0; 2];
    for (model, weight) in weighted(weights) {
        let most = Cells::new(sample, model)?.hidden();
        hidden.iter_mut().zip(most).for_each(|(hidden, most)| *hidden += weight.abs() * most);
    }
    Ok(Placements::new(sample, weights)?.by_row(sample, hidden))
}

/// The rows with label 0 and with label 1 in each cell of a model, in ascending order.
struct Cells {
    rows: Vec<[f64; 2]>,
    totals: [f64; 2],
}

impl Cells {
    fn new(sample: &Sample, model: usize) -> Result<Self, Undefined> {
        let (scores, mut rows) = (sample.model(model)?, Vec::new());
        for cell in Sample::ascending(scores).chunk_by(|&left, &right| scores[left] == scores[right]) {
            let mut of_class = [0.0; 2];
            for &entry in cell {
                of_class[usize::from(sample.labels[entry] == 1.0)] += sample.counts[entry] as f64;
            }
            rows.push(of_class);
        }
        Ok(Self { rows, totals: totals(sample) })
    }

    /// The AUC, rows that share a cell counted half. The sums are whole numbers, exact for up to 2^53 pairs.
    fn area(&self) -> f64 {
        let (mut below, mut doubled) = (0.0, 0.0);
        for [negatives, positives] in &self.rows {
            doubled += positives * (2.0 * below + negatives);
            below += negatives;
        }
        doubled / (2.0 * self.totals[0] * self.totals[1])
    }

    /// Half the share of pairs of a positive and a negative row that share a cell.
    fn half_the_ties(&self) -> f64 {
        self.rows.iter().map(|[negatives, positives]| negatives * positives).sum::<f64>()
            / (2.0 * self.totals[0] * self.totals[1])
    }

    /// For each class, the root of the mean square of half the share of the other class that shares a row's cell.
    fn hidden(&self) -> [f64; 2] {
        [0, 1].map(|class| {
            let of_cell = |cell: &[f64; 2]| cell[class] * (cell[1 - class] / (2.0 * self.totals[1 - class])).powi(2);
            (self.rows.iter().map(of_cell).sum::<f64>() / self.totals[class]).sqrt()
        })
    }
}

/// Rows with label 0 and rows with label 1 that weigh something.
#[must_use]
pub fn rows(sample: &Sample) -> [u64; 2] {
    let mut rows = [0; 2];
    for (entry, &count) in sample.counts.iter().enumerate() {
        rows[usize::from(sample.labels[entry] == 1.0)] += if weighs(sample, entry) { count } else { 0 };
    }
    rows
}

/// Independent rows, or clusters with rows, of label 0 and of label 1 that weigh something.
#[must_use]
pub fn units(sample: &Sample) -> [u64; 2] {
    if sample.clusters.is_none() {
        return rows(sample);
    }
    let clusters = sample.by_cluster();
    [false, true].map(|class| {
        let of_class = |&entry: &usize| (sample.labels[entry] == 1.0) == class && weighs(sample, entry);
        clusters.iter().filter(|cluster| cluster.iter().any(of_class)).count() as u64
    })
}

fn weighs(sample: &Sample, entry: usize) -> bool {
    sample.weights.as_ref().is_none_or(|weights| weights[entry] > 0.0)
}

/// What the rows with label 0 and those with label 1 weigh.
fn totals(sample: &Sample) -> [f64; 2] {
    let mut totals = [0.0; 2];
    for (mass, label) in sample.masses().iter().zip(&sample.labels) {
        totals[usize::from(*label == 1.0)] += mass;
    }
    totals
}

/// The weighted placement of each entry.
struct Placements {
    value: f64,
    of_entry: Vec<f64>,
    positive: Vec<bool>,
    totals: [f64; 2],
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
        let (positive, masses, totals) = (sample.positive(), sample.masses(), totals(sample));
        let (mut value, mut of_entry) = (0.0, vec![0.0; positive.len()]);
        for (model, weight) in weighted(weights) {
            let doubled = doubled_placements(sample.model(model)?, &positive, &masses);
            value += weight * mean_placement(&doubled, &positive, &masses, totals);
            for ((entry, &doubled), &positive) in of_entry.iter_mut().zip(&doubled).zip(&positive) {
                *entry += weight * doubled / (2.0 * totals[usize::from(!positive)]);
            }
        }
        Ok(Self { value, of_entry, positive, totals })
    }

    /// `DeLong` (1988), equation 5, for the contrast: `S10 / m + S01 / n`. For each class, `hidden` is added to the root of the
    /// mean square of the residuals.
    fn by_row(&self, sample: &Sample, hidden: [f64; 2]) -> Spread {
        let mut squares = [0.0; 2];
        for (entry, &count) in sample.counts.iter().enumerate() {
            squares[usize::from(self.positive[entry])] += count as f64 * self.residual(sample, entry).powi(2);
        }
        for (class, square) in squares.iter_mut().enumerate().filter(|(class, _)| hidden[*class] > 0.0) {
            *square = (square.sqrt() + hidden[class] * self.totals[class].sqrt()).powi(2);
        }
        let [negatives, positives] = rows(sample);
        let part = |class: usize, n: u64| factor(n) * squares[class] / self.totals[class].powi(2);
        let free = |n: u64| n.saturating_sub(1).max(1) as f64;
        let parts = [(part(1, positives), free(positives)), (part(0, negatives), free(negatives))];
        let variance = parts.iter().map(|(part, _)| part).sum();
        Spread { variance, degrees: satterthwaite(parts), positives, negatives }
    }

    /// Obuchowski (1997), equation 5: as by row, on sums per cluster, plus their covariance across the classes.
    fn by_cluster(&self, sample: &Sample, clusters: &[Vec<usize>]) -> Spread {
        let (mut squares, mut product) = ([0.0; 2], 0.0);
        for cluster in clusters {
            let residuals = self.residuals(sample, cluster);
            squares.iter_mut().zip(residuals).for_each(|(square, residual)| *square += residual * residual);
            product += residuals[0] * residuals[1];
        }
        let [negatives, positives] = units(sample);
        let [n, m] = self.totals;
        let variance = factor(positives) * squares[1] / (m * m)
            + factor(negatives) * squares[0] / (n * n)
            + 2.0 * factor(clusters.len() as u64) * product / (m * n);
        let degrees = positives.min(negatives).saturating_sub(1) as f64;
        Spread { variance, degrees, positives, negatives }
    }

    /// Per class, the summed deviation of a cluster's placements from the value.
    fn residuals(&self, sample: &Sample, cluster: &[usize]) -> [f64; 2] {
        let mut residuals = [0.0; 2];
        for &entry in cluster {
            let class = usize::from(self.positive[entry]);
            residuals[class] += sample.counts[entry] as f64 * self.residual(sample, entry);
        }
        residuals
    }

    /// How far the placement of a row is from the value, by its weight.
    fn residual(&self, sample: &Sample, entry: usize) -> f64 {
        sample.weights.as_ref().map_or(1.0, |weights| weights[entry]) * (self.of_entry[entry] - self.value)
    }
}

/// The factor that makes a variance unbiased.
fn factor(units: u64) -> f64 {
    units as f64 / units.saturating_sub(1).max(1) as f64
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

/// For each entry, twice the weight of the other class on its right side, plus that with its score.
fn doubled_placements(scores: &[f64], positive: &[bool], masses: &[f64]) -> Vec<f64> {
    let mut doubled = vec![0.0; scores.len()];
    let order = Sample::ascending(scores);
    let mut below = [0.0; 2];
    let of_class = |entries: &[usize], class: bool| {
        entries.iter().filter(|&&entry| positive[entry] == class).map(|&entry| masses[entry]).sum::<f64>()
    };
    let total = of_class(&order, true);
    for ties in order.chunk_by(|&left, &right| scores[left] == scores[right]) {
        let tied = [of_class(ties, false), of_class(ties, true)];
        for &entry in ties {
            doubled[entry] =
                if positive[entry] { 2.0 * below[0] + tied[0] } else { 2.0 * (total - below[1]) - tied[1] };
        }
        below = [below[0] + tied[0], below[1] + tied[1]];
    }
    doubled
}

/// The mean over the positive rows. Without weights the sums are whole numbers, exact for up to 2^53 pairs, so that it is
/// the same for every order and every monotone change of the scores.
fn mean_placement(doubled: &[f64], positive: &[bool], masses: &[f64], [negatives, positives]: [f64; 2]) -> f64 {
    let entries = doubled.iter().zip(masses).zip(positive).filter(|(_, positive)| **positive);
    entries.map(|((doubled, mass), _)| doubled * mass).sum::<f64>() / (2.0 * positives * negatives)
}
