//! MLflow's scoring protocol: a frame goes to `/invocations`, and predictions come back, as numbers, as lists, or by names.

use anyhow::{Context, Result, bail, ensure};
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use serde_json::{Map, Value, json};

use super::Protocol;
use super::json::{self, Cells, Missing};
use crate::score::frame;
use crate::score::onnx::binding::{Mapping, Task};
use crate::score::onnx::output::Reading;
use crate::score::onnx::tensor::Column;

/// The bytes of a value in an answer, with its name.
const VALUE: usize = 128;

/// A model that is fed from the columns of a dataset.
#[derive(Debug)]
pub(super) struct Tied {
    columns: Vec<String>,
    schema: SchemaRef,
    task: Task,
    outputs: usize,
    mapping: Mapping,
}

impl Tied {
    /// Ties a model to the columns of a dataset.
    ///
    /// # Errors
    /// When a feature is missing, or a key of the spec means nothing here.
    pub(super) fn new(task: Task, features: &[String], schema: &SchemaRef, mapping: &Mapping) -> Result<Self> {
        ensure!(mapping.inputs.is_empty(), "a frame has the features by their names: remove `inputs:`");
        let outputs = if let Task::Multiclass(names) = &task { names.len() } else { 1 };
        // So that what is wrong with the spec is said before rows are scored.
        Reading::undeclared(task.clone(), mapping, true)?;
        let schema = frame::schema(features, schema)?;
        Ok(Self { columns: features.to_vec(), schema, task, outputs, mapping: mapping.clone() })
    }

    /// How predictions are read, which may have names.
    fn reading(&self, is_maps: bool) -> Result<Reading> {
        Reading::undeclared(self.task.clone(), &self.mapping, is_maps)
    }

    /// The predictions of rows: a number or a list for each.
    fn of_rows(&self, predictions: &[Value]) -> Result<Vec<Vec<f64>>> {
        let width = |row: &Value| if let Value::Array(values) = row { values.len() } else { 1 };
        let first = predictions.first().map_or(0, width);
        ensure!(predictions.iter().all(|row| width(row) == first), "its predictions have rows of several lengths");
        let cell = |column: usize| move |row: &Value| row.as_array().map_or(row, |values| &values[column]).clone();
        let columns = self.reading(false)?.columns(first)?;
        columns.into_iter().map(|column| self.numbers(predictions.iter().map(cell(column)))).collect()
    }

    /// The predictions of rows by names: a frame, row by row.
    fn of_records(&self, predictions: &[Value]) -> Result<Vec<Vec<f64>>> {
        let records = predictions.iter().map(Value::as_object).collect::<Option<Vec<_>>>();
        let records = records.context("only some of its predictions have names")?;
        let found = records.first().map_or_else(Vec::new, |record| names(record));
        let cell = |name: &str, record: &Map<String, Value>| record.get(name).cloned().unwrap_or_default();
        let names = self.reading(true)?.names(&found)?;
        names.iter().map(|name| self.numbers(records.iter().map(|record| cell(name, record)))).collect()
    }

    /// The predictions by names: a frame, column by column.
    fn of_columns(&self, columns: &Map<String, Value>, rows: usize) -> Result<Vec<Vec<f64>>> {
        let names = self.reading(true)?.names(&names(columns))?;
        let column = |name: &String| {
            let values = columns.get(name).and_then(Value::as_array);
            let values = values.with_context(|| format!("its predictions of `{name}` are no list"))?;
            ensure_rows(values.len(), rows)?;
            self.numbers(values.iter().cloned())
        };
        names.iter().map(column).collect()
    }

    /// Scores as numbers.
    fn numbers(&self, values: impl Iterator<Item = Value>) -> Result<Vec<f64>> {
        let (mut numbers, mut missing, mut rows, mut whole) = (Vec::new(), 0, 0, 0);
        for value in values {
            rows += 1;
            if value.is_null() {
                missing += 1;
                continue;
            }
            whole += usize::from(json::is_whole(&value));
            numbers.push(json::number(&value).with_context(|| {
                format!(
                    "it predicts {}, which is no finite number: log the model so that it predicts scores",
                    json::shown(&value)
                )
            })?);
        }
        ensure!(missing == 0, "it has no score for {missing} of {rows} rows");
        ensure!(
            self.task == Task::Regression || whole < rows,
            "it predicts whole numbers, which are classes and no probabilities: log the model with \
             `pyfunc_predict_fn=\"predict_proba\"`, or give floats"
        );
        Ok(numbers)
    }
}

/// The names of a mapping, in its order.
fn names(record: &Map<String, Value>) -> Vec<&str> {
    record.keys().map(String::as_str).collect()
}

fn ensure_rows(given: usize, rows: usize) -> Result<()> {
    ensure!(given == rows, "it answers {rows} rows with {given}: give one prediction for each row, in their order");
    Ok(())
}

impl Protocol for Tied {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn most(&self, rows: usize) -> usize {
        // More columns than the one that is wanted may come.
        rows * (2048 + self.outputs * VALUE)
    }

    fn body(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u8>> {
        let batch = frame::batch(&self.schema, columns)?;
        let named = self.columns.iter().zip(batch.columns());
        let cells = named.map(|(name, values)| Cells::of(Column { name, values }, Missing::Null));
        let cells = cells.collect::<Result<Vec<_>>>()?;
        let mut body = format!(r#"{{"dataframe_split":{{"columns":{},"data":"#, json!(self.columns)).into_bytes();
        json::list(&mut body, rows, |row, body| {
            json::list(body, cells.len(), |column, body| cells[column].write(row, body))
        })?;
        body.extend_from_slice(b"}}");
        Ok(body)
    }

    fn scores(&self, answer: &[u8], rows: usize) -> Result<Vec<Vec<f64>>> {
        let answer = json::parse::<Value>(answer)?;
        let predictions = match &answer {
            Value::Object(answer) => answer.get("predictions").context("its answer has no `predictions`")?,
            other => other,
        };
        match predictions {
            Value::Array(predictions) => {
                ensure_rows(predictions.len(), rows)?;
                let is_records = predictions.first().is_some_and(Value::is_object);
                if is_records { self.of_records(predictions) } else { self.of_rows(predictions) }
            }
            Value::Object(columns) => self.of_columns(columns, rows),
            _ => bail!("its predictions are neither a list nor a frame"),
        }
    }
}
