//! How a session is opened.

use std::path::PathBuf;

use anyhow::{Context, Result};
use datafusion::dataframe::DataFrame;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};

/// Rows of a batch. Large enough to keep a model busy, small enough to stay in the processor's cache.
pub(super) const BATCH: usize = 8192;

/// A session that works on this many threads.
#[must_use]
pub fn open(threads: usize) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(threads).with_batch_size(BATCH);
    let options = config.options_mut();
    // Column names are what the file says, never folded to lower case.
    options.sql_parser.enable_ident_normalization = false;
    options.execution.parquet.pushdown_filters = true;
    SessionContext::new_with_config(config)
}

/// The rows of some Parquet files.
///
/// # Errors
/// When a file cannot be read.
pub async fn read(context: &SessionContext, files: &[PathBuf]) -> Result<DataFrame> {
    let paths = files
        .iter()
        .map(|file| file.to_str().map(str::to_owned).context("a path is not in UTF-8"))
        .collect::<Result<Vec<_>>>()?;
    let options = ParquetReadOptions::default().file_extension("");
    Ok(context.read_parquet(paths, options).await?)
}
