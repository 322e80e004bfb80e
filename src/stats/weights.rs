//! Weighted sums over models: one model, a difference, a relative margin, a difference of differences.

use crate::stats::metric::Metric;

/// The models whose weight is not zero, with their weights.
pub fn weighted(weights: &[f64]) -> impl Iterator<Item = (usize, f64)> {
    weights.iter().copied().enumerate().filter(|(_, weight)| *weight != 0.0)
}

/// The model that the weighted sum consists of, if it is one model with weight 1.
#[must_use]
pub fn single(weights: &[f64]) -> Option<usize> {
    let mut models = weighted(weights);
    match (models.next(), models.next()) {
        (Some((model, 1.0)), None) => Some(model),
        _ => None,
    }
}

/// The two models of the weighted sum, if it is the first minus the second.
#[must_use]
pub fn paired(weights: &[f64]) -> Option<(usize, usize)> {
    let mut models = weighted(weights);
    match (models.next(), models.next(), models.next()) {
        (Some((first, 1.0)), Some((second, -1.0)), None) | (Some((second, -1.0)), Some((first, 1.0)), None) => {
            Some((first, second))
        }
        _ => None,
    }
}

/// The values that a weighted sum can have: the metric's own for a single model, any for another sum.
#[must_use]
pub fn range(metric: &Metric, weights: &[f64]) -> (f64, f64) {
    single(weights).map_or((f64::NEG_INFINITY, f64::INFINITY), |_| metric.range())
}
