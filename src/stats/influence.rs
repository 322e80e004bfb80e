//! Influence functions: what each row adds to the error of a metric, and the interval that follows.
//!
//! To first order the error of an estimate is the weighted mean over the rows of its influence function (Hampel 1974; van
//! der Vaart, Asymptotic Statistics, 1998, chapter 20), which for a function of means is the delta method. So the variance
//! of a metric, of a difference between models on the same rows, with weights and with clusters, is one sum of squares,
//! and a metric has to say only its value and its influence.

use crate::stats::distribution::Reference;
use crate::stats::measurement::{Law, Measurement, Method};
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;
use crate::stats::weights::weighted;

/// Standard errors below this share of the summands are rounding, and are taken as zero.
const NOISE: f64 = 1e-14;

/// A metric of one model as a function of the rows.
#[derive(Clone, PartialEq, Debug)]
pub struct Influence {
    /// The metric.
    pub value: f64,
    /// For each entry of the sample, the influence of a row like it: the error of the value is about the mean of this
    /// over the rows, each by its weight. Its weighted mean is 0.
    pub of_entry: Vec<f64>,
}

/// The weighted sum of the models' metrics, where `of` gives the value and the influences for one model.
///
/// The variance is `n / (n - 1) * sum of (w IF)^2 / (sum of w)^2` over independent rows; over clusters the same with the
/// sums per cluster, and Student's t with `G - 1` degrees of freedom (Liang and Zeger 1986; Cameron and Miller 2015).
///
/// # Errors
/// When the metric of a weighted model is not defined, with fewer than two rows or clusters, or when the numbers are too
/// large.
pub fn measure(
    sample: &Sample,
    weights: &[f64],
    range: (f64, f64),
    of: impl Fn(usize) -> Result<Influence, Undefined>,
) -> Result<Measurement, Undefined> {
    let (mut value, mut total) = (0.0, vec![0.0; sample.counts.len()]);
    let mut size = 0.0;
    for (model, weight) in weighted(weights) {
        let influence = of(model)?;
        value += weight * influence.value;
        size += (weight * influence.value).abs();
        total.iter_mut().zip(&influence.of_entry).for_each(|(total, influence)| *total += weight * influence);
    }
    measurement(sample, value, size, &total, range)
}

/// A value with the law that follows from the influence of each entry. Errors below a rounding of `size` are none.
///
/// # Errors
/// As [`measure`].
pub fn measurement(
    sample: &Sample,
    value: f64,
    size: f64,
    influences: &[f64],
    range: (f64, f64),
) -> Result<Measurement, Undefined> {
    let rows = sample.rows();
    let clusters = sample.clusters.is_some().then(|| sample.by_cluster());
    let units = clusters.as_ref().map_or(rows, |clusters| clusters.len() as u64);
    match (rows, &clusters) {
        (0, _) => return Err(Undefined::NoRows),
        (rows @ 1, _) => return Err(Undefined::TooFewRows { rows }),
        (_, Some(clusters)) if clusters.len() < 2 => return Err(Undefined::TooFewClusters { clusters: units }),
        _ => {}
    }
    let mass = sample.masses().iter().sum::<f64>();
    if mass == 0.0 {
        return Err(Undefined::NoWeight);
    }
    let squares = match &clusters {
        None => squares_of_rows(sample, influences),
        Some(clusters) => squares_of_clusters(sample, influences, clusters),
    };
    let units = units as f64;
    let error = (squares * units / (units - 1.0)).sqrt() / mass;
    if !value.is_finite() || !error.is_finite() {
        return Err(Undefined::TooLarge);
    }
    let (method, reference) = match clusters {
        None => (Method::Delta, Reference::Normal),
        Some(_) => (Method::DeltaClustered, Reference::Student(units - 1.0)),
    };
    let (method, law) = match error {
        error if error <= NOISE * size => (Method::Constant, Law::Point),
        error => (method, Law::Studentised { error, reference }),
    };
    Ok(Measurement { value, rows, clusters: sample.clusters.as_ref().map(|_| units as u64), method, law, range })
}

fn squares_of_rows(sample: &Sample, influences: &[f64]) -> f64 {
    let weights = sample.weights.as_deref();
    let square = |(entry, (influence, &count)): (usize, (&f64, &u64))| {
        count as f64 * (weights.map_or(1.0, |weights| weights[entry]) * influence).powi(2)
    };
    influences.iter().zip(&sample.counts).enumerate().map(square).sum()
}

fn squares_of_clusters(sample: &Sample, influences: &[f64], clusters: &[Vec<usize>]) -> f64 {
    let masses = sample.masses();
    let total = |cluster: &Vec<usize>| cluster.iter().map(|&entry| masses[entry] * influences[entry]).sum::<f64>();
    clusters.iter().map(|cluster| total(cluster).powi(2)).sum()
}
