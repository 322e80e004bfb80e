//! The report of a run: one value from which every surface is rendered.

use std::time::{SystemTime, UNIX_EPOCH};

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
    /// When the run started, in seconds from the beginning of 1970: from then the age of the baseline is told.
    pub started: u64,
}

impl Report {
    /// The report of a record, of a run that started then.
    #[must_use]
    pub fn new(record: Record, curves: Option<curves::Curves>, started: SystemTime) -> Self {
        let started = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { record, curves, started }
    }
}
