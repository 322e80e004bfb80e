//! One pass of some models over the rows of a dataset: on all cores, and in the order of the rows.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::SessionContext;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};

use crate::target::{Dataset, Files};

/// A row group of a file: what one thread reads.
struct Unit {
    file: PathBuf,
    group: usize,
    /// The number of its first row in the dataset.
    first: u64,
    rows: u64,
}

/// What the models give, and of which columns.
#[derive(Clone)]
struct Models {
    /// The positions of the columns in the files.
    columns: Vec<usize>,
    /// The positions of the columns in the paths of the files, among those.
    of_paths: Vec<usize>,
    files: Files,
    /// All of them, the ones of the files first.
    schema: SchemaRef,
    models: Vec<Arc<dyn PhysicalExpr>>,
    /// The rows of a batch.
    batch: usize,
}

/// Scores all rows. `take` is given what each model gives for the next rows.
pub(super) async fn all(
    context: &SessionContext,
    dataset: &Dataset,
    models: &[Expr],
    mut take: impl FnMut(&[ArrayRef]) -> Result<()>,
) -> Result<()> {
    let units = units(&dataset.files.paths)?.into_iter().map(|unit| (unit, None)).collect();
    over(context, dataset, models, units, |_, given| take(given)).await
}

/// Scores some rows. `take` is given the numbers of the next of them, and what each model gives.
pub(super) async fn some(
    context: &SessionContext,
    dataset: &Dataset,
    models: &[Expr],
    rows: &BTreeSet<u64>,
    mut take: impl FnMut(&[u64], &[ArrayRef]) -> Result<()>,
) -> Result<()> {
    let within = |unit: &Unit| rows.range(unit.first..unit.first + unit.rows).copied().collect::<Vec<_>>();
    let units = units(&dataset.files.paths)?.into_iter().map(|unit| (within(&unit), unit));
    let units = units.filter(|(rows, _)| !rows.is_empty()).map(|(rows, unit)| (unit, Some(rows))).collect();
    over(context, dataset, models, units, |rows, given| take(rows.unwrap_or_default(), given)).await
}

/// The number of the first row of each file.
pub(super) fn first_rows(files: &[PathBuf]) -> Result<Vec<u64>> {
    let mut firsts = Vec::new();
    let mut rows = 0;
    for file in files {
        firsts.push(rows);
        rows += row_groups(file)?.iter().sum::<u64>();
    }
    Ok(firsts)
}

fn units(files: &[PathBuf]) -> Result<Vec<Unit>> {
    let (mut units, mut first) = (Vec::new(), 0);
    for file in files {
        for (group, rows) in row_groups(file)?.into_iter().enumerate() {
            if rows > 0 {
                units.push(Unit { file: file.clone(), group, first, rows });
            }
            first += rows;
        }
    }
    Ok(units)
}

/// The rows of each row group of a file.
fn row_groups(file: &PathBuf) -> Result<Vec<u64>> {
    let opened = File::open(file).with_context(|| format!("`{}` cannot be opened", file.display()))?;
    let metadata = ArrowReaderMetadata::load(&opened, ArrowReaderOptions::default())?;
    metadata.metadata().row_groups().iter().map(|group| Ok(u64::try_from(group.num_rows())?)).collect()
}

/// Works on as many units at once as there are threads, and takes their results in order.
async fn over(
    context: &SessionContext,
    dataset: &Dataset,
    models: &[Expr],
    units: Vec<(Unit, Option<Vec<u64>>)>,
    mut take: impl FnMut(Option<&[u64]>, &[ArrayRef]) -> Result<()>,
) -> Result<()> {
    let models = Models::new(context, dataset, models)?;
    let threads = context.copied_config().target_partitions();
    let mut running = VecDeque::new();
    let mut units = units.into_iter();
    loop {
        for (unit, rows) in units.by_ref().take(threads - running.len()) {
            running.push_back(SpawnedTask::spawn(models.clone().score(unit, rows)));
        }
        let Some(next) = running.pop_front() else { return Ok(()) };
        let (rows, given) = next.join().await??;
        take(rows.as_deref(), &given)?;
    }
}

impl Models {
    fn new(context: &SessionContext, dataset: &Dataset, models: &[Expr]) -> Result<Self> {
        let named = models.iter().flat_map(Expr::column_refs).map(|column| dataset.schema.index_of(&column.name));
        let columns = named.collect::<Result<BTreeSet<_>, _>>()?.into_iter().collect::<Vec<_>>();
        let schema = Arc::new(dataset.schema.project(&columns)?);
        let named = DFSchema::try_from(Arc::clone(&schema))?;
        let models = models.iter().map(|model| context.create_physical_expr(model.clone(), &named));
        let (models, batch) = (models.collect::<Result<_, _>>()?, context.copied_config().batch_size());
        let files = dataset.files.clone();
        let of_files = dataset.schema.fields().len() - files.partitions.as_ref().map_or(0, |all| all.fields.len());
        let (columns, of_paths) = columns.into_iter().partition::<Vec<_>, _>(|column| *column < of_files);
        let of_paths = of_paths.into_iter().map(|column| column - of_files).collect();
        Ok(Self { columns, of_paths, files, schema, models, batch })
    }

    /// Rows of a file with what its path says of them.
    fn whole(&self, rows: &RecordBatch, values: &[ScalarValue]) -> Result<RecordBatch> {
        let of_paths = self.of_paths.iter().map(|column| values[*column].to_array_of_size(rows.num_rows()));
        let columns = rows.columns().iter().cloned().map(Ok).chain(of_paths).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// Scores the rows of a unit, or those of it that have these numbers.
    async fn score(self, unit: Unit, rows: Option<Vec<u64>>) -> Result<(Option<Vec<u64>>, Vec<ArrayRef>)> {
        let file = File::open(&unit.file).with_context(|| format!("`{}` cannot be opened", unit.file.display()))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let columns = ProjectionMask::roots(builder.parquet_schema(), self.columns.iter().copied());
        let mut builder =
            builder.with_projection(columns).with_row_groups(vec![unit.group]).with_batch_size(self.batch);
        if let Some(rows) = &rows {
            let within = rows.iter().map(|row| usize::try_from(row - unit.first)).collect::<Result<Vec<_>, _>>()?;
            let ranges = within.into_iter().map(|row| row..row + 1);
            let selection = RowSelection::from_consecutive_ranges(ranges, usize::try_from(unit.rows)?);
            builder = builder.with_row_selection(selection);
        }
        let values = super::values(&self.files, &unit.file)?;
        let mut given = vec![Vec::new(); self.models.len()];
        for batch in builder.build()? {
            let batch = self.whole(&batch?, &values)?;
            for (given, model) in given.iter_mut().zip(&self.models) {
                given.push(model.evaluate(&batch)?.into_array(batch.num_rows())?);
            }
            // A cancelled run ends here.
            tokio::task::yield_now().await;
        }
        let whole = |given: &Vec<ArrayRef>| concat(&given.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        Ok((rows, given.iter().map(whole).collect::<Result<_, _>>()?))
    }
}
