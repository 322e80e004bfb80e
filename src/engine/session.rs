//! How a session is opened.

use std::path::Path;

#[cfg(not(feature = "cluster"))]
use anyhow::bail;
use anyhow::{Context, Result};
use datafusion::dataframe::DataFrame;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};

use super::memory::Memory;
use crate::target::{Files, Partitions};

/// Rows of a batch. Large enough to keep a model busy, small enough to stay in the processor's cache.
const BATCH: usize = 8192;

/// What DataFusion sets aside for each sort, so that the sort can merge what it has put into files.
const FOR_MERGING: usize = 10 << 20;

/// What one row more in a batch may take in each part: four sorts, where both models are predictions, each of which merges eight
/// files and holds two batches of each, with rows of up to three hundred bytes.
const FOR_A_ROW: usize = 20_000;

/// The fewest rows of a batch, where there is little memory.
const LEAST: usize = 64;

/// How sessions work. The record does not depend on it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The number of threads; on a cluster, that of the parts that the work is cut into.
    pub threads: usize,
    /// The rows of a batch.
    pub batch: usize,
    /// What they may hold in memory together; without a limit, what there is.
    pub memory: Option<Memory>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threads: 1, batch: BATCH, memory: None }
    }
}

impl Settings {
    /// The settings of a session on so many threads.
    #[must_use]
    pub fn threads(threads: usize) -> Self {
        Self { threads, ..Self::default() }
    }

    /// The same with another number of threads.
    #[must_use]
    pub fn on(&self, threads: usize) -> Self {
        Self { threads, ..self.clone() }
    }
}

/// A session in this process.
#[must_use]
pub fn open(settings: &Settings) -> SessionContext {
    match &settings.memory {
        Some(memory) => SessionContext::new_with_config_rt(within(memory, settings), memory.runtime()),
        None => SessionContext::new_with_config(config(settings)),
    }
}

/// A session on a cluster, which cuts the work into this many parts; without one, as [`open`].
///
/// # Errors
/// When there is no cluster, when it is of another version, and when this program was built without clusters.
pub async fn open_on(cluster: Option<&str>, settings: &Settings) -> Result<SessionContext> {
    match cluster {
        None => Ok(open(settings)),
        #[cfg(feature = "cluster")]
        Some(scheduler) => super::cluster::connect(&scheduler.parse()?, config(settings)).await,
        #[cfg(not(feature = "cluster"))]
        Some(_) => bail!("this modelgate was built without clusters: build it with `--features cluster`"),
    }
}

/// What every session is set to, wherever it computes.
fn config(settings: &Settings) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(settings.threads).with_batch_size(settings.batch);
    let options = config.options_mut();
    // Column names are what the file says, never folded to lower case.
    options.sql_parser.enable_ident_normalization = false;
    options.execution.parquet.pushdown_filters = true;
    config
}

/// What a session is set to that must keep within some memory. A hash join holds one of its sides as a whole, so rows are
/// joined by sorting, for which DataFusion wants two parts even on one thread.
fn within(memory: &Memory, settings: &Settings) -> SessionConfig {
    let parts = settings.threads.max(2);
    let rows = (memory.bytes() / (parts * FOR_A_ROW)).max(LEAST);
    let mut config = config(settings).with_target_partitions(parts).with_batch_size(settings.batch.min(rows));
    let options = config.options_mut();
    options.optimizer.prefer_hash_join = false;
    // A view of a text counts, and keeps in memory, all of the batch that it was read with.
    options.execution.parquet.schema_force_view_types = false;
    // Four sorts for each part run at once where both models are predictions: a quarter of the memory for this.
    options.execution.sort_spill_reservation_bytes = FOR_MERGING.min(memory.bytes() / (16 * parts));
    config
}

/// The rows of some Parquet files.
///
/// # Errors
/// When a file cannot be read.
pub async fn read(context: &SessionContext, files: &Files) -> Result<DataFrame> {
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is not in UTF-8");
    let options = ParquetReadOptions::default().file_extension("");
    let Some(Partitions { root, fields }) = &files.partitions else {
        let paths = files.paths.iter().map(|file| text(file)).collect::<Result<Vec<_>>>()?;
        return Ok(context.read_parquet(paths, options).await?);
    };
    let columns = fields.iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
    Ok(context.read_parquet(format!("{}/", text(root)?), options.table_partition_cols(columns)).await?)
}
