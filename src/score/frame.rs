//! The features as columns of the plainest types, as programs and servers are fed with them.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// The columns that are fed: the features, each in the plainest type for its values.
///
/// # Errors
/// When there are none, or the dataset lacks one.
pub(super) fn schema(features: &[String], schema: &SchemaRef) -> Result<SchemaRef> {
    ensure!(!features.is_empty(), "the spec declares no features: list them in `columns.features`");
    let field = |name: &String| {
        let field = schema.field_with_name(name);
        let field = field.ok().with_context(|| format!("the dataset has no column `{name}`"))?;
        Ok(Field::new(name, plain(field.data_type()), true))
    };
    Ok(Arc::new(Schema::new(features.iter().map(field).collect::<Result<Vec<_>>>()?)))
}

/// One type for all values of a kind, so that whoever is fed need not know how a file was written.
fn plain(kind: &DataType) -> DataType {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256, Dictionary, Float64, Int64, UInt64, Utf8};
    match kind {
        Dictionary(_, values) => plain(values),
        kind if kind.is_string() => Utf8,
        kind if kind.is_integer() && *kind != UInt64 => Int64,
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => Float64,
        kind if kind.is_floating() => Float64,
        kind => kind.clone(),
    }
}

/// The values in the types that are fed.
///
/// # Errors
/// When a value does not fit its type.
pub(super) fn batch(schema: &SchemaRef, columns: &[ArrayRef]) -> Result<RecordBatch> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |(field, column): (&Arc<Field>, &ArrayRef)| {
        cast_with_options(column, field.data_type(), &strict)
            .with_context(|| format!("column `{}` has values that cannot be fed", field.name()))
    };
    let columns = schema.fields().iter().zip(columns).map(cast).collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
