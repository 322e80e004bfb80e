//! How a session is opened.

use std::path::PathBuf;

#[cfg(not(feature = "cluster"))]
use anyhow::bail;
use anyhow::{Context, Result};
use datafusion::dataframe::DataFrame;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};

/// Rows of a batch. Large enough to keep a model busy, small enough to stay in the processor's cache.
pub(super) const BATCH: usize = 8192;

/// A session that works on this many threads of this process.
#[must_use]
pub fn open(threads: usize) -> SessionContext {
    SessionContext::new_with_config(config(threads))
}

/// A session on a cluster, which cuts the work into this many parts; without one, as [`open`].
///
/// # Errors
/// When there is no cluster, when it is of another version, and when this program was built without clusters.
pub async fn open_on(cluster: Option<&str>, threads: usize) -> Result<SessionContext> {
    match cluster {
        None => Ok(open(threads)),
        #[cfg(feature = "cluster")]
        Some(scheduler) => super::cluster::connect(&scheduler.parse()?, config(threads)).await,
        #[cfg(not(feature = "cluster"))]
        Some(_) => bail!("this modelgate was built without clusters: build it with `--features cluster`"),
    }
}

/// What every session is set to, wherever it computes.
fn config(threads: usize) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(threads).with_batch_size(BATCH);
    let options = config.options_mut();
    // Column names are what the file says, never folded to lower case.
    options.sql_parser.enable_ident_normalization = false;
    options.execution.parquet.pushdown_filters = true;
    config
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
