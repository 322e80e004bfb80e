//! The spec as it is written: one type per mapping of `modelgate.yaml`, its doc comments the help of every editor.
//!
//! Nothing here looks at the world. [`crate::spec::Spec`] is what may be used, and can only be made from this.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact;
use crate::score::{onnx, served};

/// A validation spec: a promise about a model that can be checked.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "modelgate.yaml")]
pub struct Written {
    /// The version of this format, always 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The model that is judged.
    pub model: Model,
    /// The model under judgement: where its scores come from.
    pub candidate: Scorer,
    /// The model that the candidate is compared with, and what happens where there is none, or where it is the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What the columns of the data mean.
    pub columns: Columns,
    /// The datasets by name: `train`, `test`, `history`, or your own.
    #[schemars(extend("minProperties" = 1, "x-noun" = "dataset"))]
    pub data: BTreeMap<String, Data>,
    /// The groups of rows for which claims are made beside the overall ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
    /// How sure the gate must be, and what happens when it is not.
    #[serde(default)]
    pub policy: Policy,
    /// Named selections of checks. Without any, one suite `all` holds every check.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub suites: BTreeMap<String, Suite>,
    /// The checks, in the order of the report.
    #[schemars(extend("minItems" = 1))]
    pub checks: Vec<serde_json::Map<String, serde_json::Value>>,
}

impl Written {
    /// Where the scores of the models come from, by the key that names them.
    pub fn scorers(&self) -> impl Iterator<Item = (&'static str, &Scorer)> {
        let baseline = self.baseline.as_ref().map(|baseline| ("baseline", &baseline.scorer));
        [("candidate", &self.candidate)].into_iter().chain(baseline)
    }
}

/// Which model is judged, and what it is for.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name of the gate in every report.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What the model predicts.
    pub task: Task,
    /// How much depends on the model. Recorded for the auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Who answers for the model. Recorded for the auditor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// The classes (multiclass models): texts, whole numbers or truth values, as the label column holds them. Their order is
    /// that of lists with an entry for each class, and says which classes are near to each other for a weighted kappa.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 2, "uniqueItems" = true))]
    pub classes: Vec<Class>,
    /// Which rows are decided for 1 (binary models): `score >= threshold`. 0.5 unless given. One number, or a number for
    /// each model, or the share of rows with the highest scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
}

/// Which rows a binary model decides for 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Threshold {
    /// Those whose score is at least this: `0.4`.
    One(#[schemars(range(min = 0.0, max = 1.0))] f64),
    /// The same with a number for each model: `{ candidate: 0.4, baseline: 0.5 }`.
    PerModel(ThresholdPerModel),
    /// A share of the rows, those with the model's highest scores: `{ share: 0.1 }`.
    TopShare(ThresholdShare),
}

impl Default for Threshold {
    fn default() -> Self {
        Self::One(0.5)
    }
}

/// The score from which on a row is decided for 1, for each model.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "per model")]
pub struct ThresholdPerModel {
    /// For the candidate.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub candidate: f64,
    /// For the baseline.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub baseline: f64,
}

/// The share of the rows that each model decides for 1: those with its highest scores, by weight where rows have one. Rows
/// of equal score at the cut all count. The rows are those that a claim is about, so every slice has cuts of its own.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "share")]
pub struct ThresholdShare {
    /// The share: `0.1` for one row in ten.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub share: f64,
}

impl Model {
    /// The classes as texts, in their order; none but for a multiclass model.
    #[must_use]
    pub fn class_names(&self) -> Vec<String> {
        self.classes.iter().map(ToString::to_string).collect()
    }

    /// How many scores the model gives for a row.
    #[must_use]
    pub fn outputs(&self) -> usize {
        if self.task == Task::Multiclass { self.classes.len() } else { 1 }
    }
}

/// A class, as the label column holds it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Class {
    /// A whole number.
    Number(i64),
    /// A truth value.
    Truth(bool),
    /// A text.
    Text(String),
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of two classes; the score is the probability of the positive one.
    Binary,
    /// One of `model.classes`; the scores are one probability for each class, and sum to 1.
    Multiclass,
    /// A number; the score is the number.
    Regression,
    /// An order of the rows within each `columns.group`; the label is a row's relevance, and a higher score stands before.
    Ranking,
}

/// How much depends on a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// A wrong model is a nuisance.
    Low,
    /// A wrong model costs money.
    Medium,
    /// A wrong model harms people or the company.
    High,
}

/// Where a model's scores come from: exactly one of the forms.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Scorer {
    /// An ONNX model, scored in process.
    Onnx(OnnxScorer),
    /// A program of any language, fed with batches of rows. Only where the run allows it.
    Process(ProcessScorer),
    /// A model behind an address, to which batches of rows are posted.
    Http(HttpScorer),
    /// A model of MLflow: an ONNX file is scored in process, and any other flavour by a program, where the run allows it.
    Mlflow(MlflowScorer),
    /// Scores that are already a column of every dataset.
    Column(ColumnScorer),
    /// Scores that are already columns of every dataset, one for each class (multiclass models).
    Columns(ColumnsScorer),
    /// Scores in a file of their own, joined to the data by id.
    Predictions(PredictionsScorer),
}

impl Scorer {
    /// The sources of the files that hold the model or its scores, or the address that is asked for them, with the keys that
    /// name them.
    #[must_use]
    pub fn sources(&self) -> Vec<(Vec<&str>, &String)> {
        match self {
            Self::Onnx(scorer) => vec![(vec!["onnx"], &scorer.onnx)],
            Self::Predictions(scorer) => vec![(vec!["predictions"], &scorer.predictions)],
            Self::Http(scorer) => vec![(vec!["http"], &scorer.http)],
            Self::Mlflow(scorer) => vec![(vec!["mlflow"], &scorer.mlflow)],
            Self::Process(scorer) => {
                scorer.files.iter().map(|(name, source)| (vec!["files", name.as_str()], source)).collect()
            }
            Self::Column(_) | Self::Columns(_) => Vec::new(),
        }
    }

    /// A scorer given as one word: `column:NAME`, `columns:NAME,NAME,NAME`, a source of a Parquet file of predictions, the
    /// address of a model, or else the source of an ONNX model.
    #[must_use]
    pub fn given(word: &str) -> Self {
        if let Some(column) = word.strip_prefix("column:") {
            Self::Column(ColumnScorer { column: column.to_owned() })
        } else if let Some(columns) = word.strip_prefix("columns:") {
            Self::Columns(ColumnsScorer { columns: columns.split(',').map(str::to_owned).collect() })
        } else if artifact::file_name(word).ends_with(".parquet") {
            let (score, scores) = (default_score(), Vec::new());
            Self::Predictions(PredictionsScorer { predictions: word.to_owned(), score, scores })
        } else if served::unfit(word).is_none() {
            Self::Http(HttpScorer::new(word))
        } else {
            let (output, positive, classes, inputs) = (None, None, Vec::new(), BTreeMap::new());
            Self::Onnx(OnnxScorer { onnx: word.to_owned(), output, positive, classes, inputs })
        }
    }
}

/// The model that the candidate is compared with.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Baseline {
    /// Where its scores come from.
    #[serde(flatten)]
    pub scorer: Scorer,
    /// What follows if it does not exist.
    #[serde(default)]
    pub on_missing: OnMissing,
    /// Whether it may be the candidate.
    #[serde(default)]
    pub allow_same: bool,
}

/// What a baseline has beside its scores.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "its schema is what it is for")]
struct Comparison {
    /// What happens where the baseline does not exist yet, as before a first release: `fail`, and nothing is judged, or
    /// `absolute-only`, and only claims that need no baseline are. A server that cannot be reached, a token that may not read,
    /// and a digest that does not fit are errors all the same.
    #[serde(default)]
    on_missing: OnMissing,
    /// Whether the baseline may be the candidate itself, where changes often leave the model as it is. Nothing is compared then,
    /// so unless it is true, such a run judges nothing.
    #[serde(default)]
    allow_same: bool,
}

/// What happens where a baseline does not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissing {
    /// Nothing is judged.
    #[default]
    Fail,
    /// Claims that need no baseline are judged, and the others are listed as not tested.
    AbsoluteOnly,
}

/// Each form of a scorer with the keys of a baseline beside its own: a form knows its keys, and refuses others.
impl JsonSchema for Baseline {
    fn schema_name() -> Cow<'static, str> {
        "Baseline".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Scorer::json_schema(generator);
        let added = Comparison::json_schema(generator);
        let added = added.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        for form in schema.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten() {
            let name = form.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            let Some(own) = name.and_then(|name| generator.definitions().get(name)) else { continue };
            let mut own = own.clone();
            if let Some(properties) = own.get_mut("properties").and_then(Value::as_object_mut) {
                properties.extend(added.clone());
            }
            *form = own;
        }
        schema
    }
}

/// An ONNX model, scored in process.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "onnx")]
pub struct OnnxScorer {
    /// Where the model file is: a path, or another source, such as `git:main:models/m.onnx`, `release:latest/m.onnx`,
    /// `https://...` or `s3://...`; `@sha256:...` behind it pins its digest.
    pub onnx: String,
    /// The name of the output that holds the scores, where it cannot be told from the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The class whose probability is the score, where it cannot be told from the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<onnx::Positive>,
    /// The classes of the model's outputs, in their order (multiclass models): where the file does not say them, or calls
    /// them otherwise than `model.classes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 2, "uniqueItems" = true))]
    pub classes: Vec<Class>,
    /// Which column feeds which model input, where the names differ: `input: column`, or a list of columns for a matrix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, onnx::Columns>,
}

/// A program that scores rows: it is started once, reads them from its standard input as an Arrow IPC stream, and answers each
/// batch with one of scores on its standard output. A spec alone starts none: `--allow-process`, or the input `allow_process` of
/// the action, must allow it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "process")]
pub struct ProcessScorer {
    /// The program and its arguments, word by word, without a shell: `[python3, score.py, "{model}"]`. It works in the folder of
    /// the spec; `{NAME}` is the path of the file `NAME` of `files`.
    #[schemars(extend("minItems" = 1))]
    pub process: Vec<String>,
    /// The files that the command names as `{NAME}`, each a path or another source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-noun" = "file"))]
    pub files: BTreeMap<String, String>,
    /// Variables of its environment, as they are. Of that of the run it has PATH, HOME, LANG, LC_ALL, TZ, TMPDIR,
    /// LD_LIBRARY_PATH and VIRTUAL_ENV, and no other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-noun" = "variable"))]
    pub environment: BTreeMap<String, String>,
    /// The seconds that an answer may take; the first one includes the start.
    #[serde(default = "default_seconds")]
    #[schemars(range(min = 1, max = 86_400))]
    pub seconds: u64,
    /// The most memory that it may address, in MiB.
    #[serde(default = "default_memory_mib")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub memory_mib: u64,
}

/// Patience for a model that has much to import, and not for one that hangs.
fn default_seconds() -> u64 {
    120
}

/// What libraries for models address is a multiple of what they use.
fn default_memory_mib() -> u64 {
    16 << 10
}

/// A model behind an address: rows are posted to it in batches, several at once, and it answers with scores. The end of the
/// address says by which protocol: `/v2/models/NAME/infer` is the Open Inference Protocol of KServe, MLServer and Triton, and
/// `/invocations` the scoring protocol of MLflow.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "http")]
pub struct HttpScorer {
    /// The address: `https://models.acme.com/v2/models/delays/infer`, or `https://models.acme.com/invocations`; `http://` is for
    /// this machine. A token for it comes from the variable `MODELGATE_TOKENS`, which has pairs `HOST=TOKEN`.
    pub http: String,
    /// The name of the output, or of the column of the answer, that holds the scores, where it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The class whose probability is the score: the number of a column (from 0), or its name where columns have names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<onnx::Positive>,
    /// The classes of the model's outputs, in their order (multiclass models), where they are not 0, 1, 2 and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 2, "uniqueItems" = true))]
    pub classes: Vec<Class>,
    /// Which column feeds which model input, where the names differ: `input: column`, or a list of columns for a matrix. For the
    /// Open Inference Protocol.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, onnx::Columns>,
    /// The seconds that an answer may take.
    #[serde(default = "default_answer_seconds")]
    #[schemars(range(min = 1, max = 86_400))]
    pub seconds: u64,
    /// The rows of a request, at most.
    #[serde(default = "default_batch_rows")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_rows: usize,
    /// The requests that there may be at once.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 256))]
    pub concurrency: usize,
}

impl HttpScorer {
    /// A model behind an address of which the spec says no more.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self {
            http: address.to_owned(),
            output: None,
            positive: None,
            classes: Vec::new(),
            inputs: BTreeMap::new(),
            seconds: default_answer_seconds(),
            batch_rows: default_batch_rows(),
            concurrency: default_concurrency(),
        }
    }
}

/// What servers and what stands before them often give an answer.
fn default_answer_seconds() -> u64 {
    60
}

/// Rows of a hundred features stay below the megabyte that many servers take.
fn default_batch_rows() -> usize {
    1000
}

/// A few, so that a server is busy while rows are on their way, and not flooded.
fn default_concurrency() -> usize {
    4
}

/// A model of MLflow. Its `MLmodel` says its flavour: an ONNX file is scored in process. Any other is fetched with its whole
/// folder, and scored by `mlflow models serve`, which the run starts, asks whether it is well, and ends. A spec alone starts
/// none: `--allow-process`, or the input `allow_process` of the action, must allow it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "mlflow")]
pub struct MlflowScorer {
    /// The model: `models:/delays@champion`, `models:/delays/3` or `runs:/RUN/PATH`, of the server at `MLFLOW_TRACKING_URI`.
    pub mlflow: String,
    /// The name of the output (of an ONNX model), or of the column of the predictions, that holds the scores, where it cannot be
    /// told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The class whose probability is the score: the number of a column (from 0), or its name where columns have names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<onnx::Positive>,
    /// The classes of the model's outputs, in their order (multiclass models), where they are not 0, 1, 2 and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 2, "uniqueItems" = true))]
    pub classes: Vec<Class>,
    /// The seconds that the program may take to start, and then for an answer.
    #[serde(default = "default_seconds")]
    #[schemars(range(min = 1, max = 86_400))]
    pub seconds: u64,
    /// The most memory that the program, and each that it starts itself, may address, in MiB.
    #[serde(default = "default_memory_mib")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub memory_mib: u64,
}

/// Scores that are already a column of every dataset.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "column")]
pub struct ColumnScorer {
    /// The column that holds the scores.
    pub column: String,
}

/// Scores that are already columns of every dataset, one for each class.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "columns")]
pub struct ColumnsScorer {
    /// The columns that hold the probabilities, in the order of `model.classes`.
    #[schemars(extend("uniqueItems" = true))]
    pub columns: Vec<String>,
}

/// Scores in a file of their own, joined to the data by `columns.id`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "predictions")]
pub struct PredictionsScorer {
    /// The path or glob of the Parquet files, or another source: one row per id. The id column has the name of `columns.id`.
    pub predictions: String,
    /// The column of that file that holds the scores.
    #[serde(default = "default_score")]
    pub score: String,
    /// The columns of that file that hold the probabilities, in the order of `model.classes` (multiclass models).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub scores: Vec<String>,
}

impl PredictionsScorer {
    /// The columns that hold the scores.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        if self.scores.is_empty() { vec![self.score.clone()] } else { self.scores.clone() }
    }
}

/// The column of the scores in a file that holds nothing but ids and scores.
#[must_use]
pub fn default_score() -> String {
    "score".to_owned()
}

/// What the columns of the data mean.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Identifies a row. Needed to join predictions and for noise that is the same on every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What the model should have predicted: 0 and 1, or true and false, for a binary task; one of `model.classes` for a
    /// multiclass task; a number for a regression; the relevance, a number of at least 0, for a ranking.
    pub label: String,
    /// When the event happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// When the label became known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_at: Option<String>,
    /// What rows belong to: a customer, a device. Rows of one entity are not independent, so intervals are clustered by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// What a row counts for: a number of at least 0, in every row. Every row counts 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// What a row is ranked within: a query, a session. For the ranking task, and needed there. Groups are independent, or
    /// entities where `entity` is given. A slice that cuts through a group ranks what it has of it, and rows without a label are
    /// ranked nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What the model may see, in the order of a matrix input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub features: Vec<String>,
    /// Attributes of people that must not be discriminated by. Recorded for the auditor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<String>,
}

/// Where a dataset lies: Parquet files, each named by a path, a glob, or another source.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Data {
    /// A path or a glob, relative to the spec, or another source: `data/test.parquet`, `history/month=*/*.parquet`,
    /// `s3://acme/history/month=*/*.parquet`.
    One(String),
    /// Several of them.
    Many(#[schemars(extend("minItems" = 1))] Vec<String>),
}

impl Data {
    /// The patterns, in the order written.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        match self {
            Self::One(pattern) => std::slice::from_ref(pattern),
            Self::Many(patterns) => patterns,
        }
    }
}

/// A group of rows for which claims are made, or a way to split the rows into such groups.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Slice {
    /// One slice for each value of a column, or for each combination of several.
    By(SliceBy),
    /// The rows that meet a condition.
    Where(SliceWhere),
}

/// One slice for each value of a column, or for each combination of values of several columns.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "by")]
pub struct SliceBy {
    /// The column, or several: `carrier`, `[origin, season]`.
    pub by: OneOrMany,
}

/// The rows that meet a condition in SQL.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "where")]
pub struct SliceWhere {
    /// The name of the slice in every report.
    #[schemars(length(min = 1))]
    pub name: String,
    /// An SQL condition on the columns of a row: `distance > 1500`.
    #[serde(rename = "where")]
    pub condition: String,
}

/// A name, or several.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One name.
    One(String),
    /// Several names.
    Many(#[schemars(extend("minItems" = 1))] Vec<String>),
}

impl OneOrMany {
    /// The names, in the order written.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// How sure the gate must be, and what happens when it is not.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The chance that a harmless candidate is blocked, over all blocking claims together. Claims that only warn have
    /// as much for themselves; of what a search finds, as large a share may be found wrongly.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 0.5))]
    pub false_block: f64,
    /// The chance that a candidate beyond the limit of a claim passes it.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 0.5))]
    pub false_ship: f64,
    /// What an undecided claim does to the gate.
    pub on_inconclusive: OnInconclusive,
    /// The rows that a slice needs before a claim about it is tested; for a ranking, the groups with a relevant row.
    pub min_rows: u64,
    /// The rows of each class that a slice needs before a claim about it is tested (binary and multiclass models).
    pub min_positives: u64,
    /// Who may let a pull request weaken this spec, by an approving review of its newest commit: `@alice`. Without any, a
    /// weakening blocks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weakening_approvers: Vec<String>,
    /// What a candidate that a pull request names, and a remote of DVC, may be fetched from: hosts such as `models.acme.com`, `*.acme.com`, and
    /// buckets such as `s3://acme`. Without any, a pull request names files of the repository and its releases only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            false_block: 0.05,
            false_ship: 0.05,
            on_inconclusive: OnInconclusive::default(),
            min_rows: 100,
            min_positives: 20,
            weakening_approvers: Vec::new(),
            allowed_hosts: Vec::new(),
        }
    }
}

/// What an undecided claim does to the gate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OnInconclusive {
    /// For claims about all rows.
    pub overall: Consequence,
    /// For claims about a slice.
    pub slice: Consequence,
}

impl Default for OnInconclusive {
    fn default() -> Self {
        Self { overall: Consequence::Fail, slice: Consequence::Warn }
    }
}

/// What an undecided claim does to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// The gate is inconclusive and blocks, exit code 3.
    Fail,
    /// The gate warns and lets the candidate through.
    Warn,
}

/// A named selection of checks.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The events of GitHub Actions that run the suite: `pull_request`, `merge_group`, `release`, `push:main`, `tag:v*`.
    /// A suite without any never runs by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
    /// Names of checks, `*` standing for any part: `performance.*`, `*`.
    #[schemars(extend("minItems" = 1))]
    pub checks: Vec<String>,
}

/// Which slices a check makes claims about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Slices {
    /// Every declared slice, or none.
    Named(AllOrNone),
    /// Some of the declared slices, by name: `carrier`, `origin,season`, `long-haul`.
    Some(Vec<String>),
    /// Not written: all rows only.
    #[default]
    #[serde(skip)]
    Unset,
}

impl Slices {
    /// Whether nothing was written.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        *self == Self::Unset
    }
}

/// Every declared slice, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllOrNone {
    /// Every declared slice.
    All,
    /// All rows only.
    None,
}

/// Whether a failing check blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A failed claim fails the gate.
    #[default]
    Block,
    /// A failed claim is a warning.
    Warn,
}
