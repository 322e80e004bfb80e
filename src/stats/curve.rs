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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;
    use crate::stats::random::uniform;

    /// Rows whose label is 1 with the chance that their score says.
    fn calibrated(rows: u64) -> Sample {
        let scores = (0..rows).map(|row| uniform(1, 0, row)).collect::<Vec<_>>();
        let label = |(row, score): (u64, &f64)| f64::from(u8::from(uniform(1, 1, row) < *score));
        let labels = (0..rows).zip(&scores).map(label).collect();
        Sample { labels, counts: vec![1; scores.len()], scores: vec![scores], ..Sample::default() }
    }

    fn small(labels: &[f64], scores: &[f64], counts: &[u64]) -> Sample {
        Sample { labels: labels.to_vec(), scores: vec![scores.to_vec()], counts: counts.to_vec(), ..Sample::default() }
    }

    fn area(points: &[RocPoint]) -> f64 {
        let trapezoid = |pair: &[RocPoint]| {
            let width = pair[1].false_positive_rate - pair[0].false_positive_rate;
            width * f64::midpoint(pair[0].true_positive_rate, pair[1].true_positive_rate)
        };
        points.windows(2).map(trapezoid).sum()
    }

    #[test]
    fn a_thinned_curve_is_the_curve_to_the_eye() {
        let sample = calibrated(5000);
        let points = roc(&sample, 0).unwrap();
        let exact = crate::stats::rank::auc(&sample, &[1.0]).unwrap().value;
        assert!((100..=MAX_POINTS).contains(&points.len()), "{}", points.len());
        assert!((area(&points) - exact).abs() < 0.002, "{} {exact}", area(&points));
        let ends =
            [points[0], points[points.len() - 1]].map(|point| (point.false_positive_rate, point.true_positive_rate));
        assert_eq!(ends, [(0.0, 0.0), (1.0, 1.0)]);
    }

    #[test]
    fn a_short_curve_has_a_point_per_score() {
        let points = roc(&small(&[0.0, 1.0, 1.0], &[0.2, 0.2, 0.9], &[3, 1, 1]), 0).unwrap();
        let found =
            points.iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect::<Vec<_>>();
        assert_eq!(found, [(0.0, 0.0), (0.0, 0.5), (1.0, 1.0)]);
        assert!(matches!(
            roc(&small(&[1.0], &[0.5], &[2]), 0),
            Err(Undefined::OneClass { positives: 2, negatives: 0 })
        ));
    }

    #[test]
    fn calibration_bins_are_equal_and_cover_the_diagonal() {
        let bins = calibration(&calibrated(5000), 0).unwrap();
        assert!(bins.len() == 10 && bins.iter().all(|bin| bin.rows == 500));
        assert!(bins.iter().filter(|bin| bin.low <= bin.mean_score && bin.mean_score <= bin.high).count() >= 8);
    }

    #[test]
    fn equal_scores_stay_in_one_bin() {
        let bins = calibration(&small(&[0.0, 1.0, 0.0], &[0.1, 0.5, 0.5], &[1, 60, 39]), 0).unwrap();
        assert_eq!(bins.iter().map(|bin| bin.rows).collect::<Vec<_>>(), [100]);
        assert_eq!((bins[0].observed, bins[0].mean_score), (0.6, 0.496));
    }

    #[test]
    fn every_row_is_in_the_histogram_once() {
        let bins = histogram(&small(&[0.0, 1.0, 1.0], &[0.0, 1.0, 0.5], &[2, 3, 4]), 0).unwrap();
        assert_eq!((bins.len(), bins[0].negatives, bins[29].positives, bins[15].positives), (30, 2, 3, 4));
        assert_eq!((bins[0].low, bins[29].high), (0.0, 1.0));
        let one = histogram(&small(&[0.0, 1.0], &[7.0, 7.0], &[1, 1]), 0).unwrap();
        assert_eq!(one, [HistogramBin { low: 7.0, high: 7.0, negatives: 1, positives: 1 }]);
    }
}
