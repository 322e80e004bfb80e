//! What a model takes and gives, as declared in its file.

use std::fmt;

use ort::value::{Outlet, TensorElementType, ValueType};
use serde::{Deserialize, Serialize};

/// The inputs and outputs of a model, in the order of its file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Signature {
    /// What has to be fed.
    pub inputs: Vec<ValueInfo>,
    /// What comes out.
    pub outputs: Vec<ValueInfo>,
    /// The classes of a classifier in the order of its outputs, where the file says them and says them only once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

/// One input or output, a `ValueInfoProto` of ONNX.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValueInfo {
    /// Its name in the graph.
    pub name: String,
    /// Its type and shape.
    pub form: Form,
}

/// The type and shape of an input or output.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A tensor, one row per row of data.
    Tensor {
        /// The type of its elements.
        kind: ElementKind,
        /// The number of rows when the model fixes it; most leave it open.
        rows: Option<usize>,
        /// The number of values per row.
        width: Width,
    },
    /// A sequence of maps, one per row, from class to score: what the operator `ZipMap` gives.
    Maps {
        /// The type of the classes.
        key: ElementKind,
        /// The type of the scores.
        value: ElementKind,
    },
    /// Anything else; neither fed nor read.
    Other(String),
}

/// How many values a tensor has per row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Width {
    /// One, shape `[N]`.
    Flat,
    /// A fixed number `k`, shape `[N, k]`.
    Fixed(usize),
    /// Not declared: shape `[N, ?]`, or no shape at all.
    Dynamic,
    /// More than two dimensions; neither fed nor read.
    Unfit(String),
}

/// The type of the elements of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it all")]
pub enum ElementKind {
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Bool,
    Text,
    /// Half floats, complex numbers and the like; neither fed nor read.
    Other(String),
}

impl ElementKind {
    /// Whether scores of this type can be read.
    #[must_use]
    pub fn is_float(&self) -> bool {
        matches!(self, Self::Float32 | Self::Float64)
    }
}

impl From<&Outlet> for ValueInfo {
    fn from(outlet: &Outlet) -> Self {
        Self { name: outlet.name().to_owned(), form: outlet.dtype().into() }
    }
}

impl From<&ValueType> for Form {
    fn from(form: &ValueType) -> Self {
        let sequence = match form {
            ValueType::Tensor { ty, shape, .. } => return Self::tensor((*ty).into(), shape),
            ValueType::Sequence(element) => element.as_ref(),
            other => return Self::Other(other.to_string()),
        };
        match sequence {
            ValueType::Map { key, value } => Self::Maps { key: (*key).into(), value: (*value).into() },
            _ => Self::Other(form.to_string()),
        }
    }
}

impl Form {
    /// A tensor of a shape, in which an open dimension is -1; one that is not declared is `[]`.
    pub(in crate::score) fn tensor(kind: ElementKind, shape: &[i64]) -> Self {
        let size = |dimension: i64| usize::try_from(dimension).ok();
        let width = match *shape {
            [] => Width::Dynamic,
            [_] => Width::Flat,
            [_, columns] => size(columns).map_or(Width::Dynamic, Width::Fixed),
            _ => Width::Unfit(format!("{shape:?}")),
        };
        Self::Tensor { kind, rows: shape.first().copied().and_then(size), width }
    }
}

impl From<TensorElementType> for ElementKind {
    fn from(kind: TensorElementType) -> Self {
        match kind {
            TensorElementType::Float32 => Self::Float32,
            TensorElementType::Float64 => Self::Float64,
            TensorElementType::Int8 => Self::Int8,
            TensorElementType::Int16 => Self::Int16,
            TensorElementType::Int32 => Self::Int32,
            TensorElementType::Int64 => Self::Int64,
            TensorElementType::Uint8 => Self::UInt8,
            TensorElementType::Uint16 => Self::UInt16,
            TensorElementType::Uint32 => Self::UInt32,
            TensorElementType::Uint64 => Self::UInt64,
            TensorElementType::Bool => Self::Bool,
            TensorElementType::String => Self::Text,
            other => Self::Other(other.to_string()),
        }
    }
}

impl fmt::Display for ElementKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => formatter.write_str(name),
            known => formatter.write_str(&format!("{known:?}").to_lowercase()),
        }
    }
}

impl fmt::Display for ValueInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` ({})", self.name, self.form)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor { kind, rows, width } => {
                let rows = rows.map_or("N".to_owned(), |rows| rows.to_string());
                match width {
                    Width::Flat => write!(formatter, "{kind} [{rows}]"),
                    Width::Fixed(columns) => write!(formatter, "{kind} [{rows}, {columns}]"),
                    Width::Dynamic => write!(formatter, "{kind} [{rows}, ?]"),
                    Width::Unfit(shape) => write!(formatter, "{kind} {shape}"),
                }
            }
            Self::Maps { key, value } => write!(formatter, "maps from {key} to {value}"),
            Self::Other(name) => formatter.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_become_widths() {
        let width = |shape: &[i64]| Form::tensor(ElementKind::Float32, shape).to_string();
        let shapes: [&[i64]; 6] = [&[-1], &[-1, 1], &[-1, -1], &[], &[4, 2], &[-1, 3, 3]];
        let expected = [
            "float32 [N]",
            "float32 [N, 1]",
            "float32 [N, ?]",
            "float32 [N, ?]",
            "float32 [4, 2]",
            "float32 [-1, 3, 3]",
        ];
        assert_eq!(shapes.map(width), expected);
    }
}
