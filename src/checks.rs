//! The list of checks: one file each, named as in the spec. Parsing, the JSON Schema, the docs pages, `explain` and the
//! tests that run every check follow from this list.

use crate::check::Kind;

pub mod backtest;
pub mod data {
    //! Checks of the data itself.
    pub mod schema;
}
pub mod drift {
    //! Checks of change against what was.
    pub mod feature;
    pub mod prediction;
}
pub mod leakage {
    //! Checks that the model was not told what it must find out.
    pub mod overlap;
}
pub mod performance {
    //! Checks of how good the scores are.
    pub mod calibration;
    pub mod metric;
    pub mod regression;
    pub mod worst_slice;
}
pub mod robustness {
    //! Checks of how the scores take disturbance.
    pub mod sensitivity;
}
mod shared;

/// Every kind of check, in the order of the docs.
pub static CHECKS: &[Kind] = &[
    Kind::of::<performance::metric::PerformanceMetric>(),
    Kind::of::<performance::regression::PerformanceRegression>(),
    Kind::of::<performance::worst_slice::PerformanceWorstSlice>(),
    Kind::of::<performance::calibration::PerformanceCalibration>(),
    Kind::of::<data::schema::DataSchema>(),
    Kind::of::<drift::prediction::DriftPrediction>(),
    Kind::of::<drift::feature::DriftFeature>(),
    Kind::of::<leakage::overlap::LeakageOverlap>(),
    Kind::of::<robustness::sensitivity::RobustnessSensitivity>(),
    Kind::of::<backtest::Backtest>(),
];

/// The kind of check with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Kind> {
    CHECKS.iter().find(|kind| kind.name == name)
}
