//! The report of a run: one value from which every surface is rendered.

use serde::Serialize;

use crate::record::Record;

pub mod budget;
pub mod chart;
pub mod curves;
pub mod junit;
pub mod plan;
pub mod render;

/// Everything that a reader may see of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The record.
    pub record: Record,
    /// What the plots show of the scores, where both models scored labelled rows.
    pub curves: Option<curves::Curves>,
}

impl Report {
    /// The report of a record.
    #[must_use]
    pub fn new(record: Record, curves: Option<curves::Curves>) -> Self {
        Self { record, curves }
    }
}
