//! The metrics of a binary task on labelled, scored rows.

use crate::stats::measurement::Measurement;
use crate::stats::metric::Metric;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;
use crate::stats::weights::range;
use crate::stats::{calibration, calibration_error, influence, order, probability, threshold};

/// The weighted sum of a metric over the models.
///
/// # Errors
/// When the metric is not defined on the rows, has no interval there, or is not of this task.
pub fn measure(metric: &Metric, sample: &Sample, weights: &[f64]) -> Result<Measurement, Undefined> {
    let range = range(metric, weights);
    match metric {
        Metric::RocAuc
        | Metric::AveragePrecision
        | Metric::Gini
        | Metric::KolmogorovSmirnov
        | Metric::Lift { .. }
        | Metric::Gain { .. }
        | Metric::PrecisionAtShare { .. }
        | Metric::PrecisionAtK { .. }
        | Metric::RecallAtK { .. }
        | Metric::RecallAtPrecision { .. }
        | Metric::SensitivityAtSpecificity { .. }
        | Metric::BestF1
        | Metric::BestAccuracy => order::measure(metric, sample, weights),
        Metric::LogLoss | Metric::Brier | Metric::BrierSkill | Metric::CalibrationRatio => {
            influence::measure(sample, weights, range, |model| probability::influence(metric, sample, model))
        }
        Metric::ExpectedCalibrationError { bins } => calibration_error::measure(sample, weights, range, *bins),
        Metric::CalibrationSlope => {
            influence::measure(sample, weights, range, |model| calibration::slope(sample, model))
        }
        Metric::CalibrationIntercept => {
            influence::measure(sample, weights, range, |model| calibration::intercept(sample, model))
        }
        _ => threshold::measure(metric, sample, weights),
    }
}
