//! A model tied to the columns of a dataset: what is fed to which input, and how its scores are read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field};
use ort::session::SessionInputValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Onnx;
use super::output::Reading;
use super::signature::{ElementKind, Form, ValueInfo, Width};
use super::tensor::{Column, accepts, tensor};
use crate::score::{Bound, ensure_fed};
use crate::spec::written;

/// What the scores mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// The probability of the positive class.
    Binary,
    /// The probability of each of these classes.
    Multiclass(Vec<String>),
    /// One number per row.
    Regression,
}

impl Task {
    /// The scores of a model of the spec.
    #[must_use]
    pub fn of(model: &written::Model) -> Self {
        match model.task {
            written::Task::Binary => Self::Binary,
            written::Task::Multiclass => Self::Multiclass(model.class_names()),
            written::Task::Regression | written::Task::Ranking => Self::Regression,
        }
    }
}

/// How an ONNX model is fed and read where its file leaves that open.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The output that holds the scores, when the model has several that could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The positive class: the number of a column (from 0) when the output is a matrix, the class itself when it is
    /// a sequence of maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<Positive>,
    /// The classes of the outputs of a multiclass model, in their order, when its file does not say them, or calls them
    /// otherwise than the task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// For each input that is not named like a column: the column to feed to it, or the list of columns of a matrix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Columns>,
}

/// The positive class of a classifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Positive {
    /// A column of a matrix, or a class that is a number.
    Number(i64),
    /// A class that is text.
    Name(String),
}

/// One column, or several in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Columns {
    /// The column of an input that takes one.
    One(String),
    /// The columns of a matrix, in the order of training.
    Many(Vec<String>),
}

impl Columns {
    fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// A model that can be fed from named columns. Cheap to clone, and usable from several threads at once.
#[derive(Debug, Clone)]
pub struct Binding {
    onnx: Arc<Onnx>,
    layout: Layout,
}

/// What is fed to which input, and how the scores are read: all of a binding but the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    columns: Vec<String>,
    feeds: Vec<Feed>,
    reading: Reading,
}

/// One input, and where its values come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::score) struct Feed {
    pub(in crate::score) input: String,
    pub(in crate::score) kind: ElementKind,
    /// Whether a row has one value, and not a list of them.
    pub(in crate::score) flat: bool,
    columns: Vec<usize>,
}

impl Binding {
    /// A model that was bound before, in this process or in another.
    #[must_use]
    pub fn again(onnx: Arc<Onnx>, layout: Layout) -> Self {
        Self { onnx, layout }
    }

    /// See [`Onnx::bind`].
    pub(super) fn new(
        onnx: Arc<Onnx>,
        task: Task,
        features: &[Field],
        available: &[Field],
        mapping: &Mapping,
    ) -> Result<Self> {
        ensure_inputs(&onnx.signature().inputs, mapping)?;
        let reading = Reading::settle(onnx.signature(), task, mapping)?;
        let layout = Layout::new(&onnx.signature().inputs, reading, features, available, mapping)?;
        Ok(Self { layout, onnx })
    }

    /// The binding without its model.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    fn input<'a>(
        &self,
        feed: &'a Feed,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<(Cow<'a, str>, SessionInputValue<'a>)> {
        let fed = self.layout.fed(feed, columns)?;
        Ok((feed.input.as_str().into(), tensor(&feed.kind, feed.flat, rows, &fed)?.into()))
    }
}

impl Bound for Binding {
    fn columns(&self) -> &[String] {
        &self.layout.columns
    }

    fn outputs(&self) -> usize {
        self.layout.outputs()
    }

    fn score(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Float64Array>> {
        ensure_fed(self.columns(), columns, rows)?;
        if rows == 0 {
            return Ok(vec![Float64Array::from(Vec::<f64>::new()); self.outputs()]);
        }
        let inputs =
            self.layout.feeds.iter().map(|feed| self.input(feed, columns, rows)).collect::<Result<Vec<_>>>()?;
        self.onnx.run(inputs, &self.layout.reading.output, |value| self.layout.reading.read(value, rows))
    }
}

impl Layout {
    /// What each input of a model is fed from.
    ///
    /// # Errors
    /// As [`Onnx::bind`].
    pub(in crate::score) fn new(
        inputs: &[ValueInfo],
        reading: Reading,
        features: &[Field],
        available: &[Field],
        mapping: &Mapping,
    ) -> Result<Self> {
        let mut layout = Self { columns: Vec::new(), feeds: Vec::new(), reading };
        for (input, fields) in sources(inputs, features, available, mapping)? {
            layout.feed(input, &fields)?;
        }
        Ok(layout)
    }

    /// The columns to feed, each once.
    pub(in crate::score) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The inputs.
    pub(in crate::score) fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// How the scores are read.
    pub(in crate::score) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The columns that an input is fed from, of those in the order of [`Self::columns`].
    pub(in crate::score) fn fed<'a>(&'a self, feed: &Feed, columns: &'a [ArrayRef]) -> Result<Vec<Column<'a>>> {
        let named = self.columns.iter().zip(columns).map(|(name, values)| Column { name, values }).collect::<Vec<_>>();
        let fed = feed.columns.iter().filter_map(|column| named.get(*column).copied()).collect::<Vec<_>>();
        for column in &fed {
            check_type(&feed.input, &feed.kind, column.name, column.values.data_type())?;
        }
        Ok(fed)
    }

    /// How many scores a row has: the classes of a multiclass task, else 1.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.reading.outputs()
    }

    /// Adds an input that takes its values from `fields`.
    fn feed(&mut self, input: &ValueInfo, fields: &[&Field]) -> Result<()> {
        let (kind, flat) = check_width(input, fields.len())?;
        for field in fields {
            check_type(&input.name, &kind, field.name(), field.data_type())?;
        }
        let columns = fields.iter().map(|field| self.position(field.name())).collect();
        self.feeds.push(Feed { input: input.name.clone(), kind, flat, columns });
        Ok(())
    }

    /// The position of a column among those to feed, where it is added when it is new.
    fn position(&mut self, name: &str) -> usize {
        self.columns.iter().position(|column| column == name).unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        })
    }
}

/// Refuses names of inputs that the model does not have.
pub(in crate::score) fn ensure_inputs(inputs: &[ValueInfo], mapping: &Mapping) -> Result<()> {
    for name in mapping.inputs.keys() {
        let known = inputs.iter().any(|input| input.name == *name);
        ensure!(known, "`inputs:` names `{name}`, and the model takes {}", one_of(inputs));
    }
    Ok(())
}

/// The columns of each input: those that the mapping names, else the one with its name, else, when the model has a
/// single input, all features.
fn sources<'a>(
    inputs: &'a [ValueInfo],
    features: &'a [Field],
    available: &'a [Field],
    mapping: &'a Mapping,
) -> Result<Vec<(&'a ValueInfo, Vec<&'a Field>)>> {
    let field = |name: &str| features.iter().chain(available).find(|field| field.name() == name);
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for input in inputs {
        if let Some(columns) = mapping.inputs.get(&input.name) {
            let known = |name: &String| field(name).with_context(|| unknown(name, &input.name, available));
            found.push((input, columns.names().iter().map(known).collect::<Result<_>>()?));
        } else if let Some(column) = field(&input.name) {
            found.push((input, vec![column]));
        } else if inputs.len() == 1 {
            found.push((input, features.iter().collect()));
        } else {
            missing.push(input);
        }
    }
    ensure!(missing.is_empty(), "{}", unbound(&missing, inputs, features, available));
    Ok(found)
}

fn unknown(name: &str, input: &str, available: &[Field]) -> String {
    let hint = nearest(name, available).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("`inputs:` feeds `{name}` to `{input}`, and the dataset has no such column{hint}")
}

fn unbound(missing: &[&ValueInfo], inputs: &[ValueInfo], features: &[Field], available: &[Field]) -> String {
    let hint = |input: &&ValueInfo| match nearest(&input.name, available) {
        Some(near) => format!("`{}` (did you mean column `{near}`?)", input.name),
        None => format!("`{}`", input.name),
    };
    format!(
        "no column for the model's input {}: the model takes {}, the features are {}; \
         name the column of an input with `inputs: {{ <input>: <column> }}`",
        missing.iter().map(hint).collect::<Vec<_>>().join(", "),
        one_of(inputs),
        one_of(features.iter().map(Field::name)),
    )
}

/// The column whose name is most like `name`, if any is like it at all.
fn nearest<'a>(name: &str, fields: &'a [Field]) -> Option<&'a str> {
    let likeness =
        |field: &'a Field| (strsim::normalized_damerau_levenshtein(name, field.name()), field.name().as_str());
    let likely = fields.iter().map(likeness).filter(|(likeness, _)| *likeness >= 0.6);
    likely.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, name)| name)
}

/// The type and flatness of an input that is fed from so many columns.
fn check_width(input: &ValueInfo, columns: usize) -> Result<(ElementKind, bool)> {
    let Form::Tensor { kind, rows, width } = &input.form else {
        bail!("input {input} takes no tensor, and cannot be fed from columns: export the model with tensors as inputs")
    };
    ensure!(
        rows.is_none(),
        "input {input} takes a fixed number of rows: export the model with a dynamic first dimension"
    );
    let wanted = match width {
        Width::Flat => 1,
        Width::Fixed(width) => *width,
        Width::Dynamic => columns.max(1),
        Width::Unfit(_) => bail!(
            "input {input} is no matrix, and cannot be fed from columns: export the model with one row per row of data"
        ),
    };
    ensure!(
        columns == wanted,
        "input {input} takes {wanted} values per row, and {columns} columns are given: \
         list the features in the order of training, or name the columns with `inputs: {{ {}: [...] }}`",
        input.name
    );
    Ok((kind.clone(), matches!(width, Width::Flat)))
}

/// Whether a column holds texts.
pub(in crate::score) fn is_text(kind: &DataType) -> bool {
    accepts(&ElementKind::Text, kind)
}

fn check_type(input: &str, kind: &ElementKind, column: &str, from: &DataType) -> Result<()> {
    ensure!(
        accepts(kind, from),
        "column `{column}` is {from}, and input `{input}` takes {kind}: \
         convert the column in the dataset, or export the model for its type"
    );
    Ok(())
}

/// A list for messages.
pub(super) fn one_of(items: impl IntoIterator<Item: Display>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
