//! One encoding for the state of all summaries: lists of integers, since integers have one form and floats do not.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, LargeListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};

/// The Arrow fields of a state that consists of the named lists.
#[must_use]
pub fn fields(names: &[&str]) -> Fields {
    names.iter().map(|name| Field::new(*name, DataType::LargeList(item()), false)).collect()
}

/// The lists as arrays of length one.
#[must_use]
pub fn write(lists: Vec<Vec<i64>>) -> Vec<ArrayRef> {
    lists.into_iter().map(write_list).collect()
}

/// Row `row` of the `N` lists of a state.
///
/// # Errors
/// When there are not `N` arrays, or one is no list of integers or has no such row.
pub fn read<const N: usize>(state: &[ArrayRef], row: usize) -> Result<[Vec<i64>; N]> {
    let lists = state.iter().map(|array| read_list(array, row)).collect::<Result<Vec<_>>>()?;
    lists.try_into().map_err(|lists: Vec<_>| anyhow::anyhow!("a state of {} lists where {N} are expected", lists.len()))
}

/// No list at all, of the type of those of [`write`].
#[must_use]
pub fn none() -> ArrayRef {
    write_list(Vec::new()).slice(0, 0)
}

fn item() -> FieldRef {
    Arc::new(Field::new("item", DataType::Int64, false))
}

fn write_list(values: Vec<i64>) -> ArrayRef {
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Arc::new(LargeListArray::new(item(), offsets, Arc::new(Int64Array::from(values)), None))
}

fn read_list(array: &ArrayRef, row: usize) -> Result<Vec<i64>> {
    let lists = array.as_list_opt::<i64>().context("a state that is not a list")?;
    ensure!(row < lists.len() && lists.is_valid(row), "a state without row {row}");
    let list = lists.value(row);
    let values = list.as_primitive_opt::<Int64Type>().context("a state that is not a list of integers")?;
    ensure!(values.null_count() == 0, "a state with missing integers");
    Ok(values.values().to_vec())
}
