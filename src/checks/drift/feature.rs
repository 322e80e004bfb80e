//! `drift.feature`: how far the distribution of each feature is from that in the data a model was trained or released on.

use anyhow::Result;
use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answers::Answers;
use crate::check::{Check, Refusal};
use crate::checks::shared;
use crate::evidence::{Estimate, Evidence, Finding, Subject, allowed};
use crate::measure::shift::{Apart, Most, Moved, of_numbers, of_texts};
use crate::plan::{Grouping, Input, Plan, Ticket};
use crate::spec::limit::Amount;
use crate::spec::problem::{Path, Problem};
use crate::spec::written::Policy;
use crate::stats::bound::{Bound, Test};
use crate::stats::random;
use crate::summaries::frequencies::{FrequencyParams, MAX_VALUES};
use crate::summaries::{Frequencies, ValueParams, Values};

/// Each feature is distributed as in the data that the model was trained or last released on.
///
/// # What it does
/// Compares two datasets, feature by feature, over all rows of both. The distance is the largest difference between the
/// shares of rows: for numbers, of rows below any threshold (Kolmogorov-Smirnov); for texts and truth values, of rows with
/// any set of values (total variation). A missing value is a value, and so is NaN and either infinity, so more of
/// them is drift. An interval of the distance is compared with the limit; never a p-value with 0.05. The record says where the
/// datasets differ most, the shares of rows there, and whether values are new. A feature that is a number in one dataset
/// and a text in the other fails.
///
/// # Why it matters
/// A model is as good as it was on rows like those it has seen. A feature whose unit changed, whose source broke or
/// whose values were renamed harms it without an error anywhere, often before there is a single label to notice it by.
///
/// # What it assumes
/// Rows are independent, or entities are where `columns.entity` is given: they may be in both datasets, and their rows are
/// put into 32 random groups, whose variation is what intervals rest on. Every row counts once, whatever
/// `columns.weight` says. It is no test of the model: where features follow the calendar, as weather does, compare with the same season.
///
/// Of numbers, more than 8,192 distinct values are put into at most 4,096 cells; in each of the groups of entities, 2,048 and
/// 1,024. The interval then holds the most by which the distance may be too low, which the record names `binning_error`. Of
/// texts, those above 64 bytes count as one, and a column of more than 10,000 values is an id, for which there is no distance: list the
/// others in `features`. The interval of a total variation allows for what chance adds to it, so many values need many rows.
///
/// # Example
/// ```yaml
/// - drift.feature: { data: test, against: train, max_distance: 0.2 }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftFeature {
    /// The features to compare. Without it, all of `columns.features`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1, "uniqueItems" = true))]
    pub features: Option<Vec<String>>,
    /// The largest distance of a feature, from 0 to 1.
    #[serde(default = "max_distance")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_distance: f64,
    /// The dataset that is looked at.
    #[serde(default = "shared::test")]
    pub data: String,
    /// The dataset that it is compared with: what the model was trained or last released on.
    #[serde(default = "train")]
    pub against: String,
}

fn max_distance() -> f64 {
    0.2
}

fn train() -> String {
    "train".to_owned()
}

/// What was asked.
#[derive(Debug)]
pub struct Asked {
    features: Vec<(String, Distribution)>,
    policy: Policy,
    ignores_weights: bool,
    seed: u64,
}

/// How a feature is distributed in the dataset and in that held against it.
#[derive(Debug)]
enum Distribution {
    Numbers([Ticket<Values>; 2]),
    Texts([Ticket<Frequencies>; 2]),
    /// What is known without reading any data.
    Known(Finding),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Truth,
    Other,
}

impl Kind {
    fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::Boolean => Self::Truth,
            kind if kind.is_numeric() => Self::Number,
            kind if kind.is_string() => Self::Text,
            _ => Self::Other,
        }
    }
}

impl Check for DriftFeature {
    const NAME: &'static str = "drift.feature";
    type Asked = Asked;

    fn datasets(&self) -> Vec<(&'static str, &str)> {
        vec![("data", &self.data), ("against", &self.against)]
    }

    fn ask(&self, plan: &mut Plan<'_>) -> Result<Asked, Refusal> {
        if self.data == self.against {
            return Err(Problem::value(&plan.at("against"), "a dataset never drifts from itself").into());
        }
        if let Some(entity) = &plan.columns().entity {
            let at = Path::root().key("columns").key("entity");
            [&self.data, &self.against]
                .into_iter()
                .try_for_each(|name| shared::column(plan, name, entity, &at).map(|_| ()))?;
        }
        let mut features = Vec::new();
        for (name, at) in self.named(plan)? {
            let distribution = self.distribution(plan, &name, &at)?;
            features.push((name, distribution));
        }
        let seed = random::seed(&[&plan.model().name, Self::NAME]);
        let ignores_weights = plan.columns().weight.is_some();
        Ok(Asked { features, policy: plan.policy().clone(), ignores_weights, seed })
    }

    fn judge(&self, asked: &Asked, answers: &Answers) -> Result<Vec<Evidence>> {
        let claim = |(name, distribution): &(String, Distribution)| self.claim(asked, answers, name, distribution);
        asked.features.iter().map(claim).collect()
    }
}

impl DriftFeature {
    /// The features, and where the spec names them.
    fn named(&self, plan: &Plan<'_>) -> Result<Vec<(String, Path)>, Problem> {
        let (names, at) = match &self.features {
            Some(names) => (names, plan.at("features")),
            None => (&plan.columns().features, Path::root().key("columns").key("features")),
        };
        if names.is_empty() {
            let problem = Problem::key(plan.here(), "there is no feature to compare");
            return Err(problem.remedy("declare `columns.features`"));
        }
        Ok(names.iter().enumerate().map(|(index, name)| (name.clone(), at.index(index))).collect())
    }

    fn distribution(&self, plan: &mut Plan<'_>, name: &str, at: &Path) -> Result<Distribution, Refusal> {
        let found = shared::column(plan, &self.data, name, at)?.clone();
        let found_against = shared::column(plan, &self.against, name, at)?.clone();
        let kind = Kind::of(&found);
        if kind != Kind::of(&found_against) {
            let reason = format!("it is {found} in `{}`, and {found_against} in `{}`", self.data, self.against);
            return Ok(Distribution::Known(Finding::Fact { holds: false, reason: Some(reason) }));
        }
        let clustered = plan.columns().entity.is_some();
        let mut inputs = vec![match kind {
            Kind::Number => Input::Number(name.to_owned()),
            Kind::Text => Input::Column(name.to_owned()),
            Kind::Truth => Input::Text(name.to_owned()),
            Kind::Other => return Ok(Distribution::Known(unfit(&found))),
        }];
        inputs.extend(clustered.then_some(Input::Entity));
        let (one, other, all) = (&self.data, &self.against, [Grouping::All]);
        Ok(if kind == Kind::Number {
            let params = ValueParams::new(clustered);
            let first = plan.summarise(one, &params, inputs.clone(), &all)?;
            Distribution::Numbers([first, plan.summarise(other, &params, inputs, &all)?])
        } else {
            let params = FrequencyParams { clustered };
            let first = plan.summarise(one, &params, inputs.clone(), &all)?;
            Distribution::Texts([first, plan.summarise(other, &params, inputs, &all)?])
        })
    }

    fn claim(&self, asked: &Asked, answers: &Answers, name: &str, distribution: &Distribution) -> Result<Evidence> {
        let (rows, moved) = match distribution {
            Distribution::Known(finding) => return Ok(self.evidence(name, finding.clone())),
            Distribution::Numbers([sample, against]) => {
                let [sample, against] = [answers.summary(sample)?.all(), answers.summary(against)?.all()];
                let seed = asked.seed.wrapping_add(random::key(name.as_bytes()));
                ([sample.rows(), against.rows()].map(Some), of_numbers(&sample, &against, seed).map_err(Apart::from))
            }
            Distribution::Texts([sample, against]) => {
                let [sample, against] = [answers.summary(sample)?.all(), answers.summary(against)?.all()];
                ([sample.rows(), against.rows()], of_texts(&sample, &against))
            }
        };
        if let Some(finding) = self.too_few_rows(asked, rows) {
            let mut evidence = self.evidence(name, finding);
            evidence.rows = rows[0].unwrap_or(0);
            return Ok(evidence);
        }
        Ok(match moved {
            Ok(moved) => self.tested(asked, name, &moved),
            Err(Apart::TooManyValues) => self.evidence(name, too_many_values()),
            Err(Apart::Undefined(reason)) => {
                self.evidence(name, Finding::Undecided { reason: reason.to_string(), needs_rows: None })
            }
        })
    }

    fn evidence(&self, name: &str, finding: Finding) -> Evidence {
        Evidence::new(self.subject(name), allowed("max_distance", Amount::Absolute(self.max_distance)), finding)
    }

    fn subject(&self, name: &str) -> Subject {
        Subject::column(&self.data, "distance", name)
    }

    /// What there is too little of: none of a column of too many texts, whose rows nobody counted.
    fn too_few_rows(&self, asked: &Asked, rows: [Option<u64>; 2]) -> Option<Finding> {
        let least = asked.policy.min_rows.max(1);
        let [sample, against] = rows.map(|rows| rows.filter(|rows| *rows < least));
        let (dataset, rows) =
            against.map(|rows| (&self.against, rows)).or_else(|| sample.map(|rows| (&self.data, rows)))?;
        let reason = match rows {
            0 => format!("dataset `{dataset}` has no rows"),
            _ => format!("too few rows in `{dataset}`: {rows}, at least {least} needed"),
        };
        Some(Finding::Undecided { reason, needs_rows: (dataset == &self.data).then_some(least - rows) })
    }

    fn tested(&self, asked: &Asked, name: &str, moved: &Moved) -> Evidence {
        let (distance, level) = (&moved.distance, asked.policy.false_ship);
        let limits = allowed("max_distance", Amount::Absolute(self.max_distance));
        let bound = Bound::AtMost(self.max_distance);
        let test = Test { measured: distance.clone().into(), bound, equal: 0.0 };
        let mut evidence = Evidence::tested(self.subject(name), limits, vec![test], level);
        let (low, high) = distance.interval(level);
        if let Finding::Tested { inside: false, p_value: 0.5.., needs_rows: None } = evidence.finding
            && distance.value != self.max_distance
        {
            evidence.finding = self.too_few_against(distance.against.unwrap_or(0));
        }
        evidence.difference =
            Some(Estimate { value: distance.value, low: shared::finite(low), high: shared::finite(high) });
        evidence.rows = distance.rows;
        evidence.method = Some(distance.method().to_owned());
        self.detailed(shared::binned(evidence, distance.binning_error), asked, moved)
    }

    /// Why no number of rows would decide, where that is not for the estimate.
    fn too_few_against(&self, rows: u64) -> Finding {
        let (data, against) = (&self.data, &self.against);
        let reason = format!("too few rows in `{against}`: {rows}, which more of `{data}` do not make up for");
        Finding::Undecided { reason, needs_rows: None }
    }

    fn detailed(&self, mut evidence: Evidence, asked: &Asked, moved: &Moved) -> Evidence {
        let (kind, value) = match &moved.most {
            Most::UpTo(number) => ("up_to", Some(json!(number))),
            Most::Text(text) => ("text", Some(json!(text))),
            Most::LongText => ("long_texts", None),
            Most::Missing => ("missing", None),
            Most::NotANumber => ("missing_or_nan", None),
            Most::UpToNegativeInfinity => ("missing_nan_or_negative_infinity", None),
            Most::Nowhere => ("nowhere", None),
        };
        let mut most = json!({
            "where": kind,
            "against": self.against,
            "share": moved.shares.share,
            "share_against": moved.shares.against,
        });
        if let (Some(value), Some(most)) = (value, most.as_object_mut()) {
            most.insert("value".to_owned(), value);
        }
        if let Some(new) = moved.new {
            evidence = evidence.detail("new_values", new.values).detail("new_share", new.share);
        }
        if let Some(units) = moved.distance.clusters {
            evidence = evidence.detail("groups_of_entities", units);
        }
        if asked.ignores_weights {
            evidence = evidence.detail("weighted", false);
        }
        evidence
            .detail("most", most)
            .detail("missing", moved.missing.share)
            .detail("missing_against", moved.missing.against)
            .detail("rows_against", moved.distance.against)
    }
}

fn unfit(found: &DataType) -> Finding {
    let reason = format!("it is {found}: neither number, text nor truth value; leave it out of `features`");
    Finding::Undecided { reason, needs_rows: None }
}

fn too_many_values() -> Finding {
    let reason = format!(
        "it has more than {MAX_VALUES} values: an id, of which no distance is known; leave it out of `features`"
    );
    Finding::Undecided { reason, needs_rows: None }
}
