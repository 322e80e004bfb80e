//! Means with their covariance, and the delta method on them.
//!
//! A metric `f` of means `m` has the variance `f'(m) Cov(m) f'(m)'` to first order. Without clusters the studentised
//! metric is taken as normal; with clusters it is compared with Student's t with `G - 1` degrees of freedom, the usual
//! guard against few clusters (Bell and McCaffrey 2002; Cameron and Miller 2015).

use crate::stats::distribution::Reference;
use crate::stats::measurement::{Law, Measurement, Method};
use crate::stats::undefined::Undefined;
use crate::stats::weights::weighted;

/// Standard errors below this share of the value's parts are rounding, and are taken as zero: a float holds 16 digits,
/// and sums over clusters lose up to two of them.
const NOISE: f64 = 1e-14;

/// Contrasts whose variance is below this share of their parts' variances are rounding, and are taken as zero: a few
/// units in the last place of the parts.
const CONTRAST_NOISE: f64 = 2e-15;

/// Means over rows and the covariance of these means.
#[derive(Clone, PartialEq, Debug)]
pub struct Joint {
    /// Rows.
    pub rows: u64,
    /// Clusters, if rows are clustered.
    pub clusters: Option<u64>,
    /// The means.
    pub mean: Vec<f64>,
    /// The covariance of the vector of means, not of a row.
    pub covariance: Vec<Vec<f64>>,
}

impl Joint {
    /// The weighted sum of the means themselves: mean losses.
    ///
    /// # Errors
    /// With fewer than two rows or clusters, or when the numbers are too large.
    pub fn of_means(&self, weights: &[f64], range: (f64, f64)) -> Result<Measurement, Undefined> {
        self.measurement(dot(weights, &self.mean), weights, range)
    }

    /// The weighted sum of the means' square roots: root mean squared errors.
    ///
    /// A mean of zero has no variance either, so its infinite slope is of no consequence and taken as zero.
    ///
    /// # Errors
    /// As [`Joint::of_means`].
    pub fn of_roots(&self, weights: &[f64], range: (f64, f64)) -> Result<Measurement, Undefined> {
        let roots = self.mean.iter().map(|mean| mean.sqrt()).collect::<Vec<_>>();
        let slope = |(weight, root): (&f64, &f64)| if *root > 0.0 { weight / (2.0 * root) } else { 0.0 };
        let gradient = weights.iter().zip(&roots).map(slope).collect::<Vec<_>>();
        self.measurement(dot(weights, &roots), &gradient, range)
    }

    /// The weighted sum of ratios of means, which stand in pairs: what is above the line and what is below it.
    ///
    /// # Errors
    /// As [`Joint::of_means`], and when a mean below the line is 0.
    pub fn of_ratios(&self, weights: &[f64], range: (f64, f64)) -> Result<Measurement, Undefined> {
        let (mut value, mut gradient) = (0.0, vec![0.0; self.mean.len()]);
        for (model, weight) in weighted(weights) {
            let (above, below) = (self.mean[2 * model], self.mean[2 * model + 1]);
            if below == 0.0 {
                return Err(Undefined::ZeroDenominator);
            }
            value += weight * above / below;
            gradient[2 * model] = weight / below;
            gradient[2 * model + 1] = -weight * above / below / below;
        }
        self.measurement(value, &gradient, range)
    }

    /// The standard error of a function of the means with this gradient; exactly zero when it is rounding only.
    #[must_use]
    pub fn standard_error(&self, gradient: &[f64]) -> f64 {
        let terms = || {
            gradient
                .iter()
                .zip(&self.covariance)
                .flat_map(|(x, row)| row.iter().zip(gradient).map(move |(c, y)| x * y * c))
        };
        let (variance, parts) = terms().fold((0.0, 0.0), |(sum, parts), term| (sum + term, parts + term.abs()));
        let size = gradient.iter().zip(&self.mean).map(|(x, mean)| (x * mean).abs()).sum::<f64>();
        let error = variance.max(0.0).sqrt();
        if variance <= CONTRAST_NOISE * parts || error <= NOISE * size { 0.0 } else { error }
    }

    /// A value with the law that follows from its gradient.
    ///
    /// # Errors
    /// As [`Joint::of_means`].
    pub fn measurement(&self, value: f64, gradient: &[f64], range: (f64, f64)) -> Result<Measurement, Undefined> {
        self.has_variance()?;
        let error = self.standard_error(gradient);
        if !value.is_finite() || !error.is_finite() {
            return Err(Undefined::TooLarge);
        }
        let (method, reference) = match self.clusters {
            None => (Method::Delta, Reference::Normal),
            Some(clusters) => (Method::DeltaClustered, Reference::Student(clusters as f64 - 1.0)),
        };
        let (method, law) = match error {
            0.0 => (Method::Constant, Law::Point),
            _ => (method, Law::Studentised { error, reference }),
        };
        Ok(Measurement { value, rows: self.rows, clusters: self.clusters, method, law, range })
    }

    fn has_variance(&self) -> Result<(), Undefined> {
        match (self.rows, self.clusters) {
            (0, _) => Err(Undefined::NoRows),
            (rows @ 1, _) => Err(Undefined::TooFewRows { rows }),
            (_, Some(clusters @ ..2)) => Err(Undefined::TooFewClusters { clusters }),
            _ => Ok(()),
        }
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(x, y)| x * y).sum()
}
