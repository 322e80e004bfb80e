//! The metrics of decisions, from the counts of the decision cells.
//!
//! Each is a smooth function of the shares of four cells, so the delta method serves all. Where the metric is a share of
//! whole rows there is a score interval, which keeps its level for few rows.

use crate::stats::confusion::{Confusion, Share, parts, step};
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
    /// One model without clusters: the interval of a share, exact or Wilson's, for what is one of rows, for F1 through the Jaccard index. A plain
    /// difference of shares of the same rows without clusters: Tango's. All else: the delta method, and where no variation
    /// was seen, what may have gone unseen in as many rows, or clusters.
    ///
    /// # Errors
    /// With fewer than two rows or clusters, or when the metric of a weighted model is a division by zero.
    pub fn measure(&self, metric: &Metric, weights: &[f64]) -> Result<Measurement, Undefined> {
        let (mut value, mut steps) = (0.0, [0.0; 2]);
        let mut gradient = vec![0.0; self.cells.len()];
        for (model, weight) in weighted(weights) {
            let rate = self.confusion(model).rate(metric)?;
            value += weight * rate.value;
            steps[usize::from(weight > 0.0)] += weight.abs() * step(metric, rate.value);
            for (cell, slope) in gradient.iter_mut().enumerate() {
                *slope += weight * rate.influence[cell & 1][decision(cell, model)];
            }
        }
        let delta = self.shares.measurement(value, &gradient, range(metric, weights))?;
        Ok(self.refine(delta, metric, weights, steps))
    }

    /// The mean over rows of a weight of -1, 0 or 1 per cell: a share of rows, or the difference of two.
    ///
    /// Without clusters, the interval of a share, exact or Wilson's, and Tango's of a difference; else the delta method, and where no
    /// variation was seen, what may have gone unseen in as many clusters.
    ///
    /// # Errors
    /// With fewer than two rows or clusters.
    pub fn share_of_cells(&self, weights: &[f64]) -> Result<Measurement, Undefined> {
        let trials = self.count(|_| true);
        if trials == 0.0 {
            return Err(Undefined::NoRows);
        }
        let count = |sign: f64| self.count(|cell| sign * weights.get(cell).copied().unwrap_or(0.0) > 0.0);
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

    /// The same measurement with a better law, where there is one. `steps` is how far the models with negative weight and
    /// those with positive weight can move the sum.
    fn refine(&self, delta: Measurement, metric: &Metric, weights: &[f64], steps: [f64; 2]) -> Measurement {
        let unvaried = matches!(delta.law, Law::Point);
        let share = Share::of(metric);
        let found = match (delta.clusters, single(weights), share, paired(weights), Share::of_common_rows(metric)) {
            (None, Some(model), Some(share), ..) => Some(self.share_of(share, model, f64::INFINITY)),
            (Some(clusters), Some(model), Some(share), ..) if unvaried => {
                Some(self.share_of(share, model, clusters as f64))
            }
            (None, _, _, Some(models), Some(share)) => {
                Some((Method::Tango, Law::Difference(self.difference(share, models))))
            }
            _ if unvaried && !is_constant(metric, weights) => {
                let step = steps[0].max(steps[1]);
                Some((Method::Unvaried, Law::Unvaried { trials: self.trials(metric, weights), step }))
            }
            _ => None,
        };
        let (method, law) = found.unwrap_or((delta.method, delta.law));
        Measurement { method, law, ..delta }
    }

    /// The share of at most so many trials: of clusters, where rows within a cluster all agree and count once.
    fn share_of(&self, share: Share, model: usize, most: f64) -> (Method, Law) {
        let table = self.confusion(model);
        let (successes, rows) = (table.weight(share.successes), table.weight(share.trials));
        let trials = rows.min(most);
        let successes = if trials < rows { successes / rows * trials } else { successes };
        Law::of_share(Proportion { successes, trials }, share.scale)
    }

    fn difference(&self, share: Share, (first, second): (usize, usize)) -> PairedDifference {
        let is = |rows: fn(bool, bool) -> bool, cell: usize, model| rows(cell & 1 == 1, decision(cell, model) == 1);
        let only =
            |winner, loser| self.count(|cell| is(share.successes, cell, winner) && !is(share.successes, cell, loser));
        let trials = self.count(|cell| is(share.trials, cell, first));
        PairedDifference { trials, gained: only(first, second), lost: only(second, first) }
    }

    /// How many rows, or clusters, showed no variation, in the part of the metric that has fewest.
    fn trials(&self, metric: &Metric, weights: &[f64]) -> f64 {
        let clusters = self.shares.clusters.map_or(f64::INFINITY, |clusters| clusters as f64);
        let tables = weighted(weights).map(|(model, _)| self.confusion(model));
        let counts = tables.flat_map(|table| parts(metric).into_iter().map(move |part| table.weight(part)));
        counts.fold(clusters, f64::min)
    }

    fn confusion(&self, model: usize) -> Confusion {
        let mut table = Confusion::default();
        for (cell, &count) in self.cells.iter().enumerate() {
            table.cells[cell & 1][decision(cell, model)] += count as f64;
        }
        table
    }

    fn count(&self, chosen: impl Fn(usize) -> bool) -> f64 {
        let cells = self.cells.iter().enumerate().filter(|(cell, _)| chosen(*cell));
        cells.map(|(_, &count)| count as f64).sum()
    }
}

/// Whether a weighted sum is the same on all data: models do not differ in a fact about the labels.
pub(super) fn is_constant(metric: &Metric, weights: &[f64]) -> bool {
    *metric == Metric::Prevalence && weights.iter().sum::<f64>() == 0.0
}

fn decision(cell: usize, model: usize) -> usize {
    cell >> (1 + model) & 1
}
