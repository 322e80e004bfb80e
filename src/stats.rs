//! The statistics: from plain numbers to values, intervals and p-values.
//!
//! Nothing here knows a summary, a check or an engine, and no function returns a NaN: a number that is not defined is an
//! [`Undefined`] with its reason.

pub mod band;
pub mod binary;
pub mod binned;
pub mod bisection;
pub mod bootstrap;
pub mod bound;
pub mod calibration;
pub mod calibration_error;
pub mod confusion;
pub mod curve;
pub mod decision;
pub mod distance;
pub mod distribution;
pub mod dual;
pub mod influence;
pub mod joint;
pub mod measurement;
pub mod metric;
pub mod multiclass;
pub mod multiplicity;
pub mod order;
pub mod power;
pub mod probability;
pub mod proportion;
pub mod random;
pub mod rank;
pub mod ranking;
pub mod regression;
pub mod replicates;
pub mod sample;
pub mod shift;
pub mod threshold;
pub mod undefined;
pub mod weights;

pub use binned::Binned;
pub use distance::Distance;
pub use joint::Joint;
pub use measurement::{Measurement, Method};
pub use metric::{Direction, Family, Metric, Source};
pub use sample::{Sample, Threshold};
pub use shift::Shift;
pub use undefined::Undefined;
