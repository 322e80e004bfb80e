//! `performance.regression`: a metric of the candidate against the baseline's on the same rows.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::Answers;
use crate::check::{Check, Refusal};
use crate::checks::shared::{self, Margin, MetricTicket, Rows, Sample};
use crate::evidence::{Evidence, Finding, Subject};
use crate::plan::{Grouping, Plan};
use crate::spec::limit::Amount;
use crate::spec::written::Slices;
use crate::stats::metric::Metric;

/// A metric of the candidate is not worse than the baseline's by more than a margin.
///
/// # What it does
/// Scores the same rows with both models and compares an interval of the paired difference with the margin, over all
/// rows and over each slice asked for: non-inferiority. An improvement never fails. `max_drop` is for metrics that
/// should be high, `max_rise` for those that should be low; `0.01` is absolute, `1%` is relative to the baseline.
/// `within` bounds the difference at both ends: equivalence, and the one margin for metrics that are not better in any
/// direction. With `suspicious_gain` a gain that is clearly larger is a warning, never more.
///
/// # Why it matters
/// Two numbers from a test set always differ. Pairing removes what both models find equally hard, and the interval says
/// whether the rest is more than chance. What looks like a loss of half a point may be nothing, and what looks like
/// nothing on all rows may be a loss on those who matter. And a gain that nobody can explain is more often a leak than
/// a discovery.
///
/// # What it assumes
/// Rows are independent, or entities are where `columns.entity` is given, or else groups in a ranking.
/// ROC AUC has DeLong's paired interval, accuracy,
/// recall and specificity Tango's score interval, the others the delta method on the joint moments of both models. With
/// `columns.weight` every sum over the rows is a weighted one, in the variance too, and differences have the delta method.
/// Weights say how many rows of the world a row stands for, not how often it was seen: weights of 2 each change nothing, and
/// unequal ones leave fewer rows that count. Slices by value with fewer than `policy.min_rows` rows or
/// `policy.min_positives` of a class, weighted or not, are listed as not tested.
/// `within` passes when both ends of the interval are inside; its p-value is twice the smaller one-sided one.
///
/// # Example
/// ```yaml
/// - performance.regression: { metric: roc_auc, max_drop: 0.01, slices: all }
/// - performance.regression: { metric: log_loss, max_rise: 1%, suspicious_gain: 20% }
/// - performance.regression: { metric: brier, within: 0.02 }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformanceRegression {
    /// What is measured.
    pub metric: Metric,
    /// How far a metric that should be high may drop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_drop: Option<Amount>,
    /// How far a metric that should be low may rise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rise: Option<Amount>,
    /// How far a metric may be from the baseline's, in either direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Amount>,
    /// How much better a metric may become before a warning says that it smells of leakage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspicious_gain: Option<Amount>,
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
    margin: Margin,
    gain: Option<Margin>,
}

impl Check for PerformanceRegression {
    const NAME: &'static str = "performance.regression";
    type Asked = Asked;

    fn datasets(&self) -> Vec<(&'static str, &str)> {
        vec![("data", &self.data)]
    }

    fn ask(&self, plan: &mut Plan<'_>) -> Result<Asked, Refusal> {
        shared::metric_fits(plan, &self.metric, &self.data)?;
        let margin = Margin::new(plan, &self.metric, self.max_drop, self.max_rise, self.within)?;
        let gain = Margin::of_gain(plan, &self.metric, self.suspicious_gain)?;
        let rows = Rows::of_both(plan, &self.data)?;
        let groupings = shared::groupings(plan, &self.slices)?;
        let ticket = rows.metric(plan, &self.metric, &groupings)?;
        Ok(Asked { rows, ticket, groupings, margin, gain })
    }

    fn judge(&self, asked: &Asked, answers: &Answers) -> Result<Vec<Evidence>> {
        let mut evidence = Vec::new();
        for grouping in &asked.groupings {
            for (slice, sample) in asked.ticket.samples(answers, grouping)? {
                let obstacle = asked.rows.obstacle(grouping, sample.rows(), sample.positives())?;
                let claim = |margin, metric: &str| {
                    let subject = Subject::slice(&self.data, metric, &slice);
                    self.claim(asked, margin, subject, &sample, obstacle.as_ref())
                };
                evidence.push(claim(asked.margin, &self.metric.name()));
                let gain = |gain| shared::alarm(claim(gain, &format!("gain of {}", self.metric.name())));
                evidence.extend(asked.gain.map(gain));
            }
        }
        Ok(evidence)
    }
}

impl PerformanceRegression {
    fn claim(
        &self,
        asked: &Asked,
        margin: Margin,
        subject: Subject,
        sample: &Sample,
        obstacle: Option<&Finding>,
    ) -> Evidence {
        match obstacle {
            Some(finding) => shared::obstructed(subject, margin.limits(), sample.rows(), finding.clone()),
            None => shared::compare(&self.metric, sample, margin, asked.rows.level(), subject),
        }
    }
}
