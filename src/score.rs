//! How a model turns features into scores.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{Field, SchemaRef};

use crate::artifact::path::sha256_of_bytes;
use crate::artifact::trouble::redacted;
use crate::artifact::world::{Found, Obtained, World};
use crate::spec::written::{self, Model};
use crate::target::Files;

pub mod definition;
mod frame;
pub mod onnx;
pub mod process;
pub mod program;
pub mod served;
pub mod stability;

use self::definition::Definition;
use self::program::Programs;

/// A source of scores that has been opened.
#[derive(Debug, Clone)]
pub enum Scorer {
    /// Columns of the data: one for each output of the model.
    Columns(Vec<String>),
    /// A file joined to the data by id.
    Predictions(Predictions),
    /// An ONNX model, scored in process.
    Onnx(OnnxModel),
    /// A program, fed with batches of rows.
    Process(process::Model),
    /// A server, to which batches of rows are posted.
    Http(served::Model),
    /// Columns of scores, disturbed by a seed: the candidates of a calibration.
    Resampled(Resampled),
}

/// A model that scores rows when a run asks for them.
pub trait Live: Sync {
    /// The model tied to the columns of a dataset, and what defines it.
    ///
    /// # Errors
    /// When it cannot be fed from the dataset, or does not give the scores of the task.
    fn tie(&self, model: &Model, features: &[String], schema: &SchemaRef) -> Result<(Arc<dyn Bound>, Definition)>;
}

/// A model that is tied to the columns of a dataset. It may be asked from several threads at once.
pub trait Bound: Debug + Send + Sync {
    /// The columns to feed, each once, in the order in which [`Self::score`] takes them.
    fn columns(&self) -> &[String];

    /// How many scores a row has: the classes of a multiclass task, else 1.
    fn outputs(&self) -> usize;

    /// Scores `rows` rows: for each output one value per row without nulls; NaN and infinities are what the model gave.
    ///
    /// # Errors
    /// When the columns are not those of [`Self::columns`] in number, length or type, hold values that the model
    /// has no form for, or when the model fails or does not give one score per row.
    fn score(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Float64Array>>;
}

/// Makes sure that the columns given to a model are those that it takes.
fn ensure_fed(names: &[String], columns: &[ArrayRef], rows: usize) -> Result<()> {
    ensure!(columns.len() == names.len(), "{} columns given to a model of {}", columns.len(), names.len());
    for (name, column) in names.iter().zip(columns) {
        ensure!(column.len() == rows, "column `{name}` has {} values for {rows} rows", column.len());
    }
    Ok(())
}

/// Columns of scores, disturbed row by row; what becomes of a row depends on the seed and its key and on nothing else.
#[derive(Debug, Clone)]
pub enum Resampled {
    /// One of two columns, by a coin for each key.
    Exchanged {
        /// The column on heads.
        heads: String,
        /// The column on tails.
        tails: String,
        /// The column of the keys.
        key: String,
        /// The seed.
        seed: u64,
    },
    /// A column in which a share of the scores is drawn anew from all of its scores.
    Replaced {
        /// The column.
        column: String,
        /// The share, from 0 to 1.
        share: f64,
        /// Equally spaced quantiles of the column.
        pool: Arc<[f64]>,
        /// The column of the keys.
        key: String,
        /// The seed.
        seed: u64,
    },
}

/// A file of scores joined to the data by id.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// The Parquet files.
    pub files: Files,
    /// Their schema.
    pub schema: SchemaRef,
    /// The columns of the scores: one for each output of the model.
    pub scores: Vec<String>,
}

/// An ONNX model with what the spec says about reading it.
#[derive(Debug, Clone)]
pub struct OnnxModel {
    /// Its file, from the root.
    pub file: PathBuf,
    /// The digest of its file.
    pub sha256: String,
    /// The model.
    pub model: Arc<onnx::Onnx>,
    /// What the spec says.
    pub mapping: onnx::Mapping,
}

/// A scorer with the identity that the record keeps.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Where the scores come from, as written in the spec, without anything secret.
    pub source: String,
    /// The digest of the model or predictions; a column has the digest of its data, and a model behind an address has none.
    pub sha256: Option<String>,
    /// The files that were found elsewhere.
    pub found: Vec<Found>,
    /// What a server says of the model behind it.
    pub served: Option<served::Description>,
    /// The scorer.
    pub scorer: Scorer,
}

impl Judged {
    /// Opens what the spec names.
    ///
    /// # Errors
    /// When the file is missing, empty, corrupt, or no model, and when a program would have to be started and may not be.
    pub async fn open(world: &World, programs: &Programs, written: &written::Scorer) -> Result<Self> {
        match written {
            written::Scorer::Column(column) => Ok(Self {
                source: format!("column:{}", column.column),
                sha256: None,
                found: Vec::new(),
                served: None,
                scorer: Scorer::Columns(vec![column.column.clone()]),
            }),
            written::Scorer::Columns(several) => Ok(Self {
                source: format!("columns:{}", several.columns.join(",")),
                sha256: None,
                found: Vec::new(),
                served: None,
                scorer: Scorer::Columns(several.columns.clone()),
            }),
            written::Scorer::Predictions(predictions) => open_predictions(world, predictions).await,
            written::Scorer::Onnx(onnx) => open_onnx(world, onnx).await,
            written::Scorer::Process(process) => process::open(world, programs, process).await,
            written::Scorer::Http(http) => served::open(world, programs, http).await,
            written::Scorer::Mlflow(mlflow) => served::mlflow::open(world, programs, mlflow).await,
        }
    }

    /// What the model says of its own inputs and outputs.
    #[must_use]
    pub fn signature(&self) -> Option<&onnx::Signature> {
        match &self.scorer {
            Scorer::Onnx(onnx) => Some(onnx.model.signature()),
            Scorer::Columns(_)
            | Scorer::Predictions(_)
            | Scorer::Process(_)
            | Scorer::Http(_)
            | Scorer::Resampled(_) => None,
        }
    }

    /// Whether this gives every row the score that the other gives it, since it is the same file, read in the same way.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let is_same_read = match (&self.scorer, &other.scorer) {
            (Scorer::Columns(one), Scorer::Columns(other)) => one == other,
            (Scorer::Predictions(one), Scorer::Predictions(other)) => one.scores == other.scores,
            (Scorer::Onnx(one), Scorer::Onnx(other)) => one.mapping == other.mapping,
            (Scorer::Process(_), Scorer::Process(_)) | (Scorer::Http(_), Scorer::Http(_)) => self.sha256.is_some(),
            _ => false,
        };
        is_same_read && self.sha256 == other.sha256
    }

    /// Whether the scores are computed when they are asked for, so that features can be disturbed.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.scorer.live().is_some()
    }
}

impl Scorer {
    /// The model, where scores are computed when they are asked for.
    #[must_use]
    pub fn live(&self) -> Option<&dyn Live> {
        match self {
            Self::Onnx(onnx) => Some(onnx),
            Self::Process(process) => Some(process),
            Self::Http(http) => Some(http),
            Self::Columns(_) | Self::Predictions(_) | Self::Resampled(_) => None,
        }
    }
}

impl Live for OnnxModel {
    fn tie(&self, model: &Model, features: &[String], schema: &SchemaRef) -> Result<(Arc<dyn Bound>, Definition)> {
        let binding = self.bind(model, features, schema)?;
        let definition = Definition::new(self, &binding);
        Ok((Arc::new(binding), definition))
    }
}

impl OnnxModel {
    /// How the model is fed from a dataset with this schema.
    ///
    /// # Errors
    /// When an input cannot be fed or the output cannot be read as scores.
    pub fn bind(&self, model: &Model, features: &[String], schema: &SchemaRef) -> Result<onnx::Binding> {
        let (ordered, available) = fields(features, schema);
        self.model.bind(onnx::Task::of(model), &ordered, &available, &self.mapping)
    }
}

/// The declared features in the order of the spec, and all columns of a dataset.
fn fields(features: &[String], schema: &SchemaRef) -> (Vec<Field>, Vec<Field>) {
    let available: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    let declared: Vec<_> = available.iter().filter(|field| features.contains(field.name())).cloned().collect();
    (order(features, declared), available)
}

/// The declared features in the order of the spec, which is that of a matrix input.
fn order(features: &[String], mut fields: Vec<Field>) -> Vec<Field> {
    fields.sort_by_key(|field| features.iter().position(|name| name == field.name()));
    fields
}

async fn open_predictions(world: &World, written: &written::PredictionsScorer) -> Result<Judged> {
    let source = redacted(&written.predictions);
    let obtained = world.obtain(std::slice::from_ref(&written.predictions)).await;
    let Obtained { files, names, sha256, found } = obtained.context("the predictions cannot be read")?;
    let (schema, _) = crate::target::parquet_facts(&files, &names)?;
    let (scores, key) = (written.columns(), if written.scores.is_empty() { "score" } else { "scores" });
    if let Some(absent) = scores.iter().find(|score| schema.field_with_name(score).is_err()) {
        bail!("`{source}` has no column `{absent}`; name the column of the scores with `{key}:`");
    }
    Ok(Judged {
        source: format!("predictions:{source}"),
        sha256: Some(sha256.find().await?),
        found,
        served: None,
        scorer: Scorer::Predictions(Predictions { files: files.into(), schema, scores }),
    })
}

async fn open_onnx(world: &World, written: &written::OnnxScorer) -> Result<Judged> {
    let source = redacted(&written.onnx);
    let Obtained { files, found, sha256: expected, .. } = world.obtain(std::slice::from_ref(&written.onnx)).await?;
    let [file] = files.as_slice() else { bail!("`{source}` names {} files; name one model", files.len()) };
    let bytes = std::fs::read(file).with_context(|| format!("`{source}` cannot be read"))?;
    let sha256 = sha256_of_bytes(&bytes);
    ensure!(sha256 == expected.find().await?, "`{source}` changed while it was read; run again");
    let model = onnx::Onnx::open(bytes).with_context(|| format!("`{source}` is not a usable ONNX model"))?;
    let mapping = onnx::Mapping {
        output: written.output.clone(),
        positive: written.positive.clone(),
        classes: written.classes.iter().map(ToString::to_string).collect(),
        inputs: written.inputs.clone(),
    };
    let file = std::path::absolute(file)?;
    Ok(Judged {
        source: format!("onnx:{source}"),
        sha256: Some(sha256.clone()),
        found,
        served: None,
        scorer: Scorer::Onnx(OnnxModel { file, sha256, model, mapping }),
    })
}
