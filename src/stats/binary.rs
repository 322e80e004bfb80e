//! The metrics of a binary task on labelled, scored rows.

use crate::stats::measurement::Measurement;
use crate::stats::metric::Metric;
use crate::stats::order;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;

/// The weighted sum of a metric over the models.
///
/// # Errors
/// When the metric is not defined on the rows, has no interval there, or is not of this task.
pub fn measure(metric: &Metric, sample: &Sample, weights: &[f64]) -> Result<Measurement, Undefined> {
    order::measure(metric, sample, weights)
}
