//! Arrow columns become ONNX tensors.

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor};

use super::signature::ElementKind;

/// A column of data with its name, for messages.
#[derive(Clone, Copy)]
pub struct Column<'a> {
    /// Its name in the dataset.
    pub name: &'a str,
    /// Its values.
    pub values: &'a ArrayRef,
}

/// Whether values of the Arrow type `from` may be fed to an input of this kind.
///
/// Numbers and booleans become floats, as training frameworks do; integers and booleans become integers; nothing
/// becomes text or stops being text, for there is more than one way to write a number.
#[must_use]
pub fn accepts(kind: &ElementKind, from: &DataType) -> bool {
    use DataType::{Boolean, Decimal128, Decimal256, Dictionary, LargeUtf8, Utf8, Utf8View};
    if let Dictionary(_, values) = from {
        return accepts(kind, values);
    }
    match kind {
        ElementKind::Text => matches!(from, Utf8 | LargeUtf8 | Utf8View),
        ElementKind::Bool => matches!(from, Boolean),
        ElementKind::Float32 | ElementKind::Float64 => {
            from.is_integer() || from.is_floating() || matches!(from, Boolean | Decimal128(..) | Decimal256(..))
        }
        ElementKind::Other(_) => false,
        _ => from.is_integer() || matches!(from, Boolean),
    }
}

/// The number of rows that are fed for `rows` rows of data: the next multiple of 16.
///
/// The kernels of ONNX Runtime sum in another order for a single row than for several, and treat what is left over
/// after whole vectors apart, so the last bits of a score would depend on the batch its row is in. Batches of whole
/// vectors do not have that; they are filled up with copies of the last row.
#[must_use]
pub fn fed_rows(rows: usize) -> usize {
    rows.next_multiple_of(16)
}

/// A tensor of shape `[R, columns]`, or `[R]` if it is `flat`, from columns of `rows` values each, where R is
/// [`fed_rows`].
///
/// A missing number becomes NaN where the input takes floats.
///
/// # Errors
/// For missing values of other kinds, for integers out of range, and for text that holds a NUL character.
pub fn tensor(kind: &ElementKind, flat: bool, rows: usize, columns: &[Column]) -> Result<DynValue> {
    let shape = if flat { vec![fed_rows(rows)] } else { vec![fed_rows(rows), columns.len()] };
    match kind {
        ElementKind::Float32 => numbers::<Float32Type>(shape, rows, columns, Some(f32::NAN)),
        ElementKind::Float64 => numbers::<Float64Type>(shape, rows, columns, Some(f64::NAN)),
        ElementKind::Int8 => numbers::<Int8Type>(shape, rows, columns, None),
        ElementKind::Int16 => numbers::<Int16Type>(shape, rows, columns, None),
        ElementKind::Int32 => numbers::<Int32Type>(shape, rows, columns, None),
        ElementKind::Int64 => numbers::<Int64Type>(shape, rows, columns, None),
        ElementKind::UInt8 => numbers::<UInt8Type>(shape, rows, columns, None),
        ElementKind::UInt16 => numbers::<UInt16Type>(shape, rows, columns, None),
        ElementKind::UInt32 => numbers::<UInt32Type>(shape, rows, columns, None),
        ElementKind::UInt64 => numbers::<UInt64Type>(shape, rows, columns, None),
        ElementKind::Bool => booleans(shape, rows, columns),
        ElementKind::Text => text(shape, rows, columns),
        ElementKind::Other(name) => bail!("inputs of type {name} cannot be fed"),
    }
}

fn numbers<T>(shape: Vec<usize>, rows: usize, columns: &[Column], missing: Option<T::Native>) -> Result<DynValue>
where
    T: ArrowPrimitiveType,
    T::Native: PrimitiveTensorElementType,
{
    let mut matrix = Matrix::new(rows, columns.len());
    for (position, column) in columns.iter().enumerate() {
        let cast = convert(*column, &T::DATA_TYPE)?;
        if missing.is_none() {
            refuse_missing(column.name, &cast)?;
        }
        let values = cast.as_primitive::<T>().iter();
        matrix.fill(position, values.map(|value| value.or(missing).unwrap_or_default()));
    }
    Ok(Tensor::from_array((shape, matrix.padded()))?.into_dyn())
}

fn booleans(shape: Vec<usize>, rows: usize, columns: &[Column]) -> Result<DynValue> {
    let mut matrix = Matrix::new(rows, columns.len());
    for (position, column) in columns.iter().enumerate() {
        let cast = convert(*column, &DataType::Boolean)?;
        refuse_missing(column.name, &cast)?;
        matrix.fill(position, cast.as_boolean().iter().map(Option::unwrap_or_default));
    }
    Ok(Tensor::from_array((shape, matrix.padded()))?.into_dyn())
}

fn text(shape: Vec<usize>, rows: usize, columns: &[Column]) -> Result<DynValue> {
    let mut matrix = Matrix::new(rows, columns.len());
    for (position, column) in columns.iter().enumerate() {
        let cast = convert(*column, &DataType::Utf8)?;
        refuse_missing(column.name, &cast)?;
        let values = || cast.as_string::<i32>().iter().map(Option::unwrap_or_default);
        let nul = values().any(|value| value.contains('\0'));
        ensure!(!nul, "column `{}` holds a NUL character, which text in ONNX cannot", column.name);
        matrix.fill(position, values().map(str::to_owned));
    }
    Ok(Tensor::from_string_array((shape, matrix.padded().as_slice()))?.into_dyn())
}

/// Values row by row.
struct Matrix<T> {
    values: Vec<T>,
    rows: usize,
    width: usize,
}

impl<T: Clone + Default> Matrix<T> {
    fn new(rows: usize, width: usize) -> Self {
        Self { values: vec![T::default(); rows * width], rows, width }
    }

    fn fill(&mut self, position: usize, column: impl Iterator<Item = T>) {
        for (slot, value) in self.values.iter_mut().skip(position).step_by(self.width).zip(column) {
            *slot = value;
        }
    }

    /// The values, with the last row repeated until there are [`fed_rows`].
    fn padded(mut self) -> Vec<T> {
        for _ in self.rows..fed_rows(self.rows) {
            self.values.extend_from_within(self.values.len() - self.width..);
        }
        self.values
    }
}

fn convert(column: Column, to: &DataType) -> Result<ArrayRef> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column.values, to, &strict)
        .with_context(|| format!("column `{}` has values that do not fit the model's input, {to}", column.name))
}

fn refuse_missing(name: &str, values: &dyn Array) -> Result<()> {
    let missing = values.logical_null_count();
    ensure!(
        missing == 0,
        "column `{name}` has {missing} missing values, for which the model's input has no form: \
         fill them in the dataset, or export the model with float inputs"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_text_or_stops_being_text() {
        let coded = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
        assert!(accepts(&ElementKind::Text, &coded(DataType::Utf8View)));
        assert!(!accepts(&ElementKind::Text, &coded(DataType::Int64)));
        assert!(!accepts(&ElementKind::Float32, &DataType::LargeUtf8));
        assert!(!accepts(&ElementKind::Int64, &DataType::Utf8));
    }

    #[test]
    fn numbers_widen_and_never_lose_their_fraction() {
        for from in [DataType::Int64, DataType::UInt8, DataType::Float64, DataType::Boolean, DataType::Decimal128(9, 2)]
        {
            assert!(accepts(&ElementKind::Float32, &from), "{from}");
        }
        for from in [DataType::Float32, DataType::Decimal128(9, 0), DataType::Date32, DataType::Null] {
            assert!(!accepts(&ElementKind::Int64, &from), "{from}");
        }
        assert!(!accepts(&ElementKind::Bool, &DataType::Int8));
    }
}
