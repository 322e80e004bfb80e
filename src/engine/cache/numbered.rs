//! The rows of some Parquet files with their numbers, whatever the order and the thread in which they are read.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::listing::{ListingTableUrl, PartitionedFile};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use parquet::arrow::RowNumber;

use super::pass;
use crate::engine::session;
use crate::target::Files;

/// The column of the number of the first row of a row's file.
pub(super) const FIRST: &str = "mg:first";
/// The column of the number of a row within its file.
pub(super) const ROW: &str = "mg:place";

/// Parquet files, each with the number of its first row.
#[derive(Debug)]
struct Numbered {
    files: Vec<PartitionedFile>,
    schema: TableSchema,
}

/// The rows of some Parquet files, as [`session::read`] gives them, and their numbers.
pub(in crate::engine) async fn read(context: &SessionContext, files: &Files) -> Result<DataFrame> {
    let rows = session::read(context, files).await?;
    for ours in [FIRST, ROW] {
        let taken = rows.schema().has_column_with_unqualified_name(ours);
        ensure!(
            !taken,
            "the column `{ours}` has a name that a cache of scores needs: rename it, or run without `--cache`"
        );
    }
    let all = rows.schema().as_arrow().fields();
    let mut columns = files.partitions.as_ref().map_or_else(Vec::new, |partitions| partitions.fields.to_vec());
    let of_files = Schema::new(all[..all.len() - columns.len()].to_vec());
    columns.push(Arc::new(Field::new(FIRST, DataType::UInt64, false)));
    let schema = TableSchema::builder(Arc::new(of_files))
        .with_table_partition_cols(columns)
        .with_virtual_columns(vec![Arc::new(Field::new(ROW, DataType::Int64, false).with_extension_type(RowNumber))])
        .build();
    let numbered = files.paths.iter().zip(pass::first_rows(&files.paths)?).map(|(file, first)| {
        let mut values = super::values(files, file)?;
        values.push(ScalarValue::UInt64(Some(first)));
        numbered(file, values)
    });
    let files = numbered.collect::<Result<_>>()?;
    Ok(context.read_table(Arc::new(Numbered { files, schema }))?)
}

/// A file with the values of the columns that it has not.
fn numbered(file: &Path, values: Vec<ScalarValue>) -> Result<PartitionedFile> {
    let url = ListingTableUrl::parse(file.to_str().context("a path is not in UTF-8")?)?;
    let mut numbered = PartitionedFile::new(String::new(), file.metadata()?.len());
    numbered.object_meta.location = url.prefix().clone();
    numbered.partition_values = values;
    Ok(numbered)
}

#[async_trait]
impl TableProvider for Numbered {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let options = session.table_options().parquet.clone();
        let source = ParquetSource::new(self.schema.clone()).with_table_parquet_options(options);
        let groups = FileGroup::new(self.files.clone()).split_files(session.config().target_partitions());
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
