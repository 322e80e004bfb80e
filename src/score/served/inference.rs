//! The Open Inference Protocol, version 2, as KServe, MLServer, Triton and others speak it: tensors as JSON.
//!
//! What a model takes and gives is told by its metadata. Where these name no inputs, as those of a plain scikit-learn model do,
//! it is fed with one matrix of all features, or with a column for each where some are texts.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field};
use serde::Deserialize;
use serde_json::{Value, json};

use super::json::{self, Cells, Missing};
use super::{Description, Protocol};
use crate::score::onnx::binding::{self, Columns, Layout, Mapping, Task};
use crate::score::onnx::output::Reading;
use crate::score::onnx::tensor::Column;
use crate::score::onnx::{ElementKind, Form, Signature, ValueInfo, Width};

/// The name of the matrix of a model that names none.
const MATRIX: &str = "input";
/// The bytes of a value in an answer: digits, and what stands between them.
const VALUE: usize = 32;

/// What a server says of a model: `GET /v2/models/NAME`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metadata {
    name: String,
    #[serde(default)]
    versions: Option<Vec<String>>,
    #[serde(default)]
    platform: Option<String>,
    #[serde(default)]
    inputs: Option<Vec<Described>>,
    #[serde(default)]
    outputs: Option<Vec<Described>>,
}

/// A tensor that a model takes or gives.
#[derive(Debug, Clone, Deserialize)]
struct Described {
    name: String,
    datatype: String,
    #[serde(default)]
    shape: Vec<i64>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    model_name: Option<String>,
    #[serde(default)]
    model_version: Option<String>,
    outputs: Vec<Tensor>,
}

#[derive(Debug, Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<Value>,
    datatype: String,
    data: Value,
}

impl Metadata {
    /// Reads what a server says.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).context("it does not describe its model as the Open Inference Protocol says")
    }

    /// What the record keeps of it.
    pub(super) fn description(&self) -> Description {
        let Self { name, versions, platform, .. } = self.clone();
        Description { name, versions: versions.unwrap_or_default(), platform: platform.filter(|name| !name.is_empty()) }
    }

    fn values(described: Option<&Vec<Described>>) -> Vec<ValueInfo> {
        described.into_iter().flatten().map(ValueInfo::from).collect()
    }
}

impl From<&Described> for ValueInfo {
    fn from(described: &Described) -> Self {
        Self { name: described.name.clone(), form: Form::tensor(kind(&described.datatype), &described.shape) }
    }
}

/// The type of elements that a name of the protocol means.
fn kind(datatype: &str) -> ElementKind {
    match datatype {
        "BOOL" => ElementKind::Bool,
        "INT8" => ElementKind::Int8,
        "INT16" => ElementKind::Int16,
        "INT32" => ElementKind::Int32,
        "INT64" => ElementKind::Int64,
        "UINT8" => ElementKind::UInt8,
        "UINT16" => ElementKind::UInt16,
        "UINT32" => ElementKind::UInt32,
        "UINT64" => ElementKind::UInt64,
        "FP32" => ElementKind::Float32,
        "FP64" => ElementKind::Float64,
        "BYTES" => ElementKind::Text,
        other => ElementKind::Other(other.to_owned()),
    }
}

/// The name of the protocol for a type, and the type of Arrow whose values it has.
fn datatype(kind: &ElementKind) -> Result<(&'static str, DataType)> {
    Ok(match kind {
        ElementKind::Bool => ("BOOL", DataType::Boolean),
        ElementKind::Int8 => ("INT8", DataType::Int8),
        ElementKind::Int16 => ("INT16", DataType::Int16),
        ElementKind::Int32 => ("INT32", DataType::Int32),
        ElementKind::Int64 => ("INT64", DataType::Int64),
        ElementKind::UInt8 => ("UINT8", DataType::UInt8),
        ElementKind::UInt16 => ("UINT16", DataType::UInt16),
        ElementKind::UInt32 => ("UINT32", DataType::UInt32),
        ElementKind::UInt64 => ("UINT64", DataType::UInt64),
        ElementKind::Float32 => ("FP32", DataType::Float32),
        ElementKind::Float64 => ("FP64", DataType::Float64),
        ElementKind::Text => ("BYTES", DataType::Utf8),
        ElementKind::Other(name) => bail!("inputs of type {name} cannot be fed"),
    })
}

/// A model that is fed from the columns of a dataset.
#[derive(Debug)]
pub(super) struct Tied {
    layout: Layout,
    /// Whether its inputs are the columns of a frame: the parameter `content_type: pd` says so to MLServer and KServe.
    is_frame: bool,
    /// The model that answered first, and its version.
    answered: Mutex<Option<(Option<String>, Option<String>)>>,
}

impl Tied {
    /// Ties a model to the columns of a dataset.
    ///
    /// # Errors
    /// When an input cannot be fed, or it does not follow which output is the score.
    pub(super) fn new(
        metadata: Option<&Metadata>,
        task: Task,
        features: &[Field],
        available: &[Field],
        mapping: &Mapping,
    ) -> Result<Self> {
        let inputs = Metadata::values(metadata.and_then(|metadata| metadata.inputs.as_ref()));
        let outputs = Metadata::values(metadata.and_then(|metadata| metadata.outputs.as_ref()));
        let reading = if outputs.is_empty() {
            Reading::undeclared(task, mapping, false)?
        } else {
            Reading::settle(&Signature { inputs: inputs.clone(), outputs, classes: None }, task, mapping)?
        };
        let is_text = |field: &Field| binding::is_text(field.data_type());
        let is_frame = inputs.is_empty() && features.iter().any(is_text);
        let mut mapping = mapping.clone();
        let inputs = match (inputs.is_empty(), is_frame) {
            (false, _) => inputs,
            (true, true) => features.iter().map(column_of_frame).collect(),
            (true, false) => {
                ensure!(!features.is_empty(), "the spec declares no features: list them in `columns.features`");
                let names = features.iter().map(|field| field.name().clone()).collect();
                // A column may have the name of the matrix.
                mapping.inputs.entry(MATRIX.to_owned()).or_insert(Columns::Many(names));
                let width = Width::Fixed(features.len());
                let form = Form::Tensor { kind: ElementKind::Float64, rows: None, width };
                vec![ValueInfo { name: MATRIX.to_owned(), form }]
            }
        };
        binding::ensure_inputs(&inputs, &mapping)?;
        let layout = Layout::new(&inputs, reading, features, available, &mapping)?;
        Ok(Self { layout, is_frame, answered: Mutex::default() })
    }

    /// One that was replaced while it was asked is two models.
    fn ensure_one(&self, answer: &Answer) -> Result<()> {
        let now = (answer.model_name.clone(), answer.model_version.clone());
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let first = answered.get_or_insert_with(|| now.clone());
        let shown = |(name, version): &(Option<String>, Option<String>)| {
            let unknown = || "without a version".to_owned();
            let version = version.as_ref().map_or_else(unknown, |version| format!("version {version}"));
            format!("`{}` {version}", name.as_deref().unwrap_or_default())
        };
        ensure!(
            *first == now,
            "{} answered first and {} now: it was replaced while it was asked; run again, or name a version in the address",
            shown(first),
            shown(&now)
        );
        Ok(())
    }
}

/// A feature as an input of its own.
fn column_of_frame(field: &Field) -> ValueInfo {
    let kind = match field.data_type() {
        kind if binding::is_text(kind) => ElementKind::Text,
        DataType::Boolean => ElementKind::Bool,
        kind if kind.is_integer() => ElementKind::Int64,
        _ => ElementKind::Float64,
    };
    ValueInfo { name: field.name().clone(), form: Form::Tensor { kind, rows: None, width: Width::Fixed(1) } }
}

impl Protocol for Tied {
    fn columns(&self) -> &[String] {
        self.layout.columns()
    }

    fn outputs(&self) -> usize {
        self.layout.outputs()
    }

    fn most(&self, rows: usize) -> usize {
        // More outputs than the one that is wanted may come.
        rows * (1024 + self.outputs() * 2 * VALUE)
    }

    fn body(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u8>> {
        let mut body = b"{".to_vec();
        if self.is_frame {
            body.extend_from_slice(br#""parameters":{"content_type":"pd"},"#);
        }
        let output = &self.layout.reading().output;
        if !output.is_empty() {
            body.extend_from_slice(format!(r#""outputs":{},"#, json!([{ "name": output }])).as_bytes());
        }
        body.extend_from_slice(br#""inputs":"#);
        let feeds = self.layout.feeds();
        json::list(&mut body, feeds.len(), |index, body| {
            let feed = &feeds[index];
            let (datatype, kind) = datatype(&feed.kind)?;
            let cells = self.layout.fed(feed, columns)?.into_iter();
            let cells = cells.map(|column| cells_of(column, &kind)).collect::<Result<Vec<_>>>()?;
            let shape = if feed.flat { json!([rows]) } else { json!([rows, cells.len()]) };
            let head = json!({ "name": feed.input, "datatype": datatype, "shape": shape }).to_string();
            body.extend_from_slice(head.trim_end_matches('}').as_bytes());
            body.extend_from_slice(br#","data":"#);
            let width = cells.len();
            json::list(body, rows * width, |index, body| cells[index % width].write(index / width, body))?;
            body.push(b'}');
            Ok(())
        })?;
        body.push(b'}');
        Ok(body)
    }

    fn scores(&self, answer: &[u8], rows: usize) -> Result<Vec<Vec<f64>>> {
        let answer = json::parse::<Answer>(answer)?;
        self.ensure_one(&answer)?;
        let reading = self.layout.reading();
        let names = answer.outputs.iter().map(|output| format!("`{}`", output.name)).collect::<Vec<_>>().join(", ");
        let output = match answer.outputs.as_slice() {
            [only] if reading.output.is_empty() => only,
            several if reading.output.is_empty() => {
                bail!("it answers with {} outputs: name one with `output:`, of {names}", several.len())
            }
            several => {
                let output = several.iter().find(|output| output.name == reading.output);
                output
                    .with_context(|| format!("it answers without the output `{}`: there is {names}", reading.output))?
            }
        };
        matrix(output, reading, rows)
    }
}

/// The values of a column in the type that an input takes.
fn cells_of(column: Column, kind: &DataType) -> Result<Cells> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let values = cast_with_options(column.values, kind, &strict);
    let values =
        values.with_context(|| format!("column `{}` has values that do not fit the input, {kind}", column.name))?;
    Cells::of(Column { name: column.name, values: &values }, Missing::Refused)
}

/// The scores that an output holds, for each output of the model.
fn matrix(output: &Tensor, reading: &Reading, rows: usize) -> Result<Vec<Vec<f64>>> {
    let Tensor { name, shape, datatype, data } = output;
    let is_single = match datatype.as_str() {
        "FP16" | "FP32" => true,
        "FP64" => false,
        _ if reading.is_of_classes() => bail!(
            "its output `{name}` holds {datatype}, which are no probabilities: name another with `output:`, such as \
             `predict_proba` of scikit-learn on MLServer"
        ),
        _ => bail!("its output `{name}` holds {datatype}, not scores: give them as floats"),
    };
    let shape = shape.iter().map(json::size).collect::<Option<Vec<_>>>();
    let shape = shape.with_context(|| format!("its output `{name}` has no shape"))?;
    let width = match *shape.as_slice() {
        [_] => 1,
        [_, width] => width,
        _ => bail!("its output `{name}` has the shape {shape:?}, not one row per row of data"),
    };
    let given = shape[0];
    ensure!(given == rows, "its output `{name}` has {given} rows where {rows} were fed: give one score for each row");
    let mut values = Vec::with_capacity(rows.saturating_mul(width).min(1 << 20));
    flatten(data, &mut values)?;
    let expected = rows.checked_mul(width).context("its output has no size that can be")?;
    let found = values.len();
    ensure!(found == expected, "its output `{name}` has {found} values, and the shape {shape:?} has {expected}");
    let columns = reading.columns(width)?;
    let missing = (0..rows).filter(|row| columns.iter().any(|column| values[row * width + column].is_none())).count();
    ensure!(missing == 0, "its output `{name}` has no score for {missing} of {rows} rows");
    let score = |value: f64| if is_single { f64::from(single(value)) } else { value };
    let scores = |column: &usize| (0..rows).filter_map(|row| values[row * width + column].map(score)).collect();
    Ok(columns.iter().map(scores).collect())
}

/// A float of 32 bits, which one server writes with its own few digits and another as a float of 64.
#[expect(clippy::cast_possible_truncation, reason = "it was one of 32 bits")]
fn single(value: f64) -> f32 {
    value as f32
}

/// The values of a tensor row by row, whether or not its rows are lists of their own.
fn flatten(data: &Value, to: &mut Vec<Option<f64>>) -> Result<()> {
    match data {
        Value::Array(items) => items.iter().try_for_each(|item| flatten(item, to)),
        Value::Null => {
            to.push(None);
            Ok(())
        }
        value => {
            to.push(Some(
                json::number(value)
                    .with_context(|| format!("its output holds {}, which is no finite number", json::shown(value)))?,
            ));
            Ok(())
        }
    }
}
