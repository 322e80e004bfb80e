//! Where the results of a run go.

pub mod files;
