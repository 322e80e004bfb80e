//! Every integration test, in one binary: linking is the cost.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

mod docs;
mod laws;
mod onnx;
mod statistics;
