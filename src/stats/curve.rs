//! What plots draw, from the exact multiset: ROC curves, calibration, histograms.

use serde::Serialize;

use crate::stats::distribution::Reference;
use crate::stats::proportion::Proportion;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;

/// The most points of a thinned curve. Neighbours are then at most 0.0101 apart along the axes, so the drawn line is off
/// by less than two pixels in a plot of 400.
pub const MAX_POINTS: usize = 200;

/// The number of calibration bins.
pub const CALIBRATION_BINS: u64 = 10;

/// The number of histogram bins.
pub const HISTOGRAM_BINS: usize = 30;

/// The two-sided error of the calibration intervals.
const CALIBRATION_ALPHA: f64 = 0.05;

/// A point of a ROC curve.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RocPoint {
    /// The share of negatives at or above the threshold.
    pub false_positive_rate: f64,
    /// The share of positives at or above the threshold.
    pub true_positive_rate: f64,
}

/// Rows of similar score.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct CalibrationBin {
    /// Their mean score.
    pub mean_score: f64,
    /// Their share of label 1.
    pub observed: f64,
    /// The lower end of Wilson's 95 % interval of that share.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How many they are.
    pub rows: u64,
}

/// Rows with scores from `low` up to, but in the last bin including, `high`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct HistogramBin {
    /// The lower edge.
    pub low: f64,
    /// The upper edge.
    pub high: f64,
    /// Rows with label 0.
    pub negatives: u64,
    /// Rows with label 1.
    pub positives: u64,
}

/// The ROC curve of a model from `(0, 0)` to `(1, 1)`, at most [`MAX_POINTS`] points: one whenever the curve has moved
/// far enough along the axes.
///
/// # Errors
/// Without rows, without such a model, or with one class only.
pub fn roc(sample: &Sample, model: usize) -> Result<Vec<RocPoint>, Undefined> {
    let scores = sample.model(model)?;
    let (positives, negatives) = sample.classes();
    if positives == 0 || negatives == 0 {
        return Err(Undefined::OneClass { positives, negatives });
    }
    let (mut above, mut points) = ((0, 0), vec![RocPoint { false_positive_rate: 0.0, true_positive_rate: 0.0 }]);
    let order = Sample::ascending(scores);
    for ties in order.chunk_by(|&left, &right| scores[left] == scores[right]).rev() {
        let (hits, alarms) = classes(sample, ties);
        above = (above.0 + hits, above.1 + alarms);
        points.push(RocPoint {
            false_positive_rate: above.1 as f64 / negatives as f64,
            true_positive_rate: above.0 as f64 / positives as f64,
        });
    }
    Ok(thin(points))
}

/// Observed rates in [`CALIBRATION_BINS`] bins of about equally many rows, by ascending score. Rows of equal score stay
/// together, so bins may be fewer.
///
/// # Errors
/// Without rows, or without such a model.
pub fn calibration(sample: &Sample, model: usize) -> Result<Vec<CalibrationBin>, Undefined> {
    let scores = sample.model(model)?;
    let (order, rows) = (Sample::ascending(scores), sample.rows());
    let (mut passed, mut bins, mut members) = (0, Vec::new(), Vec::new());
    for ties in order.chunk_by(|&left, &right| scores[left] == scores[right]) {
        let before = bin_of(passed, rows);
        passed += ties.iter().map(|&entry| sample.counts[entry]).sum::<u64>();
        members.extend(ties);
        if bin_of(passed, rows) > before {
            bins.push(calibration_bin(sample, scores, &members));
            members.clear();
        }
    }
    Ok(bins)
}

/// The rows of each class in [`HISTOGRAM_BINS`] bins of equal width over `[0, 1]`, or over the scores' own range when one
/// is outside it. One bin when all scores are equal and outside.
///
/// # Errors
/// Without rows, or without such a model.
pub fn histogram(sample: &Sample, model: usize) -> Result<Vec<HistogramBin>, Undefined> {
    let scores = sample.model(model)?;
    let (low, high) = extent(scores);
    let width = (high - low) / HISTOGRAM_BINS as f64;
    if !width.is_finite() {
        return Err(Undefined::TooLarge);
    }
    let mut members = vec![Vec::new(); if width > 0.0 { HISTOGRAM_BINS } else { 1 }];
    for (entry, score) in scores.iter().enumerate() {
        let bin = if width > 0.0 { ((score - low) / width) as usize } else { 0 };
        members[bin.min(HISTOGRAM_BINS - 1)].push(entry);
    }
    let edge = |index: usize| if index == members.len() { high } else { low + width * index as f64 };
    let bin = |(index, members): (usize, &Vec<usize>)| {
        let (positives, negatives) = classes(sample, members);
        HistogramBin { low: edge(index), high: edge(index + 1), negatives, positives }
    };
    Ok(members.iter().enumerate().map(bin).collect())
}

/// Rows with label 1 and others among the entries.
fn classes(sample: &Sample, entries: &[usize]) -> (u64, u64) {
    entries.iter().fold((0, 0), |(positives, negatives), &entry| {
        let count = sample.counts[entry];
        if sample.labels[entry] == 1.0 { (positives + count, negatives) } else { (positives, negatives + count) }
    })
}

fn thin(points: Vec<RocPoint>) -> Vec<RocPoint> {
    if points.len() <= MAX_POINTS {
        return points;
    }
    let moved = |from: &RocPoint, to: &RocPoint| {
        to.false_positive_rate - from.false_positive_rate + to.true_positive_rate - from.true_positive_rate
    };
    let stride = 2.0 / (MAX_POINTS - 2) as f64;
    let last = points.len() - 1;
    let mut kept = vec![points[0]];
    for (index, point) in points.iter().enumerate().skip(1) {
        if index == last || moved(&kept[kept.len() - 1], point) >= stride {
            kept.push(*point);
        }
    }
    kept
}

/// The bin that begins after `passed` of the rows.
fn bin_of(passed: u64, rows: u64) -> u128 {
    u128::from(passed) * u128::from(CALIBRATION_BINS) / u128::from(rows)
}

fn calibration_bin(sample: &Sample, scores: &[f64], entries: &[usize]) -> CalibrationBin {
    let (positives, negatives) = classes(sample, entries);
    let rows = positives + negatives;
    let share = Proportion { successes: positives as f64, trials: rows as f64 };
    let (low, high) = share.interval(Reference::Normal.critical(CALIBRATION_ALPHA / 2.0));
    let total = entries.iter().map(|&entry| scores[entry] * sample.counts[entry] as f64).sum::<f64>();
    CalibrationBin { mean_score: total / rows as f64, observed: share.successes / share.trials, low, high, rows }
}

/// `[0, 1]`, or the range of the scores when it is not inside.
fn extent(scores: &[f64]) -> (f64, f64) {
    let low = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low >= 0.0 && high <= 1.0 { (0.0, 1.0) } else { (low, high) }
}
