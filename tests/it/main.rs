//! Every integration test, in one binary: linking is the cost.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

mod cases;
mod docs;
mod gate;
mod github;
mod injection;
mod laws;
mod multiclass;
mod onnx;
mod statistics;
mod statistics_multiclass;
mod tidy;
