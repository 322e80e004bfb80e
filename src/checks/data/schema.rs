//! `data.schema`: the columns that are there, against the spec and against the model's own signature.

use std::collections::BTreeMap;

use anyhow::Result;
use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::Answers;
use crate::check::{Check, Refusal};
use crate::checks::shared;
use crate::evidence::{Evidence, Finding, Limits, Subject};
use crate::plan::{Grouping, Input, JoinedTicket, Plan, Ticket};
use crate::score::Scorer;
use crate::score::onnx::{Columns as Fed, Form};
use crate::spec::problem::quoted;
use crate::spec::written::Columns;
use crate::summaries::Presence;
use crate::summaries::presence::PresenceParams;
use crate::target::Side;

/// The data has the declared columns, and the model reads declared features only.
///
/// # What it does
/// Looks at the columns of a dataset, their types and nulls, and at what the candidate says it reads. Claims, each a plain
/// fact over all rows: every column that the spec names is there (`columns`); the candidate reads nothing but declared
/// features (`inputs`); each column listed here has the declared type (`type`) and no nulls unless it may (`nulls`), the
/// id never has any; a predictions file has one row for each id (`predictions`).
///
/// # Why it matters
/// `columns.features` lists what is known when the decision is made. A model that reads another column, say one that
/// is filled in later, shines in every backtest and fails on the first day. A renamed or retyped column makes a
/// good model bad without a single line of its code changing.
///
/// # What it assumes
/// Nothing: it counts. What a model with opaque inputs reads, such as predictions made elsewhere, it cannot know.
///
/// # Example
/// ```yaml
/// - data.schema:
///     columns:
///       distance: { type: integer }
///       tail_number: { type: text, nullable: true }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSchema {
    /// What is declared of a column, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-noun" = "column"))]
    pub columns: BTreeMap<String, Declared>,
    /// The dataset.
    #[serde(default = "shared::test")]
    pub data: String,
}

/// What is declared of a column.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// The type of its values.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Whether values may be absent.
    #[serde(default)]
    pub nullable: bool,
}

/// The type of the values of a column, of any width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Whole numbers.
    Integer,
    /// Numbers with a fraction.
    Float,
    /// Text.
    Text,
    /// True or false.
    Boolean,
    /// Dates and instants.
    Time,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::Time => "time",
        }
    }

    fn of(kind: &DataType) -> Option<Self> {
        match kind {
            kind if kind.is_integer() => Some(Self::Integer),
            kind if kind.is_floating() => Some(Self::Float),
            DataType::Decimal128(..) | DataType::Decimal256(..) => Some(Self::Float),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Self::Text),
            DataType::Boolean => Some(Self::Boolean),
            kind if kind.is_temporal() => Some(Self::Time),
            DataType::Dictionary(_, values) => Self::of(values),
            _ => None,
        }
    }
}

/// What was asked, and the facts that needed no data.
#[derive(Debug)]
pub struct Asked {
    facts: Vec<Evidence>,
    not_null: Vec<String>,
    presence: Option<Ticket<Presence>>,
    joined: Vec<(Side, JoinedTicket)>,
}

impl Check for DataSchema {
    const NAME: &'static str = "data.schema";
    type Asked = Asked;

    fn datasets(&self) -> Vec<(&'static str, &str)> {
        vec![("data", &self.data)]
    }

    fn ask(&self, plan: &mut Plan<'_>) -> Result<Asked, Refusal> {
        let mut facts = vec![self.named_columns(plan)?];
        facts.extend(self.model_inputs(plan));
        facts.extend(self.types(plan)?);
        let not_null = self.not_null(plan)?;
        let presence = self.presence(plan, &not_null)?;
        let joined = self.joined(plan);
        Ok(Asked { facts, not_null, presence, joined })
    }

    fn judge(&self, asked: &Asked, answers: &Answers) -> Result<Vec<Evidence>> {
        let mut evidence = asked.facts.clone();
        if let Some(ticket) = &asked.presence {
            let presence = answers.summary(ticket)?.all();
            evidence
                .extend(asked.not_null.iter().enumerate().map(|(number, name)| self.nulls(name, &presence, number)));
        }
        for (side, ticket) in &asked.joined {
            let joined = answers.joined(ticket)?;
            let defects = joined.missing + joined.extra + joined.duplicate;
            let reason = format!(
                "{} rows have no prediction, {} predictions have no row, {} ids stand in the file more than once",
                joined.missing, joined.extra, joined.duplicate
            );
            let subject = Subject::column(&self.data, "predictions", &side.to_string());
            evidence.push(fact(subject, defects == 0, reason));
        }
        Ok(evidence)
    }
}

impl DataSchema {
    fn has(&self, plan: &Plan<'_>, column: &str) -> Result<bool> {
        Ok(plan.target().dataset(&self.data)?.schema.field_with_name(column).is_ok())
    }

    fn named_columns(&self, plan: &Plan<'_>) -> Result<Evidence> {
        let mut missing = Vec::new();
        for name in named(plan.columns()).chain(self.columns.keys()) {
            if !self.has(plan, name)? && !missing.contains(&quoted(name)) {
                missing.push(quoted(name));
            }
        }
        let reason = format!("the dataset has no {}", missing.join(", "));
        Ok(fact(Subject::all(&self.data, "columns"), missing.is_empty(), reason))
    }

    fn model_inputs(&self, plan: &Plan<'_>) -> Option<Evidence> {
        let Scorer::Onnx(onnx) = &plan.target().candidate.scorer else { return None };
        let declared = &plan.columns().features;
        let undeclared: Vec<String> = onnx
            .model
            .signature()
            .inputs
            .iter()
            .filter(|input| !is_matrix(&input.form))
            .flat_map(|input| match onnx.mapping.inputs.get(&input.name) {
                Some(Fed::One(column)) => vec![column.clone()],
                Some(Fed::Many(columns)) => columns.clone(),
                None => vec![input.name.clone()],
            })
            .filter(|column| !declared.contains(column))
            .map(|column| quoted(&column))
            .collect();
        let reason = format!("the candidate reads {}, not declared in `columns.features`", undeclared.join(", "));
        Some(fact(Subject::all(&self.data, "inputs"), undeclared.is_empty(), reason))
    }

    fn types(&self, plan: &Plan<'_>) -> Result<Vec<Evidence>> {
        let schema = &plan.target().dataset(&self.data)?.schema;
        let typed = self.columns.iter().filter_map(|(name, declared)| Some((name, declared.kind?)));
        Ok(typed
            .filter_map(|(name, kind)| {
                let found = schema.field_with_name(name).ok()?.data_type();
                let reason = format!("declared {}, found {found}", kind.name());
                Some(fact(Subject::column(&self.data, "type", name), Kind::of(found) == Some(kind), reason))
            })
            .collect())
    }

    fn not_null(&self, plan: &Plan<'_>) -> Result<Vec<String>> {
        let declared = self.columns.iter().filter(|(_, declared)| !declared.nullable).map(|(name, _)| name);
        let mut names: Vec<String> = plan.columns().id.iter().chain(declared).cloned().collect();
        names.sort();
        names.dedup();
        let schema = &plan.target().dataset(&self.data)?.schema;
        names.retain(|name| schema.field_with_name(name).is_ok());
        Ok(names)
    }

    fn presence(&self, plan: &mut Plan<'_>, columns: &[String]) -> Result<Option<Ticket<Presence>>> {
        if columns.is_empty() {
            return Ok(None);
        }
        let inputs = columns.iter().cloned().map(Input::Column).collect();
        plan.summarise(&self.data, &PresenceParams { columns: columns.len() }, inputs, &[Grouping::All]).map(Some)
    }

    fn joined(&self, plan: &mut Plan<'_>) -> Vec<(Side, JoinedTicket)> {
        let from_file = |side: &Side| {
            let judged = plan.target().judged(*side);
            judged.is_some_and(|judged| matches!(judged.scorer, Scorer::Predictions(_)))
        };
        let sides: Vec<Side> = [Side::Baseline, Side::Candidate].into_iter().filter(from_file).collect();
        sides.into_iter().map(|side| (side, plan.joined(side, vec![self.data.clone()]))).collect()
    }

    fn nulls(&self, column: &str, presence: &Presence, number: usize) -> Evidence {
        let nulls = presence.nulls_of(number);
        let reason = format!("{nulls} of {} values are null", presence.rows);
        let mut evidence = fact(Subject::column(&self.data, "nulls", column), nulls == 0, reason);
        evidence.rows = u64::try_from(presence.rows).unwrap_or(0);
        evidence
    }
}

/// Every column that the spec names by its role.
fn named(columns: &Columns) -> impl Iterator<Item = &String> {
    let optional = [&columns.id, &columns.time, &columns.known_at, &columns.entity];
    std::iter::once(&columns.label)
        .chain(optional.into_iter().flatten())
        .chain(&columns.features)
        .chain(&columns.protected)
}

/// A matrix has columns without names: it is fed with the declared features, so it cannot read another.
fn is_matrix(form: &Form) -> bool {
    use crate::score::onnx::Width;
    matches!(form, Form::Tensor { width: Width::Fixed(2..) | Width::Dynamic, .. })
}

fn fact(subject: Subject, holds: bool, reason: String) -> Evidence {
    Evidence::new(subject, Limits::new(), Finding::Fact { holds, reason: (!holds).then_some(reason) })
}
