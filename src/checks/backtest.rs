//! `backtest`: both models replayed over history, window by window.

use std::borrow::Cow;

use anyhow::Result;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answers::Answers;
use crate::check::{Check, Refusal};
use crate::checks::shared::{self, Margin, MetricTicket, Rows, Sample};
use crate::evidence::{Evidence, Finding, Subject};
use crate::plan::{Grouping, Input, Plan, Window};
use crate::spec::limit::Amount;
use crate::spec::problem::{Path, Problem};
use crate::stats::bound::outcome;
use crate::stats::metric::Metric;
use crate::target::Side;

/// Over history, the candidate is not worse than the baseline: not on the whole, and not in any one window by much more.
///
/// # What it does
/// Cuts the rows into calendar windows by `columns.time` and scores them with both models. A row counts only if its label was
/// known (`columns.known_at`) when its window closed, plus an `embargo`; the others are left out and counted. It claims that the
/// pooled difference stays within the margin, and that the worst window stays within `worst_factor` times the margin.
///
/// # Why it matters
/// A test set is one stretch of time. A model that wins it may lose every winter. And labels that come in late belong to other
/// rows than those that come in early, so counting them flatters a model that could not have used them.
///
/// # What it assumes
/// Windows are calendar windows in UTC; rows are independent, or entities are where `columns.entity` is given. The worst of many
/// windows is bad by chance alone: it passes when every window passes, and its p-value is corrected for their number
/// (Bonferroni). Windows with too few rows are listed as not tested. Windows that the models were trained on flatter both.
///
/// # Example
/// ```yaml
/// - backtest: { data: history, window: month, embargo: 7d, metric: roc_auc, max_drop: 0.02 }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backtest {
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
    /// The calendar windows.
    #[serde(default = "month")]
    pub window: Window,
    /// How long after the close of its window a label may still become known: `7d`.
    #[serde(default)]
    pub embargo: Days,
    /// How many times the margin the worst window may lose.
    #[serde(default = "worst_factor")]
    #[schemars(range(min = 1.0))]
    pub worst_factor: f64,
    /// The dataset.
    #[serde(default = "history")]
    pub data: String,
}

fn month() -> Window {
    Window::Month
}

fn worst_factor() -> f64 {
    2.0
}

fn history() -> String {
    "history".to_owned()
}

/// A number of days, written `7d`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Days(pub u32);

impl Serialize for Days {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}d", self.0))
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let days = text.strip_suffix('d').and_then(|days| days.parse().ok()).filter(|days| *days <= 36_500);
        days.map(Self).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no number of days such as `7d`")))
    }
}

impl JsonSchema for Days {
    fn schema_name() -> Cow<'static, str> {
        "Days".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+d$", "description": "A number of days, written `7d`." })
    }
}

/// What was asked.
#[derive(Debug)]
pub struct Asked {
    rows: Rows,
    ticket: MetricTicket,
    margin: Margin,
}

impl Check for Backtest {
    const NAME: &'static str = "backtest";
    type Asked = Asked;

    fn datasets(&self) -> Vec<(&'static str, &str)> {
        vec![("data", &self.data)]
    }

    fn ask(&self, plan: &mut Plan<'_>) -> Result<Asked, Refusal> {
        shared::metric_fits(plan, &self.metric, &self.data)?;
        let margin = Margin::new(plan, &self.metric, self.max_drop, self.max_rise, self.within)?;
        instant(plan, &self.data, "time", plan.columns().time.as_deref())?;
        instant(plan, &self.data, "known_at", plan.columns().known_at.as_deref())?;
        let label = Input::MatureLabel { window: self.window, embargo_days: self.embargo.0 };
        let rows = Rows::new(plan, &self.data, label, &[(Side::Baseline, None), (Side::Candidate, None)])?;
        let ticket = rows.metric(plan, &self.metric, &[Grouping::All, Grouping::Windows(self.window)])?;
        Ok(Asked { rows, ticket, margin })
    }

    fn judge(&self, asked: &Asked, answers: &Answers) -> Result<Vec<Evidence>> {
        let mut windows = Vec::new();
        for (name, sample) in asked.ticket.samples(answers, &Grouping::Windows(self.window))? {
            windows.push(self.window(asked, &name, &sample)?);
        }
        let mut evidence = Vec::new();
        for (_, sample) in asked.ticket.samples(answers, &Grouping::All)? {
            evidence.push(self.pooled(asked, &sample, &windows)?);
        }
        evidence.push(self.worst(asked, &windows));
        evidence.extend(windows.into_iter().filter(|window| matches!(window.finding, Finding::NotTested { .. })));
        Ok(evidence)
    }
}

impl Backtest {
    fn pooled(&self, asked: &Asked, sample: &Sample, windows: &[Evidence]) -> Result<Evidence> {
        let subject = Subject::all(&self.data, &self.metric.name());
        let evidence = match asked.rows.obstacle(&Grouping::All, sample.rows(), sample.positives())? {
            Some(finding) => shared::obstructed(subject, asked.margin.limits(), sample.rows(), finding),
            None => shared::compare(&self.metric, sample, asked.margin, asked.rows.level(), subject),
        };
        let rows: Vec<_> = windows.iter().map(row).collect();
        Ok(evidence.detail("left_out", sample.rows().unlabelled).detail("windows", rows))
    }

    fn window(&self, asked: &Asked, name: &str, sample: &Sample) -> Result<Evidence> {
        let margin = asked.margin.times(self.worst_factor);
        let subject = Subject::slice(&self.data, &self.metric.name(), name);
        let grouping = Grouping::Windows(self.window);
        let evidence = match asked.rows.obstacle(&grouping, sample.rows(), sample.positives())? {
            Some(finding) => shared::obstructed(subject, margin.limits(), sample.rows(), finding),
            None => shared::compare(&self.metric, sample, margin, asked.rows.level(), subject),
        };
        Ok(evidence.detail("left_out", sample.rows().unlabelled))
    }

    /// The window that speaks most against the candidate stands for all of them.
    fn worst(&self, asked: &Asked, windows: &[Evidence]) -> Evidence {
        let judged: Vec<&Evidence> =
            windows.iter().filter(|window| !matches!(window.finding, Finding::NotTested { .. })).collect();
        let Some(worst) = judged.iter().min_by(|a, b| severity(a).total_cmp(&severity(b))) else {
            let subject = Subject::slice(&self.data, &self.metric.name(), "worst window");
            let reason = "no window has enough rows, and windows of the past get no more of them".to_owned();
            let finding = Finding::Undecided { reason, needs_rows: None };
            return Evidence::new(subject, asked.margin.times(self.worst_factor).limits(), finding);
        };
        let mut evidence = Evidence::clone(worst);
        evidence.subject.slice = "worst window".to_owned();
        evidence.tests = judged.iter().flat_map(|window| window.tests.clone()).collect();
        if let Finding::Tested { inside, p_value, .. } = &mut evidence.finding {
            let all = outcome(&evidence.tests, asked.rows.level());
            *inside = judged.iter().all(|window| matches!(window.finding, Finding::Tested { inside: true, .. }));
            *p_value = all.p_value;
        }
        evidence.detail("window", worst.subject.slice.clone()).detail("windows_judged", judged.len())
    }
}

/// Orders windows by how much they speak against the candidate: facts first, then the undecided, then by p-value.
fn severity(window: &Evidence) -> f64 {
    match &window.finding {
        Finding::Fact { holds: false, .. } => -2.0,
        Finding::Undecided { .. } => -1.0,
        // Twice a p-value may be cut at 1; what is not inside speaks against the candidate still.
        Finding::Tested { inside, p_value, .. } => *p_value + f64::from(u8::from(*inside)),
        Finding::Fact { holds: true, .. } | Finding::NotTested { .. } | Finding::Waived { .. } => f64::INFINITY,
    }
}

fn row(window: &Evidence) -> serde_json::Value {
    json!({
        "window": window.subject.slice,
        "rows": window.rows,
        "left_out": window.details.get("left_out"),
        "baseline": window.baseline,
        "candidate": window.candidate,
        "difference": window.difference,
    })
}

fn instant(plan: &Plan<'_>, dataset: &str, role: &str, name: Option<&str>) -> Result<(), Refusal> {
    let at = Path::root().key("columns").key(role);
    let Some(name) = name else {
        let problem = Problem::key(plan.here(), format!("a backtest needs `columns.{role}`"));
        return Err(problem.remedy(format!("declare `columns.{role}`")).into());
    };
    let kind = shared::column(plan, dataset, name, &at)?;
    if kind.is_temporal() {
        return Ok(());
    }
    let message = format!("column `{name}` of dataset `{dataset}` holds {kind}, where a date or an instant is needed");
    Err(Problem::value(&at, message).remedy("write a timestamp to the Parquet file").into())
}
