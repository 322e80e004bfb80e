//! Accuracy, precision, recall and F1, from the counts of the decision cells.
//!
//! Each is a ratio of two counts, `sum of a / sum of b` over rows, so one gradient serves all: with respect to the share
//! of a cell it is `(a - ratio * b) / mean of b`. Where the ratio is a share of whole rows there is a score interval,
//! which keeps its level for few rows; the delta method serves the rest.

use crate::stats::joint::Joint;
use crate::stats::measurement::{Law, Measurement, Method, Scale};
use crate::stats::metric::Metric;
use crate::stats::proportion::{PairedDifference, Proportion};
use crate::stats::undefined::Undefined;
use crate::stats::weights::{paired, range, single, weighted};

/// Rows by label and by the decisions of `k` models.
///
/// Bit 0 of a cell's index is the label, bit `1 + i` the decision of model `i`.
#[derive(Clone, PartialEq, Debug)]
pub struct Decisions {
    /// Rows per cell: `2^(1 + k)` counts.
    pub cells: Vec<u64>,
    /// The shares of the cells with their covariance.
    pub shares: Joint,
}

impl Decisions {
    /// The weighted sum of a metric over the models.
    ///
    /// One model without clusters: the interval of a share, for F1 through the Jaccard index. A plain difference of accuracy or
    /// recall without clusters: Tango's. All else: the delta method, and where no variation was seen, what may have gone
    /// unseen in as many rows, or clusters.
    ///
    /// # Errors
    /// With fewer than two rows or clusters, or when the metric of a weighted model is a division by zero.
    pub fn measure(&self, metric: &Metric, weights: &[f64]) -> Result<Measurement, Undefined> {
        let mut value = 0.0;
        let mut gradient = vec![0.0; self.cells.len()];
        for (model, weight) in weighted(weights) {
            let ratio = self.ratio(metric, model)?;
            value += weight * ratio.value();
            self.add_gradient(&mut gradient, metric, model, weight, ratio);
        }
        let delta = self.shares.measurement(value, &gradient, range(metric, weights))?;
        Ok(self.refine(delta, metric, weights))
    }

    /// The mean over rows of a weight of -1, 0 or 1 per cell: a share of rows, or the difference of two.
    ///
    /// Without clusters, the interval of a share, exact or Wilson's, and Tango's of a difference; else the delta method, and where no
    /// variation was seen, what may have gone unseen in as many clusters.
    ///
    /// # Errors
    /// With fewer than two rows or clusters.
    pub fn share_of_cells(&self, weights: &[f64]) -> Result<Measurement, Undefined> {
        let trials = self.sum(|_| 1.0);
        if trials == 0.0 {
            return Err(Undefined::NoRows);
        }
        let count = |sign: f64| self.sum(|cell| (sign * weights.get(cell).copied().unwrap_or(0.0)).max(0.0));
        let (gained, lost) = (count(1.0), count(-1.0));
        let is_share = weights.iter().all(|weight| *weight >= 0.0);
        let range = (if is_share { 0.0 } else { -1.0 }, 1.0);
        let delta = self.shares.measurement((gained - lost) / trials, weights, range)?;
        let (method, law) = match (delta.clusters, is_share) {
            (None, true) => Law::of_share(Proportion { successes: gained, trials }, Scale::Identity),
            (None, false) => (Method::Tango, Law::Difference(PairedDifference { trials, gained, lost })),
            (Some(clusters), _) if matches!(delta.law, Law::Point) => {
                (Method::Unvaried, Law::Unvaried { trials: clusters as f64, step: 1.0 })
            }
            (Some(_), _) => (delta.method, delta.law),
        };
        Ok(Measurement { method, law, ..delta })
    }

    /// The same measurement with a better law, where there is one.
    fn refine(&self, delta: Measurement, metric: &Metric, weights: &[f64]) -> Measurement {
        let unvaried = matches!(delta.law, Law::Point);
        let found = match (delta.clusters, single(weights), paired(weights)) {
            (None, Some(model), _) => self.share(metric, model),
            (Some(clusters), Some(model), _) if unvaried => self.share_of_clusters(metric, model, clusters),
            (None, _, Some(models)) if !matches!(metric, Metric::Precision | Metric::F1) => {
                Some((Method::Tango, Law::Difference(self.difference(metric, models))))
            }
            _ if unvaried => Some((Method::Unvaried, self.unvaried(metric, weights))),
            _ => None,
        };
        let (method, law) = found.unwrap_or((delta.method, delta.law));
        Measurement { method, law, ..delta }
    }

    fn share(&self, metric: &Metric, model: usize) -> Option<(Method, Law)> {
        let share = self.ratio(metric, model).ok()?.share(metric);
        Some(Law::of_share(share, scale(metric)))
    }

    /// The share as if each cluster were one trial: rows within a cluster that all agree count once.
    fn share_of_clusters(&self, metric: &Metric, model: usize, clusters: u64) -> Option<(Method, Law)> {
        let share = self.ratio(metric, model).ok()?.share(metric);
        let trials = share.trials.min(clusters as f64);
        let scaled = Proportion { successes: share.successes / share.trials * trials, trials };
        Some(Law::of_share(scaled, scale(metric)))
    }

    fn difference(&self, metric: &Metric, (first, second): (usize, usize)) -> PairedDifference {
        let count = |winner: usize, loser: usize| {
            self.sum(|cell| {
                let (won, trial) = parts(metric, cell, winner);
                if trial > 0.0 && won > parts(metric, cell, loser).0 { 1.0 } else { 0.0 }
            })
        };
        let trials = self.sum(|cell| parts(metric, cell, first).1);
        PairedDifference { trials, gained: count(first, second), lost: count(second, first) }
    }

    /// One row, or cluster, moves the weighted sum by no more than all the weights of one sign.
    fn unvaried(&self, metric: &Metric, weights: &[f64]) -> Law {
        let trials =
            weighted(weights).filter_map(|(model, _)| Some(self.ratio(metric, model).ok()?.share(metric).trials));
        let trials = trials.fold(self.shares.clusters.map_or(f64::INFINITY, |clusters| clusters as f64), f64::min);
        let side = |sign: f64| weights.iter().map(|weight| (sign * weight).max(0.0)).sum::<f64>();
        Law::Unvaried { trials, step: side(1.0).max(side(-1.0)) }
    }

    fn ratio(&self, metric: &Metric, model: usize) -> Result<Ratio, Undefined> {
        let above = self.sum(|cell| parts(metric, cell, model).0);
        let below = self.sum(|cell| parts(metric, cell, model).1);
        match metric {
            _ if below > 0.0 => Ok(Ratio { above, below }),
            _ if self.shares.rows == 0 => Err(Undefined::NoRows),
            Metric::Precision => Err(Undefined::NoPredictedPositives),
            Metric::Recall => Err(Undefined::NoPositives),
            _ => Err(Undefined::NothingPositive),
        }
    }

    fn add_gradient(&self, gradient: &mut [f64], metric: &Metric, model: usize, weight: f64, ratio: Ratio) {
        let mean = ratio.below / self.shares.rows as f64;
        for (cell, slope) in gradient.iter_mut().enumerate() {
            let (above, below) = parts(metric, cell, model);
            *slope += weight * (above - ratio.value() * below) / mean;
        }
    }

    fn sum(&self, part: impl Fn(usize) -> f64) -> f64 {
        self.cells.iter().enumerate().map(|(cell, &count)| part(cell) * count as f64).sum()
    }
}

#[derive(Clone, Copy)]
struct Ratio {
    above: f64,
    below: f64,
}

impl Ratio {
    fn value(self) -> f64 {
        self.above / self.below
    }

    /// The ratio as a share of whole rows; for F1 the Jaccard index, `TP / (TP + FP + FN)`.
    fn share(self, metric: &Metric) -> Proportion {
        match metric {
            Metric::F1 => Proportion { successes: self.above / 2.0, trials: self.below - self.above / 2.0 },
            _ => Proportion { successes: self.above, trials: self.below },
        }
    }
}

/// What a row in a cell adds above and below the fraction line.
fn parts(metric: &Metric, cell: usize, model: usize) -> (f64, f64) {
    let [label, decided] = [cell & 1, cell >> (1 + model) & 1].map(|bit| bit as f64);
    match metric {
        Metric::Precision => (label * decided, decided),
        Metric::Recall => (label * decided, label),
        Metric::F1 => (2.0 * label * decided, label + decided),
        _ => (if label == decided { 1.0 } else { 0.0 }, 1.0),
    }
}

fn scale(metric: &Metric) -> Scale {
    if *metric == Metric::F1 { Scale::F1 } else { Scale::Identity }
}
