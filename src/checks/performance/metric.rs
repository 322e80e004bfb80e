//! `performance.metric`: a metric of the candidate against a fixed limit.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::Answers;
use crate::check::{Check, Refusal};
use crate::checks::shared::{self, MetricTicket, Rows, Sample};
use crate::evidence::{Evidence, Limits, Subject, allowed};
use crate::plan::{Grouping, Input, Plan};
use crate::spec::limit::Amount;
use crate::spec::problem::Problem;
use crate::spec::written::Slices;
use crate::stats::bound::{Bound, Test};
use crate::stats::metric::Metric;
use crate::target::Side;

/// A metric of the candidate stays within a fixed limit.
///
/// # What it does
/// Measures the candidate on labelled rows, over all of them and over each slice asked for, and compares a one-sided
/// interval with `min` or `max`. It passes when the interval lies inside the limit, fails when it clearly lies outside,
/// and is inconclusive in between.
///
/// # Why it matters
/// A comparison with the baseline keeps a model from getting worse. It does not say that the model is good enough, and a
/// long row of small losses passes every comparison. The floor stays where it is.
///
/// # What it assumes
/// Rows are independent, or entities are where `columns.entity` is given, or else groups in a ranking. Metrics that are a
/// share of rows, such as accuracy, precision and recall, have an exact interval, or Wilson's where much was seen; ROC AUC
/// has DeLong's; the others the delta method or the bootstrap. With `columns.weight` every sum over the rows is a weighted
/// one, in the variance too. Weights say how many rows of the world a row stands for, not how often it was seen: weights of
/// 2 each change nothing, and unequal ones leave fewer rows that count. With `model.threshold: { share: 0.1 }` the interval
/// includes the error of the cut. Slices by value with fewer than `policy.min_rows` rows or `policy.min_positives` of a
/// class, weighted or not, are listed as not tested.
///
/// # Example
/// ```yaml
/// - performance.metric: { metric: roc_auc, min: 0.60, slices: [carrier] }
/// - performance.metric:
///     metric: { ratio: { name: profit, numerator: "decision * (2 * y - 1)", denominator: "1", better: higher } }
///     min: 0
/// ```
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformanceMetric {
    /// What is measured.
    pub metric: Metric,
    /// The least that is good enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most that is good enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The slices for which the claim is made too: `all`, `none`, or a list of names.
    #[serde(default, skip_serializing_if = "Slices::is_unset")]
    pub slices: Slices,
    /// The dataset.
    #[serde(default = "shared::test")]
    pub data: String,
}

/// What was asked.
#[derive(Debug)]
pub struct Asked {
    rows: Rows,
    ticket: MetricTicket,
    groupings: Vec<Grouping>,
}

impl Check for PerformanceMetric {
    const NAME: &'static str = "performance.metric";
    type Asked = Asked;

    fn datasets(&self) -> Vec<(&'static str, &str)> {
        vec![("data", &self.data)]
    }

    fn ask(&self, plan: &mut Plan<'_>) -> Result<Asked, Refusal> {
        shared::metric_fits(plan, &self.metric, &self.data)?;
        if self.bounds().is_empty() {
            let problem = Problem::key(plan.here(), "a metric without a limit claims nothing");
            return Err(problem.remedy("add `min: 0.70` or `max: 0.50`").into());
        }
        let rows = Rows::new(plan, &self.data, Input::Label, &[(Side::Candidate, None)])?;
        let groupings = shared::groupings(plan, &self.slices)?;
        let ticket = rows.metric(plan, &self.metric, &groupings)?;
        Ok(Asked { rows, ticket, groupings })
    }

    fn judge(&self, asked: &Asked, answers: &Answers) -> Result<Vec<Evidence>> {
        let mut evidence = Vec::new();
        for grouping in &asked.groupings {
            for (slice, sample) in asked.ticket.samples(answers, grouping)? {
                let obstacle = asked.rows.obstacle(grouping, sample.rows(), sample.positives())?;
                for (key, bound) in self.bounds() {
                    let subject = Subject::slice(&self.data, &self.metric.name(), &slice);
                    evidence.push(match &obstacle {
                        Some(finding) => {
                            shared::obstructed(subject, limits(key, bound), sample.rows(), finding.clone())
                        }
                        None => self.claim(subject, &sample, key, bound, asked.rows.level()),
                    });
                }
            }
        }
        Ok(evidence)
    }
}

impl PerformanceMetric {
    fn bounds(&self) -> Vec<(&'static str, Bound)> {
        let min = self.min.map(|min| ("min", Bound::AtLeast(min)));
        let max = self.max.map(|max| ("max", Bound::AtMost(max)));
        min.into_iter().chain(max).collect()
    }

    fn claim(&self, subject: Subject, sample: &Sample, key: &'static str, bound: Bound, level: f64) -> Evidence {
        match sample.measure(&self.metric, &[1.0]) {
            Err(reason) => shared::undecided(subject, limits(key, bound), sample.rows(), &reason),
            Ok(measurement) => {
                let test = Test { measured: measurement.clone().into(), bound, equal: measurement.value };
                let mut evidence = Evidence::tested(subject, limits(key, bound), vec![test], level);
                evidence.candidate = Some(shared::estimate(&measurement, level));
                evidence.rows = measurement.rows;
                evidence.method = Some(measurement.method.name().to_owned());
                shared::binned(sample.counted(evidence, measurement.clusters), measurement.binning_error())
            }
        }
    }
}

fn limits(key: &'static str, bound: Bound) -> Limits {
    allowed(key, Amount::Absolute(bound.limit()))
}
