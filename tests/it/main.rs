//! Every integration test, in one binary: linking is the cost.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

mod binned;
mod bytes;
mod cache;
mod calibrate;
mod cases;
mod catalogue;
#[cfg(feature = "cluster")]
mod cluster;
mod coverage;
mod docs;
mod gate;
mod github;
mod http;
mod injection;
mod judgement;
mod laws;
mod memory;
mod multiclass;
mod onnx;
mod process;
mod scored;
mod services;
mod slices;
mod sources;
mod statistics;
mod statistics_binary;
mod statistics_multiclass;
mod statistics_order;
mod statistics_ranking;
mod statistics_ratio;
mod statistics_regression;
mod tidy;
