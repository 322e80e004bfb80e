//! `performance.calibration`: whether the candidate's probabilities are right.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answers::Answers;
use crate::check::{Check, Refusal};
use crate::checks::shared::{self, Margin, MetricTicket, Rows, Sample};
use crate::evidence::{Evidence, Finding, Limits, Subject, allowed};
use crate::measure::{self, Answer};
use crate::plan::{Grouping, Input, Plan};
use crate::spec::limit::Amount;
use crate::spec::problem::Problem;
use crate::spec::written::{Slices, Task};
use crate::stats::bound::{Bound, Test};
use crate::stats::curve;
use crate::stats::measurement::Measurement;
use crate::stats::metric::Metric;
use crate::target::Side;

/// The candidate's probabilities are right: what it gives 30 % happens in 30 of 100 cases.
///
/// # What it does
/// Makes two claims about the candidate, over all rows and over each slice asked for. In the large: the sum of the scores
/// over the sum of the labels (`calibration_ratio`) is within `max_ratio_error` of 1, so that what the model expects adds up
/// to what happens. In the small: the slope of the logistic regression of the label on the logit of the score
/// (`calibration_slope`) is from `min_slope` to `max_slope`; below 1 the scores are too extreme, as after overfitting, above
/// 1 too timid. With `max_rise` a third: the expected calibration error in 10 bins is not above the baseline's by more. The
/// reliability bins stand beside the first claim: mean score, share of label 1 with its 95 % interval, rows.
///
/// # Why it matters
/// ROC AUC and accuracy do not see it when all probabilities are twice too high. Whoever multiplies them by a price, compares
/// them with a cost or adds them up to a forecast does.
///
/// # What it assumes
/// Rows are independent, or entities are where `columns.entity` is given. A claim passes when both ends of the interval are
/// inside, and its p-value is twice the smaller one-sided one. The expected calibration error of a perfect model is not 0
/// but shrinks with the rows, so it is only compared with the baseline's on the same rows. Slices by value with fewer than
/// `policy.min_rows` rows or `policy.min_positives` of a class are listed as not tested. The model must be binary.
///
/// # Example
/// ```yaml
/// - performance.calibration: { max_ratio_error: 2%, min_slope: 0.8, max_slope: 1.2, max_rise: 0.01, slices: [carrier] }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformanceCalibration {
    /// How far the sum of the scores may be from the sum of the labels: `0.02` or `2%` of it, which are the same here.
    #[serde(default = "max_ratio_error")]
    pub max_ratio_error: Amount,
    /// The least calibration slope.
    #[serde(default = "min_slope")]
    pub min_slope: f64,
    /// The largest calibration slope.
    #[serde(default = "max_slope")]
    pub max_slope: f64,
    /// How far the expected calibration error may rise above the baseline's; not claimed unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rise: Option<Amount>,
    /// The slices for which the claims are made too: `all`, `none`, or a list of names.
    #[serde(default, skip_serializing_if = "Slices::is_unset")]
    pub slices: Slices,
    /// The dataset.
    #[serde(default = "shared::test")]
    pub data: String,
}

fn max_ratio_error() -> Amount {
    Amount::Relative(0.02)
}

fn min_slope() -> f64 {
    0.8
}

fn max_slope() -> f64 {
    1.2
}

/// What may not rise.
const ERROR: Metric = Metric::ExpectedCalibrationError { bins: 10 };

/// What was asked.
#[derive(Debug)]
pub struct Asked {
    rows: Rows,
    ticket: MetricTicket,
    groupings: Vec<Grouping>,
    rise: Option<Margin>,
    untested: Option<Evidence>,
}

impl Check for PerformanceCalibration {
    const NAME: &'static str = "performance.calibration";
    type Asked = Asked;

    fn datasets(&self) -> Vec<(&'static str, &str)> {
        vec![("data", &self.data)]
    }

    fn ask(&self, plan: &mut Plan<'_>) -> Result<Asked, Refusal> {
        if plan.model().task != Task::Binary {
            let problem = Problem::key(plan.here(), "calibration is about the probabilities of a binary model");
            return Err(problem.remedy("remove this check").into());
        }
        if self.min_slope > self.max_slope {
            let problem = Problem::key(&plan.at("min_slope"), "no slope is above `min_slope` and below `max_slope`");
            return Err(problem.remedy("a perfect model has slope 1: try `min_slope: 0.8, max_slope: 1.2`").into());
        }
        let rise = match self.max_rise {
            Some(_) => Some(Margin::new(plan, &ERROR, None, self.max_rise, None)?),
            None => None,
        };
        let first_release = rise.zip(plan.target().choice.first_release.as_ref());
        let untested = first_release.map(|(rise, first)| {
            Evidence::new(Subject::all(&self.data, &ERROR.name()), rise.limits(), first.finding())
        });
        let rise = rise.filter(|_| untested.is_none());
        let rows = match rise {
            Some(_) => Rows::of_both(plan, &self.data)?,
            None => Rows::new(plan, &self.data, Input::Label, &[(Side::Candidate, None)])?,
        };
        let groupings = shared::groupings(plan, &self.slices)?;
        // The bins need the scores themselves, so the metrics are computed from them too.
        let ticket = MetricTicket::Ranks(rows.ranks(plan, &groupings)?, rows.columns().clone());
        Ok(Asked { rows, ticket, groupings, rise, untested })
    }

    fn judge(&self, asked: &Asked, answers: &Answers) -> Result<Vec<Evidence>> {
        let mut evidence = Vec::from_iter(asked.untested.clone());
        for grouping in &asked.groupings {
            for (slice, sample) in asked.ticket.samples(answers, grouping)? {
                let obstacle = asked.rows.obstacle(grouping, sample.rows(), sample.positives())?;
                let level = asked.rows.level();
                evidence.push(self.in_the_large(&slice, &sample, level, obstacle.as_ref()));
                evidence.push(self.in_the_small(&slice, &sample, level, obstacle.as_ref()));
                evidence.extend(asked.rise.map(|rise| self.rise(rise, &slice, &sample, level, obstacle.as_ref())));
            }
        }
        Ok(evidence)
    }
}

impl PerformanceCalibration {
    fn in_the_large(&self, slice: &str, sample: &Sample, level: f64, obstacle: Option<&Finding>) -> Evidence {
        let limits = allowed("max_ratio_error", self.max_ratio_error);
        let (Amount::Absolute(error) | Amount::Relative(error)) = self.max_ratio_error;
        let subject = Subject::slice(&self.data, &Metric::CalibrationRatio.name(), slice);
        let evidence =
            claim(subject, limits, &Metric::CalibrationRatio, (1.0 - error, 1.0 + error), sample, level, obstacle);
        match sample.answer() {
            Answer::Ranks(ranks, columns) if obstacle.is_none() => {
                let scored = measure::sample(ranks, columns);
                let bins = curve::calibration(&scored, columns.scores - 1).unwrap_or_default();
                evidence.detail("reliability", json!(bins))
            }
            _ => evidence,
        }
    }

    fn in_the_small(&self, slice: &str, sample: &Sample, level: f64, obstacle: Option<&Finding>) -> Evidence {
        let limits = [("min_slope", self.min_slope), ("max_slope", self.max_slope)];
        let limits = limits.map(|(key, slope)| (key.to_owned(), Amount::Absolute(slope))).into();
        let subject = Subject::slice(&self.data, &Metric::CalibrationSlope.name(), slice);
        let inside = (self.min_slope, self.max_slope);
        let evidence = claim(subject, limits, &Metric::CalibrationSlope, inside, sample, level, obstacle);
        match of_candidate(sample, &Metric::CalibrationIntercept) {
            Ok(intercept) if obstacle.is_none() => {
                evidence.detail("intercept", json!(shared::estimate(&intercept, level)))
            }
            _ => evidence,
        }
    }

    fn rise(&self, margin: Margin, slice: &str, sample: &Sample, level: f64, obstacle: Option<&Finding>) -> Evidence {
        let subject = Subject::slice(&self.data, &ERROR.name(), slice);
        match obstacle {
            Some(finding) => shared::obstructed(subject, margin.limits(), sample.rows(), finding.clone()),
            None => shared::compare(&ERROR, sample, margin, level, subject),
        }
    }
}

/// The candidate's metric is within two limits.
fn claim(
    subject: Subject,
    limits: Limits,
    metric: &Metric,
    inside: (f64, f64),
    sample: &Sample,
    level: f64,
    obstacle: Option<&Finding>,
) -> Evidence {
    if let Some(finding) = obstacle {
        return shared::obstructed(subject, limits, sample.rows(), finding.clone());
    }
    match of_candidate(sample, metric) {
        Err(reason) => shared::undecided(subject, limits, sample.rows(), &reason),
        Ok(measurement) => {
            let bounds = [Bound::AtLeast(inside.0), Bound::AtMost(inside.1)];
            let test = |bound| Test { measured: measurement.clone().into(), bound, equal: measurement.value };
            let mut evidence = Evidence::tested(subject, limits, bounds.map(test).into(), level);
            evidence.candidate = Some(shared::estimate(&measurement, level));
            evidence.rows = measurement.rows;
            evidence.method = Some(measurement.method.name().to_owned());
            shared::clustered(evidence, measurement.clusters)
        }
    }
}

/// The candidate is the last of the models.
fn of_candidate(sample: &Sample, metric: &Metric) -> Result<Measurement, crate::stats::undefined::Undefined> {
    let mut weights = vec![0.0; sample.rows().missing.len()];
    weights.last_mut().into_iter().for_each(|weight| *weight = 1.0);
    sample.measure(metric, &weights)
}
