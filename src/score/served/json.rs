//! Columns as values of JSON.

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{Array as _, AsArray as _, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use serde_json::Value;

use crate::score::onnx::tensor::Column;
use crate::spec::problem::quoted;

/// The values of a column.
pub(super) enum Cells {
    Floats(Float64Array),
    Integers(Int64Array),
    Naturals(UInt64Array),
    Truths(BooleanArray),
    Texts(StringArray),
}

/// What stands for a value that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// `null`, also for a float that is no number.
    Null,
    /// Nothing does.
    Refused,
}

impl Cells {
    /// The values of a column, all of which JSON can hold.
    pub(super) fn of(column: Column, missing: Missing) -> Result<Self> {
        let Column { name, values } = column;
        let cells = Self::cast(column)?;
        let infinite = match &cells {
            Self::Floats(floats) => floats.iter().flatten().filter(|value| value.is_infinite()).count(),
            _ => 0,
        };
        ensure!(infinite == 0, "column `{name}` has {infinite} infinite values, for which JSON has no form");
        if missing == Missing::Refused {
            let absent = (0..values.len()).filter(|row| cells.is_missing(*row)).count();
            ensure!(
                absent == 0,
                "column `{name}` has {absent} missing values, for which the Open Inference Protocol has no form: fill them \
                 in the dataset, or serve the model by MLflow's protocol"
            );
        }
        Ok(cells)
    }

    fn cast(column: Column) -> Result<Self> {
        let Column { name, values } = column;
        let to = |kind: DataType| {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            let cast = cast_with_options(values, &kind, &strict);
            cast.with_context(|| format!("column `{name}` has values that cannot be fed"))
        };
        Ok(match values.data_type() {
            DataType::Boolean => Self::Truths(values.as_boolean().clone()),
            DataType::UInt64 => Self::Naturals(values.as_primitive::<UInt64Type>().clone()),
            kind if kind.is_integer() => Self::Integers(to(DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            kind if kind.is_floating() => Self::Floats(to(DataType::Float64)?.as_primitive::<Float64Type>().clone()),
            kind if kind.is_string() || kind.is_temporal() => Self::Texts(to(DataType::Utf8)?.as_string().clone()),
            kind => bail!("column `{name}` is {kind}, for which JSON has no form: convert it in the dataset"),
        })
    }

    fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Floats(floats) => floats.is_null(row) || floats.value(row).is_nan(),
            Self::Integers(integers) => integers.is_null(row),
            Self::Naturals(naturals) => naturals.is_null(row),
            Self::Truths(truths) => truths.is_null(row),
            Self::Texts(texts) => texts.is_null(row),
        }
    }

    /// Writes a value.
    pub(super) fn write(&self, row: usize, to: &mut Vec<u8>) -> Result<()> {
        if self.is_missing(row) {
            to.extend_from_slice(b"null");
            return Ok(());
        }
        match self {
            Self::Floats(floats) => serde_json::to_writer(to, &floats.value(row))?,
            Self::Integers(integers) => serde_json::to_writer(to, &integers.value(row))?,
            Self::Naturals(naturals) => serde_json::to_writer(to, &naturals.value(row))?,
            Self::Truths(truths) => serde_json::to_writer(to, &truths.value(row))?,
            Self::Texts(texts) => serde_json::to_writer(to, texts.value(row))?,
        }
        Ok(())
    }
}

/// A list: what `write` writes of each number below `count`.
pub(super) fn list(
    to: &mut Vec<u8>,
    count: usize,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    to.push(b'[');
    for index in 0..count {
        if index > 0 {
            to.push(b',');
        }
        write(index, to)?;
    }
    to.push(b']');
    Ok(())
}

/// What a number of an answer begins with, once it is a text.
const MARK: char = '\0';

/// Reads an answer, whose numbers become texts that [`number`] reads: `serde_json` by itself may miss the nearest float by one.
///
/// # Errors
/// When it is something else. What is no number is often written as one that JSON does not have.
pub(super) fn parse<T: serde::de::DeserializeOwned>(answer: &[u8]) -> Result<T> {
    serde_json::from_slice(&marked(answer)).with_context(|| {
        let text = String::from_utf8_lossy(answer);
        let has = |token: &&str| text.split(|character: char| !character.is_alphanumeric()).any(|word| word == *token);
        match ["NaN", "Infinity"].into_iter().find(has) {
            Some(token) => format!("its answer is no JSON, for it holds `{token}`: give a finite score for every row"),
            None => "its answer is not what the protocol of this address says".to_owned(),
        }
    })
}

/// JSON whose numbers are texts with a mark before them.
fn marked(answer: &[u8]) -> Vec<u8> {
    let mut marked = Vec::with_capacity(answer.len() + answer.len() / 2);
    let (mut rest, mut is_text) = (answer, false);
    while let Some((&byte, after)) = rest.split_first() {
        let is_escape = is_text && byte == b'\\' && !after.is_empty();
        let is_number = !is_text && (byte == b'-' || byte.is_ascii_digit());
        let length = match (is_escape, is_number) {
            (true, _) => 2,
            (_, true) => rest.iter().position(|byte| !b"+-.eE0123456789".contains(byte)).unwrap_or(rest.len()),
            _ => 1,
        };
        is_text ^= byte == b'"';
        if is_number {
            marked.extend_from_slice(br#""\u0000"#);
        }
        marked.extend_from_slice(&rest[..length]);
        if is_number {
            marked.push(b'"');
        }
        rest = &rest[length..];
    }
    marked
}

/// A finite number of an answer.
pub(super) fn number(value: &Value) -> Option<f64> {
    written(value)?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a number of an answer was written without a fraction.
pub(super) fn is_whole(value: &Value) -> bool {
    written(value).is_some_and(|number| !number.contains(['.', 'e', 'E']))
}

/// A size.
pub(super) fn size(value: &Value) -> Option<usize> {
    written(value)?.parse().ok()
}

fn written(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix(MARK)
}

/// A value that should be a number, for messages.
pub(super) fn shown(value: &Value) -> String {
    written(value).map_or_else(|| quoted(&value.to_string()), quoted)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_nearest_floats() {
        for text in ["0.6196351704071781", "-1e-7", "0", "12", "5e-324", "0.1", "1.7976931348623157e308"] {
            let answer = parse::<Value>(format!(r#"{{"a-1": [{text}], "b": "-2\" 3"}}"#).as_bytes()).unwrap();
            assert_eq!(number(&answer["a-1"][0]), text.parse().ok(), "{text}");
            assert_eq!(answer["b"], "-2\" 3");
        }
        for text in ["1e999", "-", "--1", "1.2.3", "1-2"] {
            assert_eq!(number(&parse::<Value>(text.as_bytes()).unwrap()), None, "{text}");
        }
        for wrong in ["", "1 2", "[1", "\"\\", "NaN", "-Infinity"] {
            assert!(parse::<Value>(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(is_whole(&parse(b"-3").unwrap()) && !is_whole(&parse(b"3e0").unwrap()) && !is_whole(&Value::Null));
    }
}
